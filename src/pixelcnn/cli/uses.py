"""The chapters of the demo about what a trained model is good for, and what those that come along draw."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from pixelcnn import checkpoint, codec, image_codecs, plotting, png, sampling, scoring
from pixelcnn.cli import conditions
from pixelcnn.cli.film import Film
from pixelcnn.cli.output import save_picture, write
from pixelcnn.cli.report import Bar, Figure, Section
from pixelcnn.cli.story import Numbers, Stage
from pixelcnn.codec.integers import RANGES
from pixelcnn.model import PixelModel
from pixelcnn.text import as_word
from pixelcnn.verify.report import Report

COUNT = 10
"""Images of each model; of one that is told the class, one of each of the first classes."""
SIDE = 64
"""Pixels that an image is enlarged to, about."""


def samples(stage: Stage) -> Section:
    """New digits, and how they come about."""
    film = Film(stage.model.shape, stage.levels, frames=64)
    images = sampling.sample(stage.model, 36, seed=stage.seed)
    sampling.sample(stage.model, 16, seed=stage.seed, callback=film)
    grid, drawing = stage.folder / "samples.png", stage.folder / "drawing.gif"
    save_picture(plotting.grid(images, stage.levels, columns=6, scale=6), grid)
    film.save(drawing, columns=4, scale=9)
    every = torch.cat([part.images for part in stage.digits])
    copies = int((images[:, None] == every).flatten(2).all(2).any(1).sum())
    return Section(
        "Drawing new digits",
        [
            "To draw, the model predicts the first pixel, throws its dice, and goes on with the next "
            f"one, given all that is there already. {copies or 'None'} of the digits below "
            f"{'are' if copies else 'is'} in the data.",
            f"The dice are numbered: seed {stage.seed} always gives these images, however many are "
            "drawn at once.",
        ],
        [
            Figure(grid, "Thirty-six digits drawn by the model.", "Drawn by the model."),
            Figure(
                drawing,
                "An animation: sixteen digits appear pixel by pixel, from the top left.",
                "The first sixteen, pixel by pixel.",
            ),
        ],
        command=f"pixelcnn sample {stage.run} -n 36 --seed {stage.seed}\n"
        f"pixelcnn sample {stage.run} -n 16 --seed {stage.seed} --out drawing.gif",
    )


def completion(stage: Stage) -> Section:
    """What may be below the upper half of a digit."""
    given = stage.digits.test.limit(6).images
    known = torch.zeros(1, 1, *stage.model.shape[1:], dtype=torch.bool)
    known[:, :, : stage.model.shape.height // 2] = True
    drawn = sampling.complete(stage.model, given, known, n=7, seed=stage.seed)
    path, one = stage.folder / "completions.png", stage.folder / "digit.png"
    save_picture(plotting.completions(given, known, drawn, stage.levels, scale=9), path)
    write(one, png.files(given[:1], stage.levels))
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
        command=f"pixelcnn complete {stage.run} {as_word(one)} --known top -n 7",
    )


def compressed(stage: Stage) -> dict[str, float]:
    """Bytes that a test digit takes, by how it is packed; the model's file is written and read again."""
    model, images = stage.model, stage.digits.test.images
    if RANGES not in model.record:
        codec.calibrate(model, stage.digits.val.images)
    blob = codec.compress(model, images, verify=False)
    assert np.array_equal(codec.decompress(model, blob), images)
    write(stage.folder / "digits.pxc", blob)
    found: dict[str, float] = {}
    for name in ("png", "webp"):
        size = image_codecs.sizes(name, images, stage.levels)
        assert size.files is not None and size.sheet is not None
        found |= {name: size.files, f"{name}_sheet": size.sheet}
    return {name: size / len(images) for name, size in (found | {"pxc": len(blob)}).items()}


