"""Reads one image file as levels, and says what had to be done to it.

Pillow decodes, from a fixed list of formats. Everything that would change pixels behind the user's back
(colour spaces, transparency, depth, rotation, further frames) is done here, openly.
"""

import dataclasses
import re
import sys
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

SHALLOW = "16 bits reduced to 8"
OPAQUE = "opaque alpha channel dropped"
SEEN_THROUGH = "transparency laid over white"
"""A note on a picture."""
STRETCHED = {"L;2": 85, "L;4": 17}
"""What grey values of two and of four bits are multiplied by to fill the range of a byte."""
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
OTHER_COLOURS = ("CMYK", "YCbCr", "LAB", "HSV", "RGBX")


@dataclasses.dataclass(frozen=True)
class Picture:
    """One decoded image: grey or RGB."""

    pixels: np.ndarray
    """``(channels, height, width)``, uint8, or uint16 when read wide or as stored."""
    bits: int
    """1, 8 or 16 per sub-pixel in the file; 1-bit pixels are 0 and full brightness, unless as stored."""
    notes: tuple[str, ...] = ()
    """What had to be done to it."""
    largest: int = 255
    """Value of a sub-pixel as it is stored: up to 65,535 if there are 16 bits, else up to 255."""

    @property
    def grey(self) -> bool:
        """Whether the channels, if there are three, are equal."""
        return bool((self.pixels == self.pixels[:1]).all())


def read_picture(path: Path, *, wide: bool = False, stored: bool = False) -> Picture:
    """Decodes an image file, whatever it holds.

    Args:
        path: of the file.
        wide: give 65,536 levels instead of 256.
        stored: give the values as they stand in the file, whatever range they could fill: single bits, the
            indices of a palette, all 16 bits.

    Raises:
        DataError: the reason alone, to be put after the file's name.
    """
    try:
        with opened(path) as stream:
            return _decode(stream, wide, stored)
    except PixelCNNError:
        raise
    except MemoryError as error:
        raise ResourceError("does not fit into memory") from error
    except Exception as error:
        # Given damaged files, decoders raise nearly anything: OSError, SyntaxError, struct.error...
        raise DataError(_reason(error)) from error


def _decode(stream: BinaryIO, wide: bool, stored: bool) -> Picture:
    from PIL import Image

    with Image.open(stream, formats=FORMATS) as file:
        image: Image.Image = file
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise DataError(_too_large(width * height))
        if max(width, height) > MAX_SIDE:
            raise DataError(f"is {height}x{width}, sides may be {MAX_SIDE:,}")
        if image.format == "JPEG" and _scans(stream) > MAX_SCANS:
            raise DataError(f"has more than {MAX_SCANS} scans")
        notes = []
        if getattr(image, "is_animated", False):
            notes.append("first of several frames taken")
            image.seek(0)
        raw = _raw_mode(image)
        deep = raw.startswith(("RGB;16", "RGBA;16", "LA;16"))
        afford(BYTES_PER_PIXEL * width * height * (1 + deep))
        most = _maxval(image)
        image, turned = _upright(image)
        notes += turned
        low = _low_bytes(stream) if deep and (wide or stored) and raw[:2] != "LA" else None
        picture = None if low is None else _joined_bytes(image, low)
        if picture is None and (deep or (most > 255 and image.mode == "RGB")):
            picture = _shallow(image, wide, stored)
        elif picture is None:
            picture = _stretched(_levels(image, wide, stored), most, raw, stored)
    return dataclasses.replace(picture, notes=(*notes, *picture.notes))


def _upright(image: "Image.Image") -> "tuple[Image.Image, list[str]]":
    """A picture decoded and turned as its orientation says, and whether it was turned."""
    from PIL import ImageOps

    image.load()
    if image.getexif().get(0x0112, 1) in range(2, 9):
        return ImageOps.exif_transpose(image), ["turned as its EXIF orientation says"]
    return image, []


