"""Which of several arrays are the images, their labels and conditions, and which are parts of one set."""

import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data.files import PARTS
from pixelcnn.data.opening import brief, named
from pixelcnn.data.packed import plain_name
from pixelcnn.data.reading import LABELS, typed
from pixelcnn.data.stored import Container, Single, whole
from pixelcnn.data.tensors import numbers_of
from pixelcnn.errors import DataError
from pixelcnn.registry import closest
from pixelcnn.text import counted, printable

log = logging.getLogger("pixelcnn")

IMAGES = ("images", "x", "data", "codes", "imgs")
"""What the array of images is called, the one that is meant first."""
CONDITION, NAMES = "condition", "condition_names"
"""The array of conditions that is taken unless others are named, and the one that names its features."""


def images_key(container: Container, key: str | None) -> str:
    """The name of the array of images.

    Args:
        container: of the arrays.
        key: as the user calls it; without it ``images``, ``x_train``, ``x``, ``data``, ``codes`` or
            ``imgs``, in a group or not and in letters of any case, else the only array, the only one with
            three or four axes, or the only one with two.

    Raises:
        DataError: there is none, or several could be meant.
    """
    names = container.names
    if key is not None:
        return meant(container, key)
    for word in (IMAGES[0], "x_train", *IMAGES[1:]):
        if found := _called(names, word):
            return found
    for axes in ((3, 4), (2,)) if len(names) > 1 else ((),):
        shaped = [name for name in names if not axes or len(container.shape(name)) in axes]
        if len(shaped) == 1:
            return shaped[0]
    held = f"holds the arrays {listing(container, names) or 'none'}"
    raise DataError(
        held + _links(container),
        hint=f"say which holds the images: {typed('key')}; or call them images and labels",
    )


def _links(container: Container) -> str:
    """What to say of names that are not followed."""
    if not container.links:
        return ""
    return f", and links, which are never followed: {brief(', '.join(container.links), 60)}"


def meant(container: Container, key: str) -> str:
    """The array that a user calls so.

    Raises:
        DataError: there is none.
    """
    wanted, names = key.strip("/"), container.names
    for name in (wanted, container.aliases.get(wanted, "")):
        if name in names:
            return name
    if found := _called(names, wanted.lower()):
        return found
    raise DataError(
        f"holds no array called {brief(key, 60)}.{closest(wanted, list(names))}"
        + _links(container),
        hint=f"it holds {listing(container, names)}",
    )


def _called(names: Iterable[str], word: str) -> str | None:
    """The only array called so in letters of any case: with its groups, or else without."""
    for known in (str.lower, _last):
        if len(found := [name for name in names if known(name) == word]) == 1:
            return found[0]
    return None


def labels_key(names: Iterable[str], images: str) -> str | None:
    """The name of the labels that go with an array of images.

    Example:
        >>> labels_key(["x_train", "y_train", "x_test", "y_test"], "x_test")
        'y_test'
        >>> labels_key(["a/images", "a/labels", "b/labels"], "a/images"), labels_key(["x", "p"], "x")
        ('a/labels', None)
    """
    group, _, last = images.rpartition("/")
    words, known = re.split(r"([-_.])", last.lower()), (*LABELS, "targets")
    swapped = ("".join(label if word in IMAGES else word for word in words) for label in known)
    wanted = [name for name in swapped if name != last.lower()]
    if not wanted or len(words) == 1:
        wanted += known
    beside = {
        name.rpartition("/")[2].lower(): name for name in names if name.rpartition("/")[0] == group
    }
    return next((beside[word] for word in wanted if word in beside), None)


def unnamed_labels(container: Container, images: str) -> str | None:
    """The labels of ``np.savez(file, images, labels)``, whose arrays have numbers for names: one an image."""
    if {*container.names} != {"arr_0", "arr_1"}:
        return None
    (other,) = {*container.names} - {images}
    return other if container.shape(other) == container.shape(images)[:1] else None


