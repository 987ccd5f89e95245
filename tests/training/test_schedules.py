"""The learning rate is a function of the step; the optimiser is the one that was asked for."""

import itertools
from typing import get_args

import pytest
import torch
from torch import nn

from pixelcnn.training import TrainingOptions
from pixelcnn.training.options import Optimizer, Schedule
from pixelcnn.training.schedules import RISES, optimiser, share_of_peak

STEPS = 100


def curve(**values):
    return [share_of_peak(TrainingOptions(**values), step, STEPS) for step in range(STEPS)]


def test_constant():
    assert set(curve(schedule="constant")) == {1.0}


def test_exponential_decays_every_step():
    rates = curve(schedule="exponential", learning_rate_decay=0.9)
    assert rates[10] == pytest.approx(0.9**10)


def test_cosine_falls_from_the_peak_to_its_end():
    rates = curve(schedule="cosine", final_learning_rate=0.1)
    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.1, rel=0.01)


def test_one_cycle_rises_then_falls():
    rates = curve(schedule="one-cycle", final_learning_rate=0.0)
    top = round(RISES["one-cycle"] * STEPS)
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == rates[top] == 1.0
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.0005


def test_linear_rises_then_falls_on_straight_lines():
    rates = curve(schedule="linear", final_learning_rate=0.0)
    top = round(RISES["linear"] * STEPS)
    assert rates[top] == max(rates) == 1.0
    rise = [after - before for before, after in itertools.pairwise(rates[: top + 1])]
    fall = [before - after for before, after in itertools.pairwise([*rates[top:], 0.0])]
    assert rise == pytest.approx([1 / (top + 1)] * top)
    assert fall == pytest.approx([1 / (STEPS - top)] * (STEPS - top))


def test_linear_ends_at_its_final_rate():
    rates = curve(schedule="linear", final_learning_rate=0.2, warmup_steps=20)
    assert share_of_peak(TrainingOptions(schedule="linear", final_learning_rate=0.2), 100, 100) == (
        pytest.approx(0.2)
    )
    assert rates[60] == pytest.approx(0.6)  # half-way from 1


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_warm_up_rises_to_the_peak(schedule):
    rates = curve(schedule=schedule, warmup_steps=10, learning_rate_decay=0.999)
    assert rates[:10] == sorted(rates[:10])
    assert rates[0] < 0.15
    assert max(rates) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_steps_beyond_the_plan_stay_in_range(schedule):
    assert 0 <= share_of_peak(TrainingOptions(schedule=schedule), 2 * STEPS, STEPS) <= 1.0


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_every_optimiser_takes_a_step(name):
    layer = nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    made = optimiser(layer, TrainingOptions(optimizer=name, learning_rate=0.1))
    layer(torch.ones(1, 2)).sum().backward()
    made.step()
    assert type(made).__name__.lower() == name
    assert not torch.equal(layer.weight, before)


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_only_kernels_decay(name):
    groups = optimiser(
        nn.Linear(2, 1), TrainingOptions(optimizer=name, weight_decay=0.1)
    ).param_groups
    assert [(group["weight_decay"], group["params"][0].ndim) for group in groups] == [
        (0.1, 2),
        (0.0, 1),
    ]
