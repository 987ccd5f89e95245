"""A speed-run of likelihood: fixed data and splits, the clock, and whether a few runs show what they seem to.

The clock runs from before the first step to after the last validation of the training. What counts is then
measured outside it: all validation images, float32, the weights that the training ends with. Test images are
never looked at. LEADERBOARD.md has the rules, and the rows.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pixelcnn as px
from benchmarks.keras_backends import BACKENDS, loop
from benchmarks.leaderboard import (
    BOARD,
    ROWS,
    Json,
    append,
    judged,
    rows,
    standing,
    with_board,
)
from benchmarks.machine import allowed, processor, revision
from benchmarks.tracks import TRACKS, Track
from benchmarks.training import plain_training
from pixelcnn import memory
from pixelcnn.data import Splits
from pixelcnn.model import PixelModel
from pixelcnn.training import launch
from pixelcnn.training import recipe as recipes
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.published import in_unit

OURS, PLAIN, KERAS = "ours", "plain PyTorch", "Keras"


class StopAt:
    """A callback of ``fit``: a figure on all validation images that is low enough ends the training.

    Args:
        nats: of an image.
    """

    def __init__(self, nats: float) -> None:
        self.nats = nats

    def on_validation(self, state: Any) -> None:
        """Stops it, if that is reached."""
        if state.validation.mean <= self.nats:
            state.stop("target")


def run(track: Track, settings: Sequence[str], seed: int, contender: str = OURS) -> Json:
    """One run: its seconds, and its figure in the unit of the track.

    Args:
        track: what to reach.
        settings: values of the recipe that are to be others.
        seed: of everything random.
        contender: who trains.
    """
    name = track.recipe if contender == OURS else track.plain
    fixed = [f"training.seed={seed}", f"training.device={track.device}"]
    if track.target is not None:
        fixed.append("training.validation_images=0")
    ours = track.ours if contender == OURS else ()
    recipe = recipes.get(name).with_overrides([*track.settings, *ours, *settings, *fixed])
    splits = recipe.load()
    model, _ = recipe.build(splits.train)
    one = in_unit(1.0, model.shape.dimensions, track.unit)
    if contender.startswith(KERAS):
        return imitated(contender, model, splits, recipe.options.seconds, one) | {"seed": seed}
    target = None if track.target is None else track.target / one
    way = fitted if contender == OURS else learned
    start = time.perf_counter()
    trained, steps = way(model, splits, recipe.options, target)
    seconds = time.perf_counter() - start
    score = px.evaluate(trained, splits.val)
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "steps": steps,
        "nats": score.nats,
        "images": score.images,
        "figure": score.nats * one,
        "parameters": model.parameters_count,
    }


def fitted(
    model: PixelModel, splits: Splits, options: TrainingOptions, target: float | None
) -> tuple[PixelModel, int]:
    """Trains with this library; the model, and its steps."""
    callbacks = [] if target is None else [StopAt(target)]
    train, val = splits.train, splits.val
    history = px.fit(
        model, train, val, options=options, callbacks=callbacks, trackers=[], verbose=False
    )
    return model, history.steps


def learned(
    model: PixelModel, splits: Splits, options: TrainingOptions, target: float | None
) -> tuple[PixelModel, int]:
    """Trains as a tutorial does until the time is over, with batches in a shuffled order."""
    twin, step = plain_training(model, options.device)
    shuffle = torch.Generator().manual_seed(options.seed)
    start, steps, epoch = time.perf_counter(), 0, 0
    while True:
        for batch in torch.randperm(len(splits.train), generator=shuffle).split(options.batch_size):
            if time.perf_counter() - start >= options.seconds:
                return twin.eval(), steps
            step(splits.train.levels_at(batch, epoch).to(options.device).long())
            steps += 1
        epoch += 1


def imitated(contender: str, model: PixelModel, splits: Splits, seconds: float, one: float) -> Json:
    """A run of the Keras example itself: its network, its optimiser, for so many seconds."""
    backend = contender.removeprefix(f"{KERAS}, ")
    with tempfile.TemporaryDirectory() as folder, loop(backend) as running:
        for name in ("train", "val"):
            levels = getattr(splits, name).images.permute(0, 2, 3, 1)
            np.save(Path(folder) / f"{name}.npy", levels.numpy())
        nats = running.ask(f"learn {seconds} {folder}") * model.shape.dimensions
    figure = {"nats": nats, "figure": nats * one, "images": len(splits.val)}
    return figure | {"seconds": seconds, "steps": None, "parameters": model.parameters_count}


def summary(
    track_name: str,
    contender: str,
    settings: Sequence[str],
    runs: Sequence[Json],
    processes: int = 1,
) -> Json:
    """A row of the board."""
    track = TRACKS[track_name]
    figures = [each["figure"] for each in runs]
    row = {
        "track": track_name,
        "contender": contender,
        "recipe": track.recipe if contender == OURS else track.plain,
        "parameters": runs[0]["parameters"],
        "seconds": statistics.fmean(each["seconds"] for each in runs),
        "figure": statistics.fmean(figures),
        "runs": list(runs),
        "command": command(track_name, contender, settings, len(runs), processes),
        "commit": revision(),
        "processor": where(track),
        "note": "",
    }
    return row | judged(row, standing(track_name))


def where(track: Track) -> str:
    """What computed."""
    if track.device != "cpu":
        return torch.cuda.get_device_name()
    cores = min(track.cores, len(allowed()))
    return f"{cores} core{'s' if cores > 1 else ''} of {processor()}"


def command(
    track: str, contender: str, settings: Sequence[str], runs: int, processes: int = 1
) -> str:
    """The words that make such a row."""
    words = ["python -m benchmarks speedrun", track, f"--runs {runs}"]
    words += [f"--processes {processes}"] if processes > 1 else []
    words += [f"--set {setting}" for setting in settings]
    others = {PLAIN: ["--plain"], OURS: []}
    keras = ["--keras", contender.removeprefix(f"{KERAS}, ")]
    return " ".join([*words, *others.get(contender, keras)])


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    tracks = "\n".join(f"  {name:14} {track.about}" for name, track in TRACKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks speedrun", description=__doc__, epilog=f"tracks:\n{tracks}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("track", nargs="?", choices=TRACKS, metavar="TRACK")
    parser.add_argument("--runs", type=int, default=1, help="with seeds 0, 1, ... (1)")
    parser.add_argument("--set", dest="settings", action="append", default=[],
                        metavar="TABLE.KEY=VALUE", help="another value of the recipe")  # fmt: skip
    parser.add_argument("--processes", type=int, default=1,
                        help="that share the cores, in place of threads (1)")  # fmt: skip
    parser.add_argument("--plain", action="store_true", help="a plain PyTorch loop instead")
    parser.add_argument("--keras", choices=BACKENDS, help="its example, on the track keras")
    parser.add_argument("--out", type=Path, default=Path("runs/speedrun.jsonl"), metavar="FILE",
                        help="a row is added after each run, and a command that was ended "
                             "goes on with the runs that it lacks (runs/speedrun.jsonl)")  # fmt: skip
    parser.add_argument("--board", action="store_true",
                        help="make the tables of LEADERBOARD.md anew; with a track, add its row")  # fmt: skip
    options = parser.parse_args(words)
    if options.track is None and not options.board:
        parser.error("give a track, or --board")
    if options.keras and (options.track != "keras" or options.plain):
        parser.error("--keras is for the track keras, and a contender of its own")
    if options.runs < 1:
        parser.error(f"--runs must be at least 1, got {options.runs}")
    if options.processes > 1 and (options.plain or options.keras):
        parser.error("--processes is for this library's own trainings")
    for setting in options.settings:
        if setting.startswith("data."):
            parser.error(f"--set {setting}: the data of a track are fixed")
    return options


def main(words: Sequence[str]) -> int:
    """Runs a track and adds its row."""
    options = parse(words)
    if options.processes > 1 and "RANK" not in os.environ:
        command = [sys.executable, "-m", "benchmarks", "speedrun", *words]
        return launch.supervise(command, options.processes, nodes=1)
    if options.track is not None:
        measure(options)
    if options.board and first():
        page = BOARD.read_text(encoding="utf-8")
        BOARD.write_text(with_board(page, rows()), encoding="utf-8")
        print(f"board: {BOARD}")
    return 0


def first() -> bool:
    """Whether this process speaks for all that train together."""
    return os.environ.get("RANK", "0") == "0"


def measure(options: argparse.Namespace) -> None:
    """All runs of a track; every one is printed as it ends."""
    track: Track = TRACKS[options.track]
    if track.device == "cpu":
        torch.set_num_threads(max(1, track.cores // options.processes))
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, set(sorted(allowed())[: track.cores]))
    memory.keep_memory()
    contender = PLAIN if options.plain else OURS
    if options.keras:
        contender = f"{KERAS}, {options.keras}"
    words = (options.track, contender, options.settings)
    row: Json = {}
    runs = begun(options, contender)
    for seed in range(len(runs), options.runs):
        runs.append(run(track, options.settings, seed, contender))
        if first():
            print(json.dumps(runs[-1]), flush=True)
            row = summary(*words, runs, options.processes)
            append(row, options.out)
    if not first():
        return
    if options.board:
        append(row, ROWS)
    print(json.dumps({key: value for key, value in row.items() if key != "runs"}))


def begun(options: argparse.Namespace, contender: str) -> list[Json]:
    """Runs that the same command made before something ended it; none if it had made all of them.

    Args:
        options: of the command; the file of rows has one after each run, with all runs until then.
        contender: who trains.
    """
    path, commit, here = options.out, revision(), where(TRACKS[options.track])
    rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for row in map(json.loads, reversed(rows)):
        runs: list[Json] = row["runs"]
        words = (options.track, contender, options.settings, len(runs), options.processes)
        if (row["command"], row["commit"], row["processor"]) == (command(*words), commit, here):
            return runs if len(runs) < options.runs else []
    return []
