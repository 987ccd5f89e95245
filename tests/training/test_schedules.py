"""The learning rate is a function of the step; the optimiser is the one that was asked for."""

import pytest
import torch
from torch import nn

from pixelcnn.training import TrainingOptions
from pixelcnn.training.options import OPTIMIZERS, SCHEDULES
from pixelcnn.training.schedules import RISE, START, learning_rate, optimiser

STEPS = 100


def curve(**values):
    options = TrainingOptions(learning_rate=2.0, **values)
    return [learning_rate(options, step, STEPS) for step in range(STEPS)]


def test_constant():
    assert set(curve(schedule="constant")) == {2.0}


def test_exponential_decays_every_step():
    rates = curve(schedule="exponential", learning_rate_decay=0.9)
    assert rates[10] == pytest.approx(2 * 0.9**10)


def test_cosine_falls_from_the_peak_to_its_end():
    rates = curve(schedule="cosine", final_learning_rate=0.1)
    assert rates[0] == 2.0
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.2, rel=0.01)


def test_one_cycle_rises_then_falls():
    rates = curve(schedule="one-cycle", final_learning_rate=0.0)
    top = round(RISE * STEPS)
    assert rates[0] == pytest.approx(2 * START)
    assert max(rates) == rates[top] == 2.0
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.001


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_rises_to_the_peak(schedule):
    rates = curve(schedule=schedule, warmup_steps=10, learning_rate_decay=0.999)
    assert rates[:10] == sorted(rates[:10])
    assert rates[0] < 0.3
    assert max(rates) == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_steps_beyond_the_plan_stay_in_range(schedule):
    options = TrainingOptions(learning_rate=2.0, schedule=schedule)
    assert 0 <= learning_rate(options, 2 * STEPS, STEPS) <= 2.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_takes_a_step(name):
    layer = nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    made = optimiser(layer, TrainingOptions(optimizer=name, learning_rate=0.1))
    layer(torch.ones(1, 2)).sum().backward()
    made.step()
    assert type(made).__name__.lower() == name
    assert not torch.equal(layer.weight, before)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_only_kernels_decay(name):
    groups = optimiser(
        nn.Linear(2, 1), TrainingOptions(optimizer=name, weight_decay=0.1)
    ).param_groups
    assert [(group["weight_decay"], group["params"][0].ndim) for group in groups] == [
        (0.1, 2),
        (0.0, 1),
    ]
