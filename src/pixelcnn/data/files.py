"""Which files of a folder are images, and what their names say."""

import dataclasses
import functools
import logging
import os
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from pixelcnn.data.depth import FORMATS
from pixelcnn.data.picture import SUFFIXES
from pixelcnn.errors import DataError
from pixelcnn.text import as_word, counted, printable

log = logging.getLogger("pixelcnn")

PARTS = {
    "train": ("train", "training", "trainset", "tr"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "testset", "te", "ts", "eval", "evaluation", "holdout"),
}
"""Words in the names of folders that are parts of a set, not classes."""
SPARE = frozenset(("eval", "evaluation", "holdout"))
"""Those of a part that there may be beside one for tests."""
IMAGES = frozenset(("images", "image", "imgs", "img", "data", "dataset", "set"))
"""Words in the names of folders that say nothing about what is in them."""
ANNOTATIONS = frozenset(("labels", "masks", "mask", "annotations", "annotation", "segmentations"))
"""Names of folders beside one of images whose pictures are no images of the set."""
RUN = ("recipe.toml", "metrics.csv")
"""Files of a run folder, whose pictures were drawn by a model: they are none to train it on."""
LISTS = (".csv", ".tsv")
"""Suffixes of tables that may name the images that they lie beside."""
PACKED = ".pxc"
"""Suffix of compressed images, which may lie beside those that they were made of."""
ALONE = "lies beside the class folders, so it has no label"
FEW = 0.1
"""Share of images beside class folders up to which they are taken for a mistake."""


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image, and its name below the folder with ``/`` between the parts."""

    path: Any
    """Where it lies, or what it holds: see :data:`pixelcnn.data.picture.Content`."""
    name: str
    problem: str = ""
    """What keeps it from having a label that the others have."""


def find_images(root: Path, *, telling: bool = True) -> list[ImageFile]:
    """The image files in a folder and all folders below, in the order of their names' bytes.

    Files are known by their suffix; hidden ones and others are left out, and so are masks and the like in a
    folder beside one of images, and run folders. Linked folders are followed, each folder once, so links in a
    circle do no harm.

    Args:
        root: of all.
        telling: say what is left out.

    Raises:
        DataError: no image, or a folder that cannot be read.
    """
    found: list[ImageFile] = []
    others: list[str] = []
    visited: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(root, followlinks=True, onerror=_refuse):
        status = os.stat(parent)
        place = (status.st_dev, status.st_ino)
        if place in visited:
            folders.clear()
            continue
        visited.add(place)
        folders[:] = sorted(_of_images(Path(parent), folders, root), key=os.fsencode)
        for file in files:
            path = Path(parent, file)
            if path.suffix.lower() in SUFFIXES and not file.startswith("."):
                found.append(ImageFile(path, path.relative_to(root).as_posix()))
            elif path.suffix.lower() != PACKED:
                others.append(path.relative_to(root).as_posix())
    if not found:
        raise _no_images(root, others)
    if others and telling:
        count = counted(len(others), "file")
        log.info("%s: %s without the suffix of an image left out", name_of(root), count)
        if tables := [name for name in others if name.lower().endswith(LISTS)]:
            words = "%s: does %s name the images and their classes? Then it is the data to give"
            log.info(words, name_of(root), printable(tables[0]))
    found.sort(key=lambda each: os.fsencode(each.name))
    alone = _beside_classes([each.name for each in found])
    return [
        dataclasses.replace(each, problem=ALONE) if each.name in alone else each for each in found
    ]


def name_of(folder: Path) -> str:
    """What a folder is called, also where it is given as ``.``: in messages, and as the name of a set."""
    return printable(folder.resolve().name)


def _no_images(root: Path, others: list[str]) -> DataError:
    """What the files are that a folder holds instead: arrays and tables are sources by themselves."""
    hint = f"known formats: {', '.join(FORMATS)}"
    shown = sorted(name for name in others if not _hidden(name))
    if shown:
        listed = ", ".join(map(printable, shown[:3])) + (", …" if shown[3:] else "")
        first = next((name for name in shown if "train" in name), shown[0])
        file = as_word(printable(str(root / first)))
        hint = f"{hint}; convert pictures of others; it holds {listed}: "
        hint += f"an array or a table is given as a file, such as {file}"
    return DataError(f"{name_of(root)} holds no images", hint=hint)


def _hidden(folder: str) -> bool:
    return folder.startswith(".") or folder == "__MACOSX"


def _is_run(folder: Path) -> bool:
    return all(os.path.isfile(folder / file) for file in RUN)


def _holds_runs(folder: Path) -> bool:
    """Whether run folders are all that is in one, as in the ``runs`` that ``pixelcnn train`` makes."""
    if not os.access(folder, os.R_OK):
        return False
    inside = map(_is_run, folder.iterdir())
    return next(inside, False) and all(inside)  # which looks no further than the first image


def _of_images(parent: Path, folders: list[str], root: Path) -> list[str]:
    """The folders in one that are looked through."""
    visible = [folder for folder in folders if not _hidden(folder)]
    if runs := [folder for folder in visible if _is_run(parent / folder)]:
        named = ", ".join(map(printable, runs[:3])) + (", ..." if runs[3:] else "")
        log.warning("%s: run folders left out: %s", name_of(root), named)
        visible = [folder for folder in visible if folder not in runs]
    kept = {path.name for path in but_annotations([Path(folder) for folder in visible])}
    if annotations := [printable(folder) for folder in visible if folder not in kept]:
        log.warning(
            "%s: %s beside a folder of images left out", name_of(root), ", ".join(annotations)
        )
    return [folder for folder in visible if folder in kept]


def but_annotations(folders: list[Path]) -> list[Path]:
    """Without those of annotations, where they lie beside one of images."""
    if not any(path.name.lower() in IMAGES for path in folders):
        return folders
    return [path for path in folders if path.name.lower() not in ANNOTATIONS]


def _refuse(error: OSError) -> NoReturn:
    text = f"{printable(str(error.filename))} cannot be read: {error.strerror}"
    raise DataError(text) from error


def inside(root: Path) -> tuple[list[Path], list[str]]:
    """The visible folders in one, in order, and the names of its pictures."""
    try:
        shown = sorted((each for each in root.iterdir() if not _hidden(each.name)), key=os.fsencode)
        folders = [p for p in shown if p.is_dir() and not _is_run(p) and not _holds_runs(p)]
    except OSError as error:
        _refuse(error)
    names = [path.name for path in shown if path.suffix.lower() in SUFFIXES and not path.is_dir()]
    return folders, names


@functools.lru_cache(maxsize=10_000)
def part_said(folder: str) -> tuple[str, tuple[str, ...]]:
    """The part of a set that a folder's name says, if it says one, and the words that are left.

    Example:
        >>> part_said("seg_train"), part_said("Test-Images2"), part_said("imagesTr"), part_said("cats")
        (('train', ('seg',)), ('test', ()), ('train', ()), ('', ('cats',)))
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", folder).lower()
    words = re.findall(r"[^\W\d_]+", apart)
    parts = [part for word in words for part, names in PARTS.items() if word in names]
    known = {name for names in PARTS.values() for name in names} | IMAGES
    rest = tuple(word for word in words if word not in known)
    return (parts[0] if len(parts) == 1 else "", rest)


def class_labels(names: list[str], known: tuple[str, ...] = ()) -> list[str] | None:
    """The first folder of each name, if every image lies in one and there are several.

    A single one counts if its name is known as that of a class. A folder that holds all others and is called
    ``images`` or like a part is none.

    Example:
        >>> class_labels(["cat/1.png", "dog/1.png", "cat/2.png"])
        ['cat', 'dog', 'cat']
        >>> class_labels(["dog/1.png"]), class_labels(["dog/1.png"], known=("cat", "dog"))
        (None, ['dog'])
    """
    folders = _class_folders(names)
    classes = {*folders} - {""}
    if len(classes) < 2 and not {*map(printable, classes)} & {*known}:
        return None
    if alone := folders.count(""):
        log.warning("no labels: %d of %d images lie beside class folders", alone, len(names))
        return None
    parts = sorted(name for name in classes if part_said(name)[0])
    alone = len(parts) == 1 and (part_said(parts[0])[0] == "train" or len(parts[0]) < 3)
    if parts and not alone:  # a vehicle, a language
        log.warning(
            "classes are called %s: are they parts of a set?", ", ".join(map(printable, parts))
        )
    return folders


def _class_folders(names: list[str]) -> list[str]:
    """The folder of each name that could be its class; empty where it lies in none."""
    paths = [name.split("/") for name in names]
    while paths and len(paths[0]) > 1 and all(path[:-1][:1] == paths[0][:1] for path in paths):
        if paths[0][0].lower() not in IMAGES and not part_said(paths[0][0])[0]:
            break
        paths = [path[1:] for path in paths]
    return [unicodedata.normalize("NFC", path[0]) if len(path) > 1 else "" for path in paths]


def _beside_classes(names: list[str]) -> set[str]:
    """The few images that lie beside class folders."""
    folders = _class_folders(names)
    counts = Counter(folders)
    few = 0 < counts[""] <= max(1, FEW * len(names)) and len(counts) > 2
    return {name for name, folder in zip(names, folders, strict=True) if few and not folder}
