"""Watching a walk: the partial images of a drawing, as an animation."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixelcnn import image_codecs, plotting
from pixelcnn.cli.output import write
from pixelcnn.shapes import ImageShape

FRAMES = 80
SECONDS, PAUSE = 5.0, 1.5
"""From the first frame of an animation to the last, and how long that one stays."""


class FrameRecorder:
    """A callback that keeps about ``frames`` partial images, evenly spread.

    Args:
        shape: of the images.
        levels: the number of levels.
        known: bool (m or 1, 1 or c, h, w), pixels that are there from the start, of m images with equally
            many completions each, or of all; None for none.
        frames: how many partial images to keep at most, the first and the last among them.
    """

    def __init__(
        self, shape: ImageShape, levels: int, known: Any = None, frames: int = FRAMES
    ) -> None:
        self.shape, self.levels, self.frames = shape, levels, frames
        self.known = np.zeros((1, 1, shape.height, shape.width), bool)
        if known is not None:
            self.known = np.asarray(known, bool)
        self.pictures: list[plotting.Bytes] = []
        self._due = 0

    def __call__(self, done: int, total: int, images: Any) -> None:
        """Keeps the frames that are due after ``done`` of ``total`` sub-pixels, those within rows too."""
        reached = done * self.frames // total
        due = range(self._due + 1, reached + 1)
        for count in sorted({-(-frame * total // self.frames) for frame in due}):
            known = np.repeat(self.known, len(images) // len(self.known), axis=0)
            seen = drawn(self.shape, count) | known
            self.pictures.append(plotting.reveal(images, self.levels, seen))
        self._due = reached

    def save(self, path: Path, columns: int | None = None, scale: int | None = None) -> list[str]:
        """Writes the :func:`animation` of these images in a grid, see :func:`pixelcnn.plotting.tiles`."""
        frames = (plotting.tiles(picture, columns, scale) for picture in self.pictures)
        return write(path, animation(frames))


def animation(frames: Iterable[Image.Image]) -> bytes:
    """An animated GIF of pictures of one size, at least one, that repeats for ever."""
    first, *rest = [frame.convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
    # GIF counts hundredths of a second.
    each = round(1000 * SECONDS / (1 + len(rest))) // 10 * 10
    durations = [each] * len(rest) + [round(1000 * PAUSE)]
    options = {"save_all": True, "append_images": rest, "duration": durations, "loop": 0}
    return image_codecs.saved(first, "GIF", **options)


def drawn(shape: ImageShape, done: int) -> NDArray[np.bool_]:
    """Which sub-pixels are drawn after the first ``done`` in coding order, bool (1, c, h, w).

    Example:
        >>> drawn(ImageShape(1, 2, 2), 3).astype(int).tolist()
        [[[[1, 1], [1, 0]]]]
    """
    order = np.arange(shape.dimensions).reshape(shape.height, shape.width, shape.channels)
    return (order.transpose(2, 0, 1) < done)[None]
