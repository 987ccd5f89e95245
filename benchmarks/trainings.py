"""The trainings behind RESULTS.md, one after the other: what is done, what comes next, and its figures.

Anybody can start the queue, stop it in any way, and start it again: a training goes on from its last
checkpoint. What validates best is kept; test images are scored once, when a training is over.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import allowed
from benchmarks.queued import ROW, Training, finished, overview, row_of
from pixelcnn.errors import PixelCNNError
from pixelcnn.files import write_atomically
from pixelcnn.training import launch
from pixelcnn.training import recipe as recipes
from pixelcnn.training.run import InUse, RunFolder

PATIENCE = 20.0
"""Seconds between two looks at a folder that another process holds."""

TIMED = ("training.epochs=1000",)
"""The time decides how long a training is, not the epochs of its recipe."""

MORE_STEPS = ("training.batch_size=16",)
"""As many as the time allows are better than a recipe's own batches, which are for a GPU or for days."""

EIGHT = (*TIMED, "training.batch_size=8")
FOUR = (*TIMED, "training.batch_size=4")
"""Images a step, of networks that take a processor a second or two for each."""

QUEUE = (
    # The tutorials.
    Training("keras-mnist", "keras-mnist", 60, MORE_STEPS),
    Training("keras-mnist-tutorial", "keras-mnist", 60, ("data.split=tutorial", *MORE_STEPS)),
    Training("keras-prelu-mnist", "keras-prelu-mnist", 60, MORE_STEPS),
    Training("fashion-mnist", "fashion-mnist", 60, MORE_STEPS),
    Training("chainer-mnist-2", "chainer-mnist", 36),
    Training("chainer-mnist-4", "chainer-mnist", 36, ("data.levels=4",)),
    Training("chainer-mnist-8", "chainer-mnist", 36, ("data.levels=8",)),
    Training("chainer-mnist-256", "chainer-mnist", 36, ("data.levels=256",)),
    Training("chainer-colour-mnist", "chainer-colour-mnist", 60),
    Training("chainer-cifar10", "chainer-cifar10", 60, FOUR, scored=1000),
    Training("annotated-cifar10", "annotated-cifar10", 60, FOUR, scored=1000),
    # Courses.
    Training("shapes", "shapes", 24, TIMED),
    Training("shapes-colour", "shapes-colour", 24, TIMED),
    Training("mnist-binary", "mnist-binary", 24, TIMED),
    Training("mnist-colour", "mnist-colour", 24, TIMED),
    # The models that come with the package.
    Training("mnist", "compact-mnist", 300, (*TIMED, "network.kernel=11")),
    Training("mnist-wide", "compact-mnist", 300, (*TIMED, "network.kernel=11", "network.width=96")),
    Training("fashion", "compact-fashion", 300, (*TIMED, "network.width=96")),
    Training("cifar-10", "compact-cifar10-small", 300, TIMED),
    Training("mnist-labels", "compact-mnist-labels", 120, TIMED),
    Training("mnist-grey", "uva-mnist", 120, (*TIMED, "network.width=96")),
    Training("digits", "digits", 4),
    # The rest of the family.
    Training("gated-cifar10", "gated-cifar10", 120, FOUR, scored=1000),
    Training("pixelcnnpp-cifar10-small", "pixelcnnpp-cifar10-small", 120, FOUR, scored=1000),
    Training("compact-cifar10", "compact-cifar10", 60, EIGHT, scored=1000),
    Training("pixelcnnpp-mnist", "pixelcnnpp-mnist", 60, TIMED),
    Training("snail-mnist", "snail-mnist", 60, TIMED),
    Training("row-lstm-mnist", "row-lstm-mnist", 60, TIMED),
    Training("diagonal-bilstm-mnist", "diagonal-bilstm-mnist", 60, TIMED),
    Training("made-mnist", "made-mnist", 30),
)
"""In the order in which they run."""

APART = {
    "pixelcnnpp-cifar10": "none yet: needs a GPU",
    "compact-cifar10-large": "none yet: needs a GPU",
    "snail-cifar10": "none yet: needs a GPU",
    "vq-prior": "for data of your own",
    "fashion-csv": "for data of your own",
    "gated-mnist": "in RESULTS.md",
    "gated-mnist-labels": "in RESULTS.md",
}
"""Recipes that no training of the queue is of, and why."""


