"""Contenders in processes of their own, so that none changes how another gets its memory and threads."""

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple


class Unavailable(Exception):
    """A contender cannot be had here; the message says why."""


class Worker(NamedTuple):
    """A process that waits for its turn: it answers each line with a number of seconds."""

    name: str
    process: subprocess.Popen[str]
    errors: IO[str]

    def ask(self, line: str) -> float:
        """The seconds that something takes.

        Raises:
            Unavailable: the process has ended.
        """
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        return float(self.answer())

    def answer(self) -> str:
        """A line from the process.

        Raises:
            Unavailable: it has ended instead; the message is its last.
        """
        assert self.process.stdout is not None
        if line := self.process.stdout.readline():
            return line
        self.errors.seek(0)
        raise Unavailable((self.errors.read().strip().splitlines() or ["it ended"])[-1][:200])

    def peak_memory(self) -> float:
        """The most memory in GB that the process has had; NaN where the system does not say."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            if found := re.search(r"VmHWM:\s+(\d+) kB", status):
                return int(found[1]) / 2**20
        return float("nan")


@contextlib.contextmanager
def worker(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Worker]:
    """A process that has announced itself with a line; it ends with the context.

    Raises:
        Unavailable: it does not run.
    """
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=dict(environment),
        )
        try:
            running = Worker(name, process, errors)
            running.answer()
            yield running
        finally:
            process.kill()
            process.communicate()
