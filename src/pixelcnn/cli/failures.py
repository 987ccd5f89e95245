"""Every way a command can end badly: one line, one hint, one exit code.

Codes: 1 failed, 2 usage or configuration, 3 bad or corrupt input, 4 model or format mismatch,
5 out of memory or disk, 129 hung up, 130 interrupted, 141 nobody reads any more, 143 terminated.
"""

import contextlib
import errno
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple, TextIO

import typer

from pixelcnn.annotations import shown
from pixelcnn.errors import DISK_FULL, PixelCNNError
from pixelcnn.memory import ran_out
from pixelcnn.text import one_line, printable_lines

INTERRUPTED = 130
UNREAD = 141
SMALLER = "a smaller --batch-size, fewer images or a smaller model needs less"


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived. Not an ``Exception``, so that no handler takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Carried(Exception):
    """Carries what typer would take for an ending of its own, such as a broken pipe, through it."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class Failure(NamedTuple):
    """What the user is told."""

    code: int
    message: str
    hint: str


def describe(error: BaseException) -> Failure:
    """The exit code, the message and the remedy of an exception."""
    if isinstance(error, PixelCNNError):
        return Failure(error.exit_code, str(error), error.hint)
    if isinstance(error, typer.TyperException):
        return usage(error)
    if isinstance(error, KeyboardInterrupt):
        code, hint = getattr(error, "exit_code", INTERRUPTED), getattr(error, "hint", "")
        return Failure(code, str(error) or "interrupted", hint)
    if isinstance(error, Terminated):
        return Failure(128 + error.number, "terminated", "")
    if isinstance(error, OSError):
        return system(error)
    if ran_out(error):
        return Failure(5, "out of memory", SMALLER)
    return Failure(
        1,
        f"unexpected {type(error).__name__}: {error}",
        "this is a bug; the same command with --debug shows where it happened",
    )


def usage(error: typer.TyperException) -> Failure:
    """An unknown option or command, a missing or impossible value."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "pixelcnn"
    message = error.format_message().rstrip(".")
    if given := refused(error):
        # Typer's checker of types tells how it failed, but not with what.
        message = re.sub(r", unable to parse string as an? \w+$", "", message)
        message = f"{message.replace(': Input should', ': it should')}, got {given}"
    return Failure(2, message, f"'{command} --help' shows examples and every option")


def refused(error: BaseException) -> str:
    """The word that is no value of its option, as Typer's checker of types has it; else nothing."""
    found = getattr(error.__cause__, "errors", None)
    given = next((each.get("input") for each in found()), None) if callable(found) else None
    return shown(given) if isinstance(given, str) else ""


def system(error: OSError) -> Failure:
    """What the operating system refused: full disks are 5, unusable paths 2."""
    where = f"{error.filename}: " if error.filename else ""
    message = f"{where}{error.strerror or error}"
    if error.errno in DISK_FULL:
        return Failure(5, message, "free some space, or write somewhere else with --out or --run")
    if error.errno == errno.ENOMEM:
        return Failure(5, message, SMALLER)
    if error.filename:
        return Failure(2, message, "check the path and its permissions")
    return Failure(1, message, "")


def report(failure: Failure) -> None:
    """``pixelcnn: error: …`` and ``hint: …`` on stderr, each in one line."""
    with contextlib.suppress(OSError):  # the terminal may be what has gone
        print(f"pixelcnn: error: {one_line(failure.message)}", file=sys.stderr)
        if failure.hint:
            print(f"hint: {one_line(failure.hint)}", file=sys.stderr)


def open_streams() -> None:
    """Opens those of stdin, stdout and stderr that are closed, as after ``>&-``, on nothing.

    Otherwise the next file that is opened would take the place of one, and what is printed would go into it.
    The place of stdout cannot be written to, so that bytes that are asked for there are missed by nobody.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # This takes the lowest number that is free.
            os.open(os.devnull, os.O_RDWR if number == 2 else os.O_RDONLY)
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def guarded(action: Callable[[], Any], debug: bool) -> int:
    """Runs ``action`` and gives the exit code; says what went wrong, if anything did.

    Args:
        action: returns an exit code, or anything else for success.
        debug: print the traceback, too.
    """
    try:
        code = action()
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        # The reader has left, as in ``… | head``: the code is a shell's for SIGPIPE, since 1 would be a
        # broken promise.
        drop(sys.stdout)
        return UNREAD
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except (Exception, KeyboardInterrupt, Terminated) as error:
        if debug:
            print(printable_lines(traceback.format_exc()), end="", file=sys.stderr)
        failure = describe(error)
        report(failure)
        try:
            sys.stdout.flush()
        except OSError:  # a full disk, of which it has been told
            drop(sys.stdout)
        return failure.code
    finally:
        try:
            sys.stderr.flush()
        except OSError:  # of a terminal that is closed
            drop(sys.stderr)


def drop(stream: TextIO) -> None:
    """What a stream holds and nothing takes goes nowhere: Python would flush it at exit, and end with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def terminate(number: int, frame: FrameType | None) -> None:
    """Signal handler: a signal unwinds like an exception, so that files are closed and removed."""
    if number != signal.SIGTERM:
        signal.signal(number, signal.SIG_IGN)  # a terminal that is closed may send SIGHUP twice
    raise Terminated(number)


def catch_signals() -> None:
    """From now on SIGTERM, and SIGHUP unless ``nohup`` has it ignored, raise :class:`Terminated`."""
    signal.signal(signal.SIGTERM, terminate)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, terminate)
