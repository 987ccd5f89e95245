"""Which of several arrays are the images, which are their labels, and which are parts of one set."""

from collections.abc import Iterable

from pixelcnn.data.gate import brief
from pixelcnn.data.reading import typed
from pixelcnn.data.stored import Container
from pixelcnn.errors import DataError
from pixelcnn.registry import closest

IMAGES = ("images", "x", "data", "codes")
LABELS = ("labels", "y", "label", "target", "targets")
"""What the arrays of images and of labels are called, those that are meant first."""
PARTS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
"""Words for parts of a set, before or after those for images or labels."""


def images_key(container: Container, key: str | None) -> str:
    """The name of the array of images.

    Args:
        container: of the arrays.
        key: as the user calls it; without it ``images``, ``x_train``, ``x``, ``data`` or ``codes``, in a
            group or not and in letters of any case, else the only array, the only one with three or four
            axes, or the only one with two.

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
    words = last.lower().split("_")
    wanted = []
    for label in LABELS:
        swapped = "_".join(label if word in IMAGES else word for word in words)
        wanted += [swapped] if swapped != last.lower() else []
    if not any(word in IMAGES for word in words) or len(words) == 1:
        wanted += LABELS
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


def parts_of(container: Container) -> dict[str, str]:
    """The arrays of images that are parts of one set, such as ``x_train`` and ``x_test`` of Keras.

    Also ``train_images``, ``images_test``, ``val/x`` and the like, after the same words or groups; nothing
    unless there is a part to train on and another one, in one such place.
    """
    places: dict[tuple[str, ...], dict[str, str]] = {}
    for name in container.names:
        *before, one, other = ["", *name.lower().replace("/", "_").split("_")]
        found = places.setdefault(tuple(before), {})
        for part, spellings in PARTS.items():
            if any({one, other} == {spelling, kind} for spelling in spellings for kind in IMAGES):
                found.setdefault(part, name)
    whole = [found for found in places.values() if "train" in found and len(found) > 1]
    return {part: whole[0][part] for part in PARTS if part in whole[0]} if len(whole) == 1 else {}


def _last(name: str) -> str:
    return name.rpartition("/")[2].lower()


def listing(container: Container, names: Iterable[str]) -> str:
    """Names of arrays with their shapes, for a message."""
    return brief(", ".join(f"{name} {container.shape(name)}" for name in names))
