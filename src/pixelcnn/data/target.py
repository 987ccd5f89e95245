"""The one shape and depth that all pictures of a folder are brought to."""

import dataclasses
import logging
from collections import Counter

import numpy as np

from pixelcnn.data.geometry import cropped, padded
from pixelcnn.data.picture import Picture
from pixelcnn.data.reading import Reading
from pixelcnn.data.survey import FileReport, common_size, few_values
from pixelcnn.errors import DataError
from pixelcnn.shapes import ImageShape

log = logging.getLogger("pixelcnn")


@dataclasses.dataclass(frozen=True)
class Target:
    """Shape and levels of every image of a set that comes from files."""

    shape: ImageShape
    levels: int
    fit: str

    @property
    def dtype(self) -> type[np.generic]:
        """Of the levels in memory."""
        return np.uint8 if self.levels <= 256 else np.int32


def settle(good: list[FileReport], reading: Reading, where: str) -> Target:
    """The shape that was asked for, else the files' own; colour if any file has colour.

    Raises:
        DataError: sizes differ and none was asked for, or channels that files cannot have.
    """
    try:
        size = common_size(good, reading)
    except DataError as error:
        raise DataError(f"{where}: {error}", hint=error.hint) from error
    kinds = Counter(each.channels for each in good)
    channels = reading.channels or max(kinds)
    if channels not in {1, 3}:
        raise DataError(f"{where}: image files have 1 or 3 channels, {channels} are needed")
    changed = len(good) - kinds[channels]
    if changed:
        kind = "RGB" if channels == 3 else "grey"
        log.warning("%s: %d of %d images brought to %s", where, changed, len(good), kind)
    if reading.fit == "resize" and reading.size:
        log.warning("%s: images resized to %dx%d", where, *size)
    if few := few_values(good, reading):
        # A model's images may be as dark as they like; these would all be black to train on.
        if reading.usual_levels is None and max(each.largest for each in good) < (
            reading.levels or 0
        ):
            raise DataError(
                f"{where}: {few}", hint="if they are dark, and 0 to 255 is their range, say 256"
            )
        log.warning("%s: %s", where, few)
    return Target(ImageShape(channels, *size), _levels(good, reading), reading.fit)


def _levels(good: list[FileReport], reading: Reading) -> int:
    """What was said, else 2 if every file has one bit and nothing speaks against it, else 256 or 65,536."""
    if reading.source_levels is not None and reading.stored:
        return reading.source_levels
    wanted = reading.levels in {None, 2} and reading.source_levels is None
    if wanted and reading.fit != "resize" and all(each.bits == 1 for each in good):
        return 2
    return 65_536 if reading.wide else 256


def conform(picture: Picture, target: Target) -> np.ndarray:
    """A picture's levels ``(channels, height, width)`` in the shape of all."""
    pixels, channels = picture.pixels, target.shape.channels
    if channels == 1:
        pixels = pixels[:1]
    elif len(pixels) == 1:
        pixels = np.repeat(pixels, channels, axis=0)
    size = (target.shape.height, target.shape.width)
    if target.fit == "resize":
        pixels = resized(pixels, size).clip(0, target.levels - 1)
    pixels = padded(cropped(pixels, size), size)
    if target.levels == 2:
        pixels = pixels > 0
    return pixels.astype(target.dtype)


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scaled without distortion (Lanczos) until the shorter side fits; the rest is to be cropped.

    Example:
        >>> resized(np.zeros((1, 10, 20), np.uint8), (5, 5)).shape
        (1, 5, 10)
    """
    from PIL import Image

    height, width = pixels.shape[1:]
    if (height, width) == size:
        return pixels
    scale = max(size[0] / height, size[1] / width)
    to = (max(round(width * scale), size[1]), max(round(height * scale), size[0]))
    planes = [
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize(to, Image.Resampling.LANCZOS))
        for plane in pixels
    ]
    top = np.iinfo(pixels.dtype).max
    return np.stack(planes).round().clip(0, top).astype(pixels.dtype)
