"""What a training says to people: a bar in a terminal and in a notebook, lines elsewhere and in a log."""

import importlib.util
import os
import sys
import time
from pathlib import Path
from typing import Any

from pixelcnn.folders import append_inside
from pixelcnn.text import in_terminal, printable
from pixelcnn.training.callbacks import TrainingState
from pixelcnn.training.likelihood import Validation

OFTEN, SELDOM, SETTLED = 10.0, 60.0, 60.0
"""Seconds between lines at first and later, and when later begins."""


class ProgressLines:
    """Lines on stderr and in ``train.log``, and a progress bar while there are eyes to see it.

    Use as a context. Lines of progress are written where no bar is, and always into the log.

    Args:
        log: ``train.log``, if the training has a folder.
        verbose: talk on stderr, too, where the process has one.
    """

    def __init__(self, log: Path | None, *, verbose: bool = True) -> None:
        self.log, self.verbose = log, verbose and sys.stderr is not None
        self.bar: Any = None
        self.begun, self.told = time.monotonic(), 0.0
        self._said: set[str] = set()

    def __enter__(self) -> "ProgressLines":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, line: str, key: str = "", *, show: bool = True) -> None:
        """A line for people.

        Args:
            line: what to say.
            key: lines with the same one are said once.
            show: on stderr, too, not only in the log.
        """
        if key and key in self._said:
            return
        self._said.add(key)
        line = printable(line)
        if self.verbose and show:
            try:
                self._write(line)
            except OSError:
                # The terminal has been closed: what is to be saved is saved all the same.
                self.verbose = False
                self.close()
        if self.log is not None and self.log.parent.is_dir():
            append_inside(self.log, f"{line}\n".encode(errors="backslashreplace"))

    def _write(self, line: str) -> None:
        if self.bar is None:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        else:
            self.bar.write(line, file=sys.stderr)

    def open(self, step: int, steps: int) -> None:
        """Shows a bar, if somebody looks."""
        if self.verbose and watched():
            self.bar = make_bar(step, steps)

    def progress(self, state: TrainingState) -> None:
        """How far a training has come, if it is time to say so."""
        if self.bar is not None:
            self._show(state)
        if state.step < state.steps:
            self._beat(progress_line(state), state.seconds_per_step)

    def validating(self, state: TrainingState) -> None:
        """That a validation goes on, if it is time to say so."""
        self._beat(f"{time.strftime('%H:%M:%S')} step {state.step:,}/{state.steps:,}, validating")

    def _beat(self, line: str, ahead: float = 0.0) -> None:
        """A line, if the last one is long enough ago, or will be after so many seconds."""
        now = time.monotonic()
        pause = OFTEN if now - self.begun < SETTLED else SELDOM
        if now + ahead - max(self.begun, self.told) >= pause:  # rather early than late
            self.told = now
            self.say(line, show=self.bar is None)

    def close(self) -> None:
        """Takes the bar away."""
        if self.bar is not None:
            self.bar.total = self.bar.n  # else a notebook keeps it, in red
            self.bar.close()
            self.bar = None

    def _show(self, state: TrainingState) -> None:
        """Moves the bar, which may have become longer or shorter."""
        bar = self.bar
        if bar.total != state.steps:
            bar.total = state.steps
            if hasattr(bar, "container"):  # a widget has a length of its own
                bar.container.children[1].max = state.steps
        bar.set_description_str(figures(state, bar.format_dict["rate"]), refresh=False)
        bar.update(state.step - bar.n)


def watched() -> bool:
    """Whether somebody sees a bar on stderr: in a terminal that can erase a line, or in a notebook."""
    erases = os.environ.get("TERM") not in ("dumb", "unknown")
    return (in_terminal() and erases) or in_notebook()


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel: Jupyter, VS Code, Colab."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config


def make_bar(step: int, steps: int) -> Any:
    """A bar of tqdm: a widget in a notebook that has ipywidgets, else a line."""
    if in_notebook() and importlib.util.find_spec("ipywidgets"):
        from tqdm.notebook import tqdm
    else:
        from tqdm.std import tqdm

    class Bar(tqdm):
        monitor_interval = 0  # no thread of its own

    return Bar(
        total=steps,
        initial=step,
        file=sys.stderr,
        leave=False,
        dynamic_ncols=True,
        bar_format="{percentage:3.0f}%|{bar}| {desc}{remaining} left",
    )


def figures(state: TrainingState, rate: float | None) -> str:
    """The numbers beside a bar, each with what parts it from the next; losses in nats per sub-pixel."""
    found = []
    if state.mean_loss == state.mean_loss:  # NaN before the first is known
        found.append(f"loss {state.mean_loss:.4f}")
    if state.best is not None:
        found.append(f"best {state.best / state.model.shape.dimensions:.4f}")
    if rate:
        found.append(f"{rate * state.batch_size:,.0f} images/s")
    return "".join(f"{figure}, " for figure in found)


def progress_line(state: TrainingState) -> str:
    """The line of a log: when, how far, how good, how fast, how long."""
    pace = state.seconds_per_step
    line = f"{time.strftime('%H:%M:%S')} step {state.step:,}/{state.steps:,}"
    if state.mean_loss == state.mean_loss:
        line += f", loss {state.mean_loss:.4f}"
    if pace:
        speed = f"{1 / pace:.2f} step/s" if pace > 0.01 else f"{1 / pace:,.0f} step/s"
        line += f", {speed}, {duration(pace * (state.steps - state.step))} left"
    return line


def duration(seconds: float) -> str:
    """Seconds in words.

    Example:
        >>> duration(9_620), duration(75), duration(12.3)
        ('2 h 40 min', '1 min 15 s', '12 s')
    """
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def epoch_line(
    epoch: int, epochs: str, seconds: float, steps: int, loss: float, found: Validation | None
) -> str:
    """The line of an epoch, as readers of Keras know it; losses in nats per sub-pixel.

    Example:
        >>> import numpy as np
        >>> found = Validation(np.array([69.6, 69.6]), 784)
        >>> epoch_line(3, "20", 14.2, 493, 0.0893, found)
        'epoch 3/20 - 14s - 29ms/step - loss 0.0893 - val 0.0888 (0.1281 bits/dim)'
    """
    pace = 1000 * seconds / max(1, steps)
    line = f"epoch {epoch}/{epochs} - {seconds:.0f}s - {pace:.0f}ms/step - loss {loss:.4f}"
    if found is None:
        return line
    return f"{line} - val {found.loss:.4f} ({found.bits_per_dim:.4f} bits/dim)"
