"""Probabilities sum to one, and each way of computing them agrees with the others."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from broken import Disagrees, Softmax, Stack
from pixelcnn import outputs, sampling
from pixelcnn.errors import ConfigError, ConformanceError, ModelError
from pixelcnn.model import PixelModel
from pixelcnn.networks import GatedPixelCNN
from pixelcnn.shapes import Position
from pixelcnn.verify import randomise, total_probability, walk_log_prob
from pixelcnn.verify.agreement import (
    check_walk,
    engine_names,
)
from pixelcnn.verify.probability import check_agreement, check_sums, conditional_sum, every_image
from pixelcnn.verify.probing import random_levels
from pixelcnn.verify.samples import check_samples, chi_square_p
from tiny import outputs_for, passes_within, tiny_model, tiny_models


def random_model(output, channels, height, width):
    """A gated model with random weights in float64."""
    network = GatedPixelCNN(
        channels,
        output.parameters_per_pixel(channels),
        width=6,
        depth=2,
        order="pixel" if output.couples_channels else "channel",
    )
    return PixelModel(randomise(network, seed=4), output, (channels, height, width)).eval()


@pytest.mark.parametrize(
    ("levels", "shape"),
    [
        (3, (1, 2, 2)),
        (2, (3, 1, 2)),
        (2, (1, 3, 3)),
        (3, (2, 1, 2)),
        (17, (1, 1, 2)),
        (256, (1, 1, 1)),
    ],
)
def test_all_images_together_have_probability_one(levels, shape):
    for output in outputs_for(levels):
        model = random_model(output, *shape)
        assert total_probability(model) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_registered_pair_has_total_probability_one(channels):
    for tiny in tiny_models(channels, 1, 2):
        if tiny.levels**tiny.shape.dimensions <= 1000:
            model = PixelModel(randomise(tiny.network, seed=0), tiny.output, tiny.shape).eval()
            condition = None if tiny.network.condition is None else torch.tensor(1)
            assert total_probability(model, condition) == pytest.approx(1.0, abs=1e-12)


def test_a_leak_can_be_told_by_the_total_probability():
    class Cheat(Stack):
        def forward(self, x, condition=None):
            return 5.0 * torch.cat([1 - x, x, x * 0], 1)

    model = PixelModel(Cheat(1, 3).double(), Softmax(), (1, 1, 2))
    assert total_probability(model) > 1.5


def test_the_levels_of_any_sub_pixel_sum_to_one():
    model = random_model(outputs.Categorical(levels=256), 3, 5, 7)
    image = random_levels(model.shape, 256, seed=0)
    for at in (Position(0, 0, 0), Position(1, 2, 3), Position(2, 4, 6)):
        assert conditional_sum(model, image, at) == pytest.approx(1.0, abs=1e-12)


def test_too_many_images_are_refused():
    with pytest.raises(ConfigError, match="16777216 images"):
        every_image((3, 1, 1), 256)


@pytest.mark.parametrize("levels", [2, 3, 17, 256, 5_000, 65_536])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_pmf_is_normalised_and_scores_as_it_samples(levels, channels):
    for output in outputs_for(levels):
        assert check_sums(output, channels) <= 1e-12
        assert check_agreement(output, channels) <= 1e-10


def test_every_engine_is_compared():
    model = tiny_model(3, 3, 4)
    assert {"cached", "full"} <= set(engine_names(model))
    assert "cached, full in float64" in check_walk(model.double(), None)
    assert "cached, full" in check_walk(model.float(), None)


def test_slow_scoring_is_scoring():
    model = random_model(outputs.Categorical(levels=4), 2, 3, 5)
    images = random_levels((3, *model.shape), 4, seed=0)
    slow = walk_log_prob(model, images)
    assert slow.shape == images.shape
    torch.testing.assert_close(slow, model.log_prob_map(images).detach(), rtol=0, atol=1e-10)


def test_slow_scoring_takes_images_of_the_model_and_no_others():
    model, images = tiny_model(1, 3, 5), np.zeros((2, 1, 3, 5), np.uint8)
    assert torch.equal(walk_log_prob(model, images), walk_log_prob(model, torch.tensor(images)))
    with pytest.raises(ModelError, match="1x3x5 images"):
        walk_log_prob(model, np.zeros((2, 1, 5, 7), np.uint8))


def test_slow_scoring_convolves_as_scoring_does(monkeypatch):
    model = tiny_model(1, 2, 3)
    seen = passes_within(model, "pixelcnn.verify.agreement.exact_convolutions", monkeypatch)
    walk_log_prob(model, np.zeros((1, 1, 2, 3), np.uint8))
    assert seen == [1] * model.shape.dimensions


@pytest.mark.parametrize(("levels", "shape"), [(3, (1, 2, 2)), (2, (3, 1, 2)), (17, (3, 1, 2))])
def test_samples_follow_the_probabilities(levels, shape):
    """A right sampler fails this test once in a million runs; the last case is too large to enumerate."""
    check_samples(random_model(outputs.Categorical(levels=levels), *shape), None, n=4000)


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 2, 2)])
def test_samples_of_another_distribution_are_told_apart(shape, monkeypatch):
    model = random_model(outputs.Categorical(levels=3), *shape)
    monkeypatch.setattr(sampling, "sample", partial(sampling.sample, temperature=0.8))
    with pytest.raises(ConformanceError, match="do not follow"):
        check_samples(model, None, n=4000)


def test_an_engine_that_disagrees_is_told_where():
    model = PixelModel(randomise(Stack(1, 3), seed=0), Disagrees(), (1, 3, 4)).eval()
    with pytest.raises(ConformanceError, match=r"engine '\w+' and log_prob disagree at \(c 0, h"):
        check_walk(model, None)


@pytest.mark.parametrize("k", [2, 7, 40])
def test_the_chi_square_test_keeps_its_level(k):
    """Of 2,000 true experiments a share near 1 % lies below 1 % (five standard errors: 1.1 %)."""
    generator = torch.Generator().manual_seed(k)
    weights = torch.rand(k, generator=generator, dtype=torch.float64) + 0.05
    p = weights / weights.sum()
    below = 0
    for _ in range(2000):
        counts = torch.multinomial(p, 500, replacement=True, generator=generator).bincount(
            minlength=k
        )
        below += chi_square_p(counts.double(), 500 * p) < 0.01
    assert abs(below / 2000 - 0.01) < 5 * math.sqrt(0.01 * 0.99 / 2000)


def test_rare_cases_do_not_raise_a_false_alarm():
    """One image of probability 1e-4 among 500 is bad luck, no proof."""
    expected = torch.tensor([499.95, 0.05], dtype=torch.float64)
    assert chi_square_p(torch.tensor([499.0, 1.0], dtype=torch.float64), expected) > 1e-6
