"""Every exception this package raises on purpose.

::

    PixelCNNError                 exit code 1
    ├── ConfigError               2   an option, recipe or argument that cannot be used
    │   └── UnknownName           2   a name no registry knows
    ├── DataError                 3   bad or corrupt input
    ├── ModelError                4   a model file, or a model that does not fit the data
    ├── ResourceError             5   out of memory or disk
    ├── TrainingError             1   training cannot go on (NaN, an infinite loss)
    └── ConformanceError          1   a promise that a network, output or model breaks

A message says what is wrong with the actual value; ``hint`` says what to do about it.
"""

import contextlib
import errno
import os
from collections.abc import Iterator

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a system says when there is no room for a file: on the disk, in a quota, or under a limit of sizes."""
REMEDIES = {errno.EISDIR: "name a file in it", errno.ENOENT: "make its folder first"}


class PixelCNNError(Exception):
    """Base of the tree: ``str(error)`` is one line, ``error.hint`` the remedy (may be empty).

    A traceback shows the hint as a note, under the message.

    Example:
        >>> error = DataError("images.npy: 3 axes expected, got 7", hint="pass n h w")
        >>> error.exit_code, error.hint
        (3, 'pass n h w')
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")


class SlowSampling(UserWarning):
    """Sampling calls ``forward`` for every position, since the network has no program; says why."""


class ConfigError(PixelCNNError):
    """An option, recipe or argument that cannot be used."""

    exit_code = 2


class UnknownName(ConfigError):
    """A name that no registry knows."""


class DataError(PixelCNNError):
    """Input data that are bad, corrupt or do not fit."""

    exit_code = 3


class ModelError(PixelCNNError):
    """A model file that cannot be used, or a model that does not fit what it was given."""

    exit_code = 4


class ResourceError(PixelCNNError):
    """Out of memory or disk."""

    exit_code = 5


class TrainingError(PixelCNNError):
    """Training cannot go on."""


class ConformanceError(PixelCNNError):
    """A network, an output or a model breaks a promise."""


@contextlib.contextmanager
def writing(
    path: str | os.PathLike[str], *, other: str = "path", full: str = "free some space"
) -> Iterator[None]:
    """Says in one line that a path cannot be written, and why.

    Args:
        path: as the message names it.
        other: what to choose another one of.
        full: what to do about a full disk.

    Raises:
        ResourceError: the disk is full.
        ConfigError: whatever else the system has against it.

    Example:
        >>> try:
        ...     with writing("m.safetensors"):
        ...         raise IsADirectoryError(errno.EISDIR, "Is a directory")
        ... except ConfigError as error:
        ...     print(error)
        m.safetensors cannot be written: Is a directory
    """
    try:
        yield
    except BrokenPipeError:
        raise  # nobody's fault: whoever read it has left
    except OSError as error:
        if error.errno in DISK_FULL:
            raise ResourceError(f"disk full: cannot write {os.fspath(path)}", hint=full) from error
        raise ConfigError(
            f"{os.fspath(path)} cannot be written: {error.strerror or error}",
            hint=REMEDIES.get(error.errno or 0, f"choose another {other}"),
        ) from error
