"""Outputs in detail; their promises are checked over the registry in tests/verify."""

import math
from dataclasses import dataclass

import pytest
import torch

from pixelcnn import outputs
from pixelcnn.errors import ConfigError
from tiny import label, tiny_outputs


def test_bernoulli_is_stable_at_extreme_logits():
    logits = torch.tensor([1e4, -1e4]).reshape(1, 1, 1, 2)
    ones = torch.ones(1, 1, 1, 2, dtype=torch.int64)
    assert outputs.Bernoulli().log_prob(logits, ones).flatten().tolist() == [0.0, -1e4]


def test_categorical_reads_its_parameters_colour_major():
    output = outputs.Categorical(levels=5)
    parameters = torch.randn(1, 15, 1, 1, dtype=torch.float64)
    levels = torch.tensor([4, 0, 2]).reshape(1, 3, 1, 1)
    logits = parameters.reshape(3, 5)
    expected = [float(logits[c].log_softmax(0)[levels.flatten()[c]]) for c in range(3)]
    assert output.log_prob(parameters, levels).flatten().tolist() == pytest.approx(
        expected, abs=1e-12
    )


def test_two_level_categorical_and_bernoulli_agree():
    logits = torch.randn(2, 1, 3, 5, dtype=torch.float64)
    levels = torch.randint(2, (2, 1, 3, 5))
    pairs = torch.cat([torch.zeros_like(logits), logits], 1)
    torch.testing.assert_close(
        outputs.Categorical(levels=2).log_prob(pairs, levels),
        outputs.Bernoulli().log_prob(logits, levels),
    )


def test_uniform_logits_cost_log_levels():
    output = outputs.Categorical(levels=256)
    levels = torch.randint(256, (1, 1, 3, 5))
    assert output.log_prob(torch.zeros(1, 256, 3, 5), levels).sum().item() == pytest.approx(
        -15 * math.log(256)
    )


def mixture_by_hand(components, channels, levels, parameters, image):
    """Probability of one pixel's levels by the definition, in Python floats."""
    rows = parameters.reshape(-1, components).tolist()
    weights = torch.tensor(rows[0], dtype=torch.float64).softmax(0).tolist()
    scaled = [2 * level / (levels - 1) - 1 for level in image]
    total = 0.0
    for k in range(components):
        share, row = weights[k], 1
        for channel in range(channels):
            mean, scale = rows[row][k], math.exp(rows[row + 1][k])
            for earlier in range(channel):
                mean += math.tanh(rows[row + 2 + earlier][k]) * scaled[earlier]
            row += 2 + channel
            ends = [scaled[channel] + side / (levels - 1) for side in (1, -1)]
            above, below = (1 / (1 + math.exp(-(end - mean) / scale)) for end in ends)
            above, below = (
                above if image[channel] < levels - 1 else 1,
                below if image[channel] else 0,
            )
            share *= above - below
        total += share
    return total


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("levels", [2, 5, 256])
def test_a_logistic_mixture_is_its_definition(levels, channels):
    output = outputs.LogisticMixture(levels=levels, components=3)
    parameters = torch.randn(20, output.parameters_per_pixel(channels)).double().clamp(-2, 2)
    images = torch.randint(levels, (20, channels))
    images[0], images[1] = 0, levels - 1
    expected = [
        mixture_by_hand(3, channels, levels, row, image.tolist())
        for row, image in zip(parameters, images, strict=True)
    ]
    nats = output.log_prob(parameters[..., None, None], images[..., None, None])
    assert nats.sum((1, 2, 3)).exp().tolist() == pytest.approx(expected, rel=1e-11)


def test_a_logistic_mixture_has_as_many_parameters_as_the_paper():
    assert outputs.LogisticMixture().parameters_per_pixel(3) == 100
    assert outputs.LogisticMixture(components=5).parameters_per_pixel(1) == 15


def test_components_are_reweighted_by_how_well_they_explain_earlier_channels():
    """Two components of equal weight, one dark in both channels and one bright: red tells green."""
    output = outputs.LogisticMixture(levels=3, components=2)
    dark_or_bright, sharp = torch.tensor([-1.0, 1.0]), torch.full((2,), -3.0)
    rows = [torch.zeros(2), dark_or_bright, sharp, dark_or_bright, sharp, torch.zeros(2)]
    parameters = torch.cat(rows)
    assert output.pmf(parameters, torch.zeros(0)).tolist() == pytest.approx([0.5, 0, 0.5], abs=1e-3)
    assert output.pmf(parameters, torch.tensor([2]))[2] > 0.999
    assert output.pmf(parameters, torch.tensor([0]))[0] > 0.999


@pytest.mark.parametrize("levels", [2, 3, 256])
def test_gradients_of_a_logistic_mixture_are_right_at_the_ends(levels):
    output = outputs.LogisticMixture(levels=levels, components=2)
    parameters = torch.randn(1, output.parameters_per_pixel(2), 1, 3, dtype=torch.float64)
    images = torch.tensor([[0, levels - 1, 1], [levels - 1, 0, 0]]).reshape(1, 2, 1, 3)
    assert torch.autograd.gradcheck(
        lambda values: output.log_prob(values, images), parameters.requires_grad_()
    )


