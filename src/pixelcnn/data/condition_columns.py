"""What images are given besides themselves, by the names of columns or arrays: vectors, or maps."""

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data.gate import brief
from pixelcnn.data.keys import meant
from pixelcnn.data.stored import Container, whole
from pixelcnn.data.tensors import numbers_of
from pixelcnn.errors import DataError
from pixelcnn.text import counted

DEFAULT, NAMES = "condition", "condition_names"
"""The array that is taken unless others are named, and the one that names its features."""


def named_condition(
    container: Container, names: tuple[str, ...], images: int
) -> tuple[Tensor | None, tuple[str, ...]]:
    """The vectors ``(n, d)`` or maps ``(n, d, h, w)`` that arrays of a container hold, and their names.

    Args:
        container: of the arrays.
        names: of arrays ``(n,)``, ``(n, d)`` or maps, which are put side by side; without names the
            array called ``condition``, if there is one, and the names of its features that lie beside it.
        images: how many there are.

    Raises:
        DataError: the reason alone: no such array, or one of another length.
    """
    if not names:
        if DEFAULT not in container.names:
            return None, ()
        given = numbers_of(whole(container[DEFAULT]), "a condition is numbers")
        return given, stored_names(container)
    arrays = [whole(container[meant(container, name)]) for name in names]
    for name, values in zip(names, arrays, strict=True):
        if values.ndim == 0 or len(values) != images:
            raise DataError(
                f"holds {brief(name, 60)} {values.shape} for {counted(images, 'image')}"
            )
        if values.dtype.kind not in "buif":
            raise DataError(
                f"holds {brief(name, 60)} of {brief(str(values.dtype), 60)}, no numbers"
            )
    axes = {values.ndim for values in arrays}
    if axes <= {1, 2}:
        columns = [values.reshape(images, -1) for values in arrays]
    elif axes <= {3, 4} and len({values.shape[-2:] for values in arrays}) == 1:
        columns = [values.reshape(images, -1, *values.shape[-2:]) for values in arrays]
    else:
        shapes = ", ".join(f"{n} {v.shape}" for n, v in zip(names, arrays, strict=True))
        raise DataError(f"holds {brief(shapes)}: neither vectors nor maps of one size")
    spelt = [
        name if part.shape[1] == 1 else f"{name}[{at}]"
        for name, part in zip(names, columns, strict=True)
        for at in range(part.shape[1])
    ]
    values = np.concatenate([part.astype(np.float64) for part in columns], axis=1)
    return torch.from_numpy(values), tuple(spelt)


def stored_names(container: Container) -> tuple[str, ...]:
    """The names of the features of a condition, where an array beside it has them; else none."""
    if NAMES not in container.names:
        return ()
    found = whole(container[NAMES])
    if found.dtype.kind == "S":
        found = np.char.decode(found, "utf-8", "backslashreplace")
    return tuple(map(str, found.reshape(-1).tolist()))
