"""The report of a GPU: its parts, and the tables in them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from benchmarks.gpu_measure import Row
from benchmarks.machine import processor
from benchmarks.tables import short, table


@dataclass
class Part:
    """What a part has found: text for the report, and rows."""

    title: str
    text: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def __str__(self) -> str:
        failed = [f"- **failed**: {failure}" for failure in self.failures]
        return "\n".join([f"## {self.title}", "", *self.text, *failed])


def step_table(found: Sequence[Row]) -> list[str]:
    """Training steps, a row each beside those of its recipe; nothing without a row."""
    rows = [_step_row(row, [r for r in found if r["recipe"] == row["recipe"]]) for row in found]
    head = ("recipe", "batch", "way", "ms a step", "images/s", "against plain, eager", "GB")
    return [table(head, rows), ""] if rows else []


def _step_row(row: Row, beside: Sequence[Row]) -> list[str]:
    """A row of the table of steps, and those of the same recipe."""
    seconds, first, memory = row["seconds"], beside[0]["seconds"], row["peak_memory_gb"]
    return [
        row["recipe"],
        str(row["batch"]),
        f"{row['way']}, {row['how']}, {row['precision']}",
        short(seconds * 1e3),
        short(row["batch"] / seconds),
        f"{short(first / seconds)}×",
        f"{memory:.2f}" if memory else "",
    ]


def sampling_table(found: Sequence[Row]) -> list[str]:
    """Images a second, a column a batch size; nothing without a row."""
    batches = list(dict.fromkeys(row["batch"] for row in found))
    rows, guessed = [], False
    for name, engine in dict.fromkeys((r["recipe"], r["engine"]) for r in found):
        cells = dict.fromkeys(batches, "")
        for row in found:
            if (row["recipe"], row["engine"]) == (name, engine):
                whole = row["drawn"] == row["of"]
                guessed = guessed or not whole
                cells[row["batch"]] = short(row["batch"] / row["seconds"]) + ("" if whole else "*")
        rows.append([name, engine, *cells.values()])
    head = ("recipe", "engine", *(f"images/s at batch {n}" for n in batches))
    text = [table(head, rows), ""] if rows else []
    if guessed:
        text.append("\\* extrapolated from the first part of the images, which was drawn.")
    return text


def report(device: str, taken: float, asked: float, parts: Sequence[Part]) -> str:
    """The whole of ``gpu.md``.

    Args:
        device: that computes.
        taken: seconds so far.
        asked: seconds that all of it may take.
        parts: those that are done.
    """
    failures = sum(len(part.failures) for part in parts)
    head = (
        f"# {machine(device)}\n\n"
        f"{taken:.0f} s so far, {asked:.0f} s asked for; "
        f"{failures or 'no'} failure{'' if failures == 1 else 's'}"
    )
    return "\n\n".join([head, *map(str, parts)]) + "\n"


def machine(device: str) -> str:
    """What computes, and in which version."""
    if device == "cpu":
        return f"{processor()} (no GPU: small networks on the processor), torch {torch.__version__}"
    memory = torch.cuda.get_device_properties(0).total_memory / 1e9
    return (
        f"{torch.cuda.get_device_name(0)}, {memory:.0f} GB, torch {torch.__version__},"
        f" CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    )
