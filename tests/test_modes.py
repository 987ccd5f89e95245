"""Whatever computes with a model leaves its modes alone, and computes in evaluation mode."""

from functools import partial
from types import MethodType
from typing import NamedTuple

import pytest
import torch
from torch import nn

import pixelcnn as px
from pixelcnn import engines, networks, outputs
from pixelcnn.modes import evaluation_view
from pixelcnn.walk import walk
from together import together

IMAGES = torch.randint(2, (6, 1, 5, 7), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model():
    """Most of it in training mode, with dropout; a part that its owner keeps frozen."""
    torch.manual_seed(0)
    network = networks.GatedPixelCNN(1, 1, width=8, depth=2, dropout=0.5)
    made = px.PixelModel(network, outputs.Bernoulli(), (1, 5, 7))
    made.network.layers[0].eval()
    return made


def modes(model):
    """The mode of every module."""
    return {name: module.training for name, module in model.named_modules()}


def stopping(*_):
    """A callback that fails in the middle of the work."""
    raise InterruptedError


CALLS = {
    "score": lambda m, callback=None: px.score(m, IMAGES, batch_size=2, callback=callback),
    "sample": lambda m, callback=None: px.sample(m, 3, batch_size=2, callback=callback),
    "sample-cached": lambda m, callback=None: px.sample(m, 3, engine="cached", callback=callback),
    "sample-full": lambda m, callback=None: px.sample(m, 3, engine="full", callback=callback),
    "complete": lambda m, callback=None: px.complete(
        m, IMAGES, IMAGES[:1] > 0, engine="cached", callback=callback
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_model_in_training_mode_computes_as_in_evaluation_mode(model, call):
    found = call(model)
    assert torch.equal(found, call(model.eval()))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_part_keeps_its_mode_also_after_an_error(model, call):
    before = modes(model)
    assert set(before.values()) == {True, False}
    call(model)
    assert modes(model) == before
    with pytest.raises(InterruptedError):
        call(model, stopping)
    assert modes(model) == before


@pytest.mark.parametrize("engine", engines.EXACT[:2])
def test_a_walk_never_touches_the_modes(model, engine):
    before = modes(model)
    steps = walk(model, 1, engine=engine)
    next(steps)
    assert modes(model) == before
    steps.close()
    assert modes(model) == before


def in_threads(work):
    """What ``work(number)`` gives in four threads at the same time."""
    return together(*(partial(work, number) for number in range(4)))


@pytest.mark.parametrize("name", ["score", "sample", "sample-full"])
def test_threads_that_use_one_model_get_what_one_alone_gets(model, name):
    expected = CALLS[name](model)

    def work(number):
        model.train(number % 2 == 0)  # as a loop does that trains and validates in turn
        return [CALLS[name](model) for _ in range(3)]

    assert all(torch.equal(one, expected) for found in in_threads(work) for one in found)


def test_threads_may_sample_a_model_for_the_first_time_while_others_compute(model):
    """Following a network's forward replaces nothing that other threads use."""
    expected = px.score(model, IMAGES)
    fresh = [px.PixelModel.from_config(model.config()) for _ in range(2)]
    for one in fresh:
        one.load_state_dict(model.state_dict())
    drawn = px.sample(model, 2)

    def work(number):
        if number < 2:
            return torch.equal(px.sample(fresh[number], 2), drawn)
        return all(torch.equal(px.score(model, IMAGES), expected) for _ in range(20))

    assert in_threads(work) == [True] * 4


def test_a_view_shares_parameters_and_sees_those_assigned_later():
    layer = nn.Linear(2, 2)
    view = evaluation_view(layer)
    assert view.weight is layer.weight
    layer.weight = nn.Parameter(torch.ones(2, 2))
    assert view.weight is layer.weight


def test_a_view_keeps_what_is_shared_shared():
    part = nn.Dropout()
    view = evaluation_view(nn.ModuleList([part, nn.Sequential(part)]))
    assert view[0] is view[1][0]
    assert not view[0].training


def test_a_method_that_was_put_on_one_module_computes_in_the_mode_of_the_view():
    """As what prepares models for mixed precision does with ``forward``."""
    layer = nn.Dropout()
    layer.forward = MethodType(nn.Dropout.forward, layer)
    assert torch.equal(evaluation_view(layer)(torch.ones(64)), torch.ones(64))
    assert not torch.equal(layer(torch.ones(64)), torch.ones(64))


def test_a_view_of_batch_norm_counts_nothing():
    layer = nn.BatchNorm1d(3)
    evaluation_view(layer)(torch.randn(4, 3))
    assert int(layer.num_batches_tracked) == 0
    assert torch.equal(layer.running_mean, torch.zeros(3))


@pytest.mark.parametrize(
    "wrap",
    [torch.jit.script, lambda m: torch.compile(m, backend="eager"), nn.Sequential],
    ids=["script", "compiled", "sequential"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_wrapper_hides_a_part_in_training_mode(wrap):
    wrapped = wrap(nn.Sequential(nn.Dropout(0.9), nn.Identity()))
    x = torch.ones(50)
    assert torch.equal(evaluation_view(wrapped)(x), x)
    assert wrapped.training


def test_a_compiled_model_draws_and_compresses_as_the_one_inside(model):
    compiled = torch.compile(model, backend="eager")
    assert engines.choose(compiled).name == engines.choose(model).name != "full"
    assert torch.equal(px.sample(compiled, 2), px.sample(model, 2))
    px.calibrate(compiled, IMAGES)
    assert px.compress(compiled, IMAGES) == px.compress(model, IMAGES)


def test_a_compiled_model_keeps_its_record_when_it_is_calibrated(model):
    model.record = {"recipe": "own"}
    px.calibrate(torch.compile(model, backend="eager"), IMAGES)
    assert model.record["recipe"] == "own" and "activation_ranges" in model.record


def test_a_compiled_module_in_evaluation_mode_is_used_as_it_is():
    compiled = torch.compile(nn.Sequential(nn.Dropout()), backend="eager").eval()
    assert evaluation_view(compiled) is compiled


class InAList(networks.Network):
    """Its layers are in a list, and registered by name beside it; it keeps what it computed."""

    def __init__(self, channels, out):
        super().__init__(channels, out, "pixel", None, 0)
        self.layers = [nn.Conv2d(channels, out, 1), nn.Dropout(0.5)]
        for number, layer in enumerate(self.layers):
            self.add_module(f"layer{number}", layer)
        self.kept, self.owner = {}, [self]

    def forward(self, x, condition=None):
        x = torch.zeros_like(x)
        for number, layer in enumerate(self.layers):
            x = self.kept[number] = layer(x + 1)
        return x


class Reached(NamedTuple):
    """Where somebody may keep a layer."""

    layer: nn.Module


WAYS = {
    "list": lambda drop: [[drop]],
    "dictionary": lambda drop: {"drop": (drop,)},
    "named-tuple": Reached,
    "method": lambda drop: drop.forward,
    "partial": partial,
}


@pytest.mark.parametrize("way", WAYS)
def test_layers_compute_in_evaluation_mode_wherever_they_are_kept(way):
    layer = nn.Sequential(nn.Dropout())
    layer.kept = WAYS[way](layer[0])
    kept = evaluation_view(layer).kept
    while isinstance(kept, list | tuple | dict):
        (kept,) = kept.values() if isinstance(kept, dict) else kept
    assert torch.equal(kept(torch.ones(50)), torch.ones(50))
    assert layer[0].training


def test_layers_in_a_list_compute_in_evaluation_mode():
    model = px.PixelModel(InAList(1, 1), outputs.Bernoulli(), (1, 5, 7))
    expected = px.score(model.eval(), IMAGES)
    assert torch.equal(px.score(model.train(), IMAGES), expected)


def test_following_forward_leaves_nothing_in_what_a_network_keeps():
    model = px.PixelModel(InAList(1, 1), outputs.Bernoulli(), (1, 5, 7))
    px.sample(model, 1)
    assert model.network.kept == {}