def labels_beside(path: Path) -> Path | None:
    """The file beside one of images that has its name with labels in place of images, if there is one.

    That is ``y_train.npy`` of ``x_train.npy``, and ``my-labels-idx1-ubyte.gz`` of ``my-images-idx3-ubyte``.
    """

    def called(file: Path) -> str:
        return re.sub(r"idx\d", "idx", plain_name(file))

    if not {*re.split(r"[-_.]", called(path))} & {*IMAGES}:
        return None
    try:
        files = {called(file): file for file in sorted(path.parent.iterdir(), reverse=True)}
    except OSError:  # it may not be listed
        return None
    key = labels_key(files, called(path))
    return None if key is None else files[key]


def labelled(path: Path, read: Callable[[Path], Container], layout: str | None) -> Container:
    """The arrays of a file, and if it is one alone, the labels of the file beside it whose name says so.

    What cannot be the labels of these images is told of and left out, since a name alone proves little.

    Args:
        path: of the images.
        read: the arrays of a file.
        layout: of the images, if it is said.
    """
    container = read(path)
    if len(container.names) != 1 or (file := labels_beside(path)) is None:
        return container
    (name,), beside = container.names, printable(file.name)
    if len(shape := container.shape(name)) < 2:
        return container
    where = printable(path.name)
    try:
        with named(beside):
            found = read(file)
            if len(found.names) != 1:
                raise DataError(f"holds {counted(len(found.names), 'array')}, not one of labels")
            labels = found[found.names[0]]
    except DataError as error:
        reason = str(error).removeprefix(f"{beside} ")
        log.warning("%s: %s beside it is left out, since it %s", where, beside, reason)
        return container
    axes = (layout or "n").replace(" ", "")
    count = shape[axes.index("n")] if len(axes) == len(shape) and "n" in axes else shape[0]
    alone = labels.shape[:1] == (count,) and {*labels.shape[1:]} <= {1}
    if not alone or labels.dtype.kind not in "iuUS":
        what = f"{labels.dtype} {labels.shape}"
        words = "%s: %s beside it is left out: labels are integers or words (%d,), it holds %s"
        log.warning(words, where, beside, count, what)
        return container
    log.info("%s: labels from %s", where, beside)
    both = Single(images=container[name], labels=whole(labels).reshape(-1))
    both.aliases, both.beside = {name: "images"}, ("labels",)
    return both


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
        if CONDITION not in container.names:
            return None, ()
        given = numbers_of(whole(container[CONDITION]), "a condition is numbers")
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


def parts_of(container: Container) -> dict[str, str]:
    """The arrays of images that are parts of one set, such as ``x_train`` and ``x_test`` of Keras.

    Also ``train_images``, ``images_test``, ``val/x`` and the like, after the same words or groups; nothing
    unless there is a part to train on and another one, in one such place.

    Raises:
        DataError: two could be the same part.
    """
    places: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for name in container.names:
        *before, one, other = ["", *name.lower().replace("/", "_").split("_")]
        found = places.setdefault(tuple(before), {})
        for part, spellings in PARTS.items():
            if any({one, other} == {spelling, kind} for spelling in spellings for kind in IMAGES):
                found.setdefault(part, []).append(name)
    whole = [found for found in places.values() if "train" in found and len(found) > 1]
    if len(whole) != 1:
        return {}
    for part, arrays in whole[0].items():
        if len(arrays) > 1:
            raise DataError(
                f"holds {listing(container, arrays)}, which could all be the part {part}",
                hint=f"call one of them so, or take one array alone: {typed('key')}",
            )
    return {part: whole[0][part][0] for part in PARTS if part in whole[0]}


def _last(name: str) -> str:
    return name.rpartition("/")[2].lower()


def listing(container: Container, names: Iterable[str]) -> str:
    """Names of arrays with their shapes, for a message."""
    return brief(", ".join(f"{name} {container.shape(name)}" for name in names))
