"""What files hold, as the values that stand there: to be had back as they are."""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pixelcnn import image_codecs, png
from pixelcnn.codec.entries import FILE, MODES, PICTURE, TYPES, Form
from pixelcnn.data import npy
from pixelcnn.data.arrays import contained, taken
from pixelcnn.data.keys import images_key, labels_key
from pixelcnn.data.lazy import pieces
from pixelcnn.data.opening import brief, named
from pixelcnn.data.picture import LOOKED_UP, OPAQUE, TURNED, How, read_picture
from pixelcnn.data.reading import plain_layout
from pixelcnn.data.stored import whole
from pixelcnn.errors import ModelError
from pixelcnn.shapes import LAYOUTS, ImageShape, axes_of, image_shape
from pixelcnn.text import counted

HARMLESS = {LOOKED_UP, OPAQUE, TURNED}
"""What may be done to a picture without changing a pixel of what is seen."""
MOST_VALUES = 65_536


class FileValues(NamedTuple):
    """Images of one shape.

    Attributes:
        form: how they come back, but for the values of levels.
        shape: of each.
        images: how many.
        occurring: all of their values, each once, in order.
        read: the values ``(k, c, h, w)`` of some, by the first and the one behind the last.
        labels: of all, if the file has them.
    """

    form: Form
    shape: ImageShape
    images: int
    occurring: np.ndarray
    read: Callable[[int, int], np.ndarray]
    labels: Any = None


def picture(content: Path | bytes, where: str, done: Counter[str]) -> FileValues:
    """A picture of 1, 8 or 16 bits, grey or in colour.

    Args:
        content: its file, or what that holds.
        where: its name.
        done: what had to be done to files, counted.

    Raises:
        DataError: it cannot be read.
        ModelError: it can be seen through, or is of a kind whose pixels would not all come back.
    """
    pixels, mode, notes = _pixels(content, where)
    done.update(notes)
    shape = image_shape(pixels.shape)

    def read(start: int, stop: int) -> np.ndarray:
        return _pixels(content, where)[0][None]

    form = Form(PICTURE, [*MODES].index(mode))
    return FileValues(form, shape, 1, np.unique(pixels), read)


def _pixels(content: Path | bytes, where: str) -> tuple[np.ndarray, str, list[str]]:
    """The pixels ``(c, h, w)`` of a picture, its mode, and what had to be done to it."""
    with named(where):
        found = read_picture(content)
        if found.bits == 16:
            found = read_picture(content, How(wide=True))
        if lost := [note for note in found.notes if note not in HARMLESS]:
            raise ModelError(
                f"would not all come back: {lost[0]}",
                hint="convert it first, to grey or colours of 8 or 16 bits without transparency",
            )
    grey = len(found.pixels) == 1
    if found.bits == 1:
        return found.pixels // 255, "1", list(found.notes)
    mode = ("I;16" if grey else "RGB;16") if found.bits == 16 else ("L" if grey else "RGB")
    return found.pixels, mode, list(found.notes)


def as_picture(pixels: np.ndarray, mode: str) -> bytes:
    """The pixels ``(c, h, w)`` of a picture as a PNG file of its mode."""
    if mode == "RGB;16":
        return png.deep(pixels.transpose(1, 2, 0))
    return png.encoded(image_codecs.picture(pixels, MODES[mode]))


def array(
    content: Path | bytes,
    where: str,
    shape: ImageShape,
    layout: str | None,
    own_labels: bool,
    done: Counter[str],
) -> FileValues:
    """The images of a file of arrays, or of an ``.npy`` file in memory.

    Args:
        content: the file, or what it holds.
        where: its name.
        shape: of the model; it settles which axis is which.
        layout: one of :data:`LAYOUTS`, with blanks or without; None to go by the shape.
        own_labels: whether labels in it are wanted.
        done: what of files does not come back, counted.

    Raises:
        DataError: it cannot be read, or holds no integers.
    """
    with named(where):
        if isinstance(content, bytes):
            values, labels = _in_memory(content), None
        else:
            values, labels = _stored(content, own_labels, done)
        if values.dtype.str not in TYPES:
            raise ModelError(
                f"holds {values.dtype} values, and lossless are whole numbers alone",
                hint="store whole ones as integers; 'pixelcnn sample --as levels' writes levels",
            )
        name = _layout(values.shape, shape, layout)
        return _values(values, name, labels)


