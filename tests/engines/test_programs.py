"""A program belongs to the network that it was made of: whatever is changed, the engines see it."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from engines.walks import FAST, images_of, model_of
from pixelcnn import PixelModel, engines, networks, outputs
from pixelcnn.engines import programs
from pixelcnn.errors import ModelError
from pixelcnn.layers import MaskedConv2d
from pixelcnn.networks import Network
from pixelcnn.sampling import sample, stream
from pixelcnn.verify import walk_log_prob


def in_place(model):
    for p in model.parameters():
        p.data.mul_(-2)


def copied(model):
    for p in model.parameters():
        p.data.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))


def numpy_view(model):
    for p in model.parameters():
        p.detach().numpy()[...] = np.random.default_rng(0).normal(size=p.shape)


def fused(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, fused=True)
    model.log_prob(torch.zeros(4, *model.shape, dtype=torch.uint8)).mean().backward()
    optimizer.step()


def swapped(model):
    for p in model.parameters():
        new = torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
        torch.utils.swap_tensors(p, nn.Parameter(new))


def assigned(model):
    state = {name: -2 * t for name, t in model.state_dict().items() if t.is_floating_point()}
    model.load_state_dict(state, strict=False, assign=True)


def inference(model):
    with torch.inference_mode():
        for p in model.parameters():
            p.mul_(-2)


CHANGES = [in_place, copied, numpy_view, fused, swapped, assigned, inference]


@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["pixelcnn", "gated-pixelcnn"])
def test_a_changed_weight_is_seen(name, change, engine):
    model = model_of(name, (1, 5, 7))
    before = sample(model, 8, engine=engine)
    change(model)
    after = sample(model, 8, engine=engine)
    assert not torch.equal(before, after)
    assert torch.equal(after, sample(model, 8, engine="full"))


@pytest.mark.parametrize("engine", FAST)
def test_a_buffer_that_is_not_stored_is_seen(engine):
    model = model_of("pixelcnn", (1, 5, 7))
    before = sample(model, 8, engine=engine)
    layer = next(part for part in model.modules() if isinstance(part, MaskedConv2d))
    assert not set(dict(layer.named_buffers())) & set(layer.state_dict())
    layer.mask.zero_()
    after = sample(model, 8, engine=engine)
    assert not torch.equal(before, after)
    assert torch.equal(after, sample(model, 8, engine="full"))


SCALE = 1.0


class Constant:
    """A callable that is neither a function nor a module."""

    def __init__(self):
        self.number = 1.0

    def __call__(self):
        return self.number


class Scaled(nn.Module):
    """A layer with numbers of every kind in its ``forward`` that its ``lower`` knows of."""

    factor = 1.0

    def __init__(self):
        super().__init__()
        self.own, self.several, self.called = 1.0, {"all": [1.0]}, Constant()

    def number(self):
        return self.own * self.several["all"][0] * self.called() * self.factor * SCALE

    def forward(self, x):
        return self.number() * x

    def lower(self, program, x):
        return program.elementwise("scale", x, constants=(self.number(),))


class Numbers(Network):
    """Numbers in a layer, and in the network itself."""

    def __init__(self):
        super().__init__(1, 1, "channel", None, 0)
        inner = networks.PixelCNN(1, 1, width=4, depth=0)
        self.first, self.scaled, self.head = inner.input, Scaled(), inner.head
        self.offset, self.kind = 0.0, "tanh"

    def forward(self, x, condition=None):
        y = self.scaled(self.first(x)) + self.offset
        return self.head(torch.tanh(y) if self.kind == "tanh" else torch.relu(y))


def numbers():
    torch.manual_seed(0)
    network = Numbers()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return PixelModel(network, outputs.Bernoulli(), (1, 5, 7))


def own_number(model, monkeypatch):
    model.network.scaled.own = -3.0


def number_in_a_container(model, monkeypatch):
    model.network.scaled.several["all"][0] = -3.0


def number_of_a_callable(model, monkeypatch):
    model.network.scaled.called.number = -3.0


def number_of_the_class(model, monkeypatch):
    monkeypatch.setattr(Scaled, "factor", -3.0)


def number_of_the_module(model, monkeypatch):
    monkeypatch.setitem(Scaled.number.__globals__, "SCALE", -3.0)


def number_of_the_network(model, monkeypatch):
    model.network.offset = -3.0


def word_of_the_network(model, monkeypatch):
    model.network.kind = "relu"


def method_of_the_class(model, monkeypatch):
    monkeypatch.setattr(Scaled, "number", lambda self: -3.0)


def replaced_layer(model, monkeypatch):
    model.network.scaled = nn.Sigmoid()


def forward_hook(model, monkeypatch):
    model.network.scaled.register_forward_hook(lambda module, args, y: -3 * y)


def forward_pre_hook(model, monkeypatch):
    model.network.head.register_forward_pre_hook(lambda module, args: (-3 * args[0],))


def hook_of_the_network(model, monkeypatch):
    model.network.register_forward_hook(lambda module, args, y: -3 * y)


def hook_of_the_model(model, monkeypatch):
    model.register_forward_hook(lambda module, args, y: -3 * y)


def global_hook(model, monkeypatch):
    hooks = torch.nn.modules.module._global_forward_hooks
    monkeypatch.setitem(
        hooks, -1, lambda module, args, y: -3 * y if isinstance(module, Scaled) else None
    )


def forward_of_an_instance(model, monkeypatch):
    model.network.scaled.forward = lambda x: -3 * x


def forward_of_the_network(model, monkeypatch):
    right = model.network.forward
    model.network.forward = lambda x: -3 * right(x)


def forward_of_a_class(model, monkeypatch):
    monkeypatch.setattr(Scaled, "forward", lambda self, x: -3 * x)


SEEN = [
    own_number, number_in_a_container, number_of_a_callable, number_of_the_class, number_of_the_module,
    number_of_the_network, word_of_the_network, method_of_the_class, replaced_layer,
]  # fmt: skip
WITHOUT_PROGRAM = {
    forward_hook: "layer 'network.scaled' has a forward hook",
    forward_pre_hook: "layer 'network.head' has a forward hook",
    hook_of_the_network: "layer 'network' has a forward hook",
    hook_of_the_model: "the model has a forward hook",
    global_hook: "hook for all modules",
    forward_of_an_instance: "layer 'network.scaled' has a forward of its own",
    forward_of_the_network: "layer 'network' has a forward of its own",
    forward_of_a_class: "differ by",
}


@pytest.mark.parametrize("change", [*SEEN, *WITHOUT_PROGRAM])
def test_whatever_is_changed_after_the_first_sample_is_seen(change, monkeypatch):
    model = numbers()
    images = images_of(model, 3)
    before = walk_log_prob(model, images, engine="auto")
    change(model, monkeypatch)
    after, choice = walk_log_prob(model, images, engine="auto"), engines.choose(model)
    assert (after - before).abs().max() > 1e-2
    expected = model.log_prob_map(images).detach().double()
    torch.testing.assert_close(after, expected, rtol=0, atol=1e-4)
    assert (choice.name == "full") == (change in WITHOUT_PROGRAM)
    assert WITHOUT_PROGRAM.get(change, "") in choice.reason


def test_arrays_of_any_kind_may_be_attributes_of_a_network():
    model = numbers()
    model.network.names = np.array(["one", "two"])
    first = engines.program_of(model)
    assert engines.program_of(model) is first
    model.network.names[0] = "six"
    assert engines.program_of(model) is not first


def test_a_method_may_read_what_is_yet_to_come():
    """As in a script whose classes and variables are those of its main function."""

    class Later(networks.PixelCNN):
        def about(self):
            return told

    model = PixelModel(Later(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7))
    first = engines.program_of(model)
    told = 3
    assert model.network.about() == told
    assert engines.program_of(model) is not first


def test_weights_that_change_while_an_image_is_drawn_prove_no_engine_wrong():
    """As where another thread trains the model: the engine is as good as before when that is over."""
    model = model_of("pixelcnn", (1, 5, 7), levels=3)
    drawn = stream(model, 1, engine="cached")
    next(drawn)
    in_place(model)
    with pytest.raises(ModelError, match="weights of the model changed while it computed"):
        list(drawn)
    assert engines.choose(model, "cached").name == "cached"
    assert torch.equal(sample(model, 2, engine="cached"), sample(model, 2, engine="full"))


def test_weights_that_change_after_a_program_was_made_are_not_taken_for_its_own():
    """As where another thread trains the model, and a third one asks for its program."""
    model = model_of("pixelcnn", (1, 5, 7))
    program = programs.program_of(model)
    assert programs.weights_of(model, program)
    in_place(model)
    programs.program_of(model)
    assert not programs.weights_of(model, program)


def test_an_unchanged_network_is_lowered_and_compared_once(monkeypatch):
    model, made = numbers(), []
    sample(model, 1)
    monkeypatch.setattr(programs, "lower", lambda *args: made.append(args))
    monkeypatch.setattr(programs, "program_difference", lambda *args, **how: made.append(how))
    sample(model.train(), 1)
    sample(model.eval(), 1)
    assert not made


def test_what_is_kept_neither_grows_nor_keeps_networks_alive():
    model = numbers()
    for width in range(1, programs.MOST_VERDICTS + 3):
        engines.choose(PixelModel(model.network, model.output, (1, 1, width)), "cached")
    assert len(programs._kept[model.network].verdicts) <= programs.MOST_VERDICTS
    network = weakref.ref(model.network)
    engine = engines.choose(model)
    del model, engine
    gc.collect()
    assert network() is None
