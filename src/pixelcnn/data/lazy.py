"""Images that stay where they are until they are indexed, and become levels then.

A set larger than memory is an ordinary :class:`ImageSet` whose ``images`` are :class:`LazyImages`. What is
done to all images alike (types, axes, crops, bins, thresholds) is put off with :func:`each` until some of
them are read.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.memory import afford
from pixelcnn.surroundings import independent

PIECE = 2**23
"""Bytes that are looked at together, so that images in a file never lie in memory whole."""
Rows = slice | Tensor
"""Some images: a slice, or indices ``(k,)`` int64, from 0 on."""
Draw = Callable[[Rows, int, int], Tensor]
"""What training sees in place of some rows, for a seed and an epoch."""

PROPERTIES = (
    "shape", "dtype", "device", "ndim", "nbytes", "itemsize", "layout", "requires_grad", "is_cuda",
)  # fmt: skip
METHODS = (
    Tensor.__len__, Tensor.size, Tensor.dim, Tensor.numel, Tensor.nelement, Tensor.element_size,
    Tensor.is_floating_point, Tensor.is_complex, Tensor.is_signed,
)  # fmt: skip
FACTS = frozenset((*METHODS, *(getattr(Tensor, name).__get__ for name in PROPERTIES)))
"""What is known without reading."""


class LazyImages(Tensor):
    """A tensor ``(n, ...)`` that is read when it is indexed.

    ``images[rows]`` reads these rows and is an ordinary tensor, and iterating reads piece by piece. Whatever
    else is asked for, :func:`torch.cat` or ``images.float()``, reads everything: it works as with any tensor,
    if the memory holds it. It cannot be written to.

    Args:
        shape: of all images.
        dtype: of the values.
        read: gives some rows.
        bound: the values are known to lie in ``[0, bound)``.
        draw: gives what an epoch of training sees in place of some rows, for a seed and an epoch; by default
            these rows.

    Raises:
        ResourceError: everything is asked for, and is larger than memory.
        TypeError: something is to be written.

    Example:
        >>> numbers = LazyImages((5, 1), torch.int64, lambda rows: torch.arange(5)[rows, None])
        >>> numbers.shape, numbers[1:3].tolist(), int(numbers.sum())
        (torch.Size([5, 1]), [[1], [2]], 10)
    """

    read: Callable[[Rows], Tensor]
    bound: int | None
    draw: Draw | None

    @staticmethod
    def __new__(
        cls: type["LazyImages"], shape: Sequence[int], dtype: torch.dtype, *_: Any, **__: Any
    ) -> "LazyImages":
        return Tensor._make_wrapper_subclass(cls, tuple(shape), dtype=dtype)

    def __init__(
        self,
        shape: Sequence[int],
        dtype: torch.dtype,
        read: Callable[[Rows], Tensor],
        bound: int | None = None,
        draw: Draw | None = None,
    ) -> None:
        self.read, self.bound = independent(read), bound
        self.draw = None if draw is None else independent(draw)

    def drawn(self, rows: Rows, seed: int, epoch: int | None) -> Tensor:
        """What an epoch of training sees in place of some rows; these themselves if it is None."""
        if epoch is None or self.draw is None:
            return self[rows]
        return self.draw(rows % len(self) if isinstance(rows, Tensor) else rows, seed, epoch)

    def fixed(self) -> "LazyImages":
        """The images as every epoch sees them alike."""
        return LazyImages(self.shape, self.dtype, self.read, self.bound)

    def __iter__(self) -> Iterator[Tensor]:  # that of tensors unbinds them all at once
        for piece in pieces(self):
            yield from self.read(piece)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in FACTS:
            with torch._C.DisableTorchFunctionSubclass():
                return function(*args, **(kwargs or {}))
        if function is Tensor.__getitem__ and isinstance(args[0], LazyImages):
            return _indexed(args[0], args[1])
        name = getattr(function, "__name__", "")
        if name == "__setitem__" or (name.endswith("_") and not name.endswith("__")):
            raise TypeError(f"images that lie in a file cannot be written to ({name})")
        return function(*_read(args), **_read(kwargs or {}))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return function(*_read(args), **_read(kwargs or {}))


def whole(images: Tensor, device: torch.device | None = None) -> Tensor:
    """All images as an ordinary tensor, by default where they are.

    Raises:
        ResourceError: larger than memory.
    """
    if not isinstance(images, LazyImages):
        return images if device is None else images.to(device)
    place = device or images.device
    if place.type == "cpu":
        afford(images.nbytes)
    result = torch.empty(images.shape, dtype=images.dtype, device=place)
    for piece in pieces(images):
        result[piece] = images.read(piece).to(place)
    return result


def each(images: Tensor, step: Callable[[Tensor], Tensor], bound: int | None = None) -> Tensor:
    """Does the same to every image: at once in memory, when they are read where they are lazy.

    Args:
        images: ``(n, ...)``.
        step: from some images to as many others.
        bound: the results lie in ``[0, bound)``.

    Example:
        >>> each(torch.tensor([[1], [2]]), lambda some: some + 1).tolist()
        [[2], [3]]
    """
    if not isinstance(images, LazyImages):
        return step(images)
    example, draw = step(torch.zeros((1, *images.shape[1:]), dtype=images.dtype)), images.draw
    shape = (len(images), *example.shape[1:])
    return LazyImages(
        shape,
        example.dtype,
        lambda rows: step(images.read(rows)),
        bound,
        None if draw is None else lambda rows, seed, epoch: step(draw(rows, seed, epoch)),
    )


def is_drawn(images: Tensor) -> bool:
    """Whether each epoch of training sees others in place of these images."""
    return isinstance(images, LazyImages) and images.draw is not None


def concatenated(parts: Sequence[Tensor]) -> Tensor:
    """Images one part after the other; lazy if a part is.

    Example:
        >>> concatenated([torch.tensor([[1]]), torch.tensor([[2], [3]])]).tolist()
        [[1], [2], [3]]
    """
    if not any(isinstance(part, LazyImages) for part in parts):
        return torch.cat(list(parts))
    ends = torch.tensor([len(part) for part in parts]).cumsum(0)
    bounds = [part.bound if isinstance(part, LazyImages) else None for part in parts]

    def gather(rows: Rows, read: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        places = torch.arange(int(ends[-1]))[rows] if isinstance(rows, slice) else rows
        number = torch.searchsorted(ends, places, right=True)
        result = torch.empty((len(places), *parts[0].shape[1:]), dtype=parts[0].dtype)
        for index, part in enumerate(parts):
            mine = number == index
            if mine.any():
                result[mine] = read(part, places[mine] - int(ends[index]) + len(part))
        return result

    def draw(rows: Rows, seed: int, epoch: int) -> Tensor:
        return gather(
            rows, lambda p, i: p.drawn(i, seed, epoch) if isinstance(p, LazyImages) else p[i]
        )

    return LazyImages(
        (int(ends[-1]), *parts[0].shape[1:]),
        parts[0].dtype,
        lambda rows: gather(rows, lambda part, places: part[places]),
        None if None in bounds else max(bounds),  # type: ignore[type-var]
        draw if any(map(is_drawn, parts)) else None,
    )


def chosen(images: Tensor, rows: Rows) -> Tensor:
    """Some of the images; lazy ones stay so."""
    if not isinstance(images, LazyImages):
        return images[rows]
    count = len(images)
    inner = range(count)[_forward(rows)] if isinstance(rows, slice) else rows % max(count, 1)

    def places(which: Rows) -> Rows:
        if isinstance(inner, Tensor):
            return inner[which]
        if isinstance(which, Tensor):
            return which * inner.step + inner.start
        part = inner[which]
        return slice(part.start, part.stop, part.step)

    draw = images.draw
    return LazyImages(
        (len(inner), *images.shape[1:]),
        images.dtype,
        lambda which: images.read(places(which)),
        images.bound,
        None if draw is None else lambda which, seed, epoch: draw(places(which), seed, epoch),
    )


def numpy_rows(rows: Rows) -> slice | np.ndarray:
    """Rows as NumPy takes them: a tensor with one index is a number to it, which takes an axis away."""
    return rows if isinstance(rows, slice) else rows.cpu().numpy()


def rows_of(which: Any, n: int) -> slice | Tensor:
    """A choice of images as a slice where it is one, else as indices; IndexError if some are not there."""
    if isinstance(which, slice):
        return which
    if isinstance(which, int) or getattr(which, "ndim", 1) == 0:
        at = range(n)[which]
        return slice(at, at + 1)
    if isinstance(which, Sequence) and not len(which):
        return slice(0, 0)
    given = torch.as_tensor(which)
    indices = given.nonzero()[:, 0] if given.dtype == torch.bool else given.to(torch.int64)
    if indices.device.type != "cpu":
        return indices  # looking at them would wait for the device
    if given.dtype == torch.bool and len(given) != n:
        raise IndexError(f"a mask of {len(given)} for {n} images")
    if len(indices) and not -n <= int(indices.min()) <= int(indices.max()) < n:
        raise IndexError(f"an index is out of range for {n} images")
    first, length = int(indices[0]) if len(indices) else -1, len(indices)
    if first >= 0 and bool((indices == torch.arange(first, first + length)).all()):
        return slice(first, first + length)
    return indices


@independent
def _indexed(images: LazyImages, which: Any) -> Tensor:
    """What ``images[which]`` is."""
    if isinstance(which, tuple) and which and isinstance(which[0], int | slice):
        first = (slice(None),) if isinstance(which[0], slice) else ()
        return _indexed(images, which[0])[(*first, *which[1:])]
    if isinstance(which, slice):
        return images.read(slice(*_forward(which).indices(len(images))))
    if isinstance(which, int) or getattr(which, "ndim", 1) == 0:
        at = range(len(images))[which]
        return images.read(slice(at, at + 1))[0]
    if which is None or which is Ellipsis or isinstance(which, tuple):
        return whole(images)[which]
    given = torch.as_tensor(which)
    if given.ndim != 1 or given.is_floating_point():
        return whole(images)[which]
    rows = rows_of(given.cpu(), len(images))
    return images.read(rows % max(len(images), 1) if isinstance(rows, Tensor) else rows)


def _forward(rows: slice) -> slice:
    """A slice, if it counts upwards as tensors want it."""
    if rows.step is not None and rows.step < 1:
        raise ValueError("step must be greater than zero")
    return rows


def _read(arguments: Any) -> Any:
    """Arguments of a function, with ordinary tensors in place of lazy ones."""
    if isinstance(arguments, LazyImages):
        return whole(arguments)
    if isinstance(arguments, list | tuple):
        return type(arguments)(map(_read, arguments))
    if isinstance(arguments, dict):
        return {name: _read(value) for name, value in arguments.items()}
    return arguments


def pieces(values: Any) -> Iterator[slice]:
    """Neighbours on the first axis of an array or tensor that are about :data:`PIECE` bytes together.

    Example:
        >>> [(piece.start, piece.stop) for piece in pieces(torch.zeros(5, 2**22, dtype=torch.uint8))]
        [(0, 2), (2, 4), (4, 5)]
    """
    count = len(values)
    step = max(1, PIECE * count // max(values.nbytes, 1))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
