"""A GPU in a few minutes: training steps against plain PyTorch, and sampling with every engine.

Every recipe is measured in a process of its own for a share of the time, and what fails is a line of the
report. Without a GPU the same happens on the processor, with small networks.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.gpu_measure import SAMPLED, STEPS, Row
from benchmarks.machine import processor
from benchmarks.tables import short, table

ROOT = Path(__file__).parents[1]
SHARE = 0.7
"""Part of the time that training steps are measured; sampling takes what they leave."""

LEAST = 45.0
"""Seconds that a process may take in any case: some go into importing PyTorch."""

STEP_NOTE = (
    "Random images. Plain PyTorch convolves with dense kernels in NCHW, with Adam, in the same precision;"
    " `bare loop` is what `fit` computes, without its loop."
)


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


def measure(folder: Path, minutes: float) -> Iterator[Part]:
    """Both parts in turn; ``gpu.md`` in the folder says after each what is known.

    Args:
        folder: of the report and the logs; made if need be.
        minutes: for everything, about.
    """
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    began, seconds, done = time.monotonic(), 60 * minutes, list[Part]()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for what, names, share in (("steps", list(STEPS), SHARE), ("sampling", SAMPLED, 1.0)):
        part = Part("Training steps" if what == "steps" else "Sampling")
        notes = list[str]()
        for index, name in enumerate(names):
            left = share * seconds - (time.monotonic() - began)
            given = max(left / (len(names) - index), 1.0)
            notes += measured(part, what, name, device, given, folder / "logs")
        steps = what == "steps"
        part.text = step_table(part.rows) if steps else sampling_table(part.rows)
        part.text += [STEP_NOTE if steps else "Random weights, in float32.", *notes]
        done.append(part)
        text = report(device, time.monotonic() - began, seconds, done)
        (folder / "gpu.md").write_text(text, encoding="utf-8")
        yield part


def measured(
    part: Part, what: str, name: str, device: str, seconds: float, logs: Path
) -> list[str]:
    """Measures a recipe in a process of its own, which ends when its time is over; gives the notes.

    Args:
        part: takes its rows, and how it failed, if it did.
        what: is measured, see :mod:`benchmarks.gpu_measure`.
        name: of the recipe.
        device: that computes.
        seconds: for it, about.
        logs: where its errors go.
    """
    words = ["benchmarks.gpu_measure", what, name, device, f"{seconds:.1f}"]
    environment = dict(os.environ)
    if device == "cpu":  # for such small networks two threads only wait for each other
        environment.setdefault("OMP_NUM_THREADS", "1")
    log, failure, notes = logs / f"{what}-{name}.log", "", list[str]()
    with log.open("w", encoding="utf-8") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        try:
            printed, _ = child.communicate(timeout=max(LEAST, seconds))
        except subprocess.TimeoutExpired:
            child.kill()
            printed, _ = child.communicate()
            failure = f"not done within {max(LEAST, seconds):.0f} s"
    if child.returncode and not failure:
        last = (log.read_text(encoding="utf-8").strip().splitlines() or ["nothing"])[-1][:300]
        failure = f"exit code {child.returncode}; it said: {last} (all of it: {log.name})"
    if failure:
        part.failures.append(f"{name}: {failure}")
    for line in printed.splitlines():
        row: Row = json.loads(line)
        if "note" in row:
            notes.append(f"- {name}: {row['note']}")
        else:
            part.rows.append(row)
    return notes


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
