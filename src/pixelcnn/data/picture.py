"""Reads one image file as levels, and says what had to be done to it.

Pillow decodes, from a fixed list of formats. Everything that would change pixels behind the user's back
(colour spaces, transparency, depth, rotation, further frames) is done here, openly.
"""

import dataclasses
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeAlias

import numpy as np

from pixelcnn.data import depth
from pixelcnn.data.depth import FORMATS
from pixelcnn.data.frame import ROTATED, Frame, upright
from pixelcnn.data.opening import brief, check_scans, opened, unreadable
from pixelcnn.errors import DataError, PixelCNNError, ResourceError
from pixelcnn.memory import afford
from pixelcnn.shapes import MAX_LEVELS, MAX_SIDE

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .gif .bmp .webp .tif .tiff .ppm .pgm .pbm .pnm".split()  # noqa: SIM905
)
"""Names by which image files are found in a folder."""
MAX_PIXELS = 2**26
"""Of one file; a few bytes can declare a picture that fills the memory."""
BYTES_PER_PIXEL = 16
"""Of memory while a picture is decoded and turned into an array."""
UNASKED = 2**20
"""Bytes that are taken as they are: to ask for room takes longer than to decode so small a picture."""

SHALLOW = "16 bits reduced to 8"
OPAQUE = "opaque alpha channel dropped"
SEEN_THROUGH = "transparency laid over white"
LOOKED_UP = "palette looked up"
TURNED = "turned as its EXIF orientation says"
"""A note on a picture."""
STRETCHED = {"L;2": 85, "L;4": 17}
"""What grey values of two and of four bits are multiplied by to fill the range of a byte."""
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
OTHER_COLOURS = ("CMYK", "YCbCr", "LAB", "HSV", "RGBX")


class Measured(DataError):
    """A picture cannot be used without bins."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """One decoded image: grey or RGB."""

    pixels: np.ndarray
    """``(channels, height, width)``, uint8, or uint16 when read wide or as stored; float32 if these count."""
    bits: int
    """1, 8, 16 or 32 per sub-pixel in the file; 1-bit pixels are 0 and full brightness, unless as stored."""
    notes: tuple[str, ...] = ()
    """What had to be done to it."""
    largest: int = 255
    """Value of a sub-pixel as it is stored: up to 65,535 if there are 16 bits, else up to 255."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the whole picture, upright."""
    sampled: int = 0
    """How many levels this package stretched over the range of the format; 0 of pictures of others."""

    @property
    def grey(self) -> bool:
        """Whether the channels, if there are three, are equal."""
        return bool((self.pixels == self.pixels[:1]).all())


Content: TypeAlias = "Path | bytes | Image.Image"
"""What a picture is read of: a file, the bytes of one, or one of Pillow's."""


