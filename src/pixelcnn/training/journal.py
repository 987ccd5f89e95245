"""What a training says: lines on stderr and in ``train.log``, numbers in ``metrics.csv``."""

import dataclasses
import math
import os
import sys
from pathlib import Path
from typing import Any

from pixelcnn.checkpoint import write_atomically
from pixelcnn.training.validation import Validation

COLUMNS = ("step", "epoch", "loss", "val_loss", "bits_per_dim", "learning_rate")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of ``metrics.csv``; losses are nats per sub-pixel.

    Attributes:
        step: steps taken.
        epoch: the epoch that the step belongs to, from 1.
        loss: mean training loss since the last row of its kind.
        val_loss: validation loss, None where nothing was validated.
        bits_per_dim: the same in bits.
        learning_rate: of the last step.
    """

    step: int
    epoch: int
    loss: float
    val_loss: float | None
    bits_per_dim: float | None
    learning_rate: float

    def __str__(self) -> str:
        values = (getattr(self, name) for name in COLUMNS)
        return ",".join("" if value is None else repr(value) for value in values)


@dataclasses.dataclass
class Meter:
    """A mean that a resumed run continues to the bit.

    Example:
        >>> meter = Meter()
        >>> meter.add(1.0)
        >>> meter.add(2.0)
        >>> meter.take(), meter.count
        (1.5, 0)
    """

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """Takes one more value in; what is not finite belongs to a skipped step and is left out."""
        if math.isfinite(value):
            self.total, self.count = self.total + value, self.count + 1

    def take(self) -> float:
        """The mean so far, NaN if there was nothing, and a fresh start."""
        mean = self.total / self.count if self.count else math.nan
        self.total, self.count = 0.0, 0
        return mean


class Journal:
    """Writes the log and the metrics of a run; without a folder it only talks.

    Args:
        folder: the run folder.
        verbose: also write the lines to stderr.
        tensorboard: also write TensorBoard events, where the extra is installed.
    """

    def __init__(
        self, folder: Path | None, *, verbose: bool = True, tensorboard: bool = True
    ) -> None:
        self.folder, self.verbose, self.rows = folder, verbose, 0
        self._said: set[str] = set()
        self._board = board(folder) if tensorboard and folder is not None else None

    @property
    def metrics(self) -> Path | None:
        """``metrics.csv``."""
        return None if self.folder is None else self.folder / "metrics.csv"

    def say(self, line: str) -> None:
        """A line for people."""
        if self.verbose:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        if self.folder is not None:
            with (self.folder / "train.log").open("a", encoding="utf-8") as log:
                log.write(line + "\n")

    def say_once(self, line: str, key: str = "") -> None:
        """A line that need not be repeated; ``key`` tells what counts as the same."""
        if (key or line) not in self._said:
            self._said.add(key or line)
            self.say(line)

    def begin(self, rows: int) -> None:
        """Keeps the first ``rows`` rows that a run left behind, and drops the rest."""
        self.rows = rows
        if self.metrics is None:
            return
        lines = (
            self.metrics.read_text(encoding="utf-8").splitlines() if self.metrics.exists() else []
        )
        kept = [",".join(COLUMNS), *lines[1 : rows + 1]]
        write_atomically(self.metrics, ("\n".join(kept) + "\n").encode())

    def row(self, row: Row) -> None:
        """Adds a row of numbers."""
        self.rows += 1
        if self.metrics is not None:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(f"{row}\n")
        if self._board is not None:
            for name, value in dataclasses.asdict(row).items():
                if value is not None and name not in ("step", "epoch"):
                    self._board.add_scalar(name, value, row.step)

    def sync(self) -> None:
        """Makes the rows so far survive a power cut: before a checkpoint that counts on them."""
        if self.metrics is not None:
            with self.metrics.open("a", encoding="utf-8") as file:
                os.fsync(file.fileno())

    def close(self) -> None:
        """Finishes the TensorBoard file."""
        if self._board is not None:
            self._board.close()


def board(folder: Path) -> Any:
    """A TensorBoard writer, or None where the ``tensorboard`` extra is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))


def epoch_line(
    epoch: int, epochs: int, seconds: float, steps: int, loss: float, found: Validation | None
) -> str:
    """The line of an epoch, as readers of Keras know it; losses in nats per sub-pixel.

    Example:
        >>> import numpy as np
        >>> found = Validation(np.array([69.6, 69.6]), 784)
        >>> epoch_line(3, 20, 14.2, 493, 0.0893, found)
        'epoch 3/20 - 14s - 29ms/step - loss 0.0893 - val 0.0888 (0.1281 bits/dim)'
    """
    pace = 1000 * seconds / max(1, steps)
    line = f"epoch {epoch}/{epochs} - {seconds:.0f}s - {pace:.0f}ms/step - loss {loss:.4f}"
    if found is None:
        return line
    return f"{line} - val {found.loss:.4f} ({found.bits_per_dim:.4f} bits/dim)"
