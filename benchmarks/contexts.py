"""Tables of contexts, learnt on training images: what a lossless coder gets without a network.

Binary images have the 16 pixels of the generic template 0 of JBIG2 (ITU-T T.88) as context. Others are
predicted as in JPEG-LS (ITU-T T.87): the context is three gradients in nine steps each, the symbol what the
median of the neighbours leaves; a colour is predicted with what the channel before left at its place.

Every table counts on while it codes: with half a symbol of each kind in every context at first, the length
follows from the counts of training and test images alone.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Whole = NDArray[np.int64]
TAPS = (
    *((-2, column) for column in range(-2, 3)),
    *((-1, column) for column in range(-3, 4)),
    *((0, column) for column in range(-4, 0)),
)
"""Rows and columns from a binary pixel to its 16 neighbours."""
STEPS = (3, 7, 21)
"""Where gradients of 256 levels change their step, on either side of 0: JPEG-LS's own."""
CHUNK = 1_000
"""Images that are looked at together."""


class Seen(NamedTuple):
    """Contexts and symbols of sub-pixels, and how many of either there are."""

    contexts: Whole
    symbols: Whole
    context_count: int
    symbol_count: int


def bits(training: Any, images: Any, levels: int) -> float:
    """Ideal length of images, after a table has seen training images.

    Args:
        training: integer levels ``(n, c, h, w)``.
        images: likewise, of any size.
        levels: of both.

    Example:
        >>> stripes = np.arange(64).reshape(1, 1, 8, 8) % 2
        >>> bits(np.repeat(stripes, 100, 0), stripes, 2) < 5
        True
    """
    before = counts(training, levels) + 0.5
    after = before + counts(images, levels)
    return float((_log(after) - _log(before)).sum()) / -math.log(2)


def counts(images: Any, levels: int) -> NDArray[np.float64]:
    """How often each symbol occurs in each context, ``(contexts, symbols)``."""
    found: NDArray[np.float64] | None = None
    for seen in _seen(images, levels):
        size = seen.context_count * seen.symbol_count
        places = seen.contexts * seen.symbol_count + seen.symbols
        new = np.bincount(places.ravel(), minlength=size).reshape(seen.context_count, -1)
        found = new.astype(float) if found is None else found + new
    assert found is not None
    return found


def _log(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the probability of a row of counts, up to what all rows of a table share."""
    found = torch.from_numpy(numbers)
    logs: NDArray[np.float64] = (found.lgamma().sum(-1) - found.sum(-1).lgamma()).numpy()
    return logs


def _seen(images: Any, levels: int) -> Iterator[Seen]:
    for start in range(0, len(images), CHUNK):
        some = np.asarray(images[start : start + CHUNK]).astype(np.int64)
        yield _binary(some) if levels == 2 else _predicted(some, levels)


def _binary(images: Whole) -> Seen:
    context = np.zeros_like(images)
    for down, right in TAPS:
        context = context * 2 + _moved(images, down, right)
    return Seen(context, images, 2 ** len(TAPS), 2)


def _predicted(images: Whole, levels: int) -> Seen:
    """Of each channel its own table: its number is the highest digit of the context."""
    left, above = _moved(images, 0, -1), _moved(images, -1, 0)
    corner, beside = _moved(images, -1, -1), _moved(images, -1, 1)
    low, high = np.minimum(left, above), np.maximum(left, above)
    guess = np.where(corner >= high, low, np.where(corner <= low, high, left + above - corner))
    rest = images - guess
    rest[:, 1:] -= (images - guess)[:, :-1]
    steps = np.array(STEPS) * (levels - 1) / 255
    context = np.arange(images.shape[1])[:, None, None]
    for gradient in (beside - above, above - corner, corner - left):
        step = np.sign(gradient) * (1 + np.searchsorted(steps, np.abs(gradient), "right"))
        context = context * 9 + np.where(gradient == 0, 4, 4 + step)
    return Seen(context, rest % levels, images.shape[1] * 9**3, levels)


def _moved(images: Whole, down: int, right: int) -> Whole:
    """The value at a place above or left of each; 0 beyond the border."""
    height, width = images.shape[2:]
    found = np.zeros_like(images)
    rows, columns = slice(-down, height), slice(max(-right, 0), width - max(right, 0))
    above = slice(0, max(0, height + down))
    aside = slice(max(right, 0), max(0, width - max(-right, 0)))
    found[:, :, rows, columns] = images[:, :, above, aside]
    return found
