"""Reads one image file as levels, and says what had to be done to it.

Pillow decodes, from a fixed list of formats. Everything that would change pixels behind the user's back
(colour spaces, transparency, depth, rotation, further frames) is done here, openly.
"""

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from pixelcnn.data.gate import afford, brief, opened
from pixelcnn.errors import DataError, PixelCNNError, ResourceError
from pixelcnn.shapes import MAX_SIDE

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    (
        ".png", ".jpg", ".jpeg", ".jpe", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
        ".pbm", ".pnm",
    )
)  # fmt: skip
"""Names by which image files are found in a folder."""
MAX_PIXELS = 2**26
"""Of one file; a few bytes can declare a picture that fills the memory."""
MAX_SCANS = 200
"""Of a progressive JPEG, which has about ten; each costs as much time as a whole picture, and few bytes."""
BYTES_PER_PIXEL = 16
"""Of memory while a picture is decoded and turned into an array."""

SEEN_THROUGH = "transparency laid over white"
"""A note on a picture."""
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
OTHER_COLOURS = ("CMYK", "YCbCr", "LAB", "HSV", "RGBX")


@dataclasses.dataclass(frozen=True)
class Picture:
    """One decoded image: grey or RGB."""

    pixels: np.ndarray
    """``(channels, height, width)``, uint8, or uint16 when read wide."""
    bits: int
    """1, 8 or 16 per sub-pixel in the file; 1-bit pixels are 0 and full brightness."""
    notes: tuple[str, ...] = ()
    """What had to be done to it."""

    @property
    def grey(self) -> bool:
        """Whether the channels, if there are three, are equal."""
        return bool((self.pixels == self.pixels[:1]).all())


def read_picture(path: Path, *, wide: bool = False) -> Picture:
    """Decodes an image file, whatever it holds.

    Args:
        path: of the file.
        wide: give 65,536 levels instead of 256.

    Raises:
        DataError: the reason alone, to be put after the file's name.
    """
    try:
        with opened(path) as stream:
            return _decode(stream, wide)
    except PixelCNNError:
        raise
    except MemoryError as error:
        raise ResourceError("does not fit into memory") from error
    except Exception as error:
        # Given damaged files, decoders raise nearly anything: OSError, SyntaxError, struct.error...
        raise DataError(_reason(error)) from error


def _decode(stream: BinaryIO, wide: bool) -> Picture:
    from PIL import Image, ImageOps

    with Image.open(stream, formats=FORMATS) as file:
        image: Image.Image = file
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise DataError(_too_large(width * height))
        if max(width, height) > MAX_SIDE:
            raise DataError(f"is {height}x{width}, sides may be {MAX_SIDE:,}")
        if image.format == "JPEG" and _scans(stream) > MAX_SCANS:
            raise DataError(f"has more than {MAX_SCANS} scans")
        afford(BYTES_PER_PIXEL * width * height)
        notes = []
        if getattr(image, "is_animated", False):
            notes.append("first of several frames taken")
            image.seek(0)
        deep = _raw_mode(image).startswith(("RGB;16", "RGBA;16", "LA;16"))
        image.load()
        if image.getexif().get(0x0112, 1) in range(2, 9):
            notes.append("turned as its EXIF orientation says")
            image = ImageOps.exif_transpose(image)
        if deep:
            notes.append("16 bits reduced to 8")
        picture = _levels(image, wide)
    return dataclasses.replace(picture, notes=(*notes, *picture.notes))


def _scans(stream: BinaryIO) -> int:
    """How often a JPEG file begins a scan; the place in it stays."""
    place, scans, last = stream.tell(), 0, b""
    stream.seek(0)
    while block := stream.read(2**20):
        scans += (last + block).count(b"\xff\xda")
        last = block[-1:]
    stream.seek(place)
    return scans


def _raw_mode(image: "Image.Image") -> str:
    """How the file stores its pixels, which Pillow may have narrowed."""
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _levels(image: "Image.Image", wide: bool) -> Picture:
    """A loaded image in grey or RGB."""
    if image.mode in SIXTEEN_BITS:
        return _sixteen_bits(image, wide)
    bits, notes = (1 if image.mode == "1" else 8), []
    if image.mode in ALPHA or "transparency" in image.info:
        image, note = _flattened(image)
        notes.append(note)
    elif image.mode == "P":
        image = image.convert("RGB")
        notes.append("palette looked up")
    elif image.mode in OTHER_COLOURS:
        notes.append(f"{image.mode} converted to RGB")
        image = image.convert("RGB")
    elif image.mode not in {"1", "L", "RGB"}:
        kind = "floating-point numbers" if image.mode == "F" else f"of kind {image.mode}"
        raise DataError(f"its pixels are {kind}, not levels")
    pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    pixels = pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    if "palette looked up" in notes and (pixels == pixels[:1]).all():
        pixels = pixels[:1]
    if wide:
        pixels = pixels.astype(np.uint16) * np.uint16(257)
    return Picture(pixels, bits, tuple(notes))


def _sixteen_bits(image: "Image.Image", wide: bool) -> Picture:
    """Grey of 16 bits; 32-bit integers count if they fit."""
    pixels = np.asarray(image)[None]
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high >= 2**16:
        raise DataError(f"its pixels run from {low} to {high}, more than 16 bits")
    pixels = pixels.astype(np.uint16)
    if wide:
        return Picture(pixels, 16)
    return Picture((pixels >> 8).astype(np.uint8), 16, ("16 bits reduced to 8",))


def _flattened(image: "Image.Image") -> "tuple[Image.Image, str]":
    """Transparency laid over white, as a page shows it."""
    from PIL import Image

    coloured = image.mode not in {"1", "L", "LA", "La"}
    image = image.convert("RGBA" if coloured else "LA")
    alpha = image.getchannel("A")
    plain = image.convert("RGB" if coloured else "L")
    if alpha.getextrema() == (255, 255):
        return plain, "opaque alpha channel dropped"
    page = Image.new(plain.mode, plain.size, "white")
    page.paste(plain, mask=alpha)
    return page, SEEN_THROUGH


def _too_large(pixels: int) -> str:
    return f"has {pixels:,} pixels, at most {MAX_PIXELS:,} are read"


def _reason(error: Exception) -> str:
    """What a decoder complains of, in one line that can follow a file name."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return f"is not an image ({', '.join(FORMATS)})"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        declared = re.search(r"\((\d+) pixels\)", str(error))
        return _too_large(int(declared[1])) if declared else "declares too many pixels"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"is damaged: {brief((str(error) or type(error).__name__).splitlines()[0])}"
