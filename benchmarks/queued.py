"""A training of the queue: how it is begun, how far it is, and the row that it leaves for RESULTS.md."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.command import command_of
from benchmarks.machine import processor, revision
from benchmarks.tables import table
from pixelcnn.cli.console import with_error
from pixelcnn.training.history import read_rows
from pixelcnn.training.result import result_of, stored
from pixelcnn.training.run import RunFolder

ROW = "row.json"
"""What a finished training leaves in its folder: a row for RESULTS.md, and all that it was made from."""


@dataclasses.dataclass(frozen=True)
class Training:
    """A training of the queue.

    Attributes:
        name: of its run folder.
        recipe: that it trains.
        minutes: of one core; on several it takes that much less time.
        settings: values of the recipe that are to be others.
        scored: test images, evenly spread; None for all.
    """

    name: str
    recipe: str
    minutes: float
    settings: tuple[str, ...] = ()
    scored: int | None = None

    def seeded(self, seed: int) -> "Training":
        """The same from another seed, in a folder of its own."""
        if not seed:
            return self
        settings = (*self.settings, f"training.seed={seed}")
        return dataclasses.replace(self, name=f"{self.name}-{seed}", settings=settings)

    def command(self, run: Path, cores: int) -> list[str]:
        """The words after ``pixelcnn`` that begin it, or go on with it: how long is settled at its start."""
        words = ["train", self.recipe, "--run", str(run), "--resume"]
        for setting in self.settings:
            words += ["--set", setting]
        if not (run / "recipe.toml").exists():
            words += ["--max-time", f"{round(self.minutes * 60 / cores)}s"]
        return words


def state(training: Training, root: Path) -> tuple[str, str]:
    """How far a training is, in a word, and its figure so far in words."""
    run = root / training.name
    row = finished(run)
    if row is not None:
        return "done", f"{row['figure']} {row['part']}"
    try:
        rows = [each for each in read_rows(run / "metrics.csv") if each.bits_per_dim is not None]
    except (OSError, ValueError):
        rows = []
    if not (run / "recipe.toml").exists():
        return "waiting", f"{training.minutes:g} min of a core"
    if not rows:
        return "begun", "not validated yet"
    best = min(rows, key=lambda row: row.bits_per_dim or 0.0)
    return "begun", f"{best.bits_per_dim:.4f} bits/dim valid, step {rows[-1].step:,}"


def finished(run: Path) -> dict[str, Any] | None:
    """The row that a finished training left, if what it was made from is still there."""
    try:
        row: dict[str, Any] = json.loads((run / ROW).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return row if row.get("fingerprint") == stored(run).get("fingerprint") else None


def overview(trainings: Sequence[Training], root: Path) -> str:
    """A table of all of them."""
    rows = [(each.name, each.recipe, *state(each, root)) for each in trainings]
    return table(("training", "recipe", "state", "figure"), rows)


def row_of(training: Training, run: Path, cores: int) -> dict[str, Any]:
    """The row of a training that is over; its test images are scored now, or were before."""
    found = result_of(run, limit=training.scored)
    binary = "" if found["binarisation"] == "none" else f", {found['binarisation']}"
    levels = f"{found['levels']} levels{binary}"
    nats = with_error(found["nats_per_image"], found["stderr"])
    bits = f"{found['bits_per_dim']:.4f}"
    steps = f"{found['steps']:,} steps of {found['tables']['training']['batch_size']}"
    spent = "" if found["seconds"] is None else f", {found['seconds'] / 60:.0f} min"
    how = f"{steps}{spent} on {cores} core{'s' if cores > 1 else ''}"
    commit = revision()
    cells = (
        f"`{training.recipe}`",
        f"{found['data']}, {levels}",
        f"{found['split']}, {found['images']:,}",
        nats,
        bits,
        f"{found['parameters']:,}",
        how,
        f"`{commit}`",
    )
    return {
        "name": training.name,
        "line": "| " + " | ".join(cells) + " |",
        "figure": f"{nats} nats, {bits} bits/dim",
        "part": found["split"],
        "command": command_of(RunFolder(run).stored()),
        "cores": cores,
        "commit": commit,
        "processor": processor(),
        "samples": sorted(path.name for path in (run / "samples").glob("*.png")),
        "fingerprint": found["fingerprint"],
        "result": found,
    }
