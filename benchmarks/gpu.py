"""A GPU in a few minutes: its tests, training steps, sampling, and a training that goes on next time.

Every part runs in processes of its own for a share of the time, and what fails is a line of the report.
Without a GPU the same happens on the processor, with small networks.
"""

import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

import pixelcnn as px
from benchmarks.gpu_measure import SAMPLED, STEPS
from benchmarks.gpu_report import Part, report, sampling_table, step_table
from benchmarks.tables import short, table
from pixelcnn.errors import PixelCNNError
from pixelcnn.training.result import seconds_of
from pixelcnn.training.run import RunFolder

ROOT = Path(__file__).parents[1]
TESTS = ("tests/test_gpu.py", "tests/test_devices.py", "tests/data/test_noise.py")
SHARES = {"tests": 0.15, "steps": 0.40, "sampling": 0.15}
"""Parts of the time; the training takes what they leave."""

LEAST = 45.0
"""Seconds that a process may take in any case: some go into importing PyTorch."""
LATE = 60.0
"""Seconds by which a training may be late: it ends with a validation and a picture."""
SHORTEST = 10.0
"""Seconds of training, at least."""
PATIENCE = 10.0
"""Seconds that a process has for ending when it is told to."""

RECIPE, WITHOUT_DATA = "compact-cifar10-large", "digits"
DATA = "cifar-10"


class Run:
    """One call of the script.

    Args:
        folder: of the report, the logs and the training.
        minutes: for everything.
        data: folder of the data sets, in place of ``$PIXELCNN_DATA``.
    """

    def __init__(self, folder: Path, minutes: float, data: Path | None = None) -> None:
        self.folder, self.seconds, self.began = folder, 60 * minutes, time.monotonic()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.environment = os.environ | {"COLUMNS": "200"}
        if self.device == "cpu":  # for such small networks two threads only wait for each other
            self.environment.setdefault("OMP_NUM_THREADS", "1")
        if data is not None:
            self.environment["PIXELCNN_DATA"] = str(data.resolve())
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    @property
    def left(self) -> float:
        """Seconds."""
        return self.seconds - (time.monotonic() - self.began)

    def python(self, words: Sequence[str], log: str, seconds: float) -> "Ended":
        """Runs Python in the source tree; its errors go into a log."""
        command = [sys.executable, "-m", *words]
        return ended(command, self.folder / "logs" / f"{log}.log", seconds, self.environment)


class Ended(NamedTuple):
    """What a process left behind: what it printed, its exit code, and how it failed, if it did."""

    lines: list[str]
    code: int
    failure: str


