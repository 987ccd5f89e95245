"""Durations of contenders that take turns, so that a machine's moods meet all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

Action = Callable[[], float]
"""Does something once and returns how many seconds the whole of it takes (perhaps extrapolated)."""


class Timing(NamedTuple):
    """Seconds of every run of one contender."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure that is reported."""
        return statistics.median(self.runs)

    @property
    def spread(self) -> float:
        """How far the runs lie apart: (slowest - fastest) / median."""
        return (max(self.runs) - min(self.runs)) / self.median


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
        >>> alternate({"two": lambda: 2.0, "three": lambda: 3.0}, rounds=2)["two"].runs
        (2.0, 2.0)
    """
    for action in actions.values():
        action()
    runs: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            runs[name].append(action())
    return {name: Timing(tuple(seconds)) for name, seconds in runs.items()}
