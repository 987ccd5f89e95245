"""The numbers of a training as it goes on: means of its losses, rows, and who is told them."""

import math
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pixelcnn.folders import append_inside, read_inside, write_inside
from pixelcnn.training.callbacks import Trackers, TrainingState
from pixelcnn.training.history import COLUMNS, Row, read_rows
from pixelcnn.training.likelihood import Validation
from pixelcnn.training.progress import ProgressLines, epoch_line


class Recorder:
    """Writes ``metrics.csv``, in which nothing depends on the clock, and epochs' lines; tells the trackers.

    Args:
        path: of ``metrics.csv``; None only keeps the rows.
        window: steps that the loss of a row is a mean of, the same number for every row.
        trackers: are told each row.
        talk: says each epoch.

    Attributes:
        rows: those of this call.
        written: rows of all calls.
        first: the loss of the first step of this call, NaN before it.
    """

    def __init__(
        self, path: Path | None, window: int, trackers: Trackers, talk: ProgressLines
    ) -> None:
        self.path, self.trackers, self.talk = path, trackers, talk
        self._recent, self._epoch = deque[float](maxlen=window), deque[float]()
        self.rows, self.written = list[Row](), 0
        self.first = math.nan

    def begin(self) -> None:
        """Drops rows that were written after the state that the training goes on from."""
        if self.path is None:
            return
        lines = read_inside(self.path).splitlines() if self.path.exists() else []
        kept = [",".join(COLUMNS).encode(), *lines[1 : self.written + 1]]
        write_inside(self.path, b"\n".join(kept) + b"\n")

    def all_rows(self) -> tuple[Row, ...]:
        """Those of all calls, as far as ``metrics.csv`` can be read; without one those of this call."""
        try:
            return tuple(self.rows) if self.path is None else read_rows(self.path)
        except (OSError, ValueError):
            return tuple(self.rows)

    def sync(self) -> None:
        """Makes the rows so far survive a power cut: before a checkpoint that counts on them."""
        if self.path is not None:
            append_inside(self.path, b"", sync=True)

    def add(self, loss: float) -> None:
        """The loss of a step; one that is not finite belongs to a skipped step, and to no mean."""
        self.first = loss if math.isnan(self.first) else self.first
        if math.isfinite(loss):
            self._recent.append(loss)
            self._epoch.append(loss)

    @property
    def mean_loss(self) -> float:
        """Of the last steps; NaN before there is one."""
        return _mean(self._recent)

    def write(self, state: TrainingState, found: Validation | None = None) -> None:
        """A row of numbers."""
        row = Row(
            step=state.step,
            epoch=state.epoch,
            loss=self.mean_loss,
            val_loss=None if found is None else found.loss,
            bits_per_dim=None if found is None else found.bits_per_dim,
            learning_rate=state.learning_rate,
        )
        self.rows.append(row)
        self.written += 1
        if self.path is not None:
            append_inside(self.path, f"{row}\n".encode())
        self.trackers.log(row.values(), row.step)

    def write_epoch(
        self, state: TrainingState, seconds: float, steps: int, found: Validation | None
    ) -> None:
        """The line and the row of an epoch.

        Args:
            state: at its end.
            seconds: that its steps took in this process.
            steps: that this process took.
            found: its validation, if there was one.
        """
        loss = _mean(self._epoch)
        self._epoch.clear()
        epochs = f"~{state.epochs}" if state.timed else f"{state.epochs}"
        self.talk.say(epoch_line(state.epoch, epochs, seconds, steps, loss, found))
        self.write(state, found)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        losses = [list(self._recent), list(self._epoch)]
        return {"losses": losses, "rows": self.written}

    def load_state_dict(self, state: dict[str, Any], step: int) -> None:
        """From the checkpoint of a step; rows of this call that come after it are forgotten."""
        recent, epoch = state["losses"]
        self._recent, self._epoch = deque(recent, self._recent.maxlen), deque(epoch)
        self.written = state["rows"]
        self.rows = [row for row in self.rows if row.step <= step]


def _mean(losses: Collection[float]) -> float:
    """To the bit the same from wherever a training went on; NaN of nothing."""
    return math.fsum(losses) / len(losses) if losses else math.nan
