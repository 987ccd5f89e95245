"""Folders that may come from anybody: in them no link is followed, and names are names.

A run folder, or what a preparation has left, is filled by this program alone. If it was handed over, a link
in it could have any file of whoever uses it read, emptied or added to.
"""

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from pixelcnn.annotations import shown
from pixelcnn.errors import ConfigError
from pixelcnn.files import AnyPath, write_atomically

NAME_BYTES = 100
"""Length of a plain name at most."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems without locks say."""
BEST = "best.safetensors"
"""The model of a run folder."""
RUNS = Path("runs")
"""Where run folders are made for which nobody names a place."""


def at_home(path: AnyPath) -> Path:
    """A path in which ``~`` is the folder of a user, as a shell reads it; that of nobody is a name.

    Example:
        >>> print(at_home("~nobody-of-this-name/a.npy"))
        ~nobody-of-this-name/a.npy
    """
    return Path(os.path.expanduser(path))  # Path's own fails for a user that is not there


def is_there(path: Path) -> bool:
    """Whether there is a file or folder; of a name that is too long for one there is none, by Path an error.

    Example:
        >>> is_there(Path("a" * 1000)), is_there(Path("."))
        (False, True)
    """
    try:
        return path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def is_plain(name: str) -> bool:
    r"""Whether a text can name a file in any folder, and no file anywhere else.

    Example:
        >>> is_plain("keras-mnist"), is_plain("../x"), is_plain(".."), is_plain("a\x1b[2J"), is_plain("")
        (True, False, False, False, False)
    """
    return bool(
        name.isprintable()
        and not re.search(r"^$|^\.|[/\\]|^\s|\s$", name)
        and len(os.fsencode(name)) <= NAME_BYTES
    )


def number_of(base: Path, there: Iterable[Path]) -> int:
    """The highest number of ``base``, which is 1, ``base-2``, ``base-3`` and so on; 0 if none is there.

    Example:
        >>> number_of(Path("runs/demo"), [Path("runs/demo-b"), Path("runs/demo"), Path("runs/demo-7")])
        7
    """
    name = re.compile(re.escape(base.name) + "(?:-([1-9][0-9]{0,8}))?")
    found = (name.fullmatch(path.name) for path in there)
    return max((int(match[1] or 1) for match in found if match), default=0)


def numbered(base: Path, number: int) -> Path:
    """The folder of that number, see :func:`number_of`."""
    return base if number == 1 else base.with_name(f"{base.name}-{number}")


def run_folders(folder: Path = RUNS) -> list[str]:
    """Run folders with a model directly in a folder, in order of their names."""
    return sorted(str(path.parent) for path in folder.glob(f"*/{BEST}"))


def check_name(name: object, what: str) -> None:
    """Refuses what is not a plain name.

    Raises:
        ConfigError: says of what it cannot be the name.
    """
    if not isinstance(name, str) or not is_plain(name):
        raise ConfigError(
            f"{shown(name)} cannot be the name of {what}",
            hint=f"a name has no / in it, does not begin with a dot, and has at most {NAME_BYTES} bytes",
        )


def open_inside(path: AnyPath, flags: int) -> int:
    """Opens a regular file that has no other name, and no link; gives its descriptor.

    Args:
        path: of the file.
        flags: of :func:`os.open`; a file is cut only once it is known, so without ``O_TRUNC``.

    Raises:
        ConfigError: the path is a link, or no such file.
        OSError: whatever else keeps a file from being opened.
    """
    check_inside(path)
    harmless = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, flags | harmless | getattr(os, "O_BINARY", 0), 0o666)
    try:
        _check_plain(path, os.fstat(handle))  # again: it may have been exchanged since
    except BaseException:
        os.close(handle)
        raise
    return handle


def hold(handle: int) -> bool:
    """Whether an open file is this process's alone until it ends, whatever ends it.

    Windows has no such locks, nor have file systems of some clusters: nothing keeps a second process out.

    Raises:
        BlockingIOError: another process has it.
    """
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


def read_inside(path: AnyPath) -> bytes:
    """The content of a file; see :func:`open_inside`."""
    with open(path, "rb", opener=open_inside) as file:
        return file.read()


def append_inside(path: AnyPath, content: bytes, *, sync: bool = False) -> None:
    """Adds to a file, and makes one if there is none; see :func:`open_inside`.

    Args:
        path: of the file.
        content: what to add.
        sync: makes all of the file survive a power cut.
    """
    with open(path, "ab", opener=open_inside) as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def write_inside(path: AnyPath, content: bytes | Iterable[bytes]) -> None:
    """As :func:`write_atomically`, where links are not followed: see :func:`open_inside`."""
    check_inside(path)
    write_atomically(path, content, follow=False)


def check_inside(path: AnyPath) -> None:
    """Refuses what is there under a path, unless it is a regular file that has no other name.

    Raises:
        ConfigError: it is a link, or no such file.
    """
    with contextlib.suppress(FileNotFoundError):
        _check_plain(path, os.lstat(path))


def check_folder(folder: AnyPath, ours: Collection[str] = ()) -> None:
    """Refuses a folder with anything in it that leads elsewhere.

    Args:
        folder: may itself be reached by links.
        ours: names of the folders in it that are for this program alone: like the folder itself, they hold
            regular files without other names, and folders of such. In others, as those of experiment
            trackers, links may lead to what is in ``folder``, and sockets and the like may lie.

    Raises:
        ConfigError: names what is in it.
        OSError: it cannot be read.
    """
    root = Path(os.path.realpath(folder))
    for entry in _entries(folder):
        if not entry.is_dir(follow_symlinks=False):
            check_inside(entry.path)
        elif entry.name in ours:
            check_folder(entry.path, [each.name for each in _entries(entry.path)])
        else:
            for below in _links_below(entry.path):
                if not Path(os.path.realpath(below)).is_relative_to(root):
                    check_inside(below)


def _entries(folder: AnyPath) -> list[os.DirEntry[str]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)
    return []


def _links_below(folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        yield from filter(os.path.islink, (os.path.join(parent, each) for each in folders + files))


def _check_plain(path: AnyPath, status: os.stat_result) -> None:
    """Raises :class:`ConfigError` for anything but a regular file without other names."""
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        return
    if stat.S_ISREG(status.st_mode):
        what, hint = (
            "has another name (a hard link)",
            "copy the folder with cp -r, and use the copy",
        )
    elif stat.S_ISLNK(status.st_mode):
        what, hint = "is a symbolic link", "remove it, or replace it by what it leads to"
    else:
        what, hint = "is no regular file", "remove it"
    raise ConfigError(f"{os.fspath(path)} {what}, and is not touched", hint=hint)
