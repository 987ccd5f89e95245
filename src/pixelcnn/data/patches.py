"""Patches of photographs: a fixed grid to evaluate on, and in training other ones in each epoch.

A photograph has as many patches as its grid has cells, so that an epoch sees about every pixel once. Where a
patch of training lies is a pure function of (seed, epoch, number of the patch), see :mod:`pixelcnn.streams`.
So batches may be of any size and order, on any number of processes, and training resumes where it stopped.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pixelcnn import streams
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.lazy import LazyImages, Rows

PATCHES = " (patches)"
"""What an evaluation says of its images, after the name of their set."""


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
        [[[[9, 10, 11]]], [[[0, 1, 2]]]]
    """

    def __init__(self, photographs: Sequence[Tensor] | Tensor, size: tuple[int, int]) -> None:
        self.photographs, self.size = photographs, size
        self._latest: tuple[int, Tensor] | None = None
        if isinstance(photographs, Tensor):
            whole = np.tile(photographs.shape[2:], (len(photographs), 1))
        else:
            whole = np.array([photograph.shape[1:] for photograph in photographs])
        self.room = whole - size
        """Rows and columns that a patch can be moved by, ``(photographs, 2)``."""
        self.grid = whole // size
        """Rows and columns of the grid over each photograph, ``(photographs, 2)``."""
        self.ends = self.grid.prod(1).cumsum()

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def cells(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Photograph ``(k,)``, and top and left ``(k, 2)``, of some cells of the grids; each is centred."""
        numbers = self._numbers(rows)
        which = np.searchsorted(self.ends, numbers, side="right")
        grid = self.grid[which]
        inside = numbers - self.ends[which] + grid.prod(1)
        rest = self.room[which] + self.size - grid * self.size
        cell = np.stack((inside // grid[:, 1], inside % grid[:, 1]), 1)
        return which, cell * self.size + rest // 2

    def at(self, rows: Rows) -> Tensor:
        """The patches of some cells: ``(k, c, h, w)``."""
        return self._cut(*self.cells(rows))

    def drawn(self, rows: Rows, seed: int, epoch: int) -> Tensor:
        """What an epoch of training sees in place of some cells: patches anywhere in their photographs."""
        numbers = self._numbers(rows)
        which = np.searchsorted(self.ends, numbers, side="right")
        words = [streams.patch(seed, epoch, number).words(2) for number in numbers.tolist()]
        uniforms = (np.array(words, np.uint64).reshape(-1, 2) >> np.uint64(11)) * 2.0**-53
        return self._cut(which, (uniforms * (self.room[which] + 1)).astype(np.int64))

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
        first = self._photograph(int(which[0]) if len(which) else 0)
        cut = torch.empty((len(which), len(first), height, width), dtype=first.dtype)
        for row in np.argsort(which, kind="stable").tolist():
            top, left = corners[row].tolist()
            photograph = self._photograph(int(which[row]))
            cut[row] = photograph[:, top : top + height, left : left + width]
        return cut


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
    group = torch.from_numpy(which)
    names = tuple(
        f"{images.names[number]}@{top}x{left}"
        for number, (top, left) in zip(which.tolist(), corners.tolist(), strict=True)
        if images.names
    )
    shape = (len(patches), images.shape.channels, *size)
    lazy = LazyImages(shape, images.images.dtype, patches.at, images.levels, patches.drawn)
    return dataclasses.replace(
        images,
        images=lazy,
        labels=None if images.labels is None else images.labels[group],
        condition=None if images.condition is None else images.condition[group],
        names=names,
        name=images.name + PATCHES,
        group=group,
        fit="patches",
    )
