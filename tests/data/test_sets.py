"""Named sets and their splits."""

import importlib.resources
import os

import numpy as np
import pytest
import torch

from pixelcnn import data
from pixelcnn.errors import ConfigError

PARTS = {"digits": (1297, 200, 300), "binarized-mnist": (50_000, 10_000, 10_000)}
PARTS |= {"mnist": (55_000, 5_000, 10_000), "fashion-mnist": (55_000, 5_000, 10_000)}
PARTS |= {"cifar-10": (45_000, 5_000, 10_000)}

FIRST_TEST_LABELS = {
    "mnist": [7, 2, 1, 0, 4, 1, 4, 9, 5, 9],
    "fashion-mnist": [9, 2, 1, 1, 6, 1, 4, 6, 5, 7],
    "cifar-10": [3, 8, 8, 0, 6, 6, 1, 6, 3, 1],
}
FIRST_LABELS = {
    "mnist": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
    "fashion-mnist": [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
    "cifar-10": [6, 9, 9, 4, 1, 1, 2, 7, 8, 3],
}
MEANS = {  # of the test pixels, per channel, and of binarised ones the share of ones
    "mnist": [33.791224],
    "fashion-mnist": [73.146567],
    "binarized-mnist": [0.132512],
    "cifar-10": [126.024641, 123.708504, 114.854319],
}


def test_the_embedded_digits_equal_those_of_scikit_learn():
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    ours = data.load_all("digits")
    assert np.array_equal(ours.images[:, 0].numpy(), theirs.images)
    assert np.array_equal(ours.labels.numpy(), theirs.target)
    assert (ours.levels, len(ours.images.unique())) == (17, 17)


def test_the_embedded_digits_are_a_small_file():
    resource = importlib.resources.files("pixelcnn.data").joinpath("digits.npz")
    assert len(resource.read_bytes()) < 50_000


def test_the_digits_split_is_the_same_for_ever_and_covers_everything():
    parts = data.load("digits")
    assert [len(part) for part in parts] == list(PARTS["digits"])
    assert [part.split for part in parts] == ["train", "val", "test"]
    assert [part.content_hash[:12] for part in parts] == [
        "572847dc4ee0",
        "4debd17d7b13",
        "aa21f1aefbd4",
    ]
    rows = torch.cat([part.images for part in parts]).flatten(1)
    assert torch.equal(rows.unique(dim=0), data.load_all("digits").images.flatten(1).unique(dim=0))


@pytest.mark.parametrize("name", ["digits", "binarized-mnist"])
def test_a_set_without_a_tutorial_split_says_so(name):
    with pytest.raises(ConfigError, match="no tutorial split"):
        data.load(name, split="tutorial")


@pytest.fixture(scope="module")
def official():
    """Each official set, loaded once."""
    if not os.environ.get("PIXELCNN_DATA"):
        pytest.skip("PIXELCNN_DATA is not set")
    loaded = {}

    def load(name):
        if name not in loaded:
            loaded[name] = data.load(name, download=False)
        return loaded[name]

    return load


@pytest.mark.parametrize(
    "name",
    [
        "mnist",
        "fashion-mnist",
        "binarized-mnist",
        pytest.param("cifar-10", marks=pytest.mark.slow),  # ten seconds to unpack
    ],
)
def test_official_sets_have_the_official_pixels(official, name):
    parts = official(name)
    assert [len(part) for part in parts] == list(PARTS[name])
    mean = parts.test.images.double().mean((0, 2, 3))
    assert mean.tolist() == pytest.approx(MEANS[name], abs=5e-7)
    if name in FIRST_LABELS:
        assert parts.test.labels[:10].tolist() == FIRST_TEST_LABELS[name]
        assert len(parts.test.classes) == 10
        assert parts.test.labels.bincount().sum() == 10_000
    else:
        assert parts.test.labels is None


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_validation_images_come_from_the_training_part_alone(official, name):
    train, val, test = official(name)
    sets = [
        {bytes(image) for image in part.images.flatten(1).numpy()} for part in (train, val, test)
    ]
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]


def test_the_whole_set_is_in_official_order(official):
    whole = data.load_all("mnist", download=False)
    assert len(whole) == 70_000
    assert whole.labels[:10].tolist() == FIRST_LABELS["mnist"]
    assert torch.equal(whole.images[60_000:], official("mnist").test.images)


def test_the_tutorial_split_is_that_of_the_tutorial_and_says_so(official):
    train, val, test = data.load("mnist", split="tutorial", threshold=0.33, download=False)
    assert (len(train), len(val)) == (63_000, 7_000)
    assert test is val or test.content_hash == val.content_hash
    assert [part.split for part in (train, val, test)] == ["tutorial-train", *["tutorial-val"] * 2]
    official_test = official("mnist").test.images[3_000:]
    assert torch.equal(val.images, (official_test >= 0.33 * 256).to(torch.uint8))


def test_binarised_mnist_is_sorted_by_class_so_limits_stride(official):
    test = official("binarized-mnist").test
    assert (test.levels, test.binarisation) == (2, "fixed")
    inked = test.images.float().mean()
    assert abs(test.limit(500).images.float().mean() - inked) < 0.005
    assert (
        abs(test[:500].images.float().mean() - inked) > 0.02
    )  # nothing but zeros, which are large
