"""Outputs in detail; their promises are checked over the registry in tests/verify."""

import math

import pytest
import torch

from pixelcnn import outputs
from pixelcnn.errors import ConfigError


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


@pytest.mark.parametrize(
    "make", [lambda: outputs.Bernoulli(levels=3), lambda: outputs.Categorical(levels=1)]
)
def test_impossible_level_counts_are_refused(make):
    with pytest.raises(ConfigError, match="levels"):
        make()
