"""What became of each promise."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from pixelcnn.charts import table
from pixelcnn.errors import ConformanceError, PixelCNNError, ResourceError
from pixelcnn.memory import ran_out
from pixelcnn.text import MOST_SAID, counted, one_line

Progress = Callable[[int, int, str], None]
"""Called before each check with the checks done, the checks in all, and the promise that comes next."""


class Row(NamedTuple):
    """One promise.

    Attributes:
        name: the promise.
        passed: whether it is kept.
        detail: what was measured, or how the promise is broken.
        seconds: time that the check took.
        noted: whether it is no promise, but something to know of.
    """

    name: str
    passed: bool
    detail: str
    seconds: float
    noted: bool = False

    @property
    def state(self) -> str:
        """What became of it in a word."""
        return "noted" if self.noted else "kept" if self.passed else "BROKEN"


class Noted(Exception):
    """Raised by a check that finds nothing broken, but something to know of."""


class Check(NamedTuple):
    """A promise, and the function that puts it to the test.

    Attributes:
        name: the promise.
        run: returns what was measured; raises :class:`ConformanceError` saying how the promise is broken, or
            :class:`Noted`.
    """

    name: str
    run: Callable[[], str]


@dataclass(frozen=True)
class Report:
    """All promises of one thing.

    Attributes:
        subject: what was checked, as in ``"network PixelCNN"``.
        rows: one for each promise, in the order they were checked.

    Example:
        >>> report = run("a sum", [Check("one and one is two", lambda: f"{1 + 1}")])
        >>> report.passed, report.rows[0].detail
        (True, '2')
    """

    subject: str
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether every promise is kept."""
        return not self.failures

    @property
    def failures(self) -> tuple[Row, ...]:
        """The broken promises."""
        return tuple(row for row in self.rows if not row.passed)

    def raise_if_failed(self) -> None:
        """Does nothing where every promise is kept.

        Raises:
            ConformanceError: names every broken promise and how it is broken.
        """
        if self.failures:
            broken = "; ".join(f"{row.name}: {row.detail}" for row in self.failures)
            promises = counted(len(self.failures), "promise")
            raise ConformanceError(f"{self.subject} breaks {promises}: {broken}")

    def as_json(self) -> dict[str, Any]:
        """The report in JSON types."""
        rows = [row._asdict() for row in self.rows]
        return {"subject": self.subject, "passed": self.passed, "rows": rows}

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = ((r.name, r.state, r.detail) for r in self.rows)
        return table(rows, self.subject)

    def __str__(self) -> str:
        lines = [f"{r.state:6}  {r.name}: {r.detail}" for r in self.rows]
        return "\n".join([self.subject, *lines])


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for each operation of this thread, in a ``with`` block.

    The checks are thousands of small passes; threads that wait for each other slow them tenfold. PyTorch
    has one number for each thread that has begun to compute, and one that it gives to those that begin; it
    sets both at once. So another thread sets the latter back.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    other = threading.Thread(target=torch.set_num_threads, args=(before,))
    other.start()
    other.join()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def reason(error: Exception) -> str:
    """How a promise is broken by what a check raised; memory that ran out breaks none, and is raised again.

    Example:
        >>> reason(ConformanceError("the colours are mixed up")), reason(ValueError("-1"))
        ('the colours are mixed up', 'raised ValueError: -1')
        >>> reason(ConformanceError("the colours are mixed up", hint="mask them"))
        'the colours are mixed up (hint: mask them)'
    """
    if isinstance(error, PixelCNNError) and not isinstance(error, ResourceError):
        return f"{error} (hint: {one_line(error.hint)})" if error.hint else str(error)
    if isinstance(error, ResourceError) or ran_out(error):
        raise error
    where = " ".join([type(error).__name__, *getattr(error, "__notes__", [])])
    return f"raised {where}: {one_line(str(error))[:MOST_SAID]}"


@one_thread()
@torch.enable_grad()
def run(subject: str, checks: Sequence[Check], progress: Progress | None = None) -> Report:
    """Puts every promise to the test; one that is broken does not keep the others from being tried.

    Gradients are computed where checks need them, whether or not the caller has switched them off.
    Memory that runs out breaks no promise, and ends the checks as it ends anything else.

    Args:
        subject: what is checked.
        checks: promises and how to check them.
        progress: see :data:`Progress`.

    Raises:
        ResourceError, MemoryError, RuntimeError: out of memory, as whoever ran out says it.
    """
    rows = []
    for number, check in enumerate(checks):
        if progress is not None:
            progress(number, len(checks), check.name)
        start, noted = time.perf_counter(), False
        try:
            passed, detail = True, check.run()
        except Noted as error:
            passed, detail, noted = True, str(error), True
        except Exception as error:  # a third party's network may raise anything: that breaks it too
            passed, detail = False, reason(error)
        rows.append(Row(check.name, passed, detail, time.perf_counter() - start, noted))
    return Report(subject, tuple(rows))
