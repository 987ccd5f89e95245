"""Writing files whole or not at all, and straight into what is no regular file.

Whoever names a target means what its links lead to. A folder that comes from anybody is another matter: see
:mod:`pixelcnn.folders`.
"""

import contextlib
import errno
import os
import re
import secrets
import select
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pixelcnn.errors import DISK_FULL, ResourceError

AnyPath = str | os.PathLike[str]

LINKS = 40
"""Links in a row that are followed: more are a circle, as for Linux."""

OPEN_FILES = ("/dev/fd", "/proc/self/fd", "/proc/thread-self/fd")
"""Folders whose entries are the open files of this process."""

ACCESS_LIST = "system.posix_acl_access"


def write_atomically(
    path: AnyPath, content: bytes | Iterable[bytes], *, follow: bool = True
) -> None:
    """Writes a file so that a reader, or a crash at any moment, sees the old or the new one.

    Links are followed to the file they mean. A temporary file beside it takes over mode, owner and access
    list of what was there, is synced and renamed over it; then the folder is synced. Another hard link to the
    old file keeps the old content. What is no regular file (a device, a pipe, ``/dev/stdout`` whatever that
    leads to) is written straight into; a named pipe that nobody reads is waited for.

    Args:
        path: of the file.
        content: all of it, or its parts, of which each is taken when those before it are written.
        follow: links, and write into what is no regular file; otherwise both are replaced.

    Raises:
        ResourceError: the disk is full; the target is untouched and no temporary file is left.
        OSError: whatever else keeps a file from being written; likewise, and it names the target.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     target, link = Path(folder, "target"), Path(folder, "link")
        ...     link.symlink_to(target)
        ...     write_atomically(link, b"content")
        ...     target.read_bytes(), link.is_symlink()
        (b'content', True)
    """
    parts = _Parts(content)
    with _told(path, parts):
        place = destination(path) if follow else Path(path)
        if isinstance(place, int) or (follow and _is_special(place)):
            _write_into(place, parts)
        else:
            _replace(place, parts)


def destination(path: AnyPath) -> Path | int:
    """What a path means: the file that its links lead to, or the number of an open file of this process.

    Raises:
        OSError: the links lead in a circle, or to an open file that there is not.

    Example:
        >>> destination("/dev/fd/7")
        7
    """
    place, open_files = Path(path), {Path(os.path.realpath(folder)) for folder in OPEN_FILES}
    for _ in range(LINKS + 1):
        place = Path(os.path.realpath(place.parent), place.name)
        if place.parent in open_files:
            if not re.fullmatch("[0-9]{1,9}", place.name):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
            return int(place.name)
        if re.fullmatch(r"/proc/\d+(/task/\d+)?/fd", str(place.parent)):
            return place  # an open file of another process: what its link says need not be a path
        try:
            place = place.parent / os.readlink(place)
        except OSError:  # it is no link, or not there yet
            return place
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))


def is_direct(path: AnyPath) -> bool:
    """Whether a path is written straight into, being neither a regular file nor a place for one.

    Raises:
        OSError: the path cannot be looked at.

    Example:
        >>> is_direct("/dev/null"), is_direct("new.csv")
        (True, False)
    """
    with _told(path):
        place = destination(path)
        return isinstance(place, int) or _is_special(place)


def is_stdout(path: AnyPath) -> bool:
    """Whether what is written to a path comes out where this process's stdout does."""
    if not is_direct(path):
        return False
    place = destination(path)
    try:
        there = os.fstat(place) if isinstance(place, int) else os.stat(place)
        return os.path.samestat(there, os.fstat(1))
    except OSError:  # one of them is closed
        return False


