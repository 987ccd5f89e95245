"""Patches of photographs: a fixed grid to evaluate on, and in training other ones in each epoch.

A photograph has as many patches as its grid has cells, so that an epoch sees about every pixel once. Where a
patch of training lies is a pure function of (seed, epoch, number of the patch), see :mod:`pixelcnn.streams`.
So batches may be of any size and order, on any number of processes, and training resumes where it stopped.

No patch crosses the border of its region, of which each lies in one part of a split: a photograph, or a band
of it where there are too few photographs for three parts.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pixelcnn import streams
from pixelcnn.data.image_set import ImageSet, known_of_each
from pixelcnn.data.lazy import LazyImages, Rows

PATCHES = " (patches)"
"""What an evaluation says of its images, after the name of their set."""
ENOUGH = 3
"""Photographs that need no bands: one for each part of a split."""
BANDS = 10
"""Of all photographs together, if they are fewer: as many as the shares of a split have tenths."""


class Patches:
    """Where the patches of some photographs lie.

    Args:
        photographs: tensors ``(c, height, width)``, each at least of the size of a patch.
        size: height and width of a patch.

    Example:
        >>> patches = Patches([torch.arange(12).reshape(1, 3, 4)], (1, 3))
        >>> len(patches), patches.at(slice(0, 2)).tolist()
        (3, [[[[0, 1, 2]]], [[[4, 5, 6]]]])
        >>> patches.drawn(slice(0, 2), seed=0, epoch=1).tolist()
        [[[[1, 2, 3]]], [[[4, 5, 6]]]]
    """

    def __init__(self, photographs: Sequence[Tensor] | Tensor, size: tuple[int, int]) -> None:
        self.photographs, self.size = photographs, size
        self._latest: tuple[int, Tensor] | None = None
        if isinstance(photographs, Tensor):
            whole = np.tile(photographs.shape[2:], (len(photographs), 1))
        else:
            whole = np.array([photograph.shape[1:] for photograph in photographs])
        self.photograph, self.corner, sides = regions(whole.reshape(-1, 2), size)
        self.room = sides - size
        """Rows and columns that a patch can be moved by, ``(regions, 2)``."""
        self.grid = sides // size
        """Rows and columns of the grid over each region, ``(regions, 2)``."""
        self.ends = self.grid.prod(1).cumsum()

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def cells(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Region ``(k,)``, and top and left ``(k, 2)``, of some cells of the grids; each grid is centred."""
        numbers = self._numbers(rows)
        which = np.searchsorted(self.ends, numbers, side="right")
        grid = self.grid[which]
        inside = numbers - self.ends[which] + grid.prod(1)
        rest = self.room[which] + self.size - grid * self.size
        cell = np.stack((inside // grid[:, 1], inside % grid[:, 1]), 1)
        return which, self.corner[which] + cell * self.size + rest // 2

    def at(self, rows: Rows) -> Tensor:
        """The patches of some cells: ``(k, c, h, w)``."""
        return self._cut(*self.cells(rows))

    def drawn(self, rows: Rows, seed: int, epoch: int) -> Tensor:
        """What an epoch of training sees in place of some cells: patches anywhere in their regions."""
        numbers = self._numbers(rows)
        which = np.searchsorted(self.ends, numbers, side="right")
        words = [streams.patch(seed, epoch, number).words(2) for number in numbers.tolist()]
        uniforms = (np.array(words, np.uint64).reshape(-1, 2) >> np.uint64(11)) * 2.0**-53
        moved = (uniforms * (self.room[which] + 1)).astype(np.int64)
        return self._cut(which, self.corner[which] + moved)

    def _numbers(self, rows: Rows) -> np.ndarray:
        return np.arange(len(self))[rows] if isinstance(rows, slice) else rows.cpu().numpy()

    def _photograph(self, number: int) -> Tensor:
        """One of them. What lies in a file is read whole, so it is kept until another is wanted."""
        latest = self._latest
        if latest is None or latest[0] != number:
            latest = self._latest = (number, self.photographs[number])
        return latest[1]

    def _cut(self, which: np.ndarray, corners: np.ndarray) -> Tensor:
        height, width = self.size
        numbers = self.photograph[which]
        first = self._photograph(int(numbers[0]) if len(numbers) else 0)
        cut = torch.empty((len(which), len(first), height, width), dtype=first.dtype)
        for row in np.argsort(numbers, kind="stable").tolist():
            top, left = corners[row].tolist()
            photograph = self._photograph(int(numbers[row]))
            cut[row] = photograph[:, top : top + height, left : left + width]
        return cut


def regions(sides: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What no patch leaves: photographs, or bands of rows where they are fewer than :data:`ENOUGH`.

    A band begins and ends with a cell of the centred grid over the photograph, which is the same with bands.

    Args:
        sides: height and width of the photographs, ``(n, 2)``.
        size: of a patch.

    Returns:
        Of each region the number of its photograph ``(k,)``, the corner ``(k, 2)`` and the sides ``(k, 2)``.

    Example:
        >>> [each.tolist() for each in regions(np.array([[9, 5]]), (2, 2))]
        [[0, 0, 0, 0], [[0, 0], [2, 0], [4, 0], [6, 0]], [[2, 5], [2, 5], [2, 5], [2, 5]]]
    """
    found = []
    for number, (height, width) in enumerate(sides.tolist()):
        rows = height // size[0]
        bands = 1 if len(sides) >= ENOUGH else min(BANDS // len(sides), rows)
        if bands < 2:
            found.append((number, 0, 0, height, width))
            continue
        above = height % size[0] // 2
        edges = above + size[0] * (np.arange(bands + 1) * rows // bands)
        found += [(number, top, 0, end - top, width) for top, end in itertools.pairwise(edges)]
    table = np.array(found, np.int64).reshape(-1, 5)
    return table[:, 0], table[:, 1:3], table[:, 3:]


def in_patches(
    images: ImageSet, photographs: Sequence[Tensor] | Tensor, size: tuple[int, int]
) -> ImageSet:
    """A set of the patches of photographs, which lie in memory or in a file.

    Args:
        images: what is known of the photographs; of its pixels only the type counts.
        photographs: tensors ``(c, height, width)``, in the order of ``images``.
        size: height and width of a patch.
    """
    patches = Patches(photographs, size)
    which, corners = patches.cells(slice(None))
    of = torch.from_numpy(patches.photograph[which])
    names = tuple(
        f"{images.names[number]}@{top}x{left}"
        for number, (top, left) in zip(of.tolist(), corners.tolist(), strict=True)
        if images.names
    )
    shape = (len(patches), images.shape.channels, *size)
    bound = images.grey_levels or images.levels
    lazy = LazyImages(shape, images.images.dtype, patches.at, bound, patches.drawn)
    each = {what: values[of] for what, values in known_of_each(images).items()}
    each |= {"group": torch.from_numpy(which), "index": None}  # each tosses coins of its own
    name = images.name + PATCHES
    return dataclasses.replace(images, images=lazy, names=names, name=name, fit="patches", **each)
