"""The moving average of the weights."""

import pytest
import torch
from torch import nn

from pixelcnn.training.averaging import WeightAverage


def layer(value):
    made = nn.Linear(1, 1, bias=False)
    nn.init.constant_(made.weight, value)
    return made


def test_it_follows_the_formula():
    net = layer(0.0)
    average, expected = WeightAverage(net, 0.5), 0.0
    for step in range(10):
        nn.init.constant_(net.weight, float(step))
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert average.values[0].item() == pytest.approx(expected, rel=1e-5)


def test_a_short_run_forgets_its_start():
    net = layer(1000.0)
    average = WeightAverage(net, 0.9999)
    nn.init.constant_(net.weight, 1.0)
    for _ in range(30):
        average.update()
    assert abs(average.values[0].item() - 1.0) < 0.01


def test_it_is_lent_and_taken_back():
    net = layer(1.0)
    average = WeightAverage(net, 0.9)
    nn.init.constant_(net.weight, 3.0)
    with average.applied():
        assert net.weight.item() == 1.0
    assert net.weight.item() == 3.0
    assert average.values[0].item() == 1.0


def test_without_decay_the_weights_stay():
    net = layer(1.0)
    average = WeightAverage(net, 0.0)
    nn.init.constant_(net.weight, 3.0)
    with average.applied():
        assert net.weight.item() == 3.0


def test_a_stored_average_goes_on():
    net = layer(1.0)
    one, other = WeightAverage(net, 0.9), WeightAverage(net, 0.9)
    nn.init.constant_(net.weight, 2.0)
    one.update()
    other.load_state_dict(one.state_dict())
    one.update()
    other.update()
    assert torch.equal(one.values[0], other.values[0])


def test_without_decay_nothing_is_held_nor_taken_from_an_older_checkpoint():
    average = WeightAverage(layer(1.0), 0.0)
    assert average.state_dict() == {"updates": 0, "values": []}
    average.load_state_dict({"updates": 0, "values": [torch.ones(1, 1)]})
    assert not average.values
