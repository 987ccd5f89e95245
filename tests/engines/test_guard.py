"""No program and no engine that gives other numbers than ``forward`` is ever sampled from."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from engines.walks import FAST, model_of, needs_native, off_in_the_last
from pixelcnn import PixelModel, engines, networks, outputs
from pixelcnn.engines import guard, native
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.engines.convolution import convolution
from pixelcnn.engines.lowering import Value
from pixelcnn.errors import ConfigError, ModelError
from pixelcnn.extent import part
from pixelcnn.layers import MaskedConv2d
from pixelcnn.networks import Network
from pixelcnn.program import Tap, Unlowerable
from pixelcnn.sampling import sample, stream
from pixelcnn.shapes import ImageShape


class Wrapped(Network):
    """A layer between the input and a head."""

    def __init__(self, layer, *, zero=False):
        super().__init__(1, 1, "channel", None, 0)
        self.first = MaskedConv2d((0,), (0,) * 4, (3, 3), sees_itself=False)
        self.layer = layer
        self.head = MaskedConv2d((0,) * 4, (0,), (1, 1), sees_itself=True)
        if zero:
            nn.init.zeros_(self.head.weight)

    def forward(self, x, condition=None):
        return self.head(self.layer(self.first(x)))


class PlainElu(nn.ELU):
    """An ELU whose ``lower`` forgets ``alpha``, as a table of functions did once."""

    def lower(self, program, x):
        return program.elementwise("elu", x, constants=(1.0,))


class FarTaps(MaskedConv2d):
    """Reads nine places far; its ``lower`` drops the farthest, which small images do not have."""

    def __init__(self, *kernel):
        super().__init__((0,) * 4, (0,) * 4, kernel, sees_itself=True)

    def lower(self, program, x):
        number = super().lower(program, x)
        near = replace_taps(program.nodes[number], lambda tap: min(tap.down, tap.right) > -9)
        program.nodes[number] = near
        return number


def replace_taps(node, keep):
    return replace(node, taps=tuple(tap for tap in node.taps if keep(tap)))


class IgnoresNumber(nn.Module):
    """A number that its ``lower`` does not know of."""

    def forward(self, x):
        return 1.001 * x

    def lower(self, program, x):
        return x


class IgnoresBuffer(nn.Module):
    """A buffer that is still zero, and that its ``lower`` does not know of."""

    def __init__(self):
        super().__init__()
        self.register_buffer("shift", torch.zeros(1, 4, 1, 1))

    def forward(self, x):
        return x + self.shift

    def lower(self, program, x):
        return x


WRONG = {
    "elu": lambda: Wrapped(PlainElu(alpha=0.1), zero=True),
    "far taps": lambda: Wrapped(FarTaps(1, 19)),
    "far rows": lambda: Wrapped(FarTaps(19, 1)),
    "number": lambda: Wrapped(IgnoresNumber(), zero=True),
    "buffer": lambda: Wrapped(IgnoresBuffer()),
}


def model_with(wrong, shape=(1, 4, 16)):
    torch.manual_seed(0)
    return PixelModel(WRONG[wrong](), outputs.Bernoulli(), shape)


@pytest.mark.parametrize("wrong", ["elu", "far taps", "number", "buffer"])
def test_a_wrong_program_is_refused_before_anything_is_drawn(wrong):
    model = model_with(wrong)
    choice = engines.choose(model)
    assert choice.name == "full"
    assert "its program and its forward pass differ by" in choice.reason and "(h" in choice.reason
    with pytest.raises(ConfigError, match="cannot run this model: its program"):
        engines.choose(model, "cached")


def test_what_is_wrong_at_a_size_only_is_refused_at_that_size():
    model = model_with("far rows", (1, 16, 3))
    assert engines.choose(model).name == "full"
    assert engines.choose(PixelModel(model.network, model.output, (1, 4, 16))).name != "full"


def test_the_layers_are_right_without_their_fault():
    right = [nn.SiLU(), MaskedConv2d((0,) * 4, (0,) * 4, (1, 19), sees_itself=True)]
    for layer in right:
        model = PixelModel(Wrapped(layer, zero=True), outputs.Bernoulli(), (1, 4, 16))
        assert engines.choose(model).name != "full"


@pytest.mark.parametrize("change", ["weights", "nothing"])
def test_a_layer_that_goes_by_its_weights_is_compared_with_them(change):
    """Right for weights drawn at random, wrong for those that it has."""

    class DropsZeros(MaskedConv2d):
        def lower(self, program, x):
            number = super().lower(program, x)
            if bool((self.weight == 0.25).any()):
                program.nodes[number] = replace_taps(
                    program.nodes[number], lambda tap: tap.right < 0
                )
            return number

    model = PixelModel(
        Wrapped(DropsZeros((0,) * 4, (0,) * 4, (1, 3), sees_itself=True)),
        outputs.Bernoulli(),
        (1, 4, 5),
    )
    assert engines.choose(model).name != "full"
    if change == "weights":
        model.network.layer.weight.data[0, 0, 0, 0] = 0.25
        assert engines.choose(model).name == "full"


def test_a_wrong_engine_is_found_out_while_it_draws(monkeypatch):
    model = model_of("pixelcnn", (3, 5, 7)).double()
    monkeypatch.setattr(engines, "CachedEngine", off_in_the_last(CachedEngine, 1))
    with pytest.raises(
        Unlowerable, match=r"the engine and its forward pass differ by 0.1 at \(h 4"
    ):
        sample(model, 2)
    choice = engines.choose(model)
    assert choice.name == "full" and "differ" in choice.reason
    monkeypatch.undo()
    assert torch.equal(sample(model, 2), sample(model, 2, engine="full"))


@needs_native
def test_a_wrong_native_engine_does_not_run(monkeypatch):
    monkeypatch.setattr(native, "NativeEngine", off_in_the_last(native.NativeEngine, 2))
    choice = engines.choose(model_of("pixelcnn", (1, 5, 7)))
    assert choice.name == "cached" and "differ by 0.1" in choice.reason


def test_an_engine_is_watched_once(monkeypatch):
    model, passes = model_of("pixelcnn", (1, 5, 7)).double(), []
    expected = sample(model, 2, engine="full")
    monkeypatch.setattr(guard.Watched, "_compare", passes.append)
    assert torch.equal(sample(model, 2), expected)
    monkeypatch.undo()
    sample(model, 2)
    assert not isinstance(engines.start(model, 1), guard.Watched)
    assert isinstance(engines.start(model.float(), 1, engine="cached"), guard.Watched)


ENGINES = ["full", *FAST, "auto"]


@pytest.mark.parametrize("draw", [sample, stream], ids=["sample", "stream"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("engine", ENGINES)
def test_weights_that_are_no_numbers_never_draw(engine, value, draw):
    model = model_of("pixelcnn", (1, 5, 7))
    sample(model, 1, engine=engine)
    model.network.head[-1].bias.data[0] = value
    with pytest.raises(
        ModelError, match=r"`network.head.*bias` holds a value that is not a finite"
    ):
        draw(model, 1, engine=engine)


class NoNumber(nn.Module):
    """NaN in a part of the last row."""

    def forward(self, x):
        y = torch.zeros_like(x)
        y[:, :, -1, 2:] = torch.nan
        return x + y


def test_parameters_that_are_no_numbers_are_named_where_they_come_up():
    model = PixelModel(Wrapped(NoNumber()), outputs.Bernoulli(), (1, 3, 5))
    with pytest.raises(ModelError, match=r"\(c 0, h 2, w 2\) are not numbers"):
        sample(model, 2)


def test_overflow_is_named_on_the_cached_engine():
    model = model_of("pixelcnn", (1, 5, 7), levels=3)
    with torch.no_grad():
        model.network.head[-1].weight.fill_(3e38)
    with pytest.raises(ModelError, match="are not numbers"):
        sample(model, 2, engine="cached")


def test_the_guard_knows_masks_from_weights():
    torch.manual_seed(0)
    model = PixelModel(
        networks.GatedPixelCNN(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7)
    )
    model.network.register_buffer("table", torch.zeros(3, 3))
    before = {name: t.clone() for name, t in model.network.named_buffers()}
    guard._draw_weights(model.double())
    for name, tensor in model.network.named_buffers():
        assert torch.equal(tensor, before[name].to(tensor)) == (name != "table")
    assert all(bool((p != 0).all()) for p in model.parameters())


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 2, 9), (3, 28, 28)])
def test_edges_and_corners_are_among_the_positions_compared(shape):
    positions = guard.sampled(ImageShape(*shape))
    channels, height, width = shape
    corners = [(r, c) for r in (0, height - 1) for c in (0, width - 1)]
    assert {(0, *corner) for corner in corners} <= set(map(tuple, positions))
    assert (channels - 1, height - 1, width - 1) in positions
    assert len(positions) == len(set(positions)) <= 50


class Constant(nn.Module):
    """A number for each feature, which its ``lower`` makes a matrix of float32 of."""

    def forward(self, x):
        return 2 * x

    def lower(self, program, x):
        weight = 2 * torch.eye(program.width(x))
        return program.taps(x, [Tap(0, 0, weight, weight != 0)], None)


@pytest.mark.filterwarnings("ignore::pixelcnn.errors.SlowSampling")
def test_a_program_that_cannot_be_computed_is_refused():
    torch.manual_seed(0)
    model = PixelModel(Wrapped(Constant()), outputs.Bernoulli(), (1, 5, 7))
    assert "its program cannot be computed in float64" in engines.choose(model).reason
    assert torch.equal(sample(model, 2), sample(model, 2, engine="full"))


class OneType(nn.Conv2d):
    """Computes in float32 whatever it is moved to."""

    def forward(self, x):
        weight, bias = (each.type("torch.FloatTensor") for each in (self.weight, self.bias))
        return nn.functional.conv2d(x, weight, bias)

    def lower(self, program, x):
        return convolution(program, Value(x), self).number


@pytest.mark.filterwarnings("ignore::pixelcnn.errors.SlowSampling")
def test_a_network_that_cannot_be_compared_is_drawn_by_its_forward():
    torch.manual_seed(0)
    model = PixelModel(Wrapped(OneType(4, 4, 1)), outputs.Bernoulli(), (1, 5, 7))
    assert "cannot be compared in float64" in engines.choose(model).reason
    assert torch.equal(sample(model, 2), sample(model, 2, engine="full"))


# What a comparison must not miss


class Odd(nn.Module):
    """Does something to the features of a masked layer that programs and batches of one do not tell."""

    def __init__(self, how):
        super().__init__()
        self.how, self.kept = how, None

    def forward(self, x):
        return self.how(self, x)


def looped(s, y):
    for _ in range(y.size(0)):
        y = torch.relu(y) + 0.3
    return y


def joined_with_columns(s, y):
    """A copy of two images, which of one is none: then the function in place would change it, too."""
    n, f, h, w = y.shape
    z = y.permute(0, 3, 2, 1).reshape(n * w, h, f).reshape(n, w, h, f).permute(0, 3, 2, 1)
    torch.nn.functional.relu(z, inplace=True)
    return y * 2 + z


BATCHES = {
    "as a number": lambda s, y: y * float(y.size(0)),
    "in a loop": looped,
    "compared": lambda s, y: y * 3 if int(y.size(0)) > 1 else y,
    "as an index": lambda s, y: y * [0.0, 1.0, 2.0, 3.0][y.size(0)],
    "joined with columns": joined_with_columns,
    "rows, compared": lambda s, y: y * 2 if y.size(2) == 5 else y,
}


@pytest.mark.parametrize("how", BATCHES.values(), ids=BATCHES)
@pytest.mark.filterwarnings("ignore::pixelcnn.errors.SlowSampling")
def test_what_depends_on_how_many_images_there_are_has_no_program(how):
    torch.manual_seed(0)
    model = PixelModel(Wrapped(Odd(how)), outputs.Bernoulli(), (1, 5, 7))
    assert engines.choose(model).name == "full"


class Never(networks.PixelCNN):
    """Parameters one of which is as low as can be, and a program that says something else of the others."""

    def __init__(self, channels=1, out=4):
        super().__init__(channels, out, width=4, depth=1)
        self.wrong = IgnoresNumber()
        never = torch.tensor([0.0, 0, 0, torch.finfo(torch.float32).min])
        self.register_buffer("never", never.view(1, 4, 1, 1))

    def forward(self, x, condition=None):
        return self.wrong(super().forward(x)) + self.never


def test_a_number_beyond_all_others_hides_no_difference():
    model = PixelModel(Never(), outputs.Categorical(levels=4), (1, 5, 7))
    assert "its program and its forward pass differ by" in engines.choose(model).reason


def keeps(s, y):
    if s.kept is None:
        s.kept = torch.rand(1, 1, *y.shape[2:])
    return y * s.kept


@pytest.mark.parametrize("buffer", [False, True])
def test_what_a_forward_keeps_while_it_is_followed_is_dropped(buffer):
    torch.manual_seed(0)
    layer = Odd(keeps)
    if buffer:
        del layer.kept
        layer.register_buffer("kept", None, persistent=False)
    model = PixelModel(Wrapped(layer), outputs.Bernoulli(), (1, 5, 7))
    engines.choose(model)
    assert layer.kept is None


def test_a_large_image_is_compared_on_a_part_that_ends_like_it():
    network = networks.PixelCNN(1, 1, width=4, depth=1)
    for shape in ((1, 301, 301), (1, 300, 500), (1, 1000, 71)):
        small = part(network, ImageShape(*shape), 4096)
        assert small.height * small.width <= 4096
        assert [side % 16 for side in small[1:]] == [side % 16 for side in shape[1:]]
