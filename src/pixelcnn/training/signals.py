"""Ctrl-C, SIGTERM and SIGHUP as a wish to stop, honoured at the end of a step."""

import os
import signal
import threading
from types import FrameType
from typing import Any

from pixelcnn.training.processes import Processes

HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""What a closed terminal sends, where there is such a signal."""


class Interrupted(KeyboardInterrupt):
    """A training that a signal ended; in a run folder everything is saved.

    As any Ctrl-C it is no ``Exception``: what goes on after a training that failed ends after this one.

    Attributes:
        exit_code: 128 plus the signal: 129 for SIGHUP, 130 for Ctrl-C, 143 for SIGTERM.
        hint: how to go on.
    """

    def __init__(self, message: str, *, signum: int = signal.SIGINT, hint: str = "") -> None:
        super().__init__(message)
        self.exit_code, self.hint = 128 + signum, hint
        if hint:
            self.add_note(f"hint: {hint}")


class StopFlag:
    """Remembers the first stop signal; a second one interrupts at once, unless it is SIGHUP.

    A terminal that is closed may send SIGHUP twice, once by the system and once by its shell.

    Use as a context, which gives back the handlers it found. Signals reach the main thread only: elsewhere
    this does nothing.

    Attributes:
        signum: of the first signal, 0 before there is one.
        agreed: the same for all processes, as of the last time they asked each other.
        honoured: whether stopping has begun.
    """

    def __init__(self) -> None:
        self.signum, self.agreed, self.honoured = 0, 0, False
        self._parent = os.getppid()
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signum != 0

    def signal(self, processes: Processes) -> int:
        """The number of the signal that tells this process to stop, or 0.

        One of several processes also stops when the process that started it is gone.
        """
        orphaned = processes.size > 1 and os.getppid() != self._parent
        return self.signum or (int(signal.SIGTERM) if orphaned else 0)

    def agree(self, processes: Processes) -> bool:
        """Whether any process was told to stop: the same answer for all of them."""
        (self.agreed,) = processes.maximum(self.signal(processes))
        return self.agreed != 0

    def __enter__(self) -> "StopFlag":
        if threading.current_thread() is threading.main_thread():
            found = {number: signal.getsignal(number) for number in stop_signals()}
            # What another language has installed cannot be given back: it stays, and is not heard here.
            self._before = {number: each for number, each in found.items() if each is not None}
            for number in self._before:
                signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, signum: int, _: FrameType | None) -> None:
        if self.signum and signum != HANGUP:
            raise Interrupted("stopped at once", signum=self.signum)
        self.signum = self.signum or signum


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that tell a program to stop; SIGHUP only if it is not ignored, as ``nohup`` wants it."""
    found = (signal.SIGINT, signal.SIGTERM)
    if HANGUP is None or signal.getsignal(HANGUP) is signal.SIG_IGN:
        return found
    return (*found, HANGUP)
