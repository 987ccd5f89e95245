"""What a set of images holds, as tensors of the right type, checked."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.errors import DataError
from pixelcnn.shapes import ImageShape, image_shape

CHUNK = 4096
"""Images that are looked at together, so that a memory-mapped set never lies in memory whole."""


def dtype_of(levels: int) -> torch.dtype:
    """How this many levels are stored."""
    return torch.uint8 if levels <= 256 else torch.int32


def levels_tensor(images: Any, levels: int) -> Tensor:
    """Images as a tensor of the right type, checked against ``levels``."""
    tensor = images if isinstance(images, Tensor) else torch.from_numpy(np.asarray(images))
    if tensor.ndim != 4:
        raise DataError(f"images have four axes n c h w, got the shape {tuple(tensor.shape)}")
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        raise DataError(f"images are integer levels, got {tensor.dtype}")
    image_shape(tuple(tensor.shape[1:]))  # type: ignore[arg-type]
    if tensor.dtype == torch.bool:
        tensor = tensor.to(torch.uint8)
    full = tensor.dtype == torch.uint8 and levels == 256
    if not full and tensor.numel():
        low, high = extent(tensor)
        if low < 0 or high >= levels:
            raise DataError(
                f"{levels} levels are the values 0 to {levels - 1}, these run from {low} to {high}",
                hint="say how many levels the values have, or quantise them first",
            )
    return tensor.to(dtype_of(levels))


def extent(values: Tensor) -> tuple[int, int]:
    """Smallest and largest value, read piece by piece."""
    lows, highs = [], []
    for start in range(0, len(values), CHUNK):
        low, high = torch.aminmax(values[start : start + CHUNK])
        lows.append(int(low))
        highs.append(int(high))
    return min(lows), max(highs)


def labels_tensor(labels: Any) -> Tensor:
    """Labels as int64 ``(n,)``, checked."""
    tensor = torch.as_tensor(labels)
    if tensor.ndim != 1 or tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        raise DataError(f"labels are integers (n,), got {tensor.dtype} {tuple(tensor.shape)}")
    if tensor.numel() and int(tensor.min()) < 0:
        raise DataError(f"labels count from 0, got {int(tensor.min())}")
    return tensor.to(torch.int64)


def condition_tensor(condition: Any, shape: ImageShape) -> Tensor:
    """Vectors or maps as float32, checked."""
    tensor = torch.as_tensor(condition)
    if tensor.ndim not in (2, 4) or (tensor.ndim == 4 and tensor.shape[2:] != shape[1:]):
        raise DataError(
            f"a condition is vectors (n, d), or maps (n, d, {shape.height}, {shape.width}) as large as"
            f" the images, got {tuple(tensor.shape)}"
        )
    found = tensor.to(torch.float32)
    if not found.isfinite().all():
        bad = found.flatten(1).isfinite().all(1).logical_not().nonzero()[:, 0]
        raise DataError(
            f"the condition of {len(bad)} of {len(found)} images holds NaN or infinity, the first is"
            f" image {int(bad[0])}",
            hint="leave these images out, or replace the values",
        )
    return found
