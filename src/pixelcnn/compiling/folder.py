"""A folder that its user alone can write into, held by its descriptor.

The way to it is walked component by component, each opened in the one before, so that nothing on it can be
exchanged between a look and a use. Folders on the way belong to the user or to root, and nobody else can
write into them: but into those of root with the sticky bit, such as ``/tmp``, where entries are their
owners', or where the group is the user's private one. The last two folders, and every file in the last,
belong to the user. A symbolic link may stand on the way, as where a cache lies on another disk, if the user
or root made it; what it leads through is held to the same.
"""

import contextlib
import fcntl
import grp
import os
import pwd
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

OTHERS = stat.S_IWGRP | stat.S_IWOTH
HERE = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PASS = getattr(os, "O_PATH", os.O_RDONLY) | HERE
"""Opens a folder to go through it, which takes no right to list it."""
MOST_LINKS = 40
MOST_BYTES = 2**26
"""Of a file that is read."""
PAUSE = 0.1
"""Seconds between looks at a lock that another process holds."""
LOCK = "lock"
UNFINISHED = ".new"
"""How the name of a file ends that is being written."""


class Untrusted(Exception):
    """A folder or file that somebody else may have written, or none at all; says which and why."""


@dataclass(frozen=True)
class Folder:
    """An open folder.

    Attributes:
        descriptor: of the folder.
        path: where it was found, for messages, and for systems that cannot reach it otherwise.
    """

    descriptor: int
    path: str

    @property
    def place(self) -> str:
        """A path to it for libraries and programs that take no descriptors."""
        through = f"/proc/self/fd/{self.descriptor}"
        return through if os.path.isdir(through) else self.path

    def read(self, name: str) -> bytes:
        """The content of a file that nobody but the user can have written.

        Raises:
            FileNotFoundError: there is none.
            Untrusted: it is another user's, another one can write it, it has a second name, or it is no file.
            OSError: it cannot be read.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(name, flags, dir_fd=self.descriptor), "rb") as file:
            _check_file(name, os.fstat(file.fileno()))
            return file.read()

    def write(self, name: str, content: bytes) -> None:
        """Puts a file of the user's own in the place of whatever has this name."""
        new = f"{name}.{secrets.token_hex(8)}{UNFINISHED}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(new, flags, 0o600, dir_fd=self.descriptor), "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(content)
            self._move(new, name)
        except BaseException:
            self.remove(new)
            raise

    def _move(self, new: str, name: str) -> None:
        ends = {"src_dir_fd": self.descriptor, "dst_dir_fd": self.descriptor}
        try:
            os.replace(new, name, **ends)
        except IsADirectoryError:
            self.remove(name)
            os.replace(new, name, **ends)

    def remove(self, name: str) -> None:
        """Removes a file, or a folder with all in it, as far as that is possible."""
        try:
            os.unlink(name, dir_fd=self.descriptor)
        except FileNotFoundError:
            pass
        except OSError:
            shutil.rmtree(name, dir_fd=self.descriptor, ignore_errors=True)

    def clear(self, unless: Callable[[str, os.stat_result], bool]) -> None:
        """Removes all but the lock, and what is to be kept: told by its name and state."""
        for name in os.listdir(self.descriptor):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
                if name != LOCK and not unless(name, status):
                    self.remove(name)

    @contextlib.contextmanager
    def scratch(self) -> Iterator["Folder"]:
        """A new folder inside, gone after the ``with`` block."""
        name = f"build-{secrets.token_hex(8)}"
        os.mkdir(name, 0o700, dir_fd=self.descriptor)
        try:
            with _closing(os.open(name, os.O_RDONLY | HERE, dir_fd=self.descriptor)) as inside:
                yield Folder(inside, os.path.join(self.path, name))
        finally:
            self.remove(name)

    @contextlib.contextmanager
    def locked(self, seconds: float, waiting: Callable[[], None]) -> Iterator[bool]:
        """Keeps other processes, and threads, out of the same ``with`` block.

        A lock dies with the process that holds it.

        Args:
            seconds: after which to go on without it.
            waiting: called once, if there is something to wait for.

        Yields:
            Whether the lock is held: not every network file system has locks.
        """
        try:
            lock = self._open_lock()
        except (OSError, Untrusted):
            self.remove(LOCK)
            lock = self._open_lock()
        with _closing(lock):
            yield _lock(lock, seconds, waiting)

    def _open_lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        lock = os.open(LOCK, flags, 0o600, dir_fd=self.descriptor)
        try:
            _check_file(LOCK, os.fstat(lock))
        except Untrusted:
            os.close(lock)
            raise
        return lock


