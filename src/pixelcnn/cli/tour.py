"""The demo itself: train on the embedded digits, then use the model in every way, and report."""

import time
from pathlib import Path
from typing import Any

from pixelcnn import __version__, checkpoint, data, scoring
from pixelcnn.cli import output, report, story, uses
from pixelcnn.cli.console import say, with_error
from pixelcnn.folders import BEST
from pixelcnn.scoring import Score
from pixelcnn.text import as_word
from pixelcnn.training import train_recipe
from pixelcnn.training.progress import duration
from pixelcnn.training.recipe import Setting
from pixelcnn.training.train import request
from pixelcnn.verify import check_model
from pixelcnn.verify.report import Report

RECIPE = "digits"
TITLE = "A model of handwritten digits"
LEAD = (
    "This page was written by one command, pixelcnn demo. In {time} it trained a small PixelCNN on "
    "handwritten digits and then used it in every way there is: to measure, to draw, to complete, "
    "to compress, to find odd images, and to check itself."
)


def take(folder: Path, seed: int, max_time: str) -> dict[str, Any]:
    """Runs the demo into an empty or new folder.

    Args:
        folder: gets the run folder ``run``, the pictures and ``index.html``.
        seed: of training and drawing.
        max_time: for the training, as ``70s``.

    Returns:
        The numbers, in JSON types.
    """
    began = time.monotonic()
    run = folder / "run"
    quoted = as_word(run)
    say("1/5 training: predict every pixel of a digit from the pixels before it")
    limits = {"max_time": max_time, "seed": seed}
    overrides = [Setting("training", *each) for each in limits.items()]
    again = f"'pixelcnn train {RECIPE} --run {quoted} --resume' finishes the training"
    train_recipe(request(RECIPE, run, overrides=overrides, again=again))
    seconds = time.monotonic() - began
    say("2/5 measuring on digits that were put aside")
    digits, model = data.load("digits"), checkpoint.load(run)
    score = scoring.evaluate(model, digits.test)
    stage = story.Stage(folder, quoted, model, digits, seed)
    say("3/5 checking that the model keeps its promises")
    promises = check_model(model)
    say("4/5 compressing those digits, beside PNG and WebP")
    sizes = uses.compressed(stage)
    say("5/5 drawing, completing and writing the page")
    sections = chapters(stage, max_time, score, promises, sizes)
    page = folder / "index.html"
    lead = LEAD.format(time=duration(time.monotonic() - began))
    facts = story.facts(stage, score, seconds)
    footer = f"Made with pixelcnn {__version__}, seed {seed}."
    output.write(page, report.page(TITLE, lead, facts, sections, footer).encode())
    return score.as_json() | {
        "uniform_nats": story.uniform_nats(model.shape, model.levels),
        "histogram_nats": float(story.histogram_nats(digits.train, digits.test).mean()),
        "bytes_per_image": sizes,
        "promises_kept": sum(row.passed for row in promises.rows if not row.noted),
        "promises": sum(not row.noted for row in promises.rows),
        "seconds": round(time.monotonic() - began, 1),
        "model": str(run / BEST),
        "report": str(page),
    }


def chapters(
    stage: story.Stage, max_time: str, score: Score, promises: Report, sizes: dict[str, float]
) -> list[report.Section]:
    """The parts of the page, in order."""
    return [
        story.the_data(stage),
        story.training(stage, max_time),
        story.evaluation(stage, score),
        uses.samples(stage),
        uses.completion(stage),
        uses.surprise(stage),
        uses.compression(stage, sizes),
        uses.anomalies(stage),
        uses.promises(stage, promises),
        uses.gallery(stage),
    ]


def lines(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """What the demo says at the end: names and values."""
    sizes = numbers["bytes_per_image"]
    return [
        (
            "test digits",
            f"{with_error(numbers['nats_per_image'], numbers['stderr'])} nats/image, "
            f"{with_error(numbers['bits_per_dim'], numbers['bits_per_dim_stderr'])} bits/dim",
        ),
        (
            "to compare",
            f"{numbers['histogram_nats']:.2f} a histogram for each pixel, "
            f"{numbers['uniform_nats']:.2f} any level alike",
        ),
        (
            "as a file",
            f"{sizes['pxc']:.1f} bytes a digit; PNG {sizes['png']:.1f} ({sizes['png_sheet']:.1f} in one "
            f"sheet), WebP {sizes['webp']:.1f} ({sizes['webp_sheet']:.1f})",
        ),
        ("promises", f"{numbers['promises_kept']} of {numbers['promises']} kept"),
        ("time", f"{numbers['seconds']:.0f} s"),
        ("model", numbers["model"]),
        ("look at", numbers["report"]),
    ]
