"""Where the axes of an array of images stand."""

from typing import Any

from pixelcnn.data.reading import Reading
from pixelcnn.errors import DataError
from pixelcnn.shapes import ImageShape, axes_of, unflattened

MANY_CHANNELS = 4
"""An axis longer than this is not taken for channels unless the model or the user says so."""
ASK = "say how its axes are laid out: --layout 'n h w', 'n h w c' or 'n c h w' (in Python layout=)"
FIRST = "store it as n h w c: images.transpose(3, 0, 1, 2)"
STACKED = "store it as n h w: images.transpose(2, 0, 1); if it is that, --layout 'n h w' (in Python layout=)"
"""What to do with the order of MATLAB, in colour and in grey."""
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
        hint = "; ".join(filter(None, (ask, unflattened(shape, model), APART.get(len(shape)))))
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
