"""The work of packing a folder, kept on the disk: whatever ends it, it goes on where it was.

Beside the new folder ``out`` lies ``.out.partial``: a report on each file and the pixels of the good ones,
then the finished set, which is renamed to ``out``.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pixelcnn.data.content import content_key
from pixelcnn.data.decoding import decoded
from pixelcnn.data.files import ImageFile
from pixelcnn.data.npy import written_header
from pixelcnn.data.reading import Reading
from pixelcnn.data.survey import FileReport, Target, common_size
from pixelcnn.errors import ConfigError, ResourceError
from pixelcnn.folders import (
    check_folder,
    check_inside,
    hold,
    open_inside,
    read_inside,
    write_inside,
)
from pixelcnn.text import printable

PLAN, REPORTS, PIXELS = "plan.json", "reports.jsonl", "pixels.bin"
GO_ON = "free some space and repeat the command: it goes on where it was"

Callback = Callable[[int, int], None]


class PackingFolder:
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
            for name in (PLAN, REPORTS, PIXELS):
                (path / name).unlink(missing_ok=True)
            write_inside(path / PLAN, plan.encode())
        shutil.rmtree(self.ready, ignore_errors=True)
        self.ready.mkdir()

    @property
    def ready(self) -> Path:
        """What is going to be the packed set."""
        return self.path / "ready"

    def read(self, where: str, callback: Callback | None) -> list[FileReport]:
        """A report on each file; the pixels of the good ones are stored, one behind another.

        Raises:
            DataError: sizes differ, and none was asked for.
            ResourceError: the disk has no room for them.
        """
        reports = self._stored()
        first = next((each for each in reports if not each.error), None)
        # Plain writes, since a full disk ends a write to a mapped file with a signal.
        with (
            open(self.path / REPORTS, "ab", opener=open_inside) as lines,
            open(self.path / PIXELS, "ab", opener=open_inside) as stream,
        ):
            for report, pixels in decoded(self.files[len(reports) :], self.reading):
                content = b""
                if pixels is not None:
                    first = first or self._with_room(report, where)
                    common_size([first, report], self.reading, where)
                    content = np.asarray(pixels, np.uint8).tobytes()
                    assert len(content) == self._size(report), "a report tells the size"
                    stream.write(content)
                lines.write(json.dumps([_digest(content), *dataclasses.astuple(report)]).encode())
                lines.write(b"\n")
                reports.append(report)
                if callback:
                    callback(len(reports), len(self.files))
        return reports

    def arrange(
        self, good: list[FileReport], target: Target, path: Path
    ) -> tuple[np.ndarray, np.ndarray]:
        """Writes the stored pixels as one array, in the order of their content keys.

        Args:
            good: reports on them.
            target: shape and levels of all.
            path: of the array.

        Returns:
            The keys, uint64 ``(n,)``, and the places among ``good``, int64 ``(n,)``, in that order.
        """
        stored = np.memmap(self.path / PIXELS, np.uint8, "r")
        ends = np.cumsum([self._size(each) for each in good]).tolist()

        def picture(at: int) -> bytes:
            pixels = stored[ends[at] - self._size(good[at]) : ends[at]]
            return target.conform(pixels.reshape(-1, *target.shape[1:])).tobytes()

        found = (content_key(target.shape, picture(at)) for at in range(len(good)))
        keys = np.fromiter(found, np.uint64, len(good))
        order = np.argsort(keys, kind="stable")
        with path.open("wb") as stream:
            stream.write(written_header(stored.dtype, (len(order), *target.shape)))
            stream.writelines(map(picture, order.tolist()))
        return keys[order], order

    def _size(self, report: FileReport) -> int:
        """Bytes of the stored pixels of a picture."""
        height, width = self.reading.size or (report.height, report.width)
        return report.channels * height * width

    def _with_room(self, first: FileReport, where: str) -> FileReport:
        """The first picture, if there is room for as many like it as there are files, and for the array."""
        needed = 2 * len(self.files) * self._size(first)
        if needed > shutil.disk_usage(self.path).free:
            raise ResourceError(
                f"{where}: the disk is full, {needed:,} bytes are needed", hint=GO_ON
            )
        return first

    def _stored(self) -> list[FileReport]:
        """The reports on the files whose pixels are stored; what a crash has spoilt is cut off."""
        reports, end = list[FileReport](), 0
        lines = _read(self.path / REPORTS).splitlines(keepends=True)
        with os.fdopen(open_inside(self.path / PIXELS, os.O_RDWR | os.O_CREAT), "r+b") as stream:
            for line in lines:
                try:
                    digest, name, error, notes, *rest = json.loads(line if "\n" in line else "")
                except ValueError:
                    break
                report = FileReport(name, error, tuple(notes), *rest)
                size = 0 if error else self._size(report)
                if _digest(stream.read(size)) != digest:
                    break
                reports.append(report)
                end += size
            stream.truncate(end)
        write_inside(self.path / REPORTS, "".join(lines[: len(reports)]).encode())
        return reports


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
        hold(lock)
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


def _read(path: Path) -> str:
    return read_inside(path).decode(errors="replace") if path.exists() else ""


def _digest(pixels: bytes) -> str:
    return hashlib.sha256(pixels).hexdigest()
