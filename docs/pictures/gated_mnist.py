"""Draws gated-mnist.png: samples of a trained model, and completions of digits of which the top is given.

python docs/pictures/gated_mnist.py runs/gated-mnist-binarized-mnist
"""

import sys
from pathlib import Path

import torch

import pixelcnn as px
from pixelcnn import data, plotting

SEED = 0
COLUMNS = 10


def main(source: str) -> None:
    """Writes the picture beside this file."""
    model = px.load(source)
    test = data.load("binarized-mnist").test.limit(5)
    known = torch.zeros(1, 1, *model.shape[1:], dtype=torch.bool)
    known[:, :, : model.shape.height // 2] = True
    drawn = px.complete(model, test.images, known, n=COLUMNS - 1, seed=SEED)
    samples = px.sample(model, 5 * COLUMNS, seed=SEED)
    pictures = [
        plotting.grid(samples, model.levels, columns=COLUMNS, scale=2),
        plotting.completions(test.images, known, drawn, model.levels, scale=2),
    ]
    plotting.stacked(pictures).save(Path(__file__).with_name("gated-mnist.png"), optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
