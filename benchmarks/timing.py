"""Durations of contenders that take turns, so that a machine's moods meet all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Action = Callable[[], float]
"""Does something once and returns how many seconds the whole of it takes (perhaps extrapolated)."""


class Timing(tuple[float, ...]):
    """Seconds of every run of one contender."""

    __slots__ = ()

    @property
    def median(self) -> float:
        """The figure that is reported."""
        return statistics.median(self)

    @property
    def best(self) -> float:
        """The run that nothing else has slowed down, of a program that does the same each time."""
        return min(self)

    @property
    def spread(self) -> float:
        """How far the runs lie apart: (slowest - fastest) / median."""
        return (max(self) - min(self)) / self.median


def timed(action: Callable[[], object]) -> Action:
    """An action whose duration is what the clock says.

    Example:
        >>> timed(lambda: None)() < 1
        True
    """

    def run() -> float:
        start = time.perf_counter()
        action()
        return time.perf_counter() - start

    return run


def alternate(actions: Mapping[str, Action], rounds: int) -> dict[str, Timing]:
    """Runs every action once to warm up, then all of them in turn, some rounds.

    Example:
        >>> alternate({"two": lambda: 2.0, "three": lambda: 3.0}, rounds=2)["two"]
        (2.0, 2.0)
    """
    for action in actions.values():
        action()
    runs: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            runs[name].append(action())
    return {name: Timing(seconds) for name, seconds in runs.items()}


def now(device: torch.device) -> float:
    """Seconds on the clock when a device has done all that it was told.

    Example:
        >>> cpu = torch.device("cpu")
        >>> now(cpu) <= now(cpu)
        True
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_each(action: Callable[[], object], device: torch.device, wanted: float) -> float:
    """Seconds that an action takes on a device when it is repeated: how often fits into some seconds.

    Args:
        action: may return before a GPU has done it; it is not waited for between repetitions.
        device: that computes.
        wanted: seconds of measuring, about; once at least, after two runs that do not count.

    Example:
        >>> 0.01 < seconds_each(lambda: time.sleep(0.01), torch.device("cpu"), wanted=0.1) < 1
        True
    """
    action()
    start = now(device)
    action()
    count = max(1, min(1000, int(wanted / max(now(device) - start, 1e-9))))
    start = now(device)
    for _ in range(count):
        action()
    return (now(device) - start) / count
