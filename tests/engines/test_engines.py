"""Engines: the fast ones give the numbers of the full one."""

import itertools
from inspect import signature

import pytest
import torch

import tiny
from engines.walks import (
    assert_engine_is_exact,
    assert_native_numbers_depend_on_the_image_alone,
    images_of,
    model_of,
    needs_native,
    parameters,
)
from pixelcnn import PixelModel, engines, networks, outputs
from pixelcnn.engines.full import FullEngine
from pixelcnn.engines.native import build, layout
from pixelcnn.errors import ConfigError
from pixelcnn.layers import CONDITIONS
from pixelcnn.networks import NETWORKS
from pixelcnn.sampling import sample

SHAPES = [(1, 5, 7), (3, 5, 7), (4, 3, 5), (1, 1, 1), (1, 1, 9), (1, 9, 1)]


def cases():
    """Network, condition and shape; of the large networks most are slow."""
    for name, (i, condition), (j, shape) in itertools.product(
        NETWORKS, enumerate(CONDITIONS), enumerate(SHAPES)
    ):
        slow = name in tiny.LARGE and i != j
        yield pytest.param(name, condition, shape, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize(("name", "condition", "shape"), list(cases()))
def test_cached_equals_full(name, condition, shape):
    assert_engine_is_exact(model_of(name, shape, condition=condition), "cached")


@needs_native
@pytest.mark.parametrize(("name", "condition", "shape"), list(cases()))
def test_native_equals_full(name, condition, shape):
    assert_engine_is_exact(model_of(name, shape, condition=condition), "native")


@needs_native
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_native_numbers_depend_on_the_image_alone(name, channels):
    head = {"head_width": 49} if "head_width" in signature(NETWORKS[name]).parameters else {}
    model = model_of(name, (channels, 5, 7), width=34, **head)
    ways = itertools.product((1, 5, 13, 64), (1, 2, 3))
    assert_native_numbers_depend_on_the_image_alone(model, ways)


@needs_native
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 13), (1, 9, 130), (1, 64, 64)])
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in tiny.LARGE)) for n in NETWORKS]
)
def test_every_engine_draws_the_same_pixels(name, shape):
    """But where a uniform lies within 1e-6 of a boundary: with these seeds there is none."""
    model = model_of(name, shape)
    native = sample(model, 2, seed=5, engine="native")
    assert torch.equal(native, sample(model, 2, seed=5, engine="cached"))
    if shape[1] * shape[2] < 200:
        assert torch.equal(native, sample(model, 2, seed=5, engine="full"))


@needs_native
def test_native_samples_do_not_depend_on_the_batch():
    model = model_of("pixelcnn", (1, 5, 7))
    whole = sample(model, 257, seed=2, engine="native", batch_size=300)
    assert torch.equal(whole, sample(model, 257, seed=2, engine="native", batch_size=7))


@needs_native
def test_native_progress_comes_after_every_row():
    model = model_of("pixelcnn", (1, 5, 7))
    seen = []
    sample(
        model, 3, engine="native", callback=lambda done, total, images: seen.append((done, total))
    )
    assert seen == [(7 * row, 35) for row in range(1, 6)]


def test_native_is_the_automatic_choice_where_it_can_be_had():
    model = model_of("pixelcnn", (1, 5, 7))
    expected = "cached" if engines.native.why_not() else "native"
    assert engines.choose(model).name == expected
    assert engines.choose(model.double()).name == "cached"


@needs_native
def test_more_weights_than_the_native_engine_holds_leave_the_torch_engine(monkeypatch):
    monkeypatch.setattr(layout, "MOST_FLOATS", 2**6)
    choice = engines.choose(model_of("pixelcnn", (1, 5, 7)))
    assert (choice.name, choice.wrong) == ("cached", False)
    assert choice.reason == "too many weights for the native engine"
    with pytest.raises(ConfigError, match="native engine cannot run this model: too many weights"):
        engines.choose(model_of("pixelcnn", (1, 5, 7)), "native")


def test_without_a_compiler_the_torch_engine_runs_and_says_why(monkeypatch):
    build._tried.cache_clear()
    monkeypatch.setenv("PIXELCNN_NATIVE", "0")
    try:
        choice = engines.choose(model_of("pixelcnn", (1, 5, 7)))
        assert (choice.name, choice.reason) == ("cached", "PIXELCNN_NATIVE=0")
    finally:
        build._tried.cache_clear()


def test_an_unknown_engine_names_the_known_ones():
    with pytest.raises(ConfigError) as caught:
        engines.choose(model_of("pixelcnn", (1, 5, 7)), "fast")
    assert "native" in caught.value.hint


@needs_native
def test_a_network_that_sees_its_own_row_from_above_keeps_its_timing():
    """Values known only after their row (the paper's shifted vertical stack) run on both engines."""
    torch.manual_seed(0)
    model = PixelModel(PaperShift(), outputs.Bernoulli(), (1, 5, 7)).eval()
    images = images_of(model, 3)
    expected = parameters(model, FullEngine(model, None), images)
    for name in ("cached", "native"):
        got = parameters(model, engines.start(model, 3, None, name), images)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


class PaperShift(networks.Network):
    """The vertical stack sees its own row, and its link to the horizontal one shifts it down (2016b)."""

    def __init__(self):
        from pixelcnn.layers import MaskedConv2d, ShiftedConv2d

        super().__init__(1, 1, "channel", None, 0)
        some = (0,) * 5
        self.vertical = ShiftedConv2d((0,), some, (2, 3), (1, 1))
        self.again = ShiftedConv2d(some, some, (2, 3), (1, 1))
        self.link = ShiftedConv2d(some, some, (1, 1), (1, 0))
        self.horizontal = ShiftedConv2d((0,), some, (1, 2), (0, 2))
        self.last = MaskedConv2d(some, (0,), (1, 1), sees_itself=True)

    def forward(self, x, condition=None):
        v = self.again(torch.relu(self.vertical(x)))
        return self.last(torch.relu(self.horizontal(x) + self.link(v)))
