"""What the cuda engine captures, computed on a processor: a function of fixed places and of a position."""

import contextlib
import itertools

import pytest
import torch

import tiny
from benchmarks.models import from_recipe
from engines.depthwise import KINDS, Depthwise
from engines.recording import Graph, Recording, pretend
from engines.walks import alive, condition_for, images_of, model_of, parameters
from pixelcnn import sampling
from pixelcnn.drawing import uniforms
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.engines.cached.memory import Memory
from pixelcnn.engines.cuda import CudaEngine, obstacle
from pixelcnn.engines.cuda.replays import Replays
from pixelcnn.engines.trace import trace
from pixelcnn.errors import ModelError
from pixelcnn.layers import CONDITIONS
from pixelcnn.outputs import Bernoulli, Categorical, LogisticMixture

SHAPES = [(3, 5, 7), (1, 1, 1), (1, 1, 9), (1, 9, 1)]


def cases():
    """Network, condition and shape; of the large networks most are slow."""
    combined = itertools.product(tiny.REPLAYED, enumerate(CONDITIONS), enumerate(SHAPES))
    for name, (i, condition), (j, shape) in combined:
        slow = name in tiny.LARGE and (i, j) not in ((0, 2), (3, 0))
        yield pytest.param(name, condition, shape, marks=[pytest.mark.slow] if slow else [])


def replayed():
    """Network and channels; three of them take long in the large networks."""
    for name, channels in itertools.product(tiny.REPLAYED, (1, 3)):
        slow = name in tiny.LARGE and channels > 1
        yield pytest.param(name, channels, marks=[pytest.mark.slow] if slow else [])


def engine_of(model, n, condition=None):
    return CudaEngine(model, trace(model.network), n, condition)


