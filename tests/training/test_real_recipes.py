"""Every recipe takes twenty steps on its real data, and what comes out can do everything."""

import csv
import time

import numpy as np
import pytest
import torch
from torch.nn import functional

from pixelcnn import checkpoint, data, sampling, scoring, verify
from pixelcnn.training import prepare
from pixelcnn.training import recipe as recipes
from pixelcnn.training.fitting import fit

pytestmark = pytest.mark.slow

STEPS = 20
SECONDS = 20.0
"""Time for a sample; a model that needs longer completes only the last row."""


def fashion_table(folder):
    """A Kaggle-style table of real Fashion-MNIST images, with header and labels."""
    images = data.load("fashion-mnist").train[:400]
    path = folder / "fashion-mnist_train.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", *(f"pixel{i + 1}" for i in range(784))])
        for label, image in zip(images.labels.tolist(), images.images, strict=True):
            writer.writerow([label, *image.flatten().tolist()])
    return path


def code_maps(folder):
    """Maps of 7x7 codes of real digits: their 4x4 patches, of which each tells 9 bits by 3x3 thresholds."""
    images = data.load("mnist").train[:600].images.float()
    corners = functional.avg_pool2d(images, 2, stride=1)[:, 0] > 64
    bits = [corners[:, row::4, column::4][:, :7, :7] for row in range(3) for column in range(3)]
    path = folder / "codes.npy"
    np.save(path, sum(bit.int() << place for place, bit in enumerate(bits)).numpy())
    return path


def prepared(name, folder):
    recipe = recipes.get(name)
    if name == "vq-prior":
        where = f"data.name='{code_maps(folder)}'"
        recipe = recipe.with_overrides([where, "data.source_levels=512"])
    if name == "fashion-csv":
        recipe = recipe.with_overrides([f"data.name='{fashion_table(folder)}'"])
    return prepare(recipe)


@pytest.mark.usefixtures("data_root")
@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_on_its_data(name, tmp_path):
    ready = prepared(name, tmp_path)
    train, val, test = ready.splits
    options = ready.recipe.options
    size = min(options.batch_size, 16)
    history = fit(
        ready.model, train.limit(STEPS * size), val.limit(32), tmp_path / "run", options,
        epochs=1, batch_size=size, max_time=None, sample_count=0, weight_average=0.9, verbose=False,
    )  # fmt: skip
    assert history.steps == STEPS
    assert history.best < np.log(train.levels) * ready.model.shape.dimensions

    model = checkpoint.load(tmp_path / "run")
    found = scoring.evaluate(model, test, limit=8)
    assert found.images == 8
    assert found.nats < np.log(train.levels) * ready.model.shape.dimensions
    assert_samples(model, test)
    verify.check_model(model).raise_if_failed()


def assert_samples(model, test):
    """Draws an image; where that would take too long, only its last row."""
    condition = torch.tensor([1]) if model.network.condition else None
    start = time.monotonic()
    known = torch.ones(1, 1, *model.shape[1:], dtype=torch.bool)
    known[..., -1:, -2:] = False
    given = test.images[:1]
    drawn = sampling.complete(model, given, known, condition=condition)
    assert torch.equal(
        drawn[known.expand_as(drawn)], given.long()[known.expand_as(given)].to(drawn.dtype)
    )
    if time.monotonic() - start < SECONDS:
        assert sampling.sample(model, 1, condition=condition).shape == (1, *model.shape)