def chosen(names: Sequence[str], seed: int, share: float = 1.0) -> list[Training]:
    """The trainings of these names, in the order of the queue; all of them without a name.

    Each takes that share of its time.

    Raises:
        KeyError: there is none of such a name.
    """
    known = {each.name: each for each in QUEUE}
    wanted = {known[name].name for name in names} or set(known)
    queue = [dataclasses.replace(each, minutes=each.minutes * share) for each in QUEUE]
    return [each.seeded(seed) for each in queue if each.name in wanted]


def wait_for(run: Path) -> None:
    """Waits while another process trains in a folder, such as one that was left by a killed queue."""
    said = False
    while True:
        try:
            with RunFolder(run, resume=True):
                return
        except InUse as error:
            if not said:
                print(f"{error}: waiting", flush=True)
            said = True
        time.sleep(PATIENCE)


def train(training: Training, root: Path, cores: int) -> int:
    """Trains to the end, in a process of its own, to which signals are passed on; its exit code."""
    run = root / training.name
    wait_for(run)
    return launch.supervise(
        [sys.executable, "-m", "pixelcnn", *training.command(run, cores)], devices=1, nodes=1
    )


STOPPED = (130, 143, 129)
"""Exit codes of a training that saved its state because a signal stopped the queue."""


def work(trainings: Sequence[Training], root: Path, cores: int) -> Iterator[tuple[Training, str]]:
    """Trains what is not done, and says of each how it ended.

    Raises:
        KeyboardInterrupt: a signal stopped it.
    """
    for training in trainings:
        run = root / training.name
        if finished(run) is not None:
            yield training, "done before"
            continue
        code = train(training, root, cores)
        if code in STOPPED:
            raise KeyboardInterrupt
        if code:
            yield training, f"failed with exit code {code}"
            continue
        try:
            row = row_of(training, run, cores)
        except PixelCNNError as error:
            yield training, f"failed: {error}"
            continue
        write_atomically(run / ROW, (json.dumps(row, indent=2) + "\n").encode())
        yield training, f"done: {row['figure']}"


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks trainings", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of trainings (all of them)")
    parser.add_argument("--list", action="store_true", help="say what is done and what is next")
    parser.add_argument("--lines", action="store_true", help="print the rows for RESULTS.md")
    parser.add_argument("--core", default="", metavar="N,…",
                        help="the cores to train on (all that this process may use)")  # fmt: skip
    parser.add_argument("--root", type=Path, default=Path("runs/trainings"), metavar="DIR",
                        help="of the run folders (runs/trainings)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="another seed, in folders of its own")
    parser.add_argument("--share", type=float, default=1.0, metavar="S",
                        help="of its time that each training takes, such as 0.2 (1)")  # fmt: skip
    options = parser.parse_args(words)
    if not 0 < options.share <= 1:
        parser.error(f"--share lies above 0 and at most at 1, got {options.share:g}")
    try:
        options.trainings = chosen(options.names, options.seed, options.share)
    except KeyError as error:
        known = ", ".join(each.name for each in QUEUE)
        parser.error(f"no training called {error.args[0]!r}; known: {known}")
    try:
        cores = {int(word) for word in options.core.split(",")} if options.core else allowed()
    except ValueError:
        parser.error(f"--core takes numbers such as 0,1, got {options.core!r}")
    if not cores <= allowed():
        parser.error(f"--core {options.core}: this process may use {sorted(allowed())}")
    options.cores = cores
    return options


def main(words: Sequence[str]) -> int:
    """Says how far the trainings are, or goes on with them; 1 where one of them failed."""
    options = parse(words)
    if options.lines:
        rows = (finished(options.root / each.name) for each in options.trainings)
        print("\n".join(row["line"] for row in rows if row is not None))
        return 0
    print(overview(options.trainings, options.root), flush=True)
    if options.list:
        return 0
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, options.cores)
    os.environ["OMP_NUM_THREADS"] = str(len(options.cores))
    failed = False
    try:
        for training, ending in work(options.trainings, options.root, len(options.cores)):
            print(f"{training.name}: {ending}", flush=True)
            failed |= ending.startswith("failed")
    except KeyboardInterrupt:
        print("stopped; the same command goes on", flush=True)
        return STOPPED[0]
    print(f"\n{overview(options.trainings, options.root)}")
    return int(failed)


def untrained() -> dict[str, str]:
    """Recipes without a finished training in this queue, and what it would take."""
    minutes = dict(APART)
    for each in reversed(QUEUE):
        minutes[each.recipe] = f"none yet: {each.minutes:g} min of a core"
    return {name: minutes[name] for name in recipes.names()}
