"""Sets of images in the hands of PyTorch: parts of them, and several as one."""

import dataclasses
from typing import Any

from torch.utils.data import ConcatDataset, Subset

from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.splits import joined
from pixelcnn.errors import DataError

ALIKE = ("binarisation", "quantisation", "source_levels", "condition_names")
"""What sets that are joined have in common, beside the shape, the levels and the classes."""


def of_a_set(source: Any) -> bool:
    """Whether it is a set of images, what a ``Subset`` takes from one, or several in a ``ConcatDataset``."""
    if isinstance(source, ConcatDataset):
        return all(map(of_a_set, source.datasets))
    return of_a_set(source.dataset) if isinstance(source, Subset) else isinstance(source, ImageSet)


def taken(source: Any) -> ImageSet:
    """Those images as a set.

    Raises:
        DataError: several sets, whose images or levels are not of one kind.
    """
    if isinstance(source, ImageSet):
        return source
    if isinstance(source, Subset):
        chosen = taken(source.dataset)[list(source.indices)]
        return dataclasses.replace(chosen, assigned=None)  # somebody has split them otherwise
    first, *others = map(taken, source.datasets)
    for other in others:
        if differing := [what for what in ALIKE if getattr(first, what) != getattr(other, what)]:
            raise DataError(f"sets that differ in {' and '.join(differing)} are not joined")
    return joined(first, *others)
