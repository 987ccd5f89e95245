"""The parts of a set that a folder is divided into by the names of the folders in it."""

import dataclasses
import logging
from pathlib import Path
from typing import NamedTuple

from pixelcnn.data.files import (
    PARTS,
    SPARE,
    ImageFile,
    but_annotations,
    find_images,
    inside,
    name_of,
    part_said,
)
from pixelcnn.errors import DataError
from pixelcnn.text import printable

log = logging.getLogger("pixelcnn")

DEPTH = 8
"""Folders, each alone in another one, that are looked into for the parts of a set."""


class FolderPart(NamedTuple):
    """The images of a folder that are one part of a set, or all of them.

    Attributes:
        name: of the folder that holds them.
        files: called as if there were no parts.
        names: their own, below the folder of the set.
    """

    name: str
    files: list[ImageFile]
    names: list[str]


def image_parts(root: Path, *, telling: bool = True) -> dict[str, FolderPart]:
    """The images of a folder and of all folders below: ``train``, ``test`` and perhaps ``val``, or ``all``.

    Args:
        root: of all.
        telling: say what is left out.

    Raises:
        DataError: no image, a folder that cannot be read, or two that could be the same part.
    """
    parts = {}
    for part, folder in part_folders(root, telling=telling).items():
        files = find_images(folder, telling=telling)
        names = [f"{folder.name}/{file.name}" for file in files]
        parts[part] = FolderPart(name_of(folder), files, names)
    if parts:
        return parts
    files = find_images(root, telling=telling)
    folders = {folder for file in files for folder in file.name.split("/")[1:-1]}
    nested = any(part_said(folder)[0] == "train" for folder in folders)
    whole = {"all": FolderPart(name_of(root), files, [file.name for file in files])}
    return (nested and parts_below(files, root, telling=telling)) or whole


def part_folders(root: Path, *, telling: bool = True) -> dict[str, Path]:
    """Folders that hold the parts of a set: one for training and another one at least; else none.

    They may be called ``Training``, ``test_images``, ``dev`` and the like, and lie in a folder that is alone,
    but for annotations, in another one. What lies beside them is left out with a warning.
    """
    folders, pictures = inside(root)
    for _ in range(DEPTH):
        if len(of_images := but_annotations(folders)) != 1 or pictures:
            break
        folders, pictures = inside(of_images[0])
    found = {path: part_said(path.name) for path in folders}
    rest = next((rest for part, rest in found.values() if part == "train"), None)
    parts: dict[str, Path] = {}
    for path, (part, other) in found.items():
        if part and other == rest:
            if part in parts and not {path.name.lower(), parts[part].name.lower()} & SPARE:
                raise _twice(root, part, parts[part].name, path.name)
            if part not in parts or path.name.lower() not in SPARE:
                parts[part] = path
    if "train" not in parts or len(parts) < 2:
        return {}
    if telling:
        _tell_of(root, [path.name for path in folders if path not in parts.values()] + pictures)
    return {part: parts[part] for part in PARTS if part in parts}


def parts_below(
    files: list[ImageFile], root: Path, *, telling: bool = True
) -> dict[str, FolderPart]:
    """Images by the parts that other folders are divided into, as ``cat/train`` and ``dog/train``; or none.

    Most of them lie in such a part; the others are left out with a warning.
    """
    paths = [file.name.split("/") for file in files]
    for depth in range(1, max(map(len, paths)) - 1):
        heard = [part_said(path[depth]) if len(path) > depth + 1 else ("", ()) for path in paths]
        rests = {rest for part, rest in heard if part == "train"}
        said = [part if rest in rests else "" for part, rest in heard]
        if len({*said} - {""}) < 2 or 2 * said.count("") >= len(said):
            continue
        if telling:
            _tell_of(root, [file.name for file, part in zip(files, said, strict=True) if not part])
        parts = {part: FolderPart(name_of(root), [], []) for part in PARTS if part in said}
        several = (
            len({(*path[:depth],) for path, part in zip(paths, said, strict=True) if part}) > 1
        )
        folders: dict[tuple[str, ...], str] = {}
        for path, file, part in zip(paths, files, said, strict=True):
            if not part:
                continue
            if folders.setdefault((*path[:depth], part), path[depth]) != path[depth]:
                raise _twice(root, part, folders[*path[:depth], part], path[depth])
            name = "/".join((*path[: several * depth], *path[depth + 1 :]))
            parts[part].files.append(dataclasses.replace(file, name=name))
            parts[part].names.append(file.name)
        return parts
    return {}


def _twice(root: Path, part: str, first: str, second: str) -> DataError:
    return DataError(
        f"{name_of(root)}: {printable(first)} and {printable(second)} could both be the part {part}",
        hint="rename one of them, or put both into one folder",
    )


def _tell_of(root: Path, others: list[str]) -> None:
    """Says what lies beside the parts."""
    if others:
        shown = ", ".join(map(printable, others[:3])) + (", ..." if others[3:] else "")
        words = "%s: %d beside the parts of the set left out: %s"
        log.warning(words, name_of(root), len(others), shown)
