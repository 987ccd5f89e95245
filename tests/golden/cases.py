"""The golden files of the format: what is in each, and how they were written.

``python tests/golden/cases.py --write`` makes them anew, models and all. That is right when the format or
the integer form of models changes on purpose, and never otherwise: files of users could no longer be read.
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import pixelcnn as px
from pixelcnn import networks, outputs
from pixelcnn.codec.archive import Input, pack
from pixelcnn.codec.entries import FILE, MODES, PICTURE, Entry, Form, Size
from pixelcnn.shapes import LAYOUTS, ImageShape

FOLDER = Path(__file__).parent
LABELS = [1, 0, 2, 1, 1]


def pattern(levels: int, *shape: int) -> np.ndarray:
    """Images with some structure, by integer arithmetic alone."""
    n, c, h, w = np.indices(shape)
    return ((h * w + 3 * n + 7 * c + (h + n) // 2 * 5) // 3 % levels).astype(np.uint8)


class Case(NamedTuple):
    """One file.

    Attributes:
        model: the name of its model.
        compressed: its bytes, made anew.
        images: what comes out of it.
    """

    model: str
    compressed: Callable[[px.PixelModel], bytes]
    images: np.ndarray | list[np.ndarray]


def _packed(entries: list[tuple[Entry, np.ndarray]]) -> Callable[[px.PixelModel], bytes]:
    def make(model: px.PixelModel) -> bytes:
        inputs = [
            Input(entry, lambda a, b, levels=levels: levels[a:b]) for entry, levels in entries
        ]
        return b"".join(pack(model, inputs))

    return make


def _plain(images: object, labels: list[int] | None = None) -> Callable[[px.PixelModel], bytes]:
    return lambda model: px.compress(model, images, labels)


def _size(height: int, width: int, tile: tuple[int, int] | None = None) -> Size:
    return Size(ImageShape(1, height, width), tile or (height, width))


TWO, FIVE, COLOUR = pattern(2, 5, 1, 9, 11), pattern(5, 3, 1, 9, 11), pattern(16, 4, 3, 6, 5)
SMALL = [pattern(5, 1, 1, *size)[0] for size in ((9, 11), (1, 1), (1, 8), (8, 1))]
NOISE = np.random.RandomState(0).randint(0, 5, (2, 1, 9, 11)).astype(np.uint8)
MASK = Form(PICTURE, [*MODES].index("L"), values=(0, 255))
BACKWARDS = Form(FILE, 9, LAYOUTS.index("nhw"), fortran=True)
PICTURES = [
    (Entry("scans/a b.png", MASK, _size(9, 11), 1), TWO[:1]),
    (Entry("scans/é.png", MASK, _size(9, 11), 1), TWO[1:2]),
    (Entry("all.npy", BACKWARDS, _size(9, 11), 3), TWO[2:]),
]
TILES = [(Entry("large.npy", Form(FILE, 1), _size(23, 31, (8, 11)), 2), pattern(2, 2, 1, 23, 31))]

CASES = {
    "array": Case("bernoulli", _plain(TWO), TWO),
    "list": Case("categorical", _plain(SMALL), SMALL),
    "categorical": Case("categorical", _plain(FIVE), FIVE),
    "mixture": Case("mixture", _plain(COLOUR), COLOUR),
    "stored": Case("categorical", _plain(NOISE), NOISE),
    "labels": Case("labelled", _plain(TWO, LABELS), TWO),
    "none": Case("bernoulli", _plain(TWO[:0]), TWO[:0]),
    "pictures": Case("bernoulli", _packed(PICTURES), [*(255 * TWO[:2]), *TWO[2:].astype(">u2")]),
    "tiles": Case("bernoulli", _packed(TILES), list(pattern(2, 2, 1, 23, 31))),
}


@functools.cache
def model(name: str) -> px.PixelModel:
    """The model of some cases."""
    return px.load(FOLDER / f"{name}.safetensors", device="cpu")


def write() -> None:
    """Makes all models and files anew."""
    make = {
        "bernoulli": (outputs.Bernoulli(), TWO, {}),
        "labelled": (outputs.Bernoulli(), TWO, {"condition": "label", "condition_size": 3}),
        "categorical": (outputs.Categorical(levels=5), FIVE, {}),
        "mixture": (outputs.LogisticMixture(levels=16, components=2), COLOUR, {"order": "pixel"}),
    }
    for name, (output, images, more) in make.items():
        torch.manual_seed(0)
        channels = images.shape[1]
        out = output.parameters_per_pixel(channels)
        network = networks.PixelCNN(
            channels, out, width=6, depth=1, first_kernel=3, head_width=7, **more
        )
        made = px.PixelModel(network, output, images.shape[1:])
        labels = LABELS if "condition" in more else None
        _fit(made, images, labels)
        px.calibrate(made, images, labels)
        px.save(made, FOLDER / f"{name}.safetensors")
    for name, case in CASES.items():
        (FOLDER / f"{name}.pxc").write_bytes(case.compressed(model(case.model)))


def _fit(made: px.PixelModel, images: np.ndarray, labels: list[int] | None) -> None:
    """A few steps, so that images cost less than they would stored."""
    optimiser = torch.optim.Adam(made.parameters(), lr=0.02)
    given = None if labels is None else torch.tensor(labels)
    for _ in range(60):
        optimiser.zero_grad()
        (-made.log_prob(torch.from_numpy(images), given).mean()).backward()
        optimiser.step()


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    write()
