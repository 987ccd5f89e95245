"""What the usual lossless codecs make of images: PNG, WebP, JPEG XL and JBIG, as files of their own or one.

Pillow writes the first two; the others are programs, and a missing one is no error but a reason.
"""

import io
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.errors import DataError
from pixelcnn.shapes import check_levels

if TYPE_CHECKING:
    from PIL.Image import Image

Callback = Callable[[int, int], None]


class Unavailable(Exception):
    """A codec cannot be had here, or does not take such pictures; the message says why."""


@dataclass(frozen=True)
class ImageCodec:
    """A lossless format of pictures.

    Attributes:
        title: how tables name it.
        encode: a picture as the bytes of a file.
        levels: that a sub-pixel has at most.
        colour: whether pictures may have three channels.
        side: of a picture, at most.
        program: that has to be installed, and the package of Debian that has it.
    """

    title: str
    encode: Callable[["Image"], bytes]
    levels: int = 65_536
    colour: bool = True
    side: int = 2**31 - 1
    program: tuple[str, str] | None = None

    def require(self, channels: int, levels: int, side: int = 1) -> None:
        """Checks that the codec is here and takes such pictures.

        Args:
            channels: of an image; other than 3 are stacked into one grey picture.
            levels: of a sub-pixel.
            side: the longer one of the picture.

        Raises:
            Unavailable: it is not, or does not.
        """
        if levels > self.levels:
            few = "binary images" if self.levels == 2 else f"up to {self.levels} levels"
            raise Unavailable(f"for {few} alone")
        if channels == 3 and not self.colour:
            raise Unavailable("not for colour")
        if side > self.side:
            raise Unavailable(f"for sides of up to {self.side:,} alone")
        if self.program is not None and shutil.which(self.program[0]) is None:
            raise Unavailable("{} is not installed (package {})".format(*self.program))


def png(picture: "Image", **more: Any) -> bytes:
    """A picture as a PNG file, with the best filters and compression that Pillow looks for."""
    return saved(picture, "PNG", optimize=True, **more)


def webp(picture: "Image") -> bytes:
    """A picture as a lossless WebP file, with the greatest effort."""
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")
    return saved(picture, "WEBP", lossless=True, quality=100, method=6)


