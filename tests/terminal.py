"""Commands in a pseudo-terminal: what a person would see, with keys to press and a deadline."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

CTRL_C = "\x03"
TOKEN = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|(.)", re.DOTALL)
OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Makes stdin the terminal whose Ctrl-C the command gets, then becomes the command."""


class Screen:
    """What text with escape sequences looks like in the end, scrolled off lines included.

    Only what progress bars need is understood; an escape sequence of another kind raises.

    Example:
        >>> Screen(4, 24).draw("50 %\\r\\x1b[2Kdone\\nabcdef").lines
        ['done', 'abcdef']
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.row, self.column = 0, 0
        self.cells: list[list[str]] = [[]]
        self.continued: set[int] = set()

    def draw(self, text: str) -> Self:
        """Shows more text."""
        for parameters, command, character in TOKEN.findall(text):
            if command:
                self._command(command, parameters)
            else:
                self._character(character)
        return self

    @property
    def lines(self) -> list[str]:
        """Lines that hold anything; one that the terminal broke at its edge counts as one."""
        joined: list[str] = []
        for index, cells in enumerate(self.cells):
            text = "".join(cells)
            if index in self.continued:
                joined[-1] += text
            else:
                joined.append(text)
        return [line.rstrip() for line in joined if line.strip()]

    def _character(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._down()
        elif character == "\b":
            self.column = max(0, self.column - 1)
        elif character.isprintable():
            self._put(character)
        else:
            raise ValueError(f"character {character!r}")

    def _put(self, character: str) -> None:
        if self.column == self.columns:
            self._down()
            self.column = 0
            self.continued.add(self.row)
        line = self.cells[self.row]
        line.extend(" " * (self.column + 1 - len(line)))
        line[self.column] = character
        self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.cells):
            self.cells.append([])

    def _command(self, command: str, parameters: str) -> None:
        number = int(parameters) if parameters.isdecimal() else 0
        if command == "A":
            top = max(0, len(self.cells) - self.rows)
            self.row = max(top, self.row - max(1, number))
        elif command == "K":
            self._erase(number)
        elif command not in "mhl":  # colours, and modes such as hiding the cursor
            raise ValueError(f"escape sequence {parameters}{command}")

    def _erase(self, part: int) -> None:
        line = self.cells[self.row]
        if part == 0:
            del line[self.column :]
        elif part == 1:
            line[: self.column] = " " * min(self.column, len(line))
        else:
            line.clear()


class Finished(NamedTuple):
    """What a command left behind.

    Attributes:
        code: its exit code.
        text: everything it wrote, escape sequences too.
        lines: what is on the screen in the end, see :attr:`Screen.lines`.
    """

    code: int
    text: str
    lines: list[str]


class Terminal:
    """A command that runs in a terminal of its own, as a context manager.

    Args:
        command: program and arguments.
        columns: width of the terminal.
        rows: its height.
        term: its kind, the variable ``TERM``.
        folder: where the command runs.
        more: variables of the environment beside those of this process.
        deadline: seconds until the command is killed.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        columns: int = 80,
        rows: int = 24,
        term: str = "xterm-256color",
        folder: Path | None = None,
        more: Mapping[str, str] | None = None,
        deadline: float = 100,
    ) -> None:
        self.columns, self.rows = columns, rows
        self.received = b""
        self.until = time.monotonic() + deadline
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        modes = termios.tcgetattr(theirs)
        modes[3] &= ~termios.ECHO  # what is typed would appear wherever the cursor just is
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        variables = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", OWN_TERMINAL, *map(str, command)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=variables | {"TERM": term} | dict(more or {}),
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.ours)

    @property
    def text(self) -> str:
        """What the command has written so far."""
        return self.received.decode(errors="replace")

    def press(self, keys: str) -> None:
        """Types something."""
        os.write(self.ours, keys.encode())

    def wait_for(self, words: str) -> None:
        """Returns once the command has written ``words``.

        Raises:
            AssertionError: it ended, or the deadline passed, before it did.
        """
        while words not in self.text:
            assert self._read(), f"{words!r} never came:\n{self.text}"

    def finish(self) -> Finished:
        """Waits for the end of the command.

        Raises:
            AssertionError: the deadline passed before.
        """
        while self._read():
            pass
        code = self.process.wait(timeout=max(1, self.until - time.monotonic()))
        screen = Screen(self.columns, self.rows).draw(self.text)
        return Finished(code, self.text, screen.lines)

    def _read(self) -> bool:
        """Takes what the command writes next; False when it has closed its terminal."""
        left = self.until - time.monotonic()
        ready, _, _ = select.select([self.ours], [], [], max(0, left))
        assert ready, f"still running at the deadline:\n{self.text}"
        try:
            chunk = os.read(self.ours, 65536)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.received += chunk
        return bool(chunk)


def in_terminal(command: Sequence[str | Path], **options: object) -> Finished:
    """Runs a command to its end in a terminal; ``options`` are those of :class:`Terminal`."""
    with Terminal(command, **options) as terminal:  # type: ignore[arg-type]
        return terminal.finish()
