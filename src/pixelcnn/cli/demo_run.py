"""The demo itself: train on the embedded digits, then use the model in every way, and report."""

import time
from pathlib import Path
from typing import Any

from pixelcnn import __version__, checkpoint, data, scoring
from pixelcnn.cli import demo_sections, output, report
from pixelcnn.cli.console import say, with_error
from pixelcnn.folders import BEST
from pixelcnn.scoring import Score, bits_per_dim
from pixelcnn.text import as_word
from pixelcnn.training import train_recipe
from pixelcnn.training.progress import duration
from pixelcnn.training.recipe import Setting
from pixelcnn.training.train import request
from pixelcnn.verify import check_model
from pixelcnn.verify.report import Report

RECIPE = "digits"


def take(folder: Path, seed: int, max_time: str) -> dict[str, Any]:
    """Runs the demo into an empty or new folder.

    Args:
        folder: gets the run folder ``run``, the pictures and ``index.html``.
        seed: of training and drawing.
        max_time: for the training, as ``70s``.

    Returns:
        The numbers, in JSON types.
    """
    began, run = time.monotonic(), folder / "run"
    say("1/5 training: predict every pixel of a digit from the pixels before it")
    limits = {"max_time": max_time, "seed": seed}
    overrides = [Setting("training", *each) for each in limits.items()]
    again = f"'pixelcnn train {RECIPE} --run {as_word(run)} --resume' finishes the training"
    train_recipe(request(RECIPE, run, overrides=overrides, again=again))
    seconds = time.monotonic() - began
    say("2/5 measuring on digits that were put aside")
    digits, model = data.load("digits"), checkpoint.load(run)
    score = scoring.evaluate(model, digits.test)
    stage = demo_sections.Stage(folder, model, digits, seed)
    say("3/5 checking that the model keeps its promises")
    promises = check_model(model)
    say("4/5 compressing those digits, beside PNG and WebP")
    sizes = demo_sections.compressed(stage)
    say("5/5 drawing, completing and writing the page")
    parts = drawn(stage, score, promises, sizes)
    words = said(stage, score) | {"seconds": f"{seconds:.0f}", "max_time": max_time}
    words["time"] = duration(time.monotonic() - began)
    output.write(page := folder / "index.html", report.page(folder, words, parts).encode())
    return score.as_json() | {
        "uniform_nats": demo_sections.uniform_nats(model.shape, model.levels),
        "histogram_nats": float(demo_sections.histogram_nats(digits.train, digits.test).mean()),
        "bytes_per_image": sizes,
        "promises_kept": sum(row.passed for row in promises.rows if not row.noted),
        "promises": sum(not row.noted for row in promises.rows),
        "seconds": round(time.monotonic() - began, 1),
        "model": str(run / BEST),
        "report": str(page),
    }


def drawn(
    stage: demo_sections.Stage, score: Score, promises: Report, sizes: dict[str, float]
) -> dict[str, str]:
    """Draws all pictures of the page; gives its other parts as HTML."""
    demo_sections.data(stage)
    demo_sections.completions(stage)
    demo_sections.surprise(stage)
    gallery, commands = demo_sections.gallery(stage)
    return {
        "curves": demo_sections.curves(stage),
        "likelihoods": demo_sections.likelihoods(stage, score),
        "copies": demo_sections.samples(stage),
        "sizes": demo_sections.packed(sizes),
        "strangers": demo_sections.anomalies(stage),
        "promises": demo_sections.promises(promises),
        "gallery": gallery,
        "gallery_commands": commands,
    }


def said(stage: demo_sections.Stage, score: Score) -> dict[str, str]:
    """The numbers in the text of the page, and its paths: as its commands name them."""
    model, parts = stage.model, {name: len(part) for name, part in stage.digits._asdict().items()}
    uniform = demo_sections.uniform_nats(model.shape, model.levels)
    return {name: f"{count:,}" for name, count in parts.items()} | {
        "images": f"{sum(parts.values()):,}",
        "levels": str(model.levels),
        "highest": str(model.levels - 1),
        "parameters": f"{model.parameters_count:,}",
        "nats": f"{score.nats:.2f}",
        "stderr": f"{score.stderr:.2f}",
        "bits": f"{score.bits_per_dim:.3f}",
        "blind": f"{bits_per_dim(uniform, model.shape.dimensions):.2f}",
        "png_nats": f"{scoring.png_nats(stage.digits.test.images, model.levels).mean():.0f}",
        "run": as_word(stage.folder / "run"),
        "digit": as_word(stage.folder / "digit.png"),
        "seed": str(stage.seed),
        "version": __version__,
    }


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
