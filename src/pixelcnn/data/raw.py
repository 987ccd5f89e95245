"""Images as they were measured, before bins make levels of them."""

import math
from typing import Any

import numpy as np

from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.lazy import pieces
from pixelcnn.data.tensors import measured_tensor
from pixelcnn.errors import DataError
from pixelcnn.shapes import MAX_LEVELS
from pixelcnn.text import counted

REAL = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))
"""Real numbers that PyTorch holds as they are."""


class RawSet(ImageSet):
    """Images whose values are real numbers, or integers of any size: :func:`coded` makes levels of them.

    What is done to images of levels before they are quantised (crops, parts, labels) is done to these alike.

    Raises:
        DataError: not numbers ``(n, c, h, w)``, or labels, names or indices that do not fit.

    Example:
        >>> RawSet(torch.tensor([[[[0.5, 1e9]]]]), name="map").images.dtype
        torch.float32
    """

    as_tensor = staticmethod(measured_tensor)

    def __init__(self, images: Any, levels: int = MAX_LEVELS, *args: Any, **others: Any) -> None:
        super().__init__(images, levels, *args, **others)

    def __repr__(self) -> str:
        return f"<RawSet {self.name}: {counted(len(self), 'image')} of {self.shape}, {self.images.dtype}>"


def plain_type(dtype: np.dtype) -> np.dtype:
    """The type in which PyTorch computes with measured values; for integers beyond int64 float64.

    Example:
        >>> plain_type(np.dtype(">f4")), plain_type(np.dtype("u2")), plain_type(np.dtype("u8"))
        (dtype('float32'), dtype('int32'), dtype('float64'))
    """
    native = dtype.newbyteorder("=")
    if native.kind == "f":
        return native if native in REAL else np.dtype(np.float64)
    if native.kind in "bu" and native.itemsize == 1:
        return np.dtype(np.uint8)
    return np.promote_types(native, np.int32)


def are_real(values: Any) -> bool:
    """Whether some values are no whole numbers: tables, for one, hold whole ones as floats, too.

    Example:
        >>> are_real(torch.tensor([2.0, 3.0])), are_real(torch.tensor([2.0, 3.5]))
        (False, True)
    """
    if not values.dtype.is_floating_point:
        return False
    return any(bool((values[piece] != values[piece].floor()).any()) for piece in pieces(values))


def check_finite(values: Any) -> None:
    """Refuses NaN and infinity; reads real numbers piece by piece.

    Raises:
        DataError: the reason alone: how many there are, and where the first is.
    """
    if values.dtype.kind != "f":
        return
    bad, first = 0, ""
    for piece in pieces(values):
        wrong = ~np.isfinite(values[piece])
        if wrong.any() and not bad:
            place = np.argwhere(wrong)[0].tolist()
            first = ", ".join(map(str, [piece.start + place[0], *place[1:]]))
        bad += int(wrong.sum())
    if bad:
        raise DataError(
            f"holds NaN or infinity in {bad:,} of {math.prod(values.shape):,} places, the first at [{first}]",
            hint="leave these images out, or replace the values, as with np.nan_to_num",
        )
