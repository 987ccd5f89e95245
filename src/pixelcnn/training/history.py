"""What a training measured: rows of numbers, the curves they make, and ``metrics.csv``."""

import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixelcnn.charts import learning_curve
from pixelcnn.errors import ConfigError
from pixelcnn.text import counted, escaped

COLUMNS = ("step", "epoch", "loss", "val_loss", "bits_per_dim", "learning_rate")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of ``metrics.csv``; losses are nats per sub-pixel.

    Attributes:
        step: steps taken.
        epoch: the epoch that the step belongs to, from 1.
        loss: mean training loss of the last steps, as many for every row.
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

    def values(self) -> dict[str, float]:
        """The numbers that it has, without step and epoch: what trackers are told.

        Example:
            >>> Row(10, 1, 0.5, None, None, 1e-3).values()
            {'loss': 0.5, 'learning_rate': 0.001}
        """
        found = {name: getattr(self, name) for name in COLUMNS[2:]}
        return {name: value for name, value in found.items() if value is not None}

    def __str__(self) -> str:
        values = (getattr(self, name) for name in COLUMNS)
        return ",".join("" if value is None else repr(value) for value in values)


@dataclasses.dataclass(frozen=True)
class History:
    """What a training did; a notebook shows it as a picture of its curves.

    Attributes:
        rows: the rows of ``metrics.csv``, of all calls that went on with the run folder.
        steps: steps taken in all.
        best: the best validation, in nats per image.
        reason: why it stopped, ``"done"``, ``"patience"`` or what a callback said.
        run: the run folder, if there is one.

    Example:
        >>> history = History((Row(2, 1, 0.7, None, None, 1e-3), Row(4, 2, 0.6, 0.5, 0.72, 1e-3)), 4, 32.0,
        ...                   "done", None)
        >>> history.curve("loss")
        [(2, 0.7), (4, 0.6)]
        >>> history.curve("val_loss")
        [(4, 0.5)]
    """

    rows: tuple[Row, ...] = dataclasses.field(repr=False)
    steps: int
    best: float
    reason: str
    run: Path | None

    def curve(self, name: str) -> list[tuple[int, float]]:
        """The points (step, value) of a column of the rows, where it has a value."""
        found = ((row.step, getattr(row, name)) for row in self.rows)
        return [(step, value) for step, value in found if value is not None]

    def plot(self, axes: Any = None) -> Any:
        """Draws the curves with matplotlib.

        Args:
            axes: matplotlib axes to draw on; a new figure's if None.

        Returns:
            The axes.

        Raises:
            ConfigError: matplotlib is not installed.
        """
        if axes is None:
            try:
                from matplotlib import pyplot
            except ImportError as error:
                raise ConfigError(
                    "a plot needs matplotlib, which is not installed",
                    hint="pip install 'pixelcnn[plot]'",
                ) from error
            axes = pyplot.subplots()[1]
        axes.set(xlabel="epoch", ylabel="bits/dim")
        for label, curve in bits_per_dim_curves(self.rows).items():
            axes.plot(*zip(*curve, strict=True), label=label)
            axes.legend()
        return axes

    def _repr_html_(self) -> str:
        """The curves as SVG, and the best validation in words."""
        words = f"{counted(self.steps, 'step')}, best validation {self.best:.3f} nats an image"
        words += "" if self.run is None else f", in {self.run}"
        curves = bits_per_dim_curves(self.rows)
        drawn = learning_curve(curves, "epoch", "bits/dim") if curves else ""
        return f'<div style="max-width: 40em">{drawn}<p>{escaped(words)}</p></div>'


def bits_per_dim_curves(rows: Sequence[Row]) -> dict[str, list[tuple[float, float]]]:
    """The curves that there are, training and validation: epochs, and bits per sub-pixel."""
    per_epoch = max((row.step / row.epoch for row in rows), default=1.0)
    found = {
        label: [
            (row.step / per_epoch, loss / math.log(2))
            for row in rows
            if (loss := getattr(row, column)) is not None and math.isfinite(loss)
        ]
        for label, column in (("training", "loss"), ("validation", "val_loss"))
    }
    return {label: points for label, points in found.items() if points}


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows of a ``metrics.csv``.

    Raises:
        OSError: it cannot be read.
        ValueError: somebody wrote into it, or a row is cut.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return tuple(
            Row(
                int(row["step"]),
                int(row["epoch"]),
                *(float(row[name]) if row[name] else None for name in COLUMNS[2:]),  # type: ignore[arg-type]
            )
            for row in rows
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path.name} has a row that is cut, or other columns") from error