def _lock(descriptor: int, seconds: float, waiting: Callable[[], None]) -> bool:
    end, told = time.monotonic() + seconds, False
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if not told:
                waiting()
                told = True
            time.sleep(PAUSE)
        except OSError:
            return False
    return False


@contextlib.contextmanager
def open_folder(path: str) -> Iterator[Folder]:
    """Opens a folder that is the user's alone, made if need be, for a ``with`` block.

    Others who could write into the last folder or the one above it cannot from now on, and all that is in the
    last one is removed.

    Args:
        path: absolute.

    Raises:
        Untrusted: somebody else could exchange it; the message names the component.
        OSError: it cannot be made or opened.
    """
    with contextlib.ExitStack() as opened:
        pending, links, exposed = path.split("/")[::-1], 0, False
        here, walked = opened.enter_context(_closing(os.open("/", PASS))), "/"
        _check_parent(walked, os.fstat(here))
        while pending:
            name = pending.pop()
            if name in ("", "."):
                continue
            last_two = sum(part not in ("", ".") for part in pending) < 2
            target = _link(here, name, os.path.join(walked, name))
            if target is not None:
                links += 1
                if links > MOST_LINKS:
                    raise Untrusted(f"{path} leads through too many links")
                pending += target.split("/")[::-1]
                if target.startswith("/"):
                    here, walked = opened.enter_context(_closing(os.open("/", PASS))), "/"
                continue
            flags = (os.O_RDONLY | HERE) if last_two else PASS
            here = opened.enter_context(_closing(os.open(name, flags, dir_fd=here)))
            walked = os.path.normpath(os.path.join(walked, name))
            if last_two:
                exposed |= _close_to_others(walked, here)
            else:
                _check_parent(walked, os.fstat(here))
        folder = Folder(here, walked)
        if exposed:
            folder.clear(unless=lambda name, status: False)
            folder.remove(LOCK)
        yield folder


def _link(here: int, name: str, path: str) -> str | None:
    """Where a link leads; None for a folder, which is made if need be."""
    try:
        status = os.stat(name, dir_fd=here, follow_symlinks=False)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=here)
        return None
    if not stat.S_ISLNK(status.st_mode):
        return None
    if status.st_uid not in (0, os.geteuid()):
        raise Untrusted(f"the link {path} belongs to another user")
    return os.readlink(name, dir_fd=here)


def _check_parent(path: str, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise Untrusted(f"{path} belongs to another user")
    sticky = status.st_uid == 0 and status.st_mode & stat.S_ISVTX
    if status.st_mode & OTHERS and not sticky and not _private_group(status):
        raise Untrusted(f"other users can write into {path}")


def _private_group(status: os.stat_result) -> bool:
    """Whether only the group may write, and is that of the user's own name, with no other member."""
    try:
        group, user = grp.getgrgid(status.st_gid), pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False
    return not status.st_mode & stat.S_IWOTH and group.gr_name == user and {*group.gr_mem} <= {user}


def _close_to_others(path: str, descriptor: int) -> bool:
    """Takes the right to write from others; whether they had it."""
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid():
        raise Untrusted(f"{path} belongs to another user")
    if not status.st_mode & OTHERS:
        return False
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~OTHERS)
    return True


def _check_file(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Untrusted(f"{name} is not a regular file")
    if status.st_uid != os.geteuid():
        raise Untrusted(f"{name} belongs to another user")
    if status.st_mode & OTHERS:
        raise Untrusted(f"other users can write {name}")
    if status.st_nlink != 1:
        raise Untrusted(f"{name} has a second name")
    if status.st_size > MOST_BYTES:
        raise Untrusted(f"{name} has {status.st_size:,} bytes")


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
