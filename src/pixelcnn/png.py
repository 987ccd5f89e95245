"""Single images as PNG files that hold all of their levels."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from pixelcnn import image_codecs, plotting
from pixelcnn.data.depth import DRAWN, SAMPLED

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def files(images: Any, levels: int) -> Iterator[bytes]:
    """Each image at its own size, with 16 bits if levels are more than 256.

    Quantising the values in equal bins gives the levels back. Where these are fewer than the values of the
    format, the file says how many, so that it is read so. Two channels and more than three become colours
    as in :func:`pixelcnn.plotting.to_rgb`.

    Args:
        images: integer levels ``(n, c, h, w)``.
        levels: the number of levels.

    Raises:
        DataError: see :func:`pixelcnn.plotting.to_rgb`.

    Example:
        >>> [file[24] for file in files(np.zeros((2, 3, 8, 8), int), levels=4_096)]  # bits a sub-pixel
        [16, 16]
    """
    shades = 256 if levels <= 256 else 65_536
    for colours in plotting.to_rgb(images, levels, shades):
        pixels = colours[..., 0] if np.shape(images)[1] == 1 else colours
        said = {} if levels == shades else {SAMPLED: str(levels)}
        is_deep = pixels.ndim == 3 and shades > 256
        yield deep(pixels, said) if is_deep else encoded(Image.fromarray(pixels), said)


def page(picture: Image.Image) -> bytes:
    """A Pillow image that shows several images; it is refused as an image of a set."""
    return encoded(picture, {DRAWN: "several images"})


def encoded(picture: Image.Image, said: Mapping[str, str] | None = None) -> bytes:
    """A Pillow image as a PNG file, with texts by their keywords."""
    texts = PngImagePlugin.PngInfo()
    for keyword, text in (said or {}).items():
        texts.add_text(keyword, text)
    return image_codecs.png(picture, pnginfo=texts)


def deep(colours: NDArray[np.uint16], said: Mapping[str, str] | None = None) -> bytes:
    """Colours of 16 bits ``(height, width, 3)`` as a PNG file, which Pillow does not write.

    ISO/IEC 15948:2004: rows of big-endian values, each after the number of its filter. Here that is 2,
    the difference of each byte to the one above it.
    """
    height, width, _ = colours.shape
    rows = colours.astype(">u2").reshape(height, -1).view(np.uint8)
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), rows - above], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    texts = (
        (b"tEXt", f"{keyword}\0{text}".encode("latin-1")) for keyword, text in (said or {}).items()
    )
    pixels = zlib.compress(filtered.tobytes(), 9)
    chunks = ((b"IHDR", header), *texts, (b"IDAT", pixels), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file: its length, kind, content and checksum."""
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