class How(NamedTuple):
    """How a picture is read.

    Attributes:
        wide: give 65,536 levels instead of 256.
        stored: give the values as they stand in the file, whatever range they could fill: single bits, the
            indices of a palette, all 16 bits.
        floats: give floating-point pixels, and integers of more than 16 bits, too, as they are.
        frame: what to keep; no more than one whole picture is in memory before.
    """

    wide: bool = False
    stored: bool = False
    floats: bool = False
    frame: Frame | None = None

    def array(self, pixels: np.ndarray) -> np.ndarray:
        """What is kept of an array ``(channels, height, width)``."""
        return self.frame.array(pixels) if self.frame else pixels

    def image(self, image: "Image.Image") -> np.ndarray:
        """What is kept of an image, as such an array."""
        pixels = np.asarray(self.frame.image(image) if self.frame else image)
        if pixels.ndim == 2:
            return self.array(pixels[None])
        return self.array(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


PLAINLY = How()


def read_picture(content: Content, how: How = PLAINLY) -> Picture:
    """Decodes an image file, whatever it holds.

    Raises:
        DataError: the reason alone, to be put after the file's name.
    """
    try:
        if not isinstance(content, Path | bytes):
            negative = not how.stored and depth.is_negative(content)
            return _taken(depth.positive(content) if negative else content.copy(), how)
        with io.BytesIO(content) if isinstance(content, bytes) else opened(content) as stream:
            return _decode(stream, how)
    except PixelCNNError:
        raise
    except MemoryError as error:
        raise ResourceError("does not fit into memory") from error
    except Exception as error:
        # Given damaged files, decoders raise nearly anything: OSError, SyntaxError, struct.error...
        raise _explained(error) from error


def _decode(stream: BinaryIO, how: How) -> Picture:
    from PIL import Image

    with Image.open(stream, formats=FORMATS) as file:
        image: Image.Image = file
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _too_large(f"{width * height:,} pixels, at most {MAX_PIXELS:,} are read")
        if depth.DRAWN in image.info:
            raise DataError("shows several images, drawn by `pixelcnn` to be looked at")
        if max(width, height) > MAX_SIDE:
            raise _too_large(f"{height}x{width}, sides may be {MAX_SIDE:,}")
        if image.format in {"JPEG", "MPO"}:  # the latter are several in one file
            check_scans(stream)
        notes = []
        if getattr(image, "is_animated", False):
            notes.append("first of several frames taken")
            image.seek(0)
        raw, most = depth.raw_mode(image), depth.maxval(image)
        deep = raw.startswith(depth.DEEP)
        needed = BYTES_PER_PIXEL * width * height * (1 + deep)
        if needed > UNASKED:
            afford(needed)
        if how.frame:
            how.frame.draft(image)
        negative = not how.stored and depth.is_negative(image)
        image, turn = upright(image)
        image = depth.positive(image) if negative else image
        size = (width, height) if turn in ROTATED else (height, width)
        notes += [TURNED] if turn > 1 else []
        picture = None
        if deep and (how.wide or how.stored) and raw[:2] != "LA":
            picture = _deep(image, upright(depth.low_bytes(stream))[0], how)
        if picture is None and (deep or (most > 255 and image.mode == "RGB")):
            picture = _shallow(image, how)
        elif picture is None:
            picture = _stretched(_levels(image, how), most, raw, how.stored)
    told, said = (*notes, *picture.notes), str(image.info.get(depth.SAMPLED, ""))
    sampled = int(said) if said.isdecimal() and len(said) <= len(str(MAX_LEVELS)) else 0
    return dataclasses.replace(picture, notes=told, size=size, sampled=sampled)


def _taken(image: "Image.Image", how: How) -> Picture:
    """One of Pillow's, already in memory."""
    image, turn = upright(image)
    picture = _levels(image, how)
    notes = (TURNED, *picture.notes) if turn > 1 else picture.notes
    return dataclasses.replace(picture, notes=notes, size=(image.height, image.width))


def _deep(image: "Image.Image", low: "Image.Image", how: How) -> Picture | None:
    """Colour of 16 bits, all of them; None if it can be seen through."""
    pixels = depth.joined_bytes(image, low)
    if pixels is None:
        return None
    opaque = (OPAQUE,) if image.mode == "RGBA" else ()
    return Picture(how.array(pixels), 16, opaque, int(pixels.max()))


def _shallow(image: "Image.Image", how: How) -> Picture:
    """Of 16 bits of colour or with transparency the eight that can be had."""
    if how.stored:
        raise DataError("can be read with 8 of its 16 bits only, not with the levels it holds")
    picture = _levels(image, how)
    return dataclasses.replace(
        picture, bits=16, notes=(SHALLOW, *picture.notes), largest=picture.largest * 257
    )


def _stretched(picture: Picture, most: int, raw: str, stored: bool) -> Picture:
    """Values of fewer bits, which Pillow has stretched over its range: as stored, or with a note."""
    if raw[:3] in STRETCHED and stored:
        factor = STRETCHED[raw[:3]]
        return dataclasses.replace(
            picture, pixels=picture.pixels // factor, largest=picture.largest // factor
        )
    if most in {0, 255, 65_535}:
        return picture
    if not stored:
        note = f"values 0 to {most} stretched over the whole range"
        return dataclasses.replace(picture, notes=(note, *picture.notes))
    full = 65_535 if picture.bits == 16 else 255
    pixels = (picture.pixels.astype(np.float64) * most / full).round()
    largest = round(picture.largest * most / full)
    return dataclasses.replace(picture, pixels=pixels.astype(picture.pixels.dtype), largest=largest)


def _levels(image: "Image.Image", how: How) -> Picture:
    """A loaded image in grey or RGB."""
    if how.floats and image.mode in {"F", "I"}:
        return Picture(how.image(image), 32, largest=0)
    if image.mode in SIXTEEN_BITS:
        return _sixteen_bits(image, how)
    bits, notes = (1 if image.mode == "1" else 8), []
    if how.stored and image.mode in {"1", "P"}:
        pixels = np.asarray(image)[None].astype(np.uint8)
        return Picture(how.array(pixels), bits, largest=int(pixels.max()))
    if image.mode in ALPHA or "transparency" in image.info:
        image, note = _flattened(image)
        notes.append(note)
    elif image.mode == "P":
        image = image.convert("RGB")
        notes.append(LOOKED_UP)
    elif image.mode in OTHER_COLOURS:
        notes.append(f"{image.mode} converted to RGB")
        image = image.convert("RGB")
    elif image.mode not in {"1", "L", "RGB"}:
        if image.mode == "F":
            raise Measured("holds floating-point numbers, not levels")
        raise DataError(f"holds pixels of kind {image.mode}")
    image = image.convert("L") if image.mode == "1" else image
    pixels = how.image(image)
    if LOOKED_UP in notes and (pixels == pixels[:1]).all():
        pixels = pixels[:1]
    largest = int(np.max(image.getextrema()))
    if how.wide and not how.stored:
        pixels = pixels.astype(np.uint16) * np.uint16(257)
    return Picture(pixels, bits, tuple(notes), largest)


def _sixteen_bits(image: "Image.Image", how: How) -> Picture:
    """Grey of 16 bits; 32-bit integers count if they fit."""
    pixels = np.asarray(image)[None]
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high >= 2**16:
        raise Measured(f"its pixels run from {low} to {high}, more than 16 bits")
    pixels = pixels.astype(np.uint16)
    if how.wide or how.stored:
        return Picture(how.array(pixels), 16, largest=high)
    return Picture(how.array((pixels >> 8).astype(np.uint8)), 16, (SHALLOW,), high)


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


def _too_large(size: str) -> DataError:
    return DataError(
        f"is too large: {size}", hint="scale it down, cut it into parts, or store it as .npy"
    )


def _explained(error: Exception) -> DataError:
    """What a decoder complains of, in one line that can follow a file name."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return DataError(f"is not an image ({', '.join(FORMATS)})")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        declared = re.sub(r".*\((\d+) pixels\).*", lambda found: f"{int(found[1]):,}", str(error))
        return _too_large(f"{declared} pixels, at most {MAX_PIXELS:,} are read")
    if isinstance(error, OSError) and error.strerror:
        return DataError(unreadable(error))
    return DataError(f"is damaged: {brief((str(error) or type(error).__name__).splitlines()[0])}")
