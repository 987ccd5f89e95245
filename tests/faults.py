"""A disk that fills up: the n-th operation that needs room on it fails, and all after it."""

import errno
import io
import os
import pathlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class Disk:
    """Counts what needs room on the disk, and refuses it from the ``full_at``-th time on.

    Attributes:
        used: operations so far.
    """

    def __init__(self, full_at: int) -> None:
        self.full_at, self.used = full_at, 0

    def need(self) -> None:
        """One more operation that needs room."""
        self.used += 1
        if self.used >= self.full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def guarded(self, action: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, which now needs room."""

        def guard(*arguments: Any, **named: Any) -> Any:
            self.need()
            return action(*arguments, **named)

        return guard

    def open_descriptor(self, path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        """``os.open``, which needs room for a file that is not there yet."""
        if flags & os.O_CREAT and not os.path.lexists(path):
            self.need()
        return OPEN_DESCRIPTOR(path, flags, *arguments, **named)

    def open(self, *arguments: Any, **named: Any) -> Any:
        """``io.open`` with writes that need room."""
        file = OPEN(*arguments, **named)
        if file.writable():
            file = Guarded(file, self)
        return file


class Guarded:
    """A file whose writes need room."""

    def __init__(self, file: Any, disk: Disk) -> None:
        self.file, self.disk = file, disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "Guarded":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, content: Any) -> int:
        self.disk.need()
        return int(self.file.write(content))


OPEN = io.open
OPEN_DESCRIPTOR = os.open


@contextmanager
def disk_full_at(number: int) -> Iterator[Disk]:
    """The disk is full from the ``number``-th operation on: making files and folders, writing, syncing."""
    disk = Disk(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "open", disk.open)
        patch.setattr(os, "fsync", disk.guarded(os.fsync))
        patch.setattr(os, "replace", disk.guarded(os.replace))
        patch.setattr(os, "open", disk.open_descriptor)
        patch.setattr(pathlib.Path, "mkdir", disk.guarded(pathlib.Path.mkdir))
        yield disk
