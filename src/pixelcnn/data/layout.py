"""Where the axes of an array of images stand."""

import math
from typing import Any

from torch import Tensor

from pixelcnn.data.lazy import each
from pixelcnn.data.reading import Reading, plain_layout, typed
from pixelcnn.errors import DataError
from pixelcnn.shapes import LAYOUTS, ImageShape, axes_of

MANY_CHANNELS = 4
"""An axis longer than this is not taken for channels unless the model or the user says so."""
ASK = "say how its axes are laid out: --layout 'n h w', 'n h w c' or 'n c h w' (in Python layout=)"
FIRST = "if it is that: --layout 'h w c n' (in Python layout=)"
STACKED = "if it is that: --layout 'h w n', else --layout 'n h w' (in Python layout=)"
"""What to do with the order of MATLAB, in colour and in grey."""
LONG = 4
"""An array so many times as long as wide, or as wide as long, is not taken for one picture."""
APART = {
    2: "of one image: images[None]",
    3: "of one image in colour: images[None]",
    5: "of films: images.reshape(-1, *images.shape[2:])",
}
"""What an array with so many axes may be, and how it becomes images."""


def order_of(shape: tuple[int, ...], reading: Reading, where: str) -> tuple[int, ...]:
    """Where the axes of an array stand, in the order ``n c h w``; of ``n h w`` the three it has.

    Raises:
        DataError: not three or four axes, or a layout that does not fit or is not clear.
    """
    layout = reading.layout or infer_layout(shape, reading.shape, where)
    if len(layout) != len(shape):
        raise DataError(f"{where}: layout {' '.join(layout)} for the shape {shape}")
    return axes_of(layout)


def infer_layout(shape: tuple[int, ...], model: ImageShape | None, where: str) -> str:
    """The layout of an array by its shape, and by the shape the model takes.

    Example:
        >>> infer_layout((9, 28, 28), None, "a.npy"), infer_layout((9, 3, 8, 8), None, "a.npy")
        ('nhw', 'nchw')
        >>> infer_layout((9, 3, 4, 3), ImageShape(3, 3, 4), "a.npy")
        'nhwc'

    Raises:
        DataError: no layout fits, or two do.
    """
    fits = model is not None and model[1:] == shape[1:]
    if len(shape) == 3 and (shape[-1] > MANY_CHANNELS or fits):
        if not fits and shape[0] == shape[1] < shape[2]:  # square images, one behind another
            raise DataError(f"{where}: the shape {shape} looks like h w n", hint=STACKED)
        return "nhw"
    if len(shape) != 4:
        ask = ASK if len(shape) == 3 else "store it as n h w, n h w c or n c h w"
        hint = "; ".join(filter(None, (ask, _rows_hint(shape), APART.get(len(shape)))))
        raise DataError(f"{where}: the shape {shape} is no set of images", hint=hint)
    first, last = shape[1:], (shape[3], shape[1], shape[2])
    candidates: dict[str, Any] = {"nchw": first, "nhwc": last}
    if model is not None:
        exact = [name for name, one in candidates.items() if one == tuple(model)]
        alike = [name for name, one in candidates.items() if one[0] == model.channels]
    else:
        exact, alike = [], [n for n, one in candidates.items() if one[0] <= MANY_CHANNELS]
    fitting = exact or alike
    if len(fitting) == 1:
        return fitting[0]
    if not fitting and shape[2] <= MANY_CHANNELS and shape[3] > max(shape[:2]):
        raise DataError(f"{where}: the shape {shape} looks like h w c n", hint=FIRST)
    raise DataError(f"{where}: the shape {shape} is ambiguous", hint=ASK)


def _rows_hint(shape: tuple[int, ...]) -> str:
    """How an array is said to have a square image in each row; empty if it has none."""
    if len(shape) != 2 or (side := math.isqrt(shape[1])) ** 2 != shape[1]:
        return ""
    square = f"1,{side},{side}"
    return f"of an image in each row: `pixelcnn train --set data.shape={square}` (in Python shape=({square}))"