def ended(command: Sequence[str], log: Path, seconds: float, environment: dict[str, str]) -> Ended:
    """Runs a process, which ends, and all that it has started, when its time is over.

    Args:
        command: its words.
        log: where its errors go.
        seconds: that it may take, if more than the least.
        environment: its own.
    """
    seconds, failure = max(LEAST, seconds), ""
    with log.open("w+", encoding="utf-8") as errors, tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(
            list(command), cwd=ROOT, env=environment, stdout=printed, stderr=errors,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            failure = f"not done within {seconds:.0f} s"
            _kill(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
        finally:
            _kill(process, signal.SIGKILL)  # and whatever it has left running
            code = process.wait()
        printed.seek(0)
        errors.seek(0)
        lines, said = printed.readlines(), errors.read().strip().splitlines()
    if code and not failure:
        last = said[-1][:300] if said else "nothing"
        failure = f"exit code {code}; it said: {last} (all of it: {log.name})"
    return Ended(lines, code, failure)


def _kill(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Sends a signal to a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def tests(run: Run, seconds: float) -> Part:
    """The tests that need a GPU."""
    part = Part("Tests that need a GPU")
    if importlib.util.find_spec("pytest") is None:
        part.failures.append("pytest is not installed, so no test has run: make setup")
        return part
    words = ("pytest", "-v", "-rfEs", "-m", "gpu", "-p", "no:cacheprovider", *TESTS)
    child = run.python(words, "tests", seconds)
    said = [line.strip("= \n") for line in child.lines]
    (run.folder / "logs" / "tests.txt").write_text("\n".join(said), encoding="utf-8")
    part.failures = [line[:300] for line in said if re.match(r"(FAILED|ERROR) ", line)]
    skipped = [f"- {line}" for line in said if line.startswith("SKIPPED ")]
    part.text = [*said[-1:], "", *skipped]
    # pytest says 1 where tests failed, each of which is named already.
    if child.failure and (child.code != 1 or not part.failures):
        part.failures.append(f"pytest: {child.failure}; see tests.txt")
    return part


def measured(run: Run, part: Part, what: str, names: Sequence[str], until: float) -> list[str]:
    """Measures recipes one after the other until so many seconds are left; gives the notes."""
    notes = []
    for done, name in enumerate(names):
        seconds = (run.left - until) / (len(names) - done)
        words = ("benchmarks.gpu_measure", what, name, run.device, f"{max(seconds, 1):.1f}")
        child = run.python(words, f"{what}-{name}", seconds)
        for line in child.lines:
            row = json.loads(line) if line.startswith("{") else {}
            if "note" in row:
                notes.append(f"- {name}: {row['note']}")
            elif row:
                part.rows.append(row)
        if child.failure:
            part.failures.append(f"{name}: {child.failure}")
    return notes


def steps(run: Run, seconds: float) -> Part:
    """Training steps of some recipes, against plain PyTorch."""
    part = Part("Training steps")
    notes = measured(run, part, "steps", list(STEPS), run.left - seconds)
    part.text = [
        *step_table(part.rows),
        "Random images. Plain PyTorch convolves with dense kernels in NCHW, with Adam, in the same precision;"
        " `bare loop` is what `fit` computes, without its loop.",
        *notes,
    ]
    return part


def sampling(run: Run, seconds: float) -> Part:
    """Images a second, by engine and batch size."""
    part = Part("Sampling")
    notes = measured(run, part, "sampling", SAMPLED, run.left - seconds)
    part.text = [*sampling_table(part.rows), "Random weights, in float32.", *notes]
    return part


def training(run: Run, seconds: float) -> Part:
    """As much of a training as fits; the next call goes on with it."""
    part, folder = Part("Training"), run.folder / "run"
    words = ["pixelcnn", "train", "--resume", "--run", str(folder.resolve()), "--json"]
    if not (folder / "recipe.toml").exists():
        recipe, why = _recipe(run)
        words.insert(2, recipe)
        part.text += [why] if why else []
    before = _trained(folder)
    allowed = max(SHORTEST, seconds)
    words += ["--device", run.device, "--max-time", f"{before + 0.9 * allowed:.0f}s"]
    child = run.python(words, "training", allowed + LATE)
    if child.failure:
        part.failures.append(f"pixelcnn {' '.join(words[1:3])}: {child.failure}")
        return part
    said = "".join(child.lines)
    found = json.loads(said[said.index("{") :])
    part.rows = [found | {"seconds": _trained(folder), "seconds_before": before}]
    nats = found["validation_nats_per_image"]
    rows = [
        ("recipe", RunFolder(folder, resume=True).stored().name),
        ("steps in all", f"{found['steps']:,}"),
        ("seconds of training in all", f"{_trained(folder):.0f}"),
        ("of them before this call", f"{before:.0f}"),
        ("best validation, nats an image", short(nats)),
        ("ended for", str(found["reason"])),
    ]
    part.text += ["", table(("what", "is"), rows), "",
        "The same call goes on with it. Losses by step: `run/metrics.csv`; what it said: `run/train.log`.",
    ]  # fmt: skip
    return part


def _recipe(run: Run) -> tuple[str, str]:
    """What is trained, and why not what was meant."""
    root = run.environment.get("PIXELCNN_DATA")
    if run.device == "cpu":
        return WITHOUT_DATA, f"`{WITHOUT_DATA}` in place of `{RECIPE}`: there is no GPU."
    try:
        px.data.load(DATA, root=root, download=False)
    except PixelCNNError as error:
        return WITHOUT_DATA, f"`{WITHOUT_DATA}` in place of `{RECIPE}`: {error}."
    return RECIPE, ""


def _trained(folder: Path) -> float:
    """Seconds that a run has been trained for."""
    return seconds_of(RunFolder(folder)) or 0.0


Measure = Callable[[Run, float], Part]
PARTS: dict[str, Measure] = {"tests": tests, "steps": steps, "sampling": sampling}


def measure(folder: Path, minutes: float, data: Path | None = None) -> Iterator[Part]:
    """All parts in turn; ``gpu.md`` in the folder says after each what is known.

    Args:
        folder: made if need be.
        minutes: for everything, about.
        data: folder of the data sets.
    """
    run, done = Run(folder, minutes, data), list[Part]()
    shares = {name: share * run.seconds for name, share in SHARES.items()}
    for name, part in (PARTS | {"training": training}).items():
        seconds = shares.get(name, run.left)
        try:
            done.append(part(run, seconds))
        except Exception as error:  # the others go on
            failed = Part(name.capitalize(), failures=[f"{type(error).__name__}: {error}"[:300]])
            done.append(failed)
        text = report(run.device, run.seconds - run.left, run.seconds, done)
        (folder / "gpu.md").write_text(text, encoding="utf-8")
        yield done[-1]
