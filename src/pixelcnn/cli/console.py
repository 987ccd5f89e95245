"""What a command says and where: results on stdout; talk and progress on stderr."""

import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pixelcnn.errors import SlowSampling
from pixelcnn.json_text import json_text
from pixelcnn.text import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console

NARROWEST = 72
"""Columns that a table takes at least; a terminal that is narrower breaks its lines."""
UNBOUNDED = 10_000

Advance = Callable[[int, int], None]
"""Called with (done, total) while something long goes on."""


def result(text: str = "") -> None:
    """One line of what the user asked for, on stdout."""
    print(printable(text))


def results(text: str) -> None:
    """Several lines of it, whose ends are this package's own."""
    print(printable_lines(text))


def say(text: str) -> None:
    """One line of talk, on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


def emit(value: Mapping[str, Any]) -> None:
    """The one JSON object of ``--json``; what is not finite becomes ``null``, as JSON has no NaN.

    Example:
        >>> emit({"nats": float("nan"), "shape": (1, 8, 8)})
        {"nats": null, "shape": [1, 8, 8]}
    """
    print(json_text(value))


def with_error(value: float, error: float | None) -> str:
    """A measured value, rounded to its standard error, and the error to one digit or two if it is known.

    Example:
        >>> with_error(76.8123, 0.6733), with_error(85.6712, 0.2013), with_error(1234.5, 34.0)
        ('76.8 ± 0.7', '85.67 ± 0.20', '1234 ± 34')
        >>> with_error(76.8123, float("nan")), with_error(76.8123, None)
        ('76.8123', '76.8123')
    """
    if error is None or not math.isfinite(error) or error <= 0:
        return f"{value:.4f}"
    scientific = f"{error:.1e}"  # rounded to two digits, so that 0.099 counts as 0.10
    exponent = int(scientific.split("e")[1])
    digits = max(0, -exponent + (scientific[0] in "12"))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


class NoteHandler(logging.Handler):
    """Shows what the library logs as lines of talk, each once: ``note: …``.

    Args:
        detailed: where several things can be told in one line or in one each, tell each.
    """

    def __init__(self, *, detailed: bool = True) -> None:
        super().__init__()
        self.said = set[str]()
        self.untold = "all" if detailed else "each"

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one message; stderr is looked up now, as it may have been replaced."""
        prefix = "warning" if record.levelno >= logging.ERROR else "note"
        line = f"{prefix}: {record.getMessage()}"
        if line not in self.said and getattr(record, "told", "") != self.untold:
            self.said.add(line)
            say(line)


def listen(*, detailed: bool = True) -> None:
    """From now on shows what the library logs, and not what its reader of FITS warns of beside.

    Args:
        detailed: see :class:`NoteHandler`.
    """
    warnings.filterwarnings("ignore", module=r"astropy\.")
    log = logging.getLogger("pixelcnn")
    for handler in [each for each in log.handlers if isinstance(each, NoteHandler)]:
        log.removeHandler(handler)  # of a command that ran in this process before
    log.addHandler(NoteHandler(detailed=detailed))
    log.setLevel(logging.INFO)
    log.propagate = False


@contextmanager
def slowness_said() -> Iterator[None]:
    """Shows what the library warns of slow sampling as a line of talk, in a ``with`` block."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", SlowSampling)
        usual = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, SlowSampling):
                say(f"warning: {message}")
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


def console() -> "Console":
    """A rich console on stdout: in a pipe, a row is a line; in a terminal, legible however narrow."""
    from rich.console import Console

    found = Console(highlight=False, markup=False, emoji=False)
    found.width = max(found.width, NARROWEST) if sys.stdout.isatty() else UNBOUNDED
    return found


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> None:
    """Prints a table on stdout; ``right`` numbers the columns that hold numbers."""
    from rich import box
    from rich.table import Table

    drawn = Table(
        title=printable(title) or None, title_justify="left", title_style="bold", box=box.SIMPLE
    )
    for index, column in enumerate(columns):
        numbers = index in right
        drawn.add_column(
            column, justify="right" if numbers else "left", no_wrap=numbers, overflow="fold"
        )
    for row in rows:
        drawn.add_row(*map(printable, row))
    screen = console()
    with screen.capture() as text:
        screen.print(drawn)
    lines = [line.rstrip() for line in text.get().splitlines()]
    print("\n".join(lines).strip("\n"))  # with rich's own escapes in a terminal


@contextmanager
def progress(what: str) -> Iterator[Advance]:
    """A progress bar on stderr, where stderr is a terminal; elsewhere nothing.

    Yields:
        A function to call with (done, total).
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance
