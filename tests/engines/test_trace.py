"""The trace refuses by name what it cannot follow, and never raises anything else."""

import operator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from engines.small import WIDTH, Small, assert_followed, small_model
from pixelcnn import layers, networks
from pixelcnn.engines.trace import trace
from pixelcnn.program import Tap, Unlowerable

LAST, BACK = (0, 2, 3, 1), (0, 3, 1, 2)


class Raises(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, y):
        return y

    def lower(self, program, y):
        raise self.error


class Lowers(nn.Module):
    """Lowers to whatever it is told."""

    def __init__(self, result):
        super().__init__()
        self.result = result

    def forward(self, y):
        return y

    def lower(self, program, y):
        return self.result(program, y) if callable(self.result) else self.result


class Doubled(layers.MaskedConv2d):
    def forward(self, y):
        return 2 * super().forward(y)


def narrow(program, y):
    return program.taps(y, [Tap(0, 0, torch.ones(2, 3), torch.ones(2, 3) > 0)], None)


def tall(program, y):
    return program.taps(y, [Tap(0, 0, torch.ones(2, WIDTH), torch.ones(3, WIDTH) > 0)], None)


REFUSED = [
    ("torch.special", lambda s, y: torch.special.erf(y), "erf is not a primitive"),
    ("method", lambda s, y: y.cumsum(1), "method 'cumsum' is not a primitive"),
    ("unknown argument", lambda s, y: torch.add(y, y, out=None), "add with these arguments"),
    ("alpha", lambda s, y: torch.add(y, y, alpha=2), "alpha = 2"),
    ("a missing argument", lambda s, y: F.glu(y), "dimension -1"),
    ("over rows", lambda s, y: y.chunk(5, 2)[0], "chunk along dimension 2"),
    ("joined rows", lambda s, y: torch.cat([y, y], 2), "cat along dimension 2"),
    ("mean", lambda s, y: y - y.mean((2, 3), keepdim=True), "method 'mean' is not a primitive"),
    ("roll", lambda s, y: torch.roll(y, 1, 2), "roll is not a primitive"),
    (
        "a long loop",
        lambda s, y: [y := y + 1 for _ in range(200_000)][-1],
        "more than 100,000 steps",
    ),
    (
        "positions counted",
        lambda s, y: y + np.ones(int(y.size(2)) * int(y.size(3)))[0],
        "Maximum allowed",
    ),
    (
        "scaled levels",
        lambda s, y: y.long(),
        "method 'long' of levels that are scaled",
    ),
    ("by a value", lambda s, y: y / y.exp(), "division by anything but a number"),
    ("root", lambda s, y: y.exp() ** 0.5, "a power of 0.5"),
    ("power of a number", lambda s, y: 2**y, "a power of"),
    ("a row", lambda s, y: y[:, :, :1], "some can be left out at their ends"),
    ("an image", lambda s, y: y * y[0], "only features can be taken"),
    ("some images", lambda s, y: y[:1], "only features can be taken"),
    ("a feature", lambda s, y: s.ours(y[:, 0]), r"forward cannot be lowered|a tensor \(n, h"),
    ("gather", lambda s, y: y[:, [0, 1]], "only features can be taken"),
    ("rows last", lambda s, y: s.ours(y.movedim(2, 3)), r"a tensor \(n, 6, width, height\)"),
    ("rows moved", lambda s, y: y.movedim(2, 3) + y, "laid out differently"),
    ("returned last", lambda s, y: y.permute(LAST), "not return one value"),
    ("our layer", lambda s, y: s.ours(y.permute(LAST)), r"a tensor \(n, height, width, 6\)"),
    ("two layouts", lambda s, y: y + y.permute(LAST), "laid out differently"),
    ("joined layouts", lambda s, y: torch.cat([y, y.permute(LAST)], 1), "laid out differently"),
    ("stacked as images", lambda s, y: torch.stack([y, y], 0).flatten(0, 1), "shape \\(-1, 6,"),
    (
        "normed over two",
        lambda s, y: F.layer_norm(y.unflatten(1, (2, 3)).movedim(1, -1), (3, 2)),
        "more than the f",
    ),
    (
        "joined, another length",
        lambda s, y: y.flatten(2) + y.transpose(2, 3).flatten(2),
        "laid out",
    ),
    ("one feature to many", lambda s, y: y * y[:, :1], "mul of values with"),
    ("linear over columns", lambda s, y: s.linear(y), "no features"),
    (
        "slope a row",
        lambda s, y: s.prelu(y.permute(LAST)).permute(BACK),
        "PReLU: it has a slope for each row",
    ),
    ("norm of columns", lambda s, y: s.columns(y), "LayerNorm: it averages over"),
    ("strides", lambda s, y: s.conv(y), "layer 'layers.conv' is a Conv2d: it strides over 2 rows"),
    ("another grid", lambda s, y: y + s.coarse(y), "taps|add of values on"),
    ("unwritten", lambda s, y: s.sparse(y), "ConvTranspose2d: it leaves positions unwritten"),
    ("another grid's size", lambda s, y: y[:, :, : s.coarse(y).size(2)], "at their ends"),
    ("acts", lambda s, y: F.dropout(y, 0.5), "dropout that acts"),
    ("shape", lambda s, y: y * y.shape[2], "which are not numbers"),
    ("attribute", lambda s, y: y + y.T, "attribute 'T' is not a primitive"),
    ("branch", lambda s, y: y if y.sum() > 0 else -y, "traced variables cannot be used as inputs"),
    ("loop", lambda s, y: sum(part for part in y), "cannot be iterated"),
    ("a tensor", lambda s, y: y + torch.eye(3, 5), "not one number a feature"),
    ("divisor", lambda s, y: y / s.prelu.weight[0], "division by anything but a number"),
    ("to half", lambda s, y: y.half(), "'half' is not a primitive"),
    ("numpy", lambda s, y: y * torch.tensor(2.0).numpy()[()], "numpy"),
    ("assignment", lambda s, y: operator.setitem(y, 0, 1) or y, "item assignment"),
    ("tuple", lambda s, y: (y, y), "not return one value"),
    ("nothing", lambda s, y: None, "not return one value"),
    ("number", lambda s, y: 3, "not return one value"),
    ("lower raises", lambda s, y: s.raises(y), "KeyError"),
    ("lower gives none", lambda s, y: s.gives_none(y), "no node of the program"),
    ("lower gives more", lambda s, y: s.gives_more(y), "no node of the program"),
    ("lower gives text", lambda s, y: s.gives_text(y), "no node of the program"),
    ("inherited lower", lambda s, y: s.doubled(y), "inherits `lower`"),
    ("a weight of another width", lambda s, y: s.narrow(y), "a weight .* for 6 features"),
    ("a mask of another size", lambda s, y: s.tall(y), "a mask"),
    ("batch norm", lambda s, y: s.batch(y), "BatchNorm2d: it averages over the images"),
]


@pytest.mark.parametrize(("body", "reason"), [pytest.param(*b, id=a) for a, *b in REFUSED])
def test_what_a_program_cannot_say_is_refused_by_name(body, reason):
    parts = {
        "linear": nn.Linear(7, 7),
        "prelu": nn.PReLU(5),
        "columns": nn.LayerNorm(7),
        "conv": nn.Conv2d(WIDTH, WIDTH, 3, padding=1, stride=(2, 1)),
        "coarse": nn.Conv2d(WIDTH, WIDTH, 1, stride=2),
        "up": nn.ConvTranspose2d(WIDTH, WIDTH, 2, stride=2),
        "sparse": nn.ConvTranspose2d(WIDTH, WIDTH, 1, stride=2),
        "batch": nn.BatchNorm2d(WIDTH, track_running_stats=False),
        "ours": layers.MaskedConv2d((0,) * WIDTH, (0,), (1, 1), sees_itself=True),
        "raises": Raises(KeyError("what")),
        "gives_none": Lowers(None),
        "gives_more": Lowers(99),
        "gives_text": Lowers("1"),
        "narrow": Lowers(narrow),
        "tall": Lowers(tall),
        "doubled": Doubled((0,) * WIDTH, (0,) * WIDTH, (1, 1), sees_itself=True),
    }
    used = {name: part for name, part in parts.items() if name in body.__code__.co_names}
    with pytest.raises(Unlowerable, match=reason):
        trace(Small(body, headless=True, **used))


# How forward is called


def one_kernel():
    return layers.MaskedConv2d((0,), (0, 0), (3, 3), sees_itself=False)


class Scaled(nn.Module):
    """Its ``lower`` computes with a weight that is trained."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, y):
        return y * (2 * self.weight)[:, None, None]

    def lower(self, program, y):
        return program.depthwise(y, [Tap(0, 0, 2 * self.weight, self.weight != 0)], None)


def test_lower_need_not_take_weights_out_of_autograd():
    assert_followed(small_model(lambda s, y: s.scaled(y), scaled=Scaled()))


class Plain(networks.Network):
    """One masked layer."""

    def __init__(self, condition=None):
        super().__init__(1, 2, "channel", condition, 3 if condition else 0)
        self.only, self.bias = one_kernel(), self.condition_bias(2)
        self.parts = nn.Sequential(nn.Sequential(nn.Tanh()))

    def forward(self, x, condition=None):
        return self.parts(self.only(x))


class OtherName(Plain):
    def forward(self, image):
        return self.only(image)


class AnyNumber(Plain):
    def forward(self, *args):
        return self.only(args[0])


class ByKeyword(Plain):
    def forward(self, x, *, condition=None):
        return self.only(x)


class Labelled(Plain):
    def forward(self, image, label=None):
        return self.only(image) + self.bias(label)


class LabelledByKeyword(Plain):
    def forward(self, image, *, label):
        return self.only(image) + self.bias(label)


@pytest.mark.parametrize("kind", [Plain, OtherName, AnyNumber, ByKeyword])
def test_the_arguments_of_forward_may_have_any_name(kind):
    assert_followed(small_model(kind()))


def test_a_condition_may_have_any_name():
    assert "condition() -> 2  label" in str(trace(Labelled("label")))


class OfTheImage(Plain):
    def forward(self, x, condition=None):
        return self.only(x) + self.bias(x)


def test_a_bias_from_the_condition_that_is_given_another_value_is_refused():
    with pytest.raises(Unlowerable, match="given another value"):
        trace(OfTheImage("vector"))


def test_a_condition_that_forward_does_not_take_is_refused():
    with pytest.raises(Unlowerable, match=r"cannot be followed.*positional argument"):
        trace(LabelledByKeyword("label"))


# What has been changed


def nothing(*args):
    return None


CHANGES = {
    "a hook of the network": (lambda n: n.register_forward_hook(nothing), "the network has a f"),
    "a pre-hook of it": (lambda n: n.register_forward_pre_hook(nothing), "the network has a f"),
    "a hook of a layer": (
        lambda n: n.only.register_forward_hook(nothing),
        "'only' has a forward h",
    ),
    "a hook of a container": (lambda n: n.parts.register_forward_hook(nothing), "'parts' has"),
    "a pre-hook within": (
        lambda n: n.parts[0][0].register_forward_pre_hook(nothing),
        "'parts.0.0'",
    ),
    "forward of the network": (
        lambda n: setattr(n, "forward", nothing),
        "network has a forward of",
    ),
    "forward of a layer": (
        lambda n: setattr(n.only, "forward", nothing),
        "'only' has a forward of",
    ),
    "forward of a container": (
        lambda n: setattr(n.parts, "forward", nothing),
        "'parts' has a forw",
    ),
    "a compiled layer": (lambda n: setattr(n, "only", torch.compile(n.only)), "'only' is compiled"),
    "a compiled container": (
        lambda n: setattr(n, "parts", torch.compile(n.parts)),
        "'parts' is compiled",
    ),
    "a scripted layer": (
        lambda n: setattr(n, "parts", torch.jit.script(n.parts)),
        "'parts' is compiled",
    ),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_network_that_was_changed_is_refused_and_left_alone(change, reason, training):
    network = Plain().train(training)
    change(network)
    before = {name: dict(vars(module)) for name, module in network.named_modules()}
    with pytest.raises(Unlowerable, match=reason):
        trace(network)
    assert {name: dict(vars(module)) for name, module in network.named_modules()} == before


@pytest.mark.parametrize("pre", [False, True])
def test_hooks_for_all_modules_are_refused(pre):
    module = nn.modules.module
    register = (
        module.register_module_forward_pre_hook if pre else module.register_module_forward_hook
    )
    handle = register(nothing)
    try:
        with pytest.raises(Unlowerable, match="hook for all modules"):
            trace(Plain())
    finally:
        handle.remove()


def test_a_part_called_lower_makes_no_layer():
    network = Plain()
    network.parts[0].lower = nn.Sigmoid()
    assert_followed(small_model(network))


def test_parametrised_layers_are_what_they_compute():
    network = Plain()
    nn.utils.parametrizations.weight_norm(network.only)
    network.parts[0][0] = nn.Conv2d(2, 2, 1)
    nn.utils.parametrizations.weight_norm(network.parts[0][0])
    assert_followed(small_model(network))


@pytest.mark.parametrize("error", [AssertionError, RecursionError, StopIteration, TypeError])
def test_whatever_a_forward_raises_for_proxies_is_refused(error):
    def fails(s, y):
        raise error("not for you")

    with pytest.raises(Unlowerable, match="not for you"):
        trace(Small(fails, headless=True))
