"""A process of a case's own, for what ends processes."""

import os
import signal
import time
from collections.abc import Callable


def start(action: Callable[[], int | None]) -> int:
    """Forks a process that does something and ends with its exit code; gives its id.

    It belongs to the worker's group, so that it ends with the worker.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = action() or 0
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Waits; gives the exit code, or minus the signal that ended the process."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(action: Callable[[], int | None]) -> int:
    """Does something in a process of its own, and gives how that ended."""
    return ended(start(action))


def killed_after(seconds: float, action: Callable[[], int | None]) -> int:
    """Does something in a process of its own that is killed after some time; gives how that ended."""
    pid = start(action)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)  # until it is waited for, the id is its own
    return ended(pid)
