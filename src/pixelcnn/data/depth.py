"""How many bits the values of a picture have in its file, and those of them that Pillow does not give."""

import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

SAMPLED = "pixelcnn:levels"
"""What this package's PNG files say of levels that fill their range, but are fewer than its values."""
DRAWN = "pixelcnn:page"
"""What they say where they hold several images, drawn side by side to be looked at."""
DEEP = ("RGB;16", "RGBA;16", "LA;16")
"""How Pillow calls what it reads the upper bytes of alone, by the beginning."""
PHOTOMETRIC = 262
"""The number of the tag that says what zero means in a TIFF."""
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")


def raw_mode(image: "Image.Image") -> str:
    """How the file stores its pixels, which Pillow may have narrowed."""
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def maxval(image: "Image.Image") -> int:
    """Largest value that a PNM file says it may hold; 0 where the format says none."""
    tiles: Any = getattr(image, "tile", None)
    if image.format != "PPM" or not tiles or not isinstance(tiles[0][3], tuple):
        return 0
    return next((each for each in tiles[0][3] if isinstance(each, int)), 0)


def is_negative(image: "Image.Image") -> bool:
    """Whether zero is white in the file, of which Pillow turns pictures of 8 bits alone into positives."""
    tags: Any = getattr(image, "tag_v2", {})
    return image.mode.startswith("I;16") and tags.get(PHOTOMETRIC) == 0


def positive(image: "Image.Image") -> "Image.Image":
    """A negative of 16 bits as a positive."""
    from PIL import Image

    return Image.fromarray(np.uint16(65_535) - np.asarray(image).astype(np.uint16))


def low_bytes(stream: BinaryIO) -> Any:
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
    return image


def joined_bytes(high: "Image.Image", low: "Image.Image") -> np.ndarray | None:
    """Colour of 16 bits ``(3, height, width)`` from upper and lower bytes; None if it can be seen through."""
    upper, lower = np.asarray(high), np.asarray(low)
    opaque = upper.shape[-1] == 3 or bool((upper[..., 3:] & lower[..., 3:] == 255).all())
    if not opaque:
        return None
    pixels = upper[..., :3].astype(np.uint16) << 8 | lower[..., :3]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
