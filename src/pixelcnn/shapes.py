"""The shape of an image, and positions in coding order."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pixelcnn.annotations import Unfit, fitting, shown
from pixelcnn.errors import ConfigError, DataError, ModelError

MAX_SIDE = 65_536
MAX_CHANNELS = 1_024
MAX_LEVELS = 65_536
MAX_IMAGES = 10**18
LAYOUTS = ("nchw", "nhwc", "nhw", "chw", "hwc", "hw")
"""Axes that an array of images, or of one, may have; ``.pxc`` files know them by their places here."""


def axes_of(layout: str) -> tuple[int, ...]:
    """Where the axes of a layout stand, in the order ``n c h w``.

    Example:
        >>> axes_of("nhwc"), axes_of("hwc"), axes_of("hw")
        ((0, 3, 1, 2), (2, 0, 1), (0, 1))
    """
    return tuple(layout.index(axis) for axis in "nchw" if axis in layout)


class ImageShape(NamedTuple):
    """Channels, height and width of an image.

    Example:
        >>> ImageShape(3, 5, 7).dimensions
        105
    """

    channels: int
    height: int
    width: int

    def require(self, shape: Sequence[int]) -> None:
        """Does nothing where an array of this shape holds such images.

        Args:
            shape: of the array, ``(n, channels, height, width)`` if it does.

        Raises:
            ModelError: it holds others.
        """
        if len(shape) != 4 or tuple(shape[1:]) != tuple(self):
            raise ModelError(
                f"this model is for {self} images, got an array of shape {tuple(shape)}",
                hint=(brought(shape[1], self) if len(shape) == 4 else unflattened(shape, self))
                or "pass (n, channels, height, width)",
            )

    @property
    def dimensions(self) -> int:
        """Number of sub-pixels."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


def brought(channels: int, wanted: ImageShape) -> str:
    """Which options give images of so many channels another shape; empty if none does.

    Example:
        >>> brought(3, ImageShape(3, 28, 28))
        'bring them to it: --size 28x28 (in Python size=)'
        >>> brought(1, ImageShape(3, 28, 28)), brought(2, ImageShape(3, 28, 28))
        ('bring them to it: --rgb, and no --grey (in Python rgb=, grey=)', '')
    """
    if channels == wanted.channels:
        return f"bring them to it: --size {wanted.height}x{wanted.width} (in Python size=)"
    if {channels, wanted.channels} != {1, 3}:
        return ""
    this, other = ("rgb", "grey") if wanted.channels == 3 else ("grey", "rgb")
    return f"bring them to it: --{this}, and no --{other} (in Python {this}=, {other}=)"


def unflattened(shape: Sequence[int], wanted: ImageShape | None = None) -> str:
    """How an array, or a table, with an image in each row is written as images; empty if it is none.

    Args:
        shape: of the array.
        wanted: the shape of the images; None for square ones of one channel.

    Example:
        >>> unflattened((9, 784))
        'of an image in each row: images.reshape(-1, 1, 28, 28), of a DataFrame images.to_numpy().reshape(…)'
        >>> unflattened((9, 785)), unflattened((9, 28, 28))
        ('', '')
    """
    if len(shape) != 2:
        return ""
    side = math.isqrt(shape[1])
    found = wanted or ImageShape(1, side, side)
    if not 0 < shape[1] == found.dimensions:
        return ""
    axes = ", ".join(map(str, (-1, *found)))
    return f"of an image in each row: images.reshape({axes}), of a DataFrame images.to_numpy().reshape(…)"


def check_levels(values: Any, levels: int) -> None:
    """Does nothing where all values of an array, or a tensor, are levels.

    Raises:
        DataError: says from where to where they run.
    """
    low, high = (0, 0) if 0 in values.shape else (int(values.min()), int(values.max()))
    if not 0 <= low <= high < levels:
        raise DataError(
            f"levels must lie in 0..{levels - 1}, got {low}..{high}",
            hint="quantise the images to the model's levels, as source_levels= does of stored values",
        )


def image_shape(shape: Sequence[int]) -> ImageShape:
    """Checks a (channels, height, width) triple.

    Raises:
        ConfigError: not three positive integers, or larger than this package handles.
    """
    try:
        found = ImageShape(*fitting(shape, tuple[int, int, int]))
    except Unfit:
        raise ConfigError(
            f"an image shape is (channels, height, width), got {shown(shape)}",
            hint="three integers, as (1, 28, 28)",
        ) from None
    sides = 1 <= found.height <= MAX_SIDE and 1 <= found.width <= MAX_SIDE
    if not (sides and 1 <= found.channels <= MAX_CHANNELS):
        raise ConfigError(
            f"image shape {shown(tuple(found))} is out of range",
            hint=f"1 to {MAX_CHANNELS} channels, sides of 1 to {MAX_SIDE}",
        )
    return found


class Position(NamedTuple):
    """A sub-pixel.

    Example:
        >>> print(Position(0, 2, 3))
        (c 0, h 2, w 3)
    """

    channel: int
    row: int
    column: int

    def __str__(self) -> str:
        return f"(c {self.channel}, h {self.row}, w {self.column})"


def coding_order(shape: ImageShape) -> Iterator[Position]:
    """Sub-pixels in coding order: raster scan, channels in order inside a pixel.

    Example:
        >>> [tuple(p) for p in coding_order(ImageShape(2, 1, 2))]
        [(0, 0, 0), (1, 0, 0), (0, 0, 1), (1, 0, 1)]
    """
    for row in range(shape.height):
        for column in range(shape.width):
            for channel in range(shape.channels):
                yield Position(channel, row, column)
