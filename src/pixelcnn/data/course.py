"""Small sets for courses, drawn here, after those of Berkeley's CS294-158, whose files have no public recipe.

Figures of that course on its files say how large a figure is to be expected on these, and no more.
"""

import dataclasses
import hashlib
from collections.abc import Iterator
from random import Random

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data.image_set import ImageSet

SIDE = 20
"""Height and width of the shapes."""
SIZES = tuple(range(5, 14))
"""Sides of the squares that shapes fill."""
KINDS = ("square", "disc", "triangle")
PARTS = (10_000, 1_000, 4_000)
"""Shapes that train, validate and test."""
COLOUR_LEVELS = 4
COLOURS = COLOUR_LEVELS**3


def shapes(*, colour: bool) -> ImageSet:
    """Filled squares, discs and triangles of 20x20 pixels, 15,000 of them, always the same.

    Kind, size and place are drawn evenly; the class of an image is its kind. In colour, shape and ground have
    two different colours of 64, likewise. So an image holds 8.217 nats, in colour 16.519: no model does
    better on new ones.

    Args:
        colour: three channels of 4 levels; otherwise one of 2.

    Example:
        >>> found = shapes(colour=False)
        >>> len(found), str(found.shape), found.levels, found.classes
        (15000, '1x20x20', 2, ('square', 'disc', 'triangle'))
    """
    number = sum(PARTS)
    draws, tints = Random(20), Random(21)
    chosen = [_shape(draws) for _ in range(number)]
    kind, size, top, left = np.array(chosen).T[..., None, None]
    filled = _filled(kind, size, top, left)
    images = torch.from_numpy(filled[:, None].astype(np.uint8))
    if colour:
        images = painted(images, (_pair(tints.random()) for _ in range(number)))
    return ImageSet(
        images,
        levels=COLOUR_LEVELS if colour else 2,
        labels=torch.from_numpy(kind.reshape(-1).astype(np.int64)),
        classes=KINDS,
        name="shapes-colour" if colour else "shapes",
    )


def tinted(digits: ImageSet) -> ImageSet:
    """Grey digits as ink of one colour on paper of another: three channels of 4 levels.

    Ink is where a pixel is at least half. The colours, two different ones of 64, are what the first bytes of
    an image's SHA-256 say, so they depend on no order.

    Args:
        digits: one channel of 256 levels.

    Example:
        >>> grey = ImageSet(torch.tensor([[[[0, 255]]]], dtype=torch.uint8), levels=256)
        >>> tinted(grey).images.shape, tinted(grey).levels
        (torch.Size([1, 3, 1, 2]), 4)
    """
    digests = (hashlib.sha256(image.tobytes()).digest() for image in digits.images.numpy())
    shares = (int.from_bytes(digest[:6], "big") / 2**48 for digest in digests)
    ink = (digits.images >= digits.levels // 2).to(torch.uint8)
    return dataclasses.replace(
        digits,
        images=painted(ink, map(_pair, shares)),
        levels=COLOUR_LEVELS,
        name="mnist-colour",
    )


def painted(ink: Tensor, colours: Iterator[tuple[int, int]]) -> Tensor:
    """Binary images ``(n, 1, h, w)`` in two colours each, uint8 ``(n, 3, h, w)``.

    Args:
        ink: ones where the first colour goes.
        colours: ink and paper of each image, as numbers below 64: red is the highest digit to the base 4.
    """
    numbers = torch.tensor(list(colours))  # (n, 2)
    places = torch.tensor([COLOUR_LEVELS**2, COLOUR_LEVELS, 1])
    values = (numbers[..., None] // places % COLOUR_LEVELS).to(torch.uint8)[..., None, None]
    return torch.where(ink.bool(), values[:, 0], values[:, 1])


def _shape(draws: Random) -> tuple[int, int, int, int]:
    """Kind, size, and the upper left corner of the square that a shape fills.

    ``Random.random`` gives the same numbers in every version of Python.
    """
    kind = int(draws.random() * len(KINDS))
    size = SIZES[int(draws.random() * len(SIZES))]
    top, left = (int(draws.random() * (SIDE - size + 1)) for _ in range(2))
    return kind, size, top, left


def _filled(kind: np.ndarray, size: np.ndarray, top: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Where shapes are: ``(n, 20, 20)``; in whole numbers, which no machine rounds otherwise."""
    row, column = np.arange(SIDE)[:, None] - top, np.arange(SIDE)[None] - left
    square = (row >= 0) & (row < size) & (column >= 0) & (column < size)
    down, right = 2 * row + 1 - size, 2 * column + 1 - size  # twice the way from the centre
    disc = down**2 + right**2 <= size**2
    triangle = np.abs(right) <= row + 1
    return square & np.choose(kind, [np.full_like(square, fill_value=True), disc, triangle])


def _pair(share: float) -> tuple[int, int]:
    """Two different colours by a number in [0, 1), evenly.

    Example:
        >>> _pair(0.0), _pair(0.9999)
        ((0, 1), (63, 62))
    """
    first, second = divmod(int(share * COLOURS * (COLOURS - 1)), COLOURS - 1)
    return first, second + (second >= first)
