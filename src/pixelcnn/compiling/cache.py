"""A compiled library in the cache: believed if it is the one that was built, else built anew.

Beside ``NAME-KEY.so`` lies ``NAME-KEY.sha256``, in the format of ``sha256sum``; a ``NAME-KEY.failed`` says on
which day a compiler failed, and how. What has the right hash is copied into memory that can no longer be
changed, and loaded from there: so no other bytes are run than were checked, and no file that is cut short or
lies on a network disk that goes away can take the process with it. It costs each process a copy, 0.4 MB.
"""

import contextlib
import ctypes
import datetime
import fcntl
import hashlib
import logging
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence

from pixelcnn.compiling.compiler import PATIENCE, NotBuilt, compile_into
from pixelcnn.compiling.folder import UNFINISHED, Folder, Untrusted, open_folder

UNUSED = 180 * 24 * 3600.0
"""Seconds after which a file that nobody has read is removed by the next build."""
ELSEWHERE = "; XDG_CACHE_HOME can name another place"
SEALS = ("F_SEAL_SEAL", "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_WRITE")

logger = logging.getLogger("pixelcnn")


class _Damaged(Exception):
    """What lies in the cache is not what was built; says why."""


def obtain(
    name: str, key: str, sources: Mapping[str, bytes], compiler: str, functions: Sequence[str]
) -> ctypes.CDLL:
    """A library from the cache, or built into it by one process while others wait for it.

    Args:
        name: the library's.
        key: hash of all that it depends on.
        sources: contents by file name; the first is compiled.
        compiler: path.
        functions: that it has.

    Raises:
        NotBuilt: it cannot be had.
    """
    stem = f"{name}-{key}"
    with _cache_folder() as folder:
        with contextlib.suppress(FileNotFoundError, _Damaged):
            return _take(folder, stem, functions)

        def waiting() -> None:
            logger.info("another process builds the native %s: waiting for it", name)

        with folder.locked(PATIENCE, waiting) as alone:
            try:
                return _take(folder, stem, functions)
            except FileNotFoundError:
                note = f"building the native {name}, once"
            except _Damaged as error:
                note = f"building the native {name} anew: {error}"
            _check_not_failed(folder, stem)
            _tidy(folder, alone=alone)
            try:
                _build(folder, stem, sources, compiler, note)
                return _take(folder, stem, functions)
            except _Damaged as error:
                failure = NotBuilt(f"{compiler} made no usable library: {error}", passing=False)
            except NotBuilt as error:
                failure = error
            if not failure.passing:
                _remember(folder, stem, str(failure))
            raise failure


@contextlib.contextmanager
def _cache_folder() -> Iterator[Folder]:
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # to be ignored, as its specification says
        home = os.path.expanduser("~")
        if not os.path.isdir(home) or not os.path.isabs(home) or home == "/":
            raise NotBuilt("there is no home folder, nor an XDG_CACHE_HOME, for a cache")
        base = os.path.join(home, ".cache")
    try:
        with open_folder(os.path.join(base, "pixelcnn", "native")) as folder:
            if os.fstatvfs(folder.descriptor).f_flag & getattr(os, "ST_NOEXEC", 0):
                raise NotBuilt(f"{folder.path} is on a file system that runs no programs (noexec)")
            yield folder
    except Untrusted as error:
        raise NotBuilt(f"no cache for compiled code: {error}{ELSEWHERE}") from error
    except OSError as error:
        raise NotBuilt(
            f"no cache for compiled code in {base}: {error.strerror}{ELSEWHERE}"
        ) from error


def _take(folder: Folder, stem: str, functions: Sequence[str]) -> ctypes.CDLL:
    """A library, if it is what was built.

    Raises:
        FileNotFoundError: there is none.
        _Damaged: it is not.
    """
    file = f"{stem}.so"
    try:
        content = folder.read(file)
        expected = folder.read(f"{stem}.sha256")
    except FileNotFoundError:
        raise
    except (OSError, Untrusted) as error:
        raise _Damaged(str(error)) from error
    if _sum(file, content) != expected:
        raise _Damaged(f"{file} has changed since it was built")
    try:
        library = ctypes.CDLL(_unchangeable(content, stem) or f"{folder.place}/{file}")
    except OSError as error:
        raise _Damaged(f"{file} cannot be loaded: {error}") from error
    for function in functions:
        if not hasattr(library, function):
            raise _Damaged(f"{file} lacks {function}")
    return library


def _sum(file: str, content: bytes) -> bytes:
    """A line of ``sha256sum``; with the name, since files of the same content and other names are others."""
    return f"{hashlib.sha256(content).hexdigest()}  {file}\n".encode()


def _unchangeable(content: bytes, name: str) -> str:
    """A path to sealed memory with this content; empty where the system has none."""
    if not hasattr(os, "memfd_create"):
        return ""
    try:
        # Never closed: the loader would take the next library with this number for this one.
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(descriptor, "wb", closefd=False) as memory:
            memory.write(content)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, sum(getattr(fcntl, seal) for seal in SEALS))
    except OSError:
        return ""
    path = f"/proc/self/fd/{descriptor}"
    return path if os.path.exists(path) else ""


def _build(
    folder: Folder, stem: str, sources: Mapping[str, bytes], compiler: str, note: str
) -> None:
    file = f"{stem}.so"
    with folder.scratch() as scratch:
        logger.info("%s", note)
        for name, source in sources.items():
            scratch.write(name, source)
        compile_into(compiler, scratch.place, scratch.descriptor, next(iter(sources)), file)
        try:
            os.chmod(file, 0o600, dir_fd=scratch.descriptor)  # whatever the process's umask is
            content = scratch.read(file)
        except (OSError, Untrusted) as error:
            raise NotBuilt(f"{compiler} made no library: {error}", passing=False) from error
        for suffix in ("sha256", "failed"):
            folder.remove(f"{stem}.{suffix}")
        folder.write(file, content)
        folder.write(f"{stem}.sha256", _sum(file, content))


def _check_not_failed(folder: Folder, stem: str) -> None:
    """Refuses what has failed today already.

    Raises:
        NotBuilt: it has, with the same reason.
    """
    with contextlib.suppress(OSError, Untrusted):
        day, _, reason = folder.read(f"{stem}.failed").decode(errors="replace").partition(" ")
        if day == _today():
            raise NotBuilt(f"{reason}; to be tried again tomorrow, or without {stem}.failed")


def _remember(folder: Folder, stem: str, reason: str) -> None:
    with contextlib.suppress(OSError):
        folder.write(f"{stem}.failed", f"{_today()} {reason}".encode(errors="replace"))


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _tidy(folder: Folder, *, alone: bool) -> None:
    """Removes what killed builds have left, unless other builds go on, and libraries that nobody has used."""
    oldest = time.time() - UNUSED

    def stays(name: str, status: os.stat_result) -> bool:
        if stat.S_ISDIR(status.st_mode) or name.endswith(UNFINISHED):
            return not alone
        return max(status.st_mtime, status.st_atime) > oldest

    folder.clear(unless=stays)