def _stored(path: Path, own_labels: bool, done: Counter[str]) -> tuple[Any, Any]:
    """The images of a file of arrays, and their labels if these are wanted and there."""
    container = contained(path)
    key = images_key(container, None)
    inside = [name for name in container.names if name not in container.beside]
    others = [name for name in inside if name != key and container.shape(name)]
    if others:
        done[f"only the array {key} comes back, not {brief(', '.join(others))}"] += 1
    name = labels_key(container.names, key) if own_labels else None
    labels = None if name is None else whole(taken(container, name))
    return taken(container, key), labels


def _values(values: Any, layout: str, labels: Any) -> FileValues:
    single = layout[0] != "n"
    axes = axes_of(layout)

    def read(start: int, stop: int) -> np.ndarray:
        some = whole(values) if single else values[start:stop]
        some = np.transpose(np.asarray(some), axes)
        some = some if "c" in layout else np.expand_dims(some, -3)
        return some[None] if single else some

    lengths = dict(zip(layout, values.shape, strict=True))
    shape = image_shape((lengths.get("c", 1), lengths["h"], lengths["w"]))
    header = getattr(values, "header", None)
    flags = getattr(values, "flags", None)
    in_memory = flags is not None and flags.f_contiguous and not flags.c_contiguous
    fortran = bool(in_memory if header is None else header.fortran)
    number = TYPES.index(values.dtype.str)
    form = Form(FILE, number, LAYOUTS.index(layout), fortran)
    return FileValues(form, shape, lengths.get("n", 1), _occurring(values), read, labels)


def _in_memory(content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    header = npy.read_header(stream, len(content))
    flat = np.frombuffer(content, header.dtype, offset=header.offset)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def _occurring(values: Any) -> np.ndarray:
    """The values of an array, read piece by piece; of more than there can be levels, the ends alone."""
    found = np.zeros(0, np.int64)
    if not values.ndim:
        return found
    for piece in pieces(values):
        some = np.unique(values[piece])
        if some.size and int(some[-1]) >= MOST_VALUES:
            return np.array([0, MOST_VALUES])
        found = np.union1d(found, some.astype(np.int64))
    return found


def _layout(shape: Sequence[int], model: ImageShape, wanted: str | None) -> str:
    """Which axis is which: as was said, else as fits the model's images best.

    Raises:
        DataError: none fits.
    """
    plain = None if wanted is None else plain_layout(wanted)
    fitting = []
    for layout in LAYOUTS:
        if len(layout) == len(shape) and plain in {None, layout}:
            lengths = dict(zip(layout, shape, strict=True))
            sides = (lengths.get("c", 1), lengths["h"], lengths["w"])
            if sides[0] == model.channels and min(sides) > 0:
                fitting.append((sides != tuple(model), layout))
    if not fitting:
        raise ModelError(
            f"of shape {tuple(shape)} holds no images of {counted(model.channels, 'channel')}",
            hint="axes are n c h w, n h w c, n h w, c h w, h w c or h w; see --layout",
        )
    return min(fitting, key=lambda each: each[0])[1]


def as_array(form: Form, pieces_of: Any, shape: ImageShape, count: int) -> Any:
    """The parts of an ``.npy`` file of values ``(k, c, h, w)`` that come piece by piece."""
    layout = LAYOUTS[form.layout]
    lengths = dict(zip("nchw", (count, *shape), strict=True))
    sides = tuple(lengths[axis] for axis in layout)
    yield npy.written_header(form.dtype, sides, fortran=form.fortran)
    ordered = (_ordered(form.restored(levels), layout) for levels in pieces_of)
    if form.fortran:  # whose first values are those of all images
        yield np.concatenate(list(ordered), dtype=form.dtype).tobytes(order="F")
        return
    for some in ordered:
        yield some.tobytes()


def _ordered(values: np.ndarray, layout: str) -> np.ndarray:
    """Values ``(k, c, h, w)`` with the axes of a layout."""
    values = values if "c" in layout else values[:, 0]
    values = values if layout[0] == "n" else values[0]
    return np.transpose(values, np.argsort(axes_of(layout)))
