"""What of a picture is kept: scaled to a size, or cut to it."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pixelcnn.data.geometry import SCALED, cropped, padded

if TYPE_CHECKING:
    from PIL import Image

ROTATED = range(5, 9)
"""EXIF orientations that exchange height and width."""
ORIENTATION = 0x0112
"""The tag of EXIF for it."""
GAP = 4
"""A JPEG is decoded at a half, a quarter or an eighth only if that is so many times the size asked for."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """A size, and how pictures are brought to it.

    ``resize`` and ``nearest`` scale the largest part about the centre that has the proportions of the size;
    ``crop`` and ``pad`` change no pixel.
    """

    size: tuple[int, int]
    """Height and width."""
    fit: str
    """``resize`` (Lanczos over all pixels, so nothing is aliased), ``nearest``, ``crop`` or ``pad``."""

    def draft(self, image: "Image.Image") -> None:
        """Has a JPEG file that is about to be decoded come smaller, where that hardly makes a difference.

        Only by a factor of both sides: a rest would be stretched over a whole pixel.
        """
        if self.fit == "resize" and image.format == "JPEG":
            height, width = self.size
            if image.getexif().get(ORIENTATION, 1) in ROTATED:
                height, width = width, height
            for factor in (8, 4, 2):
                sides = (image.width // factor, image.height // factor)
                exact = image.width % factor == image.height % factor == 0
                if exact and sides[0] >= GAP * width and sides[1] >= GAP * height:
                    image.draft(image.mode, sides)
                    return

    def image(self, image: "Image.Image") -> "Image.Image":
        """What is kept of an image in grey (modes L, F) or RGB; ``pad`` comes with :meth:`array`."""
        from PIL import Image

        height, width = self.size
        if (image.height, image.width) == self.size:
            return image
        if self.fit in SCALED:
            scale = max(height / image.height, width / image.width)
            left = max((image.width - width / scale) / 2, 0)
            top = max((image.height - height / scale) / 2, 0)
            box = (left, top, image.width - left, image.height - top)
            how = Image.Resampling.LANCZOS if self.fit == "resize" else Image.Resampling.NEAREST
            return image.resize((width, height), how, box=box)
        left, top = max(image.width - width, 0) // 2, max(image.height - height, 0) // 2
        right, bottom = min(left + width, image.width), min(top + height, image.height)
        return image.crop((left, top, right, bottom))

    def array(self, pixels: np.ndarray) -> np.ndarray:
        """What is kept of ``(channels, height, width)``, in the type of the values."""
        from PIL import Image

        if self.fit in SCALED and pixels.shape[1:] != self.size:
            planes = [
                np.asarray(self.image(Image.fromarray(plane.astype(np.float32))))
                for plane in pixels
            ]
            kept = np.stack(planes)
            if pixels.dtype.kind in "iu":
                kept = kept.round().clip(0, np.iinfo(pixels.dtype).max)
            return kept.astype(pixels.dtype)
        return padded(cropped(pixels, self.size), self.size)


def upright(image: "Image.Image") -> "tuple[Image.Image, int]":
    """A picture decoded and turned as its orientation says, and the orientation: 1 if it was not turned."""
    from PIL import ImageOps

    image.load()
    orientation = image.getexif().get(ORIENTATION, 1)
    if orientation in range(2, 9):
        return ImageOps.exif_transpose(image), int(orientation)
    return image, 1
