"""What an image is known by, wherever it lies and whatever it is called: a digest of its values."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from pixelcnn.data.lazy import pieces


def as_bytes(images: Tensor) -> bytes:
    """The values of some images, little-endian, in order."""
    array = images.cpu().contiguous().numpy()
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _begun(shape: Sequence[int]) -> "hashlib._Hash":
    """The digest of an image, of which the shape is known so far."""
    return hashlib.sha256("x".join(map(str, shape)).encode())


def _key(digest: "hashlib._Hash") -> int:
    return int.from_bytes(digest.digest()[:8], "big")


def content_key(shape: Sequence[int], pixels: bytes) -> int:
    """The first 64 bits of the SHA-256 of an image: its shape and its values."""
    digest = _begun(shape)
    digest.update(pixels)
    return _key(digest)


def content_keys(images: Tensor, group: Tensor | None = None) -> np.ndarray:
    """The content key of each image: ``(n,)`` uint64.

    Its name, its place in a folder and the other images do not matter. All patches of a photograph have the
    key of all their pixels together.

    Args:
        images: levels ``(n, c, h, w)``.
        group: the photograph that each is a patch of, ``(n,)``.
    """
    shape = images.shape[1:]
    if group is not None:
        digests = [_begun(shape) for _ in range(int(group.max()) + 1)]
        for number, patch in zip(group.tolist(), _each(images), strict=True):
            digests[number].update(patch)
        return np.array([_key(digest) for digest in digests], dtype=np.uint64)[group.numpy()]
    keys = (content_key(shape, pixels) for pixels in _each(images))
    return np.fromiter(keys, dtype=np.uint64, count=len(images))


def _each(images: Tensor) -> Iterator[bytes]:
    """The bytes of each image; a tensor of PyTorch for each would take a kilobyte more."""
    for piece in pieces(images):
        some = images[piece]
        together, size = as_bytes(some), some[:1].numel() * some.element_size()
        yield from (together[at : at + size] for at in range(0, len(together), size))
