"""The chapters of the demo: each does one thing with a trained model, and explains it."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pixelcnn import plotting, sampling, scoring
from pixelcnn.cli.baselines import auroc, histogram_nats, uniform_nats
from pixelcnn.cli.charts import learning_curve
from pixelcnn.cli.film import Film
from pixelcnn.cli.output import save_picture
from pixelcnn.cli.report import Bar, Figure, Section
from pixelcnn.data import Splits
from pixelcnn.model import PixelModel
from pixelcnn.scoring import Score, bits_per_dim
from pixelcnn.verify.report import Report

ENLARGE = 10


@dataclass(frozen=True)
class Stage:
    """What every chapter works with.

    Attributes:
        folder: where pictures go.
        run: the run folder, as the commands in the report name it.
        model: the trained model.
        digits: the data, split.
        seed: of all drawing.
    """

    folder: Path
    run: str
    model: PixelModel
    digits: Splits
    seed: int

    @property
    def levels(self) -> int:
        """Levels of a pixel."""
        return self.model.levels


def the_data(stage: Stage) -> Section:
    """What the model is trained on."""
    train, val, test = stage.digits
    path = stage.folder / "digits.png"
    some = train.limit(40).images
    save_picture(plotting.grid(some, stage.levels, columns=10, scale=ENLARGE // 2), path)
    return Section(
        "The data",
        [
            f"{len(train) + len(val) + len(test):,} handwritten digits of 8 by 8 pixels. Every pixel "
            f"is a whole number from 0 (black) to {stage.levels - 1} (white).",
            f"{len(train):,} of them train the model, {len(val)} decide which moment of the training "
            f"to keep, and {len(test)} are put aside for the test: they choose nothing.",
        ],
        [Figure(path, "Forty handwritten digits, white on black.", "Some of the training digits.")],
        command="pixelcnn info digits",
    )


def training(stage: Stage, max_time: str) -> Section:
    """How the loss went down."""
    curves = metrics(stage.folder / "run" / "metrics.csv")
    parameters = stage.model.parameters_count
    return Section(
        "Training",
        [
            "The model reads an image like a page, from the top left, and predicts every pixel from "
            "the pixels before it: not one value, but a probability for each of the "
            f"{stage.levels} levels. Multiplied together, these are the exact probability of the "
            "image.",
            f"Training turns {parameters:,} numbers a little at a time, so that the training digits "
            "become more probable. The curve counts bits per pixel on digits it does not train on: "
            "how many yes-or-no questions a pixel costs on average. Lower is better.",
        ],
        [
            Figure(
                learning_curve(curves, "passes over the training set", "bits per pixel"),
                "The bits per pixel fall steeply at first, then slowly.",
                "Bits per pixel during training.",
            )
        ],
        command=f"pixelcnn train digits --max-time {max_time} --run {stage.run}",
    )


def metrics(path: Path) -> dict[str, list[tuple[float, float]]]:
    """The curves of a run's ``metrics.csv``: bits per pixel by epoch, in training and validation."""
    found: dict[str, list[tuple[float, float]]] = {"training": [], "validation": []}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    per_epoch = max(float(row["step"]) for row in rows) / max(float(row["epoch"]) for row in rows)
    for row in rows:
        epoch = float(row["step"]) / per_epoch
        for name, column in (("training", "loss"), ("validation", "val_loss")):
            if row[column]:
                found[name].append((epoch, float(row[column]) / float(np.log(2))))
    return {name: curve for name, curve in found.items() if curve}


def evaluation(stage: Stage, score: Score) -> Section:
    """The test score, beside what anybody could do."""
    train, _, test = stage.digits
    png = float(scoring.png_nats(test.images, stage.levels).mean())
    bars = [
        Bar("every level equally likely", uniform_nats(stage.model.shape, stage.levels)),
        Bar("a histogram for each pixel", float(histogram_nats(train, test).mean())),
        Bar("this model", score.nats, ours=True),
    ]
    return Section(
        "How good is it?",
        [
            f"A test digit costs {score.nats:.2f} ± {score.stderr:.2f} nats, which is "
            f"{score.bits_per_dim:.3f} bits per pixel (a nat is 1.44 bits; ± is the standard error). "
            "The figure is exact, so it can be compared with any other model of the same pixels.",
            "Below are two models that look at no neighbours. All that this one saves, it has "
            f"learnt about how pixels belong together. As a PNG file a digit takes {png:.0f} nats, "
            "most of them for the file's frame.",
        ],
        bars=bars,
        unit="nats per image",
        command=f"pixelcnn evaluate {stage.run}",
    )