def _low_bytes(stream: BinaryIO) -> "Image.Image":
    """The lower byte of every 16-bit value of a colour picture.

    Pillow decodes the upper bytes alone. Told that the bytes come in the other order, it gives the lower.
    """
    from PIL import Image

    stream.seek(0)
    swapped = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
    image: Any = Image.open(stream, formats=FORMATS)

    def other(arguments: Any) -> Any:
        if isinstance(arguments, str):
            return arguments[:-1] + swapped[arguments[-1]]
        return (other(arguments[0]), *arguments[1:])

    image.tile = [tile._replace(args=other(tile.args)) for tile in image.tile]
    return _upright(image)[0]


def _joined_bytes(high: "Image.Image", low: "Image.Image") -> Picture | None:
    """Colour of 16 bits from upper and lower bytes; None if it can be seen through."""
    upper, lower = np.asarray(high), np.asarray(low)
    opaque = upper.shape[-1] == 3 or bool((upper[..., 3:] & lower[..., 3:] == 255).all())
    if not opaque:
        return None
    pixels = upper[..., :3].astype(np.uint16) << 8 | lower[..., :3]
    notes = () if upper.shape[-1] == 3 else (OPAQUE,)
    pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return Picture(pixels, 16, notes, largest=int(pixels.max()))


def _shallow(image: "Image.Image", wide: bool, stored: bool) -> Picture:
    """Of 16 bits of colour or with transparency the eight that can be had."""
    if stored:
        raise DataError("can be read with 8 of its 16 bits only, not with the levels it holds")
    picture = _levels(image, wide, stored)
    return dataclasses.replace(
        picture, bits=16, notes=(SHALLOW, *picture.notes), largest=picture.largest * 257
    )


def _stretched(picture: Picture, most: int, raw: str, stored: bool) -> Picture:
    """Values of fewer bits, which Pillow has stretched over its range: as stored, or with a note."""
    if raw[:3] in STRETCHED and stored:
        return dataclasses.replace(picture, pixels=picture.pixels // STRETCHED[raw[:3]])
    if most in {0, 255, 65_535}:
        return picture
    if not stored:
        note = f"values 0 to {most} stretched over the whole range"
        return dataclasses.replace(picture, notes=(note, *picture.notes))
    full = 65_535 if picture.bits == 16 else 255
    pixels = (picture.pixels.astype(np.float64) * most / full).round()
    return dataclasses.replace(picture, pixels=pixels.astype(picture.pixels.dtype))


def _maxval(image: "Image.Image") -> int:
    """Largest value that a PNM file says it may hold; 0 where the format says none."""
    tiles: Any = getattr(image, "tile", None)
    if image.format != "PPM" or not tiles or not isinstance(tiles[0][3], tuple):
        return 0
    return next((each for each in tiles[0][3] if isinstance(each, int)), 0)


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


def _levels(image: "Image.Image", wide: bool, stored: bool) -> Picture:
    """A loaded image in grey or RGB."""
    if image.mode in SIXTEEN_BITS:
        return _sixteen_bits(image, wide or stored)
    bits, notes = (1 if image.mode == "1" else 8), []
    if stored and image.mode in {"1", "P"}:
        pixels = np.asarray(image)[None].astype(np.uint8)
        return Picture(pixels, bits, largest=int(pixels.max()))
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
    largest = int(pixels.max())
    if wide and not stored:
        pixels = pixels.astype(np.uint16) * np.uint16(257)
    return Picture(pixels, bits, tuple(notes), largest)


def _sixteen_bits(image: "Image.Image", whole: bool) -> Picture:
    """Grey of 16 bits; 32-bit integers count if they fit."""
    pixels = np.asarray(image)[None]
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high >= 2**16:
        raise DataError(f"its pixels run from {low} to {high}, more than 16 bits")
    pixels = pixels.astype(np.uint16)
    if whole:
        return Picture(pixels, 16, largest=high)
    return Picture((pixels >> 8).astype(np.uint8), 16, (SHALLOW,), high)


def _flattened(image: "Image.Image") -> "tuple[Image.Image, str]":
    """Transparency laid over white, as a page shows it."""
    from PIL import Image

    coloured = image.mode not in {"1", "L", "LA", "La"}
    image = image.convert("RGBA" if coloured else "LA")
    alpha = image.getchannel("A")
    plain = image.convert("RGB" if coloured else "L")
    if alpha.getextrema() == (255, 255):
        return plain, OPAQUE
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
