"""The official files of the named data sets: what they are, and how their contents read.

Checksums are those of the uncompressed contents, so any packing of a file will do.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip
THINGS = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class OfficialFile:
    """A file by its uncompressed content."""

    name: str
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Mirror:
    """A place that has the files of a set.

    With ``archive`` the address is one tar file with all of them, else a folder, in which each is
    called ``name + suffix``.
    """

    address: str
    suffix: str = ""
    archive: OfficialFile | None = None

    def url(self, file: OfficialFile) -> str:
        """Where to fetch this file, or the archive with it."""
        return self.address if self.archive else f"{self.address}{file.name}{self.suffix}"


Part = tuple[np.ndarray, np.ndarray | None]
"""Images (n, c, h, w) uint8, and labels (n,) if there are any."""


@dataclasses.dataclass(frozen=True)
class OfficialSet:
    """A named data set.

    ``parts`` maps ``train``, ``test`` and perhaps ``val`` to the files that ``read`` takes them from.
    """

    name: str
    read: Callable[..., Part]
    parts: Mapping[str, tuple[OfficialFile, ...]]
    mirrors: tuple[Mirror, ...]
    classes: tuple[str, ...] = ()
    torchvision: str = ""
    """The folder in which torchvision keeps the same files."""

    @property
    def files(self) -> tuple[OfficialFile, ...]:
        """All files."""
        return tuple(file for part in self.parts.values() for file in part)


def read_idx(images: bytes, labels: bytes) -> Part:
    """The IDX pair of MNIST: big-endian header, then one byte per pixel or label, row-major.

    Example:
        >>> header = b"".join(n.to_bytes(4, "big") for n in (2051, 1, 1, 2))
        >>> pixels, labels = read_idx(header + bytes([7, 9]), b"\\0\\0\\x08\\x01\\0\\0\\0\\x01" + bytes([3]))
        >>> pixels.tolist(), labels.tolist()
        ([[[[7, 9]]]], [3])
    """
    _, count, height, width = np.frombuffer(images, ">u4", 4).tolist()
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(count, 1, height, width)
    return pixels, np.frombuffer(labels, np.uint8, offset=8)


def read_amat(text: bytes) -> Part:
    """Lines of 784 digits 0 or 1, separated by single spaces: 28x28, row-major."""
    return (np.frombuffer(text, np.uint8).reshape(-1, 1, 28, 56)[..., ::2] - ord("0")), None


def read_cifar(*batches: bytes) -> Part:
    """Records of a label, then the red, green and blue plane of 32x32, row-major."""
    records = np.concatenate([np.frombuffer(b, np.uint8).reshape(-1, 3073) for b in batches])
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def _idx(*hashes: str) -> Mapping[str, tuple[OfficialFile, ...]]:
    """The files of a set like MNIST, by the hashes of images and labels to train on, then to test."""
    parts, left = {}, iter(hashes)
    for part, name, count in (("train", "train", 60_000), ("test", "t10k", 10_000)):
        parts[part] = (
            OfficialFile(f"{name}-images-idx3-ubyte", 16 + 28 * 28 * count, next(left)),
            OfficialFile(f"{name}-labels-idx1-ubyte", 8 + count, next(left)),
        )
    return parts


MNIST = OfficialSet(
    "mnist",
    read_idx,
    _idx(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    (
        Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/", ".gz"),
        Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/", ".gz"),
    ),
    DIGITS,
    torchvision="MNIST/raw",
)

FASHION_MNIST = OfficialSet(
    "fashion-mnist",
    read_idx,
    _idx(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    (
        Mirror("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/", ".gz"),
        Mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets/", ".gz"),
    ),
    CLOTHES,
    torchvision="FashionMNIST/raw",
)

BINARIZED_MNIST = OfficialSet(
    "binarized-mnist",
    read_amat,
    {
        part: (OfficialFile(f"binarized_mnist_{name}.amat", 2 * 28 * 28 * count, sha256),)
        for part, name, count, sha256 in (
            (
                "train", "train", 50_000,
                "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
            ),
            (
                "val", "valid", 10_000,
                "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
            ),
            (
                "test", "test", 10_000,
                "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
            ),
        )
    },
    (Mirror("https://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"),),
)  # fmt: skip

CIFAR_BATCHES = (
    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
)

CIFAR_ARCHIVE = OfficialFile(
    "cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)

CIFAR_10 = OfficialSet(
    "cifar-10",
    read_cifar,
    {
        "train": tuple(
            OfficialFile(f"data_batch_{number}.bin", 30_730_000, sha256)
            for number, sha256 in enumerate(CIFAR_BATCHES, 1)
        ),
        "test": (
            OfficialFile(
                "test_batch.bin",
                30_730_000,
                "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            ),
        ),
    },
    (
        Mirror("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", archive=CIFAR_ARCHIVE),
        Mirror(
            "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/"
            "cifar-10-binary.tar.gz",
            archive=CIFAR_ARCHIVE,
        ),
    ),
    THINGS,
)

OFFICIAL = {each.name: each for each in (MNIST, BINARIZED_MNIST, FASHION_MNIST, CIFAR_10)}
"""The named sets that are not embedded."""