def compression(stage: Stage, sizes: Mapping[str, float]) -> Section:
    """What digits take as files.

    Args:
        stage: of the demo.
        sizes: see :func:`compressed`.
    """
    ways = {
        "png": "PNG, a file each", "webp": "WebP, a file each", "png_sheet": "PNG, one sheet of all",
        "webp_sheet": "WebP, one sheet of all", "pxc": "this model, one file of all",
    }  # fmt: skip
    return Section(
        "Compressing without loss",
        [
            "What is probable can be written with few bits: a range coder spends on each pixel what "
            "the model says it is worth. All test digits together became one file, and came back from "
            "it the same, pixel by pixel. It is read with the model at hand, and with whole numbers "
            "alone, so that it is the same on every machine.",
            "The other formats know nothing of digits. In files of their own most of what they take "
            "is the file's frame, so they may put all digits into one large picture, too.",
        ],
        bars=[Bar(title, sizes[name], ours=name == "pxc") for name, title in ways.items()],
        unit="bytes a digit",
        command=f"pixelcnn compress {stage.run} digits:test -o digits.pxc\n"
        f"pixelcnn decompress {stage.run} digits.pxc -o again.npy",
    )


def surprise(stage: Stage) -> Section:
    """Where in the image the bits are."""
    some, every = stage.digits.test.limit(8).images, stage.digits.test.images
    with torch.inference_mode():
        bits = -stage.model.log_prob_map(every).sum(1).double() / float(np.log(2))
        these = -stage.model.log_prob_map(some).sum(1).double() / float(np.log(2))
    path, mean = stage.folder / "bits.png", stage.folder / "mean-bits.png"
    above = plotting.grid(some, stage.levels, columns=8, scale=10)
    high = round(float(these.quantile(0.99)))
    below = plotting.heatmap(these, unit="bits per pixel", scale=10, high=high)
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
                wide=True,
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
        "digits lying on their side": digits.transpose(2, 3).flip(3),
        "digits with shuffled pixels": digits.flatten(1)[:, order].reshape(digits.shape),
        "digits in negative": levels - 1 - digits,
    }


def auroc(odd: Numbers, normal: Numbers) -> float:
    """The chance that an odd image scores above a normal one; ties count half.

    Example:
        >>> auroc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
        0.875
    """
    above = (odd[:, None] > normal).mean()
    ties = (odd[:, None] == normal).mean()
    return float(above + ties / 2)


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
    save_picture(plotting.grid(pair, stage.levels, columns=8, scale=9), path)
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
        command=f"pixelcnn score {stage.run} digits --out scores.csv",
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


def gallery(stage: Stage) -> Section:
    """A row of samples of every model that comes along, each as ``model-NAME.png``."""
    names, seed = checkpoint.shipped(), stage.seed
    figures = [_drawn(name, stage.folder / f"model-{name}.png", seed) for name in names]
    return Section(
        "Models that come along",
        [
            "These were trained before and are in the package, each on one core of a processor, for "
            "minutes or for hours. None of the images was chosen: they are the first that the seed gives.",
        ],
        figures,
        command="\n".join(f"pixelcnn sample {name} -n {COUNT} --seed {seed}" for name in names),
    )


def _drawn(name: str, path: Path, seed: int) -> Figure:
    """The first samples of a model, with what it is."""
    model = checkpoint.load(name)
    save_picture(row(model, seed), path)
    told = ", told which class to draw" if model.network.condition else ""
    about = f"{model.parameters_count:,} parameters, {model.levels} levels{told}"
    kind = model.record["data"]["name"]
    return Figure(
        path, f"{COUNT} images in a row.", f"{name}: trained on {kind}; {about}.", wide=True
    )


def row(model: PixelModel, seed: int) -> Image:
    """The first samples of a model side by side."""
    given = conditions.given(model, None, None, COUNT)
    images = sampling.sample(model, COUNT, condition=given.condition, seed=seed)
    scale = max(1, SIDE // max(model.shape[1:]))
    return plotting.grid(images, model.levels, columns=COUNT, scale=scale)
