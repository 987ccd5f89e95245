"""Sizes and channels of images that are arrays already."""

import dataclasses
from typing import TypeVar

import numpy as np
import torch

from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.lazy import each, pieces
from pixelcnn.data.patches import in_patches
from pixelcnn.errors import ConfigError, DataError

SCALED = ("resize", "nearest")
"""Ways to fit a size for image files alone."""
LUMA = (299, 587, 114)
"""What red, green and blue add to brightness, in thousandths (ITU-R BT.601)."""

Pixels = TypeVar("Pixels", np.ndarray, torch.Tensor)


def too_small(height: int, width: int, size: tuple[int, int], fit: str) -> str:
    """Why an image cannot be brought to a size by cutting alone; empty if it can.

    Example:
        >>> too_small(5, 9, (8, 8), "crop")
        'is 5x9, smaller than 8x8'
    """
    if fit not in {"crop", "patches"} or (height >= size[0] and width >= size[1]):
        return ""
    return f"is {height}x{width}, smaller than {size[0]}x{size[1]}"


def cropped(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The centre of images ``(..., height, width)``, at most of this size.

    An odd rest goes to the bottom and right.
    """
    height, width = pixels.shape[-2:]
    top, left = max(height - size[0], 0) // 2, max(width - size[1], 0) // 2
    return pixels[..., top : top + size[0], left : left + size[1]]


def padded(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images ``(..., height, width)`` with level 0 around them, at least of this size."""
    height, width = pixels.shape[-2:]
    rest = (max(size[0] - height, 0), max(size[1] - width, 0))
    sides = [(extra // 2, extra - extra // 2) for extra in rest]
    return np.pad(pixels, [(0, 0)] * (pixels.ndim - 2) + sides)


def fitted(images: ImageSet, size: tuple[int, int] | None, fit: str | None = None) -> ImageSet:
    """The set cropped about the centre (the default), padded with level 0, or cut into patches of a size.

    Maps that images are given are cropped, too, and never padded.

    Raises:
        ConfigError: ``fit`` is ``resize`` or ``nearest``: arrays keep their values.
        DataError: an image smaller than the size, and not to be padded.

    Example:
        >>> digits = ImageSet(torch.ones(1, 1, 2, 3, dtype=torch.uint8), levels=2)
        >>> fitted(digits, (3, 2), "pad").images.tolist()
        [[[[1, 1], [1, 1], [0, 0]]]]
    """
    height, width = images.shape[1:]
    if size is None or size == (height, width):
        return images
    if fit in SCALED:
        raise ConfigError(
            "only image files are resized, arrays keep their levels",
            hint="--fit crop or --fit pad (in Python fit=)",
        )
    reason = too_small(height, width, size, fit or "crop")
    if reason:
        raise DataError(
            f"{images.name}: an image {reason}",
            hint="--fit pad puts level 0 around it (in Python fit='pad')",
        )
    if fit == "patches":
        return in_patches(images, images.images, size)

    def step(some: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(padded(cropped(some, size).numpy(), size)))

    given = images.condition
    if given is not None and given.ndim == 4:
        given = cropped(given, size)
    fitting = each(images.images, step, images.grey_levels or images.levels)
    way = images.fit and (fit or "crop")  # pictures that were resized once are not resized again
    return dataclasses.replace(images, images=fitting, condition=given, fit=way)


def in_grey(images: ImageSet) -> ImageSet:
    """A set in colour as its brightness (ITU-R BT.601), of integers rounded to one; a grey set as it is.

    Raises:
        DataError: any other number of channels.

    Example:
        >>> in_grey(ImageSet(torch.tensor([[[[255]], [[0]], [[0]]]]), 256)).images.tolist()
        [[[[76]]]]
    """
    if images.shape.channels == 1:
        return images
    if images.shape.channels != 3:
        raise DataError(
            f"{images.name} has {images.shape.channels} channels, not 3: no grey from it"
        )
    real = images.images.is_floating_point()
    weights = torch.tensor(LUMA, dtype=torch.float64 if real else torch.int64).view(3, 1, 1)

    def step(some: torch.Tensor) -> torch.Tensor:
        grey = torch.empty_like(some[:, :1])
        for piece in pieces(some):
            total = (some[piece] * weights).sum(1, keepdim=True)
            grey[piece] = total / 1000 if real else (total + 500) // 1000
        return grey

    bound = images.grey_levels or images.levels
    return dataclasses.replace(images, images=each(images.images, step, bound))


def in_colour(images: ImageSet) -> ImageSet:
    """A grey set with three equal channels; a set of three channels as it is.

    Raises:
        DataError: any other number of channels.
    """
    if images.shape.channels == 3:
        return images
    if images.shape.channels != 1:
        raise DataError(
            f"{images.name} has {images.shape.channels} channels, not 1: no rgb from it"
        )
    bound = images.grey_levels or images.levels
    coloured = each(images.images, lambda some: some.expand(-1, 3, -1, -1).contiguous(), bound)
    return dataclasses.replace(images, images=coloured)
