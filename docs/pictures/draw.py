"""Draws the pictures of trained models in these pages. Seed 0; no sample and no image is picked.

python docs/pictures/draw.py digits mnist                            # samples, and completions
python docs/pictures/draw.py models mnist-labels fashion cifar-10    # a row of each, in colour
python docs/pictures/draw.py classes runs/gated-mnist-labels-mnist   # a row for each class
python docs/pictures/draw.py family RUN RUN ...                      # a row for each model
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

import pixelcnn as px
from pixelcnn import data, plotting
from pixelcnn.cli import demo_sections

COLUMNS = 10


def digits(source: str) -> Image.Image:
    """Samples, and completions of digits of which the upper half is given."""
    model = px.load(source)
    test = data.load("binarized-mnist").test.limit(5)
    known = torch.zeros(1, 1, *model.shape[1:], dtype=torch.bool)
    known[:, :, : model.shape.height // 2] = True
    drawn = px.complete(model, test.images, known, n=COLUMNS - 1, seed=0)
    samples = px.sample(model, 5 * COLUMNS, seed=0)
    return plotting.stacked(
        [
            plotting.grid(samples, model.levels, columns=COLUMNS, scale=2),
            plotting.completions(test.images, known, drawn, model.levels, scale=2),
        ]
    )


def classes(source: str) -> Image.Image:
    """Samples of each class in a row of its own."""
    model = px.load(source)
    labels = torch.arange(model.network.condition_size).repeat_interleave(COLUMNS)
    samples = px.sample(model, len(labels), condition=labels, seed=0)
    return plotting.grid(samples, model.levels, columns=COLUMNS, scale=2)


def family(*sources: str) -> Image.Image:
    """Samples of each model in a row of its own."""
    models = [px.load(source) for source in sources]
    samples = [px.sample(model, COLUMNS, seed=0) for model in models]
    return plotting.grid(torch.cat(samples), models[0].levels, columns=COLUMNS, scale=2)


def models(*names: str) -> Image.Image:
    """Samples of models that come with the package, a row each."""
    return plotting.stacked([demo_sections.row(px.load(name), seed=0) for name in names])


PICTURES: dict[str, Callable[..., Image.Image]] = {
    "digits": digits,
    "classes": classes,
    "family": family,
    "models": models,
}


def main(name: str, *sources: str) -> None:
    """Writes the picture beside this file."""
    picture = PICTURES[name](*sources)
    picture.save(Path(__file__).with_name(f"{name}.png"), optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