def is_terminal(path: AnyPath) -> bool:
    """Whether what is written to a path appears in a terminal."""
    place = destination(path)
    if isinstance(place, int):
        return os.isatty(place)
    if not place.is_char_device():
        return False
    handle = os.open(place, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        return os.isatty(handle)
    finally:
        os.close(handle)


def check_target(path: AnyPath) -> None:
    """Looks whether :func:`write_atomically` may write a path: for before the work whose result it is.

    Raises:
        OSError: it may not.
    """
    with _told(path):
        place = destination(path)
        if isinstance(place, int):
            os.write(place, b"")  # refused if it may only be read
        elif _is_special(place):
            _check_writable(place)
        else:
            before, folder = _before(place), os.stat(place.parent)
            _check_writable(place.parent)
            if before is not None and sys.platform != "win32" and folder.st_mode & stat.S_ISVTX:
                if os.geteuid() not in (0, before.st_uid, folder.st_uid):
                    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


class _Parts:
    """What is written: its bytes so far, and the error of whoever makes them, if that is what ended it."""

    def __init__(self, content: bytes | Iterable[bytes]) -> None:
        self.parts = [content] if isinstance(content, bytes) else content
        self.size = 0
        self.failure: OSError | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self.parts:
                self.size += len(part)
                yield part
        except OSError as error:
            self.failure = error
            raise


@contextlib.contextmanager
def _told(path: AnyPath, parts: _Parts | None = None) -> Iterator[None]:
    """Errors name the target as it was given, not what it leads to, nor a temporary file."""
    parts = parts or _Parts(b"")
    try:
        yield
    except OSError as error:
        if error is parts.failure or isinstance(error, BrokenPipeError):
            raise  # no fault of the target; or nobody's, as whoever read it has left
        if error.errno in DISK_FULL:
            needs = f", which needs {parts.size:,} bytes or more" * bool(parts.size)
            raise ResourceError(
                f"disk full: cannot write {Path(path).name}{needs}", hint="free some space"
            ) from error
        error.filename, error.filename2 = os.fspath(path), None
        raise


def _is_special(place: Path) -> bool:
    """Whether there is something that is neither a regular file nor a folder."""
    try:
        mode = os.lstat(place).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _write_into(place: Path | int, parts: Iterable[bytes]) -> None:
    """Writes into what is there, from where it stands on."""
    if isinstance(place, int):
        if sys.stdout is not None:
            sys.stdout.flush()  # what was printed before comes before
        handle = os.dup(place)
    else:
        handle = os.open(place, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOCTTY", 0))
    try:
        for part in parts:
            rest = memoryview(part)
            while rest:
                try:
                    rest = rest[os.write(handle, rest) :]
                except BlockingIOError:  # full, and opened by somebody who did not want to wait
                    select.select([], [handle], [])
    finally:
        os.close(handle)


def _replace(target: Path, parts: Iterable[bytes]) -> None:
    """Writes a regular file, whole or not at all."""
    before = _before(target)
    temporary = target.with_name(f".{target.name[:24]}.{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, 0o666 if before is None else 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            if before is not None:
                _keep_access(file.fileno(), target, before)
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _before(target: Path) -> os.stat_result | None:
    """The regular file that is to be replaced, if there is one; no folder, nor what is protected."""
    try:
        status = os.lstat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    _check_writable(target)
    return status


def _check_writable(place: Path) -> None:
    os.stat(place)
    if not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _keep_access(handle: int, target: Path, before: os.stat_result) -> None:
    """Gives an open file the owner, the access list and the mode of another, as far as the system lets it."""
    if sys.platform == "win32":
        return
    for owner, group in ((before.st_uid, -1), (-1, before.st_gid)):
        with contextlib.suppress(OSError):
            os.fchown(handle, owner, group)
    mode = before.st_mode & 0o777
    if os.fstat(handle).st_gid != before.st_gid:  # another group gets no more than everybody
        mode &= 0o707 | (mode & 0o007) << 3
    elif sys.platform == "linux":
        with contextlib.suppress(OSError):  # there is none, as nearly always
            os.setxattr(handle, ACCESS_LIST, os.getxattr(target, ACCESS_LIST))
    with contextlib.suppress(OSError):  # a file system without modes
        os.fchmod(handle, mode)


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut; not every platform can open a folder, or sync it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
