"""Mistakes that make a likelihood wrong without making it look wrong; each test is named for the promise.

The cases are those by which published implementations and tutorials of this family went astray.
"""

import math

import numpy as np
import pytest
import torch

from pixelcnn import PixelModel, data, networks, outputs, sampling, scoring
from pixelcnn.data import ImageSet
from pixelcnn.data.quantise import coded
from pixelcnn.data.reading import Reading

LEVELS = (2, 3, 4, 8, 17, 256)


def model_for(images, seed=0):
    """A small model of random weights for a set."""
    torch.manual_seed(seed)
    output = outputs.Categorical(levels=images.levels)
    channels = images.shape.channels
    network = networks.PixelCNN(
        channels=channels, out=output.parameters_per_pixel(channels), width=6, depth=1
    )
    return PixelModel(network, output, images.shape).double().eval()


def bytes_like_mnist(n=40):
    """Grey bytes, mostly black, with every value present."""
    noise = np.random.default_rng(0)
    images = noise.integers(0, 256, (n, 1, 5, 7)) * (noise.random((n, 1, 5, 7)) < 0.3)
    images.reshape(-1)[:256] = np.arange(256)
    return ImageSet(torch.from_numpy(images), 256, name="bytes")


@pytest.mark.parametrize("levels", [2, 3, 17])
def test_sampling_feeds_back_values_on_the_scale_and_grid_of_training(levels):
    train = data.load("digits", levels=levels).train
    model = model_for(train)
    trained_on = model.encode(train.images).unique()
    seen = []
    model.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].unique()))
    samples = sampling.sample(model, 3, seed=0)
    assert samples.dtype == torch.uint8
    grid = torch.arange(levels, dtype=torch.float64) / (levels - 1)
    for values in (trained_on, *seen):
        assert bool(torch.isin(values, grid).all())


@pytest.mark.parametrize("levels", LEVELS)
def test_the_network_sees_no_more_than_the_levels_it_predicts(levels):
    images = coded(bytes_like_mnist(), Reading(levels=levels))
    inputs = model_for(images).encode(images.levels_at(slice(None)))
    assert len(inputs.unique()) == levels
    assert len(images.images.unique()) == levels
    assert not images.images.dtype.is_floating_point


def test_a_scale_that_leaves_levels_empty_is_warned_of(caplog, tmp_path):
    values = np.random.default_rng(0).integers(
        0, 17, (80, 6, 6), np.uint8
    )  # not 0..255 as it seems
    np.save(tmp_path / "scans.npy", values)
    data.load_all(tmp_path / "scans.npy", levels=8)
    assert "256 -> 8 equal bins, 1 of them occupied" in caplog.text
    assert caplog.records[-1].levelname == "WARNING"


def test_a_score_is_nats_per_image_over_every_subpixel_of_every_image():
    images = data.load("digits", rgb=True).test.limit(10)
    model = model_for(images)
    score = scoring.evaluate(model, images, batch_size=4)  # 4 + 4 + 2
    per_image = -model.log_prob(images.images).detach()
    assert score.images == 10
    assert score.nats == pytest.approx(float(per_image.mean()), rel=1e-12)
    assert score.stderr == pytest.approx(float(per_image.std()) / math.sqrt(10), rel=1e-9)
    assert score.dimensions == 3 * 64
    assert score.bits_per_dim == pytest.approx(score.nats / (192 * math.log(2)), rel=1e-12)


@pytest.mark.parametrize(
    ("options", "binarisation"),
    [
        ({"binarise": "dynamic"}, "dynamic, seed 0"),
        ({"threshold": 0.33}, "threshold 0.33"),
        ({"levels": 2}, "threshold 0.5"),
        ({}, "none"),
        ({"levels": 4}, "none"),
    ],
)
def test_the_record_names_the_binarisation(options, binarisation):
    images = data.load("digits", **options).test.limit(2)
    record = scoring.evaluate(model_for(images), images).as_json()
    assert record["binarisation"] == binarisation
    assert record["levels"] == images.levels
    assert record["content_hash"] == images.content_hash
