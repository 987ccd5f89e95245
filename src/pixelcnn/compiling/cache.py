"""A compiled library in the cache: believed if it is the one that was built, else built anew.

The cache is a folder that nobody but the user can write into or exchange. Beside ``NAME-KEY.so`` lies
``NAME-KEY.sha256``, in the format of ``sha256sum``; a ``NAME-KEY.failed`` says on which day a compiler
failed, and how.
"""

import contextlib
import ctypes
import datetime
import grp
import hashlib
import logging
import os
import pwd
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pixelcnn.compiling.compiler import PATIENCE, NotBuilt, compile_in
from pixelcnn.errors import ConfigError
from pixelcnn.folders import hold, read_inside

UNUSED = 180 * 24 * 3600.0
"""Seconds after which what nobody has read is removed by the next build."""
ELSEWHERE = "; XDG_CACHE_HOME can name another place"
OTHERS = stat.S_IWGRP | stat.S_IWOTH
LOCK = "lock"
PAUSE = 0.1
"""Seconds between looks at a lock that another process holds."""

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
    place = _place()
    try:
        library = private_folder(place) / f"{name}-{key}.so"
        if os.statvfs(library.parent).f_flag & getattr(os, "ST_NOEXEC", 0):
            raise NotBuilt(f"{place} is on a file system that runs no programs (noexec)")
        with contextlib.suppress(FileNotFoundError, _Damaged):
            return _take(library, functions)
        with _alone(library.parent, name):
            try:
                return _take(library, functions)
            except FileNotFoundError:
                note = f"building the native {name}, once"
            except _Damaged as error:
                note = f"building the native {name} anew: {error}"
            _check_not_failed(library)
            logger.info("%s", note)
            _tidy(library.parent)
            return _built(library, sources, compiler, functions)
    except (OSError, ConfigError) as error:
        why = getattr(error, "strerror", None) or error
        raise NotBuilt(f"no cache for compiled code in {place}: {why}{ELSEWHERE}") from error


def _place() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # to be ignored, as its specification says
        home = os.path.expanduser("~")
        if not os.path.isdir(home) or not os.path.isabs(home) or home == "/":
            raise NotBuilt("there is no home folder, nor an XDG_CACHE_HOME, for a cache")
        base = os.path.join(home, ".cache")
    return Path(base, "pixelcnn", "native")


def private_folder(path: Path) -> Path:
    """A folder that the user alone can write into, made if need be; without links on the way.

    Whoever can write into a folder on the way can exchange what is below. So from the root on, where links
    lead, each belongs to the user or to root, and nobody else can write into it: but into those of root with
    the sticky bit, such as ``/tmp``, or where the group is the user's private one. The last is the user's;
    from it and the one above, if that is, too, the right of others to write is taken.

    Raises:
        NotBuilt: somebody else could exchange it; names the component.
        OSError: it cannot be made.
    """
    real, me = Path(os.path.realpath(path)), os.geteuid()
    way = (*reversed(real.parents), real)
    for place in way:
        place.mkdir(0o700, exist_ok=True)
    for ours in (path.parent, path):  # what others have put there is not read, see _read
        status = ours.stat()
        if status.st_uid == me and status.st_mode & OTHERS:
            ours.chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)
    for place in way:
        status = place.stat()
        if status.st_uid != me and (place == real or status.st_uid != 0):
            raise NotBuilt(
                f"no cache for compiled code: {place} belongs to another user{ELSEWHERE}"
            )
        sticky = status.st_uid == 0 and status.st_mode & stat.S_ISVTX
        if status.st_mode & OTHERS and not sticky and not _private_group(status):
            raise NotBuilt(
                f"no cache for compiled code: other users can write into {place}{ELSEWHERE}"
            )
    return real


def _private_group(status: os.stat_result) -> bool:
    """Whether only the group may write, and is that of the user's own name, with no other member."""
    try:
        group, user = grp.getgrgid(status.st_gid), pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False
    return not status.st_mode & stat.S_IWOTH and group.gr_name == user and {*group.gr_mem} <= {user}