def samples(stage: Stage) -> Section:
    """New digits, and how they come about."""
    film = Film(stage.model.shape, stage.levels, frames=64)
    images = sampling.sample(stage.model, 48, seed=stage.seed)
    sampling.sample(stage.model, 16, seed=stage.seed, callback=film)
    grid, drawing = stage.folder / "samples.png", stage.folder / "drawing.gif"
    save_picture(plotting.grid(images, stage.levels, columns=8, scale=ENLARGE // 2), grid)
    film.save(drawing, columns=4)
    return Section(
        "Drawing new digits",
        [
            "To draw, the model predicts the first pixel, throws its dice, and goes on with the next "
            "one, given all that is there already. No digit below exists in the data.",
            f"The dice are numbered: seed {stage.seed} always gives these images, however many are "
            "drawn at once.",
        ],
        [
            Figure(grid, "Forty-eight digits drawn by the model.", "Drawn by the model."),
            Figure(
                drawing,
                "An animation: sixteen digits appear pixel by pixel, from the top left.",
                "The first sixteen, pixel by pixel.",
            ),
        ],
        command=f"pixelcnn sample {stage.run} -n 48 --seed {stage.seed}\n"
        f"pixelcnn sample {stage.run} -n 16 --seed {stage.seed} --out drawing.gif",
    )


def completion(stage: Stage) -> Section:
    """What may be below the upper half of a digit."""
    given = stage.digits.test.limit(6).images
    known = torch.zeros(1, 1, *stage.model.shape[1:], dtype=torch.bool)
    known[:, :, : stage.model.shape.height // 2] = True
    drawn = sampling.complete(stage.model, given, known, n=7, seed=stage.seed)
    path = stage.folder / "completions.png"
    picture = plotting.completions(given, known, drawn, stage.levels, scale=ENLARGE // 2 + 2)
    save_picture(picture, path)
    return Section(
        "Completing half a digit",
        [
            "Left, in blue, the upper half of a test digit. The model draws the lower half seven "
            "times. Where the upper half leaves no doubt, all seven agree; where it could become "
            "several digits, they differ.",
        ],
        [
            Figure(
                path,
                "Six rows: the upper half of a digit in blue, then seven different completions.",
                "Each row: what was given, then seven completions.",
            )
        ],
        command=f"pixelcnn complete {stage.run} digit.png --known top -n 7",
    )


def surprise(stage: Stage) -> Section:
    """Where in the image the bits are."""
    some, every = stage.digits.test.limit(8).images, stage.digits.test.images
    with torch.inference_mode():
        bits = -stage.model.log_prob_map(every).sum(1).double() / float(np.log(2))
        these = -stage.model.log_prob_map(some).sum(1).double() / float(np.log(2))
    path, mean = stage.folder / "bits.png", stage.folder / "mean-bits.png"
    above = plotting.grid(some, stage.levels, columns=8, scale=ENLARGE)
    below = plotting.heatmap(these, unit="bits per pixel", scale=ENLARGE)
    save_picture(plotting.stacked([above, below]), path)
    save_picture(plotting.heatmap(bits.mean(0), unit="bits per pixel"), mean)
    return Section(
        "Where the surprise is",
        [
            "The probability of an image is a product over its pixels, so we can see what each of "
            "them costs. Black corners are nearly free. The expensive pixels are where strokes begin "
            "and end, since nothing before them says so.",
        ],
        [
            Figure(
                path,
                "Eight test digits, and below each a map that is bright where pixels were costly.",
                "Eight test digits, and the bits that each pixel cost.",
            ),
            Figure(mean, "The average of such maps.", "The average over all test digits."),
        ],
        command="model.log_prob_map(images)    # in Python: nats of every pixel",
    )


def strangers(digits: Tensor, levels: int, seed: int) -> dict[str, Tensor]:
    """Images that are no digits, made of digits (n, 1, h, w), by what was done to them."""
    pixels = digits[0].numel()
    order = torch.randperm(pixels, generator=torch.Generator().manual_seed(seed))
    return {
        "digits upside down": digits.flip(2),
        "digits with shuffled pixels": digits.flatten(1)[:, order].reshape(digits.shape),
        "digits in negative": levels - 1 - digits,
    }


def anomalies(stage: Stage) -> Section:
    """Images that are not digits, told from digits; and how well that works."""
    test = stage.digits.test.images
    known = scoring.score(stage.model, test)
    rows = [("images", "nats, on average", "told from test digits (AUROC)")]
    rows.append(("test digits", f"{float(known.mean()):.1f}", "–"))
    for name, images in strangers(test, stage.levels, stage.seed).items():
        nats = scoring.score(stage.model, images)
        found = auroc(nats.numpy(), known.numpy())
        rows.append((name, f"{float(nats.mean()):.1f}", f"{found:.3f}"))
    path = stage.folder / "odd.png"
    ranked = test[known.argsort()]
    pair = torch.cat([ranked[:8], ranked[-8:]])
    save_picture(plotting.grid(pair, stage.levels, columns=8, scale=ENLARGE // 2 + 2), path)
    return Section(
        "Finding the odd one out",
        [
            "What the model did not learn is improbable to it, so a threshold on the probability "
            "finds images that do not belong. An AUROC of 1 is perfect separation, 0.5 is chance. "
            "The model was never shown a wrong image.",
            "Beware of plain pictures: nearly anything finds a blank page probable. The command "
            "below therefore also writes the score after subtracting the size as a PNG file.",
        ],
        [
            Figure(
                path,
                "Above, eight plain digits; below, eight oddly written ones.",
                "The most probable (above) and the least probable (below) of the test digits.",
            )
        ],
        rows=rows,
        command=f"pixelcnn score {stage.run} my-images/ --out scores.csv",
    )


def promises(stage: Stage, report: Report) -> Section:
    """What the model promises, put to the test."""
    rows = [("promise", "", "what was found")]
    rows += [(r.name, "kept" if r.passed else "BROKEN", r.detail) for r in report.rows]
    return Section(
        "Promises, checked",
        [
            "All of the above is worth something only if no pixel peeks at what comes later, if the "
            "probabilities sum to one, and if drawing follows the very numbers of the scoring. These "
            "checks ran just now, on this model.",
        ],
        rows=rows,
        command=f"pixelcnn verify {stage.run}",
    )


def facts(stage: Stage, score: Score, seconds: float) -> list[tuple[str, str, str]]:
    """The cards on top of the page."""
    uniform = uniform_nats(stage.model.shape, stage.levels)
    level = bits_per_dim(uniform, stage.model.shape.dimensions)
    return [
        ("test digits", f"{score.nats:.2f} nats", f"± {score.stderr:.2f}, per image"),
        ("per pixel", f"{score.bits_per_dim:.3f} bits", f"a blind guess needs {level:.2f}"),
        ("trained for", f"{seconds:.0f} s", "on this computer"),
        ("model", f"{stage.model.parameters_count:,}", "parameters"),
    ]
