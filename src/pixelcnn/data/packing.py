"""The work of packing a folder, kept on the disk: whatever ends it, it goes on where it was.

Beside the new folder ``out`` lies ``.out.partial``: a report on each file, then the pixels of each good
one with their content keys, then the finished set, which is renamed to ``out``.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pixelcnn import folders
from pixelcnn.data.content import content_key
from pixelcnn.data.decoding import decoded
from pixelcnn.data.files import ImageFile
from pixelcnn.data.npy import written_header
from pixelcnn.data.reading import Reading
from pixelcnn.data.survey import FileReport, Target
from pixelcnn.errors import ConfigError, DataError
from pixelcnn.folders import check_folder, check_inside, open_inside, read_inside, write_inside
from pixelcnn.text import printable

PLAN, SURVEY, PIXELS, KEYS = "plan.json", "survey.jsonl", "pixels.bin", "keys.bin"
BLOCK = 2**24
"""Bytes that are moved at a time."""

Callback = Callable[[int, int], None]


class Workshop:
    """What there is so far of a packed set.

    Args:
        path: of the folder; made if there is none, emptied if it belongs to other files or options.
        files: to be packed.
        reading: how.
    """

    def __init__(self, path: Path, files: list[ImageFile], reading: Reading) -> None:
        self.path, self.files, self.reading = path, files, reading
        plan = _plan(files, reading)
        if _read(path / PLAN) != plan:
            for name in (PLAN, SURVEY, PIXELS, KEYS):
                (path / name).unlink(missing_ok=True)
            write_inside(path / PLAN, plan.encode())
        shutil.rmtree(self.ready, ignore_errors=True)
        self.ready.mkdir()

    @property
    def ready(self) -> Path:
        """What is going to be the packed set."""
        return self.path / "ready"

    def survey(self) -> list[FileReport]:
        """A report on each file."""
        reports = _stored_reports(self.path / SURVEY)
        with _appending(self.path / SURVEY) as stream:
            for report, _ in decoded(self.files[len(reports) :], self.reading):
                stream.write(json.dumps(dataclasses.astuple(report)).encode() + b"\n")
                reports.append(report)
        return reports

    def pack(self, files: list[ImageFile], target: Target, callback: Callback | None) -> np.ndarray:
        """Stores the pixels of each file, in order; gives the content key of each, uint64 ``(n,)``."""
        keys, channels = self._checked(target), target.shape.channels
        # Plain writes, since a full disk ends a write to a mapped file with a signal.
        with _appending(self.path / PIXELS) as stream, _appending(self.path / KEYS) as marks:
            for report, found in decoded(files[len(keys) :], self.reading):
                if found is None or found.shape[1:] != target.shape[1:] or len(found) > channels:
                    raise DataError(f"{printable(report.name)} {report.error or 'has changed'}")
                pixels = target.conform(found).tobytes()
                keys.append(content_key(target.shape, pixels))
                stream.write(pixels)
                marks.write(np.uint64(keys[-1]).tobytes())
                if callback:
                    callback(len(keys), len(files))
        return np.array(keys, dtype=np.uint64)

    def arrange(self, order: np.ndarray, target: Target, path: Path) -> None:
        """Writes the pixels as one array, in another order."""
        size = target.shape.dimensions
        rows = np.memmap(self.path / PIXELS, np.uint8, "r", shape=(len(order), size))
        step = max(1, BLOCK // size)
        with path.open("wb") as stream:
            stream.write(written_header(rows.dtype, (len(order), *target.shape)))
            for start in range(0, len(order), step):
                stream.write(rows[order[start : start + step]].tobytes())

    def missing(self, images: int, target: Target) -> int:
        """Bytes that are still needed: the pixels, and once more the array made of them."""
        whole = images * target.shape.dimensions
        return 2 * whole - _size(self.path / PIXELS)

    def _checked(self, target: Target) -> list[int]:
        """Content keys of the images that are stored already; what a crash has spoilt is cut off."""
        size, keys = target.shape.dimensions, []
        if _size(self.path / KEYS):
            stored = read_inside(self.path / KEYS)
            with os.fdopen(open_inside(self.path / PIXELS, os.O_RDONLY), "rb") as stream:
                for key in np.frombuffer(stored, np.uint64, len(stored) // 8).tolist():
                    pixels = stream.read(size)
                    if len(pixels) < size or content_key(target.shape, pixels) != key:
                        break
                    keys.append(key)
        for name, width in ((PIXELS, size), (KEYS, 8)):
            with _appending(self.path / name) as stream:
                stream.truncate(len(keys) * width)
        return keys


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Makes a folder and holds it for one process; the lock ends with the process.

    Raises:
        ConfigError: another process holds it; or it leads elsewhere, or something in it does.
    """
    if path.is_symlink():
        check_inside(path)
    path.mkdir(parents=True, exist_ok=True)
    check_folder(path, ("ready",))
    lock = open_inside(path / "lock", os.O_RDWR | os.O_CREAT)
    try:
        folders.hold(lock)
        yield
    except BlockingIOError as error:
        name = printable(path.name.removeprefix(".").removesuffix(".partial"))
        raise ConfigError(f"{name} is being packed by another process", hint="wait") from error
    finally:
        os.close(lock)


def _plan(files: list[ImageFile], reading: Reading) -> str:
    """What is packed and how: other files, sizes, times or options are another plan."""
    digest = hashlib.sha256()
    for file in files:
        with contextlib.suppress(OSError):  # a link that leads nowhere; the survey says so
            status = file.path.stat()
            digest.update(f"{status.st_size} {status.st_mtime_ns} ".encode())
        digest.update(os.fsencode(file.name) + b"\0")
    options: dict[str, Any] = dataclasses.asdict(reading)
    return json.dumps({"files": digest.hexdigest(), "options": options}, sort_keys=True)


def _stored_reports(path: Path) -> list[FileReport]:
    """The reports that a file holds; what a crash has spoilt is cut off."""
    reports: list[FileReport] = []
    lines = _read(path).splitlines(keepends=True)
    for line in lines:
        try:
            name, error, notes, *rest = json.loads(line if line.endswith("\n") else "")
        except ValueError:
            write_inside(path, "".join(lines[: len(reports)]).encode())
            break
        reports.append(FileReport(name, error, tuple(notes), *rest))
    return reports


def _read(path: Path) -> str:
    return read_inside(path).decode(errors="replace") if path.exists() else ""


def _appending(path: Path) -> BinaryIO:
    return os.fdopen(open_inside(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