@contextlib.contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Keeps other processes, and threads, out of the same ``with`` block, for as long as one may build."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        begun, told = time.monotonic(), False
        while time.monotonic() - begun < PATIENCE:
            try:
                hold(handle)
                break
            except BlockingIOError:
                if not told:
                    logger.info("another process builds the native %s: waiting for it", name)
                told = True
                time.sleep(PAUSE)
        yield
    finally:
        os.close(handle)


def _take(library: Path, functions: Sequence[str]) -> ctypes.CDLL:
    """A library, if it is what was built.

    Raises:
        FileNotFoundError: there is none.
        _Damaged: it is not.
    """
    try:
        content, expected = _read(library), _read(library.with_suffix(".sha256"))
        if _sum(library, content) != expected:
            raise _Damaged(f"{library.name} has changed since it was built")
        found = _loaded(library, content)
    except FileNotFoundError:
        raise
    except (OSError, ConfigError) as error:
        raise _Damaged(f"{library.name} cannot be loaded: {error}") from error
    for function in functions:
        if not hasattr(found, function):
            raise _Damaged(f"{library.name} lacks {function}")
    return found


def _read(path: Path) -> bytes:
    """The content of a file that nobody but the user can have written, even while the folder was open."""
    status = path.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & OTHERS:
        raise _Damaged(f"others can have written {path.name}")
    return read_inside(path)


def _loaded(library: Path, content: bytes) -> ctypes.CDLL:
    """A library from memory, where the system has files: these bytes, whatever becomes of those on disk."""
    with contextlib.suppress(OSError, AttributeError):
        # Never closed: the loader would take the next library with this number for this one.
        descriptor = os.memfd_create(library.name, os.MFD_CLOEXEC)
        with open(descriptor, "wb", closefd=False) as memory:
            memory.write(content)
        return ctypes.CDLL(f"/proc/self/fd/{descriptor}")
    return ctypes.CDLL(str(library))


def _sum(library: Path, content: bytes) -> bytes:
    """A line of ``sha256sum``; with the name, since files of the same content and other names are others."""
    return f"{hashlib.sha256(content).hexdigest()}  {library.name}\n".encode()


def _built(
    library: Path, sources: Mapping[str, bytes], compiler: str, functions: Sequence[str]
) -> ctypes.CDLL:
    """The library, once it is built; what fails for the source's sake is remembered for the day."""
    try:
        _build(library, sources, compiler)
        return _take(library, functions)
    except _Damaged as error:
        failure = NotBuilt(f"{compiler} made no usable library: {error}", passing=False)
    except NotBuilt as error:
        failure = error
    if not failure.passing:
        library.with_suffix(".failed").write_text(f"{_today()} {failure}", errors="replace")
    raise failure


def _build(library: Path, sources: Mapping[str, bytes], compiler: str) -> None:
    """Compiles beside the library, and moves what came of it into its place."""
    with tempfile.TemporaryDirectory(
        prefix="build-", dir=library.parent, ignore_cleanup_errors=True
    ) as scratch:
        for name, source in sources.items():
            Path(scratch, name).write_bytes(source)
        compile_in(scratch, compiler, next(iter(sources)), library.name)
        new = Path(scratch, library.name)
        try:
            content = read_inside(new)
        except (OSError, ConfigError) as error:
            raise NotBuilt(f"{compiler} made no library: {error}", passing=False) from error
        new.with_suffix(".sha256").write_bytes(_sum(library, content))
        for suffix in (".so", ".sha256"):
            new.with_suffix(suffix).chmod(0o600)  # whatever the process's umask is
            os.replace(new.with_suffix(suffix), library.with_suffix(suffix))
    library.with_suffix(".failed").unlink(missing_ok=True)


def _check_not_failed(library: Path) -> None:
    """Raises :class:`NotBuilt` where a build has failed today already, with the same reason."""
    failed = library.with_suffix(".failed")
    with contextlib.suppress(OSError):
        day, _, reason = failed.read_text(errors="replace").partition(" ")
        if day == _today():
            raise NotBuilt(f"{reason}; to be tried again tomorrow, or without {failed.name}")


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _tidy(folder: Path) -> None:
    """Removes what nobody has used for long: libraries, and what killed builds have left."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            status = path.lstat()
            unused = max(status.st_mtime, status.st_atime) < time.time() - UNUSED
            if unused and path.name != LOCK:
                shutil.rmtree(path) if stat.S_ISDIR(status.st_mode) else path.unlink()
