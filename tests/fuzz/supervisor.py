"""Cases in a process of their own: one that crashes or hangs is recorded, and another process takes over."""

import contextlib
import ctypes
import dataclasses
import faulthandler
import json
import os
import resource
import select
import signal
import time
from pathlib import Path
from typing import Any

from fuzz.case import Campaign, Verdict, around, attempt, clear, control_characters

PR_SET_PDEATHSIG = 1
"""From Linux's headers: the signal that a process gets when its parent ends."""
GLANCE, NAP = 0.25, 8
"""Seconds between two looks at the worker, and how many looks in a row find it asleep when it hangs.

A case hangs when it has used all its seconds of the processor, or when these are over and it sleeps: on a
busy machine it may only be waiting for its turn.
"""
ADDRESSES = 6 * 2**30
"""Bytes of address space beyond those in use that a worker may ask for."""
PATIENCE = 2.0
"""Seconds that a worker that hangs gets to say where."""


class Worker:
    """A forked process that runs the cases of one campaign. Use as a context."""

    def __init__(self, campaign: Campaign, seed: int, scratch: Path) -> None:
        self.campaign, self.seed, self.scratch = campaign, seed, scratch
        self.pid = 0

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        if self.pid:
            self._end(signal.SIGKILL)

    def run(self, number: int) -> Verdict:
        """Runs one case; its folder and notes are removed."""
        folder = self.scratch / f"case{number}"
        try:
            return self.try_in(folder, number)
        finally:
            clear(folder)

    def try_in(self, folder: Path, number: int) -> Verdict:
        """Runs one case in a new folder, and leaves there what it was made of."""
        if not self.pid:
            self._start()
        os.write(self.questions, f"{json.dumps([number, str(folder)])}\n".encode())
        answer = self._answer()
        if answer is None:
            return self._gone()
        verdict, said = Verdict(*answer), self.said()
        if not verdict.kind and (odd := control_characters(said)):
            return Verdict(verdict.code, "terminal", f"{odd!a} in {around(said, odd[0])!a}")
        return verdict

    def said(self) -> str:
        """What the worker wrote to stderr by itself, as C libraries do, since it was last asked."""
        text = self.stderr.read_bytes()[self.read :]
        self.read += len(text)
        return text.decode("utf-8", "replace")

    def _start(self) -> None:
        """Forks: everything is imported and prepared by then."""
        asked, self.questions = os.pipe()
        self.answers, told = os.pipe()
        self.stderr, self.read, self.rest = self.scratch / "stderr", 0, b""
        self.stderr.write_bytes(b"")
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                os.close(self.questions)
                os.close(self.answers)
                serve(self.campaign, self.seed, asked, told, self.stderr)
                code = 0
            finally:
                os._exit(code)
        os.close(asked)
        os.close(told)

    def _answer(self) -> Any:
        """What the worker found; None if it is gone or hangs."""
        start, (_, used) = time.monotonic(), activity(self.pid)
        asleep = 0
        while b"\n" not in self.rest:
            if not select.select([self.answers], [], [], GLANCE)[0]:
                state, now = activity(self.pid)
                asleep = asleep + 1 if state in "SD" else 0
                late = time.monotonic() - start > self.campaign.seconds
                if now - used > self.campaign.seconds or (late and asleep > NAP):
                    return None
                continue
            if not (more := os.read(self.answers, 65_536)):
                return None
            self.rest += more
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def _gone(self) -> Verdict:
        """What became of a worker that does not answer."""
        if not select.select([self.answers], [], [], 0)[0]:
            os.kill(self.pid, signal.SIGUSR1)  # it writes where it is
            time.sleep(PATIENCE)
            self._end(signal.SIGKILL)
            return Verdict(kind="hang", detail=f"{self.campaign.seconds:g} s at {self._place()}")
        status = self._end(signal.SIGKILL)
        name = signal.Signals(-status).name if status < 0 else f"exit {status}"
        return Verdict(kind="crash", detail=f"{name} at {self._place()}")

    def _place(self) -> str:
        """The innermost function of the package in the stack that the worker wrote."""
        for line in self.stderr.read_text("utf-8", "replace").splitlines():
            if "/pixelcnn/" in line and line.strip().startswith("File "):
                file, _, rest = line.strip().partition('", line ')
                return f"{file.rpartition('/pixelcnn/')[2]}:{rest.partition(' in ')[2]}"
        return "?"

    def _end(self, number: signal.Signals) -> int:
        """Ends the worker and whatever it started; gives how it ended, minus a signal."""
        with contextlib.suppress(ProcessLookupError):  # it may be gone already
            os.killpg(self.pid, number)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.questions)
        os.close(self.answers)
        self.pid = 0
        return status


def activity(pid: int) -> tuple[str, float]:
    """A process's state (R, S, D, Z...), and the seconds of the processor that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve(campaign: Campaign, seed: int, asked: int, told: int, stderr: Path) -> None:
    """Answers one line of JSON for each that is asked, until there is no more."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    nothing = os.open(os.devnull, os.O_RDWR)
    errors = os.open(stderr, os.O_WRONLY | os.O_APPEND)
    for target, source in ((0, nothing), (1, nothing), (2, errors)):
        os.dup2(source, target)
    faulthandler.enable(file=errors)
    faulthandler.register(signal.SIGUSR1, file=errors)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESSES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(asked) as questions:
        for line in questions:
            number, folder = json.loads(line)
            found = attempt(campaign, seed, number, Path(folder))
            os.write(told, json.dumps(dataclasses.astuple(found)).encode() + b"\n")