def in_rows(shape: tuple[int, ...], labelled: bool, model: ImageShape | None) -> bool:
    """Whether an array has an image in each row, and is not one picture.

    Args:
        shape: of the array.
        labelled: whether each row has a label.
        model: what the model takes, if that is known; else images are square.

    Example:
        >>> in_rows((9, 784), False, None), in_rows((480, 784), False, None), in_rows((480, 784), True, None)
        (True, False, True)
    """
    if len(shape) != 2:
        return False
    if model is not None:
        return shape[1] == model.dimensions
    square = square_of(shape[1]) is not None
    return square and (labelled or max(shape) >= LONG * min(shape))


def square_of(pixels: int) -> tuple[int, int] | None:
    """Channels and side of the square image of so many pixels, grey if it can be; None if there is none.

    Example:
        >>> square_of(784), square_of(3072), square_of(785)
        ((1, 28), (3, 32), None)
    """
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if channels * side * side == pixels:
            return channels, side
    return None


def pixel_shape(count: int, reading: Reading, where: str) -> tuple[int, ...]:
    """Axes of the images in rows of so many pixels, in the layout of the file.

    Example:
        >>> pixel_shape(784, Reading(), "fashion.csv")
        (28, 28)

    Raises:
        DataError: no square, and no model that says; or colours whose order is not said.
    """
    if reading.shape is not None and reading.shape.dimensions == count:
        channels, height, width = reading.shape
    elif count and (square := square_of(count)):
        channels, height, width = *square, square[1]
    else:
        raise DataError(
            f"{where}: {count} pixel columns are no square image",
            hint="if one of them is the label, name it `label` in a header line or with "
            f"{typed('label_column')}; remove those that are no pixels; or store the images as .npy",
        )
    if channels == 1:
        return height, width
    if reading.layout not in {"nhwc", "nchw"}:
        raise DataError(
            f"{where}: {count} pixel columns hold {channels} channels in an unknown order",
            hint="say --layout 'n c h w' (whole planes) or 'n h w c' (pixel by pixel)",
        )
    planes = reading.layout == "nchw"
    return (channels, height, width) if planes else (height, width, channels)


def arranged(images: Tensor, shape: ImageShape, layout: str | None = None) -> Tensor:
    """Images with their axes in the order ``n c h w``, as a model's shape settles it; never a copy.

    Several are ``n c h w``, ``n h w c``, ``n h w`` or grey rows, a single one ``c h w``, ``h w c``, ``h w``.
    Four axes that fit as they stand are not asked for more; what fits in no way comes back as it is.

    Args:
        images: of any axes.
        shape: of the model.
        layout: what the axes are, where they fit in two ways.

    Raises:
        DataError: they do, and lead to different images.

    Example:
        >>> import torch
        >>> [tuple(arranged(torch.zeros(s), ImageShape(3, 4, 5)).shape) for s in ((2, 4, 5, 3), (3, 4, 5))]
        [(2, 3, 4, 5), (1, 3, 4, 5)]
    """
    if images.ndim == 2 and shape.channels == 1 and images.shape[1] == shape.dimensions:
        return each(images, lambda rows: rows.reshape(-1, *shape))
    wanted = None if layout is None else plain_layout(layout)
    found: dict[tuple[int, ...], str] = {}
    for name in LAYOUTS:
        if images.ndim == len(name) and wanted in {None, name}:
            sides = dict(zip(name, images.shape, strict=True))
            if tuple(sides.get(axis, 1) for axis in "chw") == tuple(shape):
                if name == "nchw":
                    return images
                # Axes of length 1 do not matter: (1, h, w) is one image of one channel in any case.
                found.setdefault(tuple(a for a in axes_of(name) if images.shape[a] > 1), name)
    if len(found) > 1:
        ways = " or ".join(" ".join(name) for name in found.values())
        raise DataError(
            f"an array of shape {tuple(images.shape)} may be {ways} for images of {shape}",
            hint="say which: layout=, or pass n c h w",
        )
    if not found:
        return images
    axes = next(iter(found.values()))

    def move(some: Tensor) -> Tensor:
        moved = some.permute(axes_of(axes))
        for place, axis in enumerate("nchw"):
            moved = moved if axis in axes else moved.unsqueeze(place)
        return moved

    return each(images, move) if "n" in axes else move(images)