def assert_equals_cached(model, n=3):
    """In float64, to rounding: only the order of sums may differ."""
    model = model.double()
    images, condition = images_of(model, n), condition_for(model, n)
    expected = parameters(model, CachedEngine(model, trace(model.network), n, condition), images)
    found = parameters(model, engine_of(model, n, condition), images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


def drawing(model, n, seed=3):
    """What images are drawn from: no level is known."""
    nothing = torch.zeros(n, *model.shape, dtype=torch.int64)
    return nothing, nothing.bool(), uniforms(seed, range(n), model.shape)


@pytest.mark.parametrize(("name", "condition", "shape"), list(cases()))
def test_a_step_of_fixed_places_equals_cached(name, condition, shape):
    assert_equals_cached(model_of(name, shape, condition=condition))


@pytest.mark.parametrize("order", ["channel", "pixel"])
@pytest.mark.parametrize("kind", KINDS)
def test_depthwise_sums_equal_cached(kind, order):
    output = LogisticMixture(levels=7, components=2) if order == "pixel" else Categorical(levels=3)
    network = Depthwise(3, output.parameters_per_pixel(3), order, 8, kind)
    assert_equals_cached(alive(network, output, (3, 5, 7)))


def test_weights_that_are_made_of_others_are_copied_too():
    assert_equals_cached(model_of("pixelcnnpp", (1, 3, 3), norm="weight"))


@pytest.mark.parametrize("name", [n for n in tiny.EMBEDS if n in tiny.REPLAYED])
def test_levels_are_looked_up_as_on_cached(name):
    assert_equals_cached(model_of(name, (3, 3, 5), levels=7, embedding=5, codes=7))


@pytest.mark.parametrize(("name", "channels"), list(replayed()))
def test_what_is_replayed_draws_the_images_of_cached(name, channels, monkeypatch):
    """Each function is called once, and then recorded; from then on no line of Python sees a position."""
    model = model_of(name, (channels, 9, 7)).double()
    engine = engine_of(model, 2)
    pretend(monkeypatch)
    engine.replays = Replays(torch.device("cuda"))
    drawn = engine.fill(*drawing(model, 2), 1.0)
    assert Graph.replayed > 9
    assert torch.equal(drawn, sampling.sample(model, 2, seed=3, engine="cached").long())


def test_what_is_attended_to_is_kept_once(monkeypatch):
    made, make = [], Memory.__init__

    def counted(memory, *given):
        made.append(memory)
        make(memory, *given)

    monkeypatch.setattr(Memory, "__init__", counted)
    engine = engine_of(model_of("snail", (1, 5, 7)), 2)
    assert made and made == list(engine.by_position.memories.values())


def test_a_count_that_python_keeps_is_found_out(monkeypatch):
    """A replay would look at as many positions as the recording did."""
    model = model_of("snail", (1, 5, 7)).double()
    engine = engine_of(model, 2)
    pretend(monkeypatch)
    engine.replays = Replays(torch.device("cuda"))
    for number in engine.by_position.memories:
        node = engine.by_position.program.nodes[number]
        engine.by_position.memories[number] = Memory(engine.window.store, node, 35)
    drawn = engine.fill(*drawing(model, 2), 1.0)
    assert not torch.equal(drawn, sampling.sample(model, 2, seed=3, engine="cached").long())


def test_waiting_for_the_device_is_found_out(monkeypatch):
    """In the second call, which captures; after it nothing is captured any more."""
    pretend(monkeypatch)
    replays, ones = Replays(torch.device("cuda")), torch.ones(3)
    replays.run("some", ones.nonzero)
    with pytest.raises(RuntimeError, match="waits"):
        replays.run("some", ones.nonzero)
    assert len(ones.nonzero()) == 3


def test_a_function_is_called_twice_and_does_the_same_each_time(monkeypatch):
    pretend(monkeypatch)
    replays, total, calls = Replays(torch.device("cuda")), torch.zeros(1), []
    for _ in range(5):
        replays.run("add", lambda: calls.append(total.add_(torch.ones(1).neg().abs())))
    assert total == 5
    assert len(calls) == 2


def test_a_position_of_the_keras_network_takes_few_launches():
    """For small ones a GPU needs about as long each, whatever they compute."""
    model = from_recipe("keras-mnist")
    engine = engine_of(model, 1)
    images = engine._begin(*drawing(model, 1))
    with torch.no_grad():
        engine._next_row(0)
        engine._draw(images, 1.0, 0, 0)
        with Recording() as position:
            engine._draw(images, 1.0, 0, 0)
    assert len(list(position.launches())) <= 60


def test_what_is_replayed_comes_after_the_callers_work_and_before_what_follows(monkeypatch):
    callers = pretend(monkeypatch)
    replays = Replays(torch.device("cuda"))
    with contextlib.suppress(KeyError), replays.in_order():
        assert (replays.stream.waited_for, callers.waited_for) == ([callers], [])
        raise KeyError
    assert callers.waited_for == [replays.stream]


@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
@pytest.mark.parametrize(
    ("output", "channels"),
    [(Bernoulli(), 1), (Categorical(levels=17), 3), (LogisticMixture(levels=17, components=3), 3)],
    ids=str,
)
def test_images_are_those_of_the_walk(output, channels, temperature):
    order = "pixel" if output.couples_channels else "channel"
    model = model_of("gated-pixelcnn", (channels, 5, 7), output=output, order=order).double()
    drawn = engine_of(model, 3).fill(*drawing(model, 3), temperature)
    expected = sampling.sample(model, 3, seed=3, temperature=temperature, engine="cached")
    assert torch.equal(drawn, expected.long())


def some_known(model, n):
    """Images of which some levels are known."""
    given, _, u = drawing(model, n)
    given = images_of(model, n)
    return given, torch.rand(given.shape, generator=torch.Generator().manual_seed(0)) < 0.5, u


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_known_levels_stay_and_nothing_of_the_caller_changes(dtype):
    model = model_of("gated-pixelcnn", (3, 5, 7), levels=17).double()
    given, known, u = some_known(model, 4)
    mine = given.to(dtype), known.clone(), u.clone()
    drawn = engine_of(model, 4).fill(*mine, 1.0)
    assert torch.equal(drawn[known], given[known])
    assert all(map(torch.equal, mine, (given.to(dtype), known, u)))


def test_images_are_drawn_from_the_start_each_time():
    model = model_of("snail", (1, 5, 7)).double()
    engine, others = engine_of(model, 2), drawing(model, 2, seed=8)
    first = engine.fill(*drawing(model, 2), 1.0)
    assert not torch.equal(engine.fill(*others, 1.0), first)
    assert torch.equal(engine.fill(*drawing(model, 2), 1.0), first)
    images = images_of(model, 2)
    assert torch.equal(
        parameters(model, engine, images), parameters(model, engine_of(model, 2), images)
    )


def test_rows_come_one_after_the_other():
    model = model_of("pixelcnn", (3, 5, 7)).double()
    whole = engine_of(model, 2).fill(*drawing(model, 2), 1.0)
    rows = list(engine_of(model, 2).rows(*drawing(model, 2), 1.0))
    assert [done for done, _ in rows] == [1, 2, 3, 4, 5]
    for done, images in rows:
        assert torch.equal(images[:, :, :done], whole[:, :, :done])
        assert not images[:, :, done:].any()


@pytest.mark.parametrize("condition", ["label", "vector", "map"])
def test_nothing_of_the_caller_is_kept(condition):
    """Neither weights nor condition, images nor uniform numbers."""
    model = model_of("gated-pixelcnn", (1, 5, 7), condition=condition).double()
    values, mine = condition_for(model, 2), drawing(model, 2)
    expected = engine_of(model, 2, values.clone()).fill(*mine, 1.0)
    engine = engine_of(model, 2, values)
    values.zero_()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.zero_()
    for _, images in engine.rows(*mine, 1.0):
        drawn = images
        for tensor in mine:
            tensor.zero_()
    assert torch.equal(drawn, expected)


def test_weights_that_are_not_numbers_draw_nothing():
    model = model_of("pixelcnn", (1, 5, 7)).double()
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    with pytest.raises(ModelError, match="not numbers"):
        engine_of(model, 2).fill(*drawing(model, 2), 1.0)


def test_the_callers_random_numbers_and_gradient_mode_stay():
    model = model_of("pixelcnn", (1, 5, 7)).double()
    before = torch.get_rng_state()
    rows = engine_of(model, 2).rows(*drawing(model, 2), 1.0)
    next(rows)
    assert torch.is_grad_enabled()
    list(rows)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_on_a_processor_has_no_cuda_engine():
    """Whatever its output is, of those that there are."""
    for output in tiny.tiny_outputs():
        order = "pixel" if output.couples_channels else "channel"
        model = model_of("pixelcnn", (1, 5, 7), output=output, order=order)
        assert "on cpu" in obstacle(model, trace(model.network))


def test_an_output_of_ones_own_is_drawn_by_another_engine():
    """Its probabilities might wait for the device, which no capture can."""
    own = type("Own", (Bernoulli,), {})()
    model = model_of("pixelcnn", (1, 5, 7), output=own)
    assert "does not draw from Own" in obstacle(model, trace(model.network))


def test_a_network_with_units_is_computed_by_another_engine():
    """What becomes known differs from step to step."""
    model = model_of("made", (1, 5, 7))
    assert "does not compute flatten" in obstacle(model, trace(model.network))
