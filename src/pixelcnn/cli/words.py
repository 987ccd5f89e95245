"""What words of the command line mean: sizes, numbers, parts, and where files go."""

import os
from pathlib import Path

import typer

from pixelcnn.annotations import shown
from pixelcnn.errors import ConfigError
from pixelcnn.folders import at_home

STDIN = "-"
"""Standard input, where a file is asked for."""
PIPE = "pipe something in, as in 'pixelcnn compress MODEL - < images.npy', or name a file"
"""What to do about a standard input without a byte."""
STDOUT = Path("/dev/stdout")
"""Standard output, where a command writes to: ``-`` as it is typed."""


def target(out: Path) -> Path:
    """The path that ``--out`` means: ``-`` is standard output, ``~`` the user's folder.

    Example:
        >>> print(target(Path("-")), target(Path("scores.csv")))
        /dev/stdout scores.csv
    """
    return STDOUT if str(out) == "-" else at_home(out)


def packed_to(out: str | None, stdout: bool) -> str | None:
    """Where ``-o`` and ``-c`` say that files go; a folder keeps its slash at the end.

    Raises:
        ConfigError: they say two things.

    Example:
        >>> packed_to("again/", False), packed_to("-", False), packed_to(None, True)
        ('again/', '/dev/stdout', '/dev/stdout')
    """
    to = str(STDOUT) if out == "-" else out and os.path.expanduser(out)
    if stdout and to not in {None, str(STDOUT)}:
        raise ConfigError("-c and -o would both say where to write", hint="leave out one of them")
    return str(STDOUT) if stdout else to


def sides(size: str | None) -> tuple[int, int] | None:
    """``"32x48"`` or ``"32"`` as (height, width).

    Raises:
        typer.BadParameter: anything else.

    Example:
        >>> sides("32x48"), sides("32"), sides(None)
        ((32, 48), (32, 32), None)
    """
    if size is None:
        return None
    from pixelcnn.data.reading import as_size  # which imports PyTorch

    try:
        return as_size(size)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="'--size'") from error


def number(text: str) -> int:
    """The number that a few digits stand for; -1 for anything else.

    Example:
        >>> number("48"), number("-48"), number("4" * 5_000)
        (48, -1, -1)
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else -1


def shard(part: str | None) -> tuple[int, int]:
    """``"2/3"`` as (2, 3): the second of three parts; without a part the first of one.

    Raises:
        typer.BadParameter: anything else.

    Example:
        >>> shard("2/3"), shard(None)
        ((2, 3), (1, 1))
    """
    if part is None:
        return 1, 1
    numbers = [number(text) for text in part.split("/")]
    if len(numbers) == 2 and 1 <= numbers[0] <= numbers[1]:
        return numbers[0], numbers[1]
    raise typer.BadParameter(
        f"{shown(part)} is no part of a whole; write 1/4 for the first of four, 4/4 for the last",
        param_hint="'--shard'",
    )