def jpeg_xl(picture: "Image") -> bytes:
    """A picture as a lossless JPEG XL file, with effort 9 of ``cjxl``."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "picture.png"), Path(folder, "picture.jxl")
        source.write_bytes(png(picture))
        _run("cjxl", source, target, "-d", "0", "-e", "9", "--num_threads=0", "--quiet")
        return target.read_bytes()


def jbig(picture: "Image") -> bytes:
    """A binary picture as a JBIG1 file, in one resolution (option ``-q`` of ``pbmtojbg``): white is 0."""
    from PIL import ImageChops

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "picture.pbm"), Path(folder, "picture.jbg")
        source.write_bytes(saved(ImageChops.invert(picture), "PPM"))
        _run("pbmtojbg", "-q", source, target)
        return target.read_bytes()


CODECS = {
    "png": ImageCodec("PNG", png),
    "webp": ImageCodec("WebP", webp, levels=256, side=16_383),
    "jxl": ImageCodec("JPEG XL", jpeg_xl, program=("cjxl", "libjxl-tools")),
    "jbig": ImageCodec("JBIG", jbig, levels=2, colour=False, program=("pbmtojbg", "jbigkit-bin")),
}
"""By the names that the command line knows."""


@dataclass(frozen=True)
class Sizes:
    """What a codec needs for some images.

    Attributes:
        files: bytes of the files of all images; None if it does not apply.
        sheet: bytes of one picture of all of them; None if it does not apply.
        note: why not.
    """

    files: int | None
    sheet: int | None
    note: str = ""


def sizes(name: str, images: Any, levels: int, callback: Callback | None = None) -> Sizes:
    """What a codec needs for images: a file for each, and one for a :func:`sheet` of all.

    Args:
        name: in :data:`CODECS`.
        images: integer levels ``(n, c, h, w)``.
        levels: of them.
        callback: called with pictures done and pictures in all, which is one more than there are images.

    Example:
        >>> found = sizes("png", np.zeros((9, 1, 8, 8), np.uint8), levels=2)
        >>> found.sheet < found.files
        True
        >>> sizes("webp", np.zeros((9, 1, 8, 8), np.int32), levels=300).note
        'for up to 256 levels alone'
    """
    codec, files = CODECS[name], 0
    arrays = [np.asarray(image) for image in images]
    try:
        codec.require(len(arrays[0]), levels, max(picture(arrays[0], levels).size))
        for done, array in enumerate(arrays, start=1):
            files += len(codec.encode(picture(array, levels)))
            if callback is not None:
                callback(done, len(arrays) + 1)
        joined = picture(sheet(arrays), levels)
        codec.require(len(arrays[0]), levels, max(joined.size))
        return Sizes(files, len(codec.encode(joined)))
    except Unavailable as reason:
        return Sizes(files or None, None, str(reason))


def picture(image: NDArray[Any], levels: int) -> "Image":
    """Levels ``(c, h, w)`` as a picture: 1, 8 or 16 bits grey, or 8 bits in colour.

    Other than 3 channels, and those of more than 256 levels, are stacked into one grey picture.

    Example:
        >>> [picture(np.zeros((c, 2, 3)), levels).size for c, levels in ((3, 256), (2, 256))]
        [(3, 2), (3, 4)]
    """
    from PIL import Image

    channels, height, width = image.shape
    if levels > 256:
        return Image.fromarray(image.reshape(channels * height, width).astype(np.uint16))
    if channels == 3:
        return Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0), np.uint8))
    stacked = image.reshape(channels * height, width).astype(np.uint8)
    return Image.fromarray(stacked * 255).convert("1") if levels == 2 else Image.fromarray(stacked)


def sheet(images: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Images of one shape ``(c, h, w)`` in rows, as nearly square as they allow; what is left over is 0.

    Example:
        >>> sheet([np.ones((1, 2, 4))] * 5).shape
        (1, 6, 8)
    """
    channels, height, width = images[0].shape
    columns = max(1, round(math.sqrt(len(images) * height / width)))
    rows = math.ceil(len(images) / columns)
    found = np.zeros((channels, rows * height, columns * width), images[0].dtype)
    for index, image in enumerate(images):
        top, left = index // columns * height, index % columns * width
        found[:, top : top + height, left : left + width] = image
    return found


def png_nats(images: Any, levels: int) -> Tensor:
    """Size of each image as an optimised PNG in nats, float64 ``(n,)``.

    The complexity term of Serra et al., Input complexity and out-of-distribution detection, 2020.

    Args:
        images: integer levels ``(n, c, h, w)``, see :func:`picture`, or a set of such.
        levels: 2 of grey images are stored in 1 bit, up to 256 in 8, more in 16.

    Raises:
        DataError: other numbers than these levels, which a picture would hold as others still.

    Example:
        >>> images = np.zeros((2, 1, 8, 8), int)
        >>> images[1].flat = range(64)
        >>> flat, noisy = png_nats(images, levels=64)
        >>> bool(flat < noisy)
        True
    """
    images = getattr(images, "images", images)
    pictures = (picture(_levels(image, levels), levels) for image in images)
    bytes_each = [len(png(each)) for each in pictures]
    return torch.tensor(bytes_each, dtype=torch.float64) * (8 * math.log(2))


def _levels(image: Any, levels: int) -> NDArray[Any]:
    """Levels ``(c, h, w)`` of an image as an array, looked at."""
    array = np.asarray(image.cpu() if isinstance(image, Tensor) else image)
    if array.ndim != 3 or array.dtype.kind not in "biu":
        raise DataError(
            f"images must be integer levels (n, c, h, w), got {array.dtype} in {array.ndim + 1} axes"
        )
    check_levels(array, levels)
    return array


def saved(picture: "Image", kind: str, **options: Any) -> bytes:
    """A picture as the bytes of a file, of a kind and with options as Pillow has them."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _run(program: str, *arguments: str | Path) -> None:
    """Runs a program.

    Raises:
        Unavailable: it is not there, or fails.
    """
    path = shutil.which(program)
    if path is None:
        raise Unavailable(f"{program} is not installed")
    done = subprocess.run(
        [path, *arguments], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").split()
        raise Unavailable(f"{program} fails: {' '.join(words)[-200:] or done.returncode}")
