"""Drawing inside: it can be begun again, leaves what it is given alone, and draws from distributions only."""

import ctypes
import importlib
from types import SimpleNamespace

import pytest
import torch

from engines.walks import condition_for, images_of, model_of, needs_native
from pixelcnn import drawing, outputs
from pixelcnn.engines import native
from pixelcnn.engines.native import NativeEngine
from pixelcnn.engines.trace import trace
from pixelcnn.errors import PixelCNNError, ResourceError
from pixelcnn.shapes import ImageShape

pytestmark = needs_native

OUTPUTS = (
    outputs.Bernoulli(),
    outputs.Categorical(levels=5),
    outputs.LogisticMixture(levels=7, components=3),
)


def engine_of(model, n, condition=None):
    return NativeEngine(model, trace(model.network), n, condition, threads=2)


@pytest.mark.parametrize("name", ["gated-pixelcnn", "diagonal-bilstm", "snail", "pixelcnnpp"])
def test_a_second_walk_begins_afresh(name):
    model = model_of(name, (1, 5, 7))
    nothing = torch.zeros(4, 1, 5, 7, dtype=torch.int64)
    first, second = (drawing.uniforms(seed, range(4), model.shape) for seed in (1, 2))
    engine = engine_of(model, 4)
    begun = engine.fill(nothing, nothing.bool(), first, 1.0)
    again = engine.fill(nothing, nothing.bool(), second, 1.0)
    assert not torch.equal(begun, again)
    assert torch.equal(again, engine_of(model, 4).fill(nothing, nothing.bool(), second, 1.0))
    assert torch.equal(begun, engine.fill(nothing, nothing.bool(), first, 1.0))


def test_an_interrupt_is_heard_while_images_are_drawn(monkeypatch):
    """Python hears it between calls of the library."""
    model = model_of("pixelcnn", (1, 37, 5))
    nothing = torch.zeros(2, *model.shape, dtype=torch.int64)
    u = drawing.uniforms(0, range(2), model.shape)
    engine, ends = engine_of(model, 2), []
    expected = engine.fill(nothing, nothing.bool(), u, 1.0)
    call = engine._call
    monkeypatch.setattr("pixelcnn.engines.native.SHORT", 1)

    def counted(name, *arguments):
        ends.append(arguments[6])  # rows done
        call(name, *arguments)

    monkeypatch.setattr(engine, "_call", counted)
    assert torch.equal(engine.fill(nothing, nothing.bool(), u, 1.0), expected)
    assert ends == [*range(3, 37, 3), 37]


def test_a_walk_that_broke_off_can_only_begin_again():
    model, images = model_of("pixelcnn", (1, 5, 7)), torch.zeros(2, 1, 5, 7, dtype=torch.int64)
    engine = engine_of(model, 2)
    engine.parameters(images, (0, 0, 0))
    with pytest.raises(PixelCNNError, match="positions come in coding order"):
        engine.parameters(images, (0, 1, 0))
    with pytest.raises(PixelCNNError, match="positions come in coding order"):
        engine.parameters(images, (0, 2, 3))
    assert engine.parameters(images, (0, 0, 0)).isfinite().all()
    assert engine.parameters(images, (0, 0, 1)).isfinite().all()


@pytest.mark.parametrize("kind", [torch.int32, torch.int64, torch.uint8])
def test_what_is_given_stays_as_it_is(kind):
    model = model_of("pixelcnn", (1, 5, 7))
    given = images_of(model, 3).to(kind)
    before, known = given.clone(), torch.zeros(3, 1, 5, 7, dtype=torch.bool)
    known[..., 0, :] = True
    drawn = engine_of(model, 3).fill(given, known, drawing.uniforms(0, range(3), model.shape), 1.0)
    assert torch.equal(given, before)
    assert not torch.equal(drawn, before.long())
    assert torch.equal(drawn[known], before.long()[known])


@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_parameters_that_are_no_distributions_are_not_drawn_from(output, temperature):
    order = "pixel" if output.couples_channels else "channel"
    shallow = {"depth": 0, "head_depth": 0, "condition": "map"}
    model = model_of("pixelcnn", (3, 4, 5), output=output, order=order, **shallow)
    condition = condition_for(model, 3)
    condition[1, :, 2, 3] = float("nan")
    nothing = torch.zeros(3, 3, 4, 5, dtype=torch.int64)
    u = drawing.uniforms(0, range(3), model.shape)
    engine = engine_of(model, 3, condition)
    with pytest.raises(
        PixelCNNError, match="image 1 has no distribution at channel 0, row 2, column 3"
    ):
        engine.fill(nothing, nothing.bool(), u, temperature)


def test_a_known_level_needs_no_distribution():
    model = model_of("pixelcnn", (1, 4, 5), condition="map", depth=0, head_depth=0)
    condition = condition_for(model, 2)
    condition[1, :, 2, 3] = float("nan")
    given = torch.zeros(2, 1, 4, 5, dtype=torch.int64)
    known = torch.zeros(2, 1, 4, 5, dtype=torch.bool)
    known[1, 0, 2, 3] = True
    u = drawing.uniforms(0, range(2), model.shape)
    engine_of(model, 2, condition).fill(given, known, u, 1.0)


def test_functions_let_what_is_not_a_number_through():
    """A network that is broken inside is not repaired on the way to its parameters."""
    model = model_of("pixelcnn", (1, 4, 5))
    with torch.no_grad():
        model.network.input.weight[0, 0, 0] = float("nan")
    nothing = torch.zeros(2, 1, 4, 5, dtype=torch.int64)
    u = drawing.uniforms(0, range(2), model.shape)
    with pytest.raises(PixelCNNError, match="no distribution"):
        engine_of(model, 2).fill(nothing, nothing.bool(), u, 1.0)


@pytest.mark.parametrize("depth", [1, 6])
def test_a_map_is_kept_once_whatever_the_depth(depth):
    model = model_of("pixelcnn", (1, 9, 11), condition="map", depth=depth)
    program, condition = trace(model.network), condition_for(model, 2)
    kept = native.condition_values(program, native.plan(model, program), condition)
    assert kept.size == condition.numel()


def test_plans_for_many_sizes_are_kept_up_to_a_bound(monkeypatch):
    """Each holds all weights, and pictures that are compressed together may be of any sizes."""
    plans = importlib.import_module("pixelcnn.engines.native.plan")  # not the function of this name
    model = model_of("pixelcnn", (1, 2, 3))
    program = trace(model.network)
    monkeypatch.setattr(plans, "MOST_BYTES", 3.5 * native.plan(model, program).nbytes)
    for width in range(4, 9):
        model.shape = ImageShape(1, 2, width)
        latest = native.plan(model, program)
    assert len(plans._plans[program]) == 3
    assert native.plan(model, program) is latest


def test_a_plan_for_another_processor_is_refused(monkeypatch):
    """Weights lie in vectors of the processor that reads them."""
    model = model_of("pixelcnn", (1, 4, 5))
    other = native.plan(model, trace(model.network), 2 * native.build.lanes())
    monkeypatch.setattr(native, "plan", lambda model, program: other)
    with pytest.raises(PixelCNNError, match="a plan for another processor"):
        engine_of(model, 2)


def test_memory_that_runs_out_comes_with_a_remedy():
    library = SimpleNamespace(pixelcnn_open=lambda *_: 2)
    walker = SimpleNamespace(_library=library, _error=ctypes.create_string_buffer(b"out of memory"))
    with pytest.raises(ResourceError, match="out of memory") as failed:
        NativeEngine._call(walker, "open")
    assert "batch_size" in failed.value.hint