@pytest.mark.parametrize("level", [0, 1, 100, 254, 255])
def test_single_precision_has_the_gradients_of_double_far_from_the_mean(level):
    """Where the difference of two sigmoids is 0 in float32, and the log of it and its gradient nothing."""
    output, found = outputs.LogisticMixture(levels=256, components=1), []
    for dtype in (torch.float32, torch.float64):
        parameters = torch.tensor([0.0, 0.3, -6.0], dtype=dtype).reshape(1, 3, 1, 1)
        nats = output.log_prob(parameters.requires_grad_(), torch.tensor(level).reshape(1, 1, 1, 1))
        (gradient,) = torch.autograd.grad(nats.sum(), parameters)
        found.append(torch.cat([nats.flatten(), gradient.flatten()]).detach().double())
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)
    assert found[1][0] < -10


def test_65536_levels_need_no_table_and_sum_to_one_in_single_precision():
    output = outputs.LogisticMixture(levels=65_536, components=3)
    parameters = 2 * torch.randn(1, output.parameters_per_pixel(1), 1, 1)
    every = torch.arange(65_536).reshape(1, 1, 256, 256)
    total = output.log_prob(parameters.expand(-1, -1, 256, 256), every).double().exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-5)
    image = torch.randint(65_536, (2, 3, 61, 67))  # a table of its levels would take 6 GB
    parameters = torch.randn(2, output.parameters_per_pixel(3), 61, 67)
    assert output.log_prob(parameters, image).shape == image.shape


def test_a_component_can_be_sure_of_a_level():
    output = outputs.LogisticMixture(levels=256, components=1)
    for level in (0, 7, 255):
        parameters = torch.tensor([0.0, 2 * level / 255 - 1, -50.0])
        assert output.pmf(parameters, torch.zeros(0))[level] > 0.999


@pytest.mark.parametrize("levels", [2, 256, 65_536])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scales_are_bounded_and_finite_with_their_gradients(levels, dtype):
    """The bounds belong to what a stored model means: a 16th of a level, a thousand half ranges."""
    output, half = outputs.LogisticMixture(levels=levels, components=1), (levels - 1) / 2
    every = torch.arange(min(levels, 256)).reshape(1, 1, 1, -1)
    for log_scale, bound in ((-300.0, math.log(1 / 16 / half)), (300.0, math.log(1000))):
        found = []
        for each in (log_scale, bound, bound - math.copysign(0.1, bound)):
            parameters = torch.tensor([0.0, -1.0, each], dtype=dtype).reshape(1, 3, 1, 1)
            parameters.requires_grad_()
            logs = output.log_prob(parameters.expand(-1, -1, *every.shape[2:]), every)
            (gradient,) = torch.autograd.grad(logs.sum(), parameters)
            assert logs.isfinite().all()
            assert gradient.isfinite().all()
            found.append(logs.detach())
        torch.testing.assert_close(found[0], found[1])
        assert not torch.allclose(found[1], found[2])
        pmf = output.pmf(parameters.detach().flatten(), torch.zeros(0))
        assert float(pmf.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: outputs.Bernoulli(levels=3),
        lambda: outputs.Categorical(levels=1),
        lambda: outputs.LogisticMixture(levels=65_537),
    ],
)
def test_impossible_level_counts_are_refused(make):
    with pytest.raises(ConfigError, match="levels"):
        make()


@dataclass
class Loose(outputs.Output):
    """An output whose author forgot to freeze it."""

    levels: int = 4
    parameters_per_pixel = outputs.Categorical.parameters_per_pixel
    log_prob, pmf = outputs.Categorical.log_prob, outputs.Categorical.pmf


def test_an_output_that_can_be_changed_is_refused():
    with pytest.raises(ConfigError, match=r"frozen dataclass .* Loose is none"):
        Loose()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("output", list(tiny_outputs()), ids=label)
def test_half_precision_is_scored_in_single(output, dtype):
    """The same numbers as in float32, from parameters that are rounded."""
    n = output.parameters_per_pixel(3)
    parameters = torch.randn(2, n, 4, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    levels = torch.randint(output.levels, (2, 3, 4, 5), generator=torch.Generator().manual_seed(1))
    nats = output.log_prob(parameters, levels)
    assert nats.dtype == torch.float32
    assert torch.equal(nats, output.log_prob(parameters.float(), levels))
    pmf = output.pmf(parameters[:, :, 0, 0], levels[:, :2, 0, 0])
    assert torch.equal(pmf, output.pmf(parameters[:, :, 0, 0].float(), levels[:, :2, 0, 0]))
    torch.testing.assert_close(
        pmf.gather(1, levels[:, 2:, 0, 0]).log()[:, 0],
        nats[:, 2, 0, 0].double(),
        rtol=1e-4,
        atol=1e-4,
    )
