"""Units natively: each once, in whatever order, the same numbers for any batch and after any walk before."""

import pytest
import torch

from engines.units import COLUMNS, ROWS, Between, Tangled
from engines.walks import (
    alive,
    assert_engine_is_exact,
    assert_native_numbers_depend_on_the_image_alone,
    images_of,
    model_of,
    needs_native,
    parameters,
)
from pixelcnn import outputs
from pixelcnn.drawing import uniforms
from pixelcnn.engines import native
from pixelcnn.engines.native import NativeEngine
from pixelcnn.engines.native.build import code
from pixelcnn.engines.native.units import Units
from pixelcnn.engines.trace import trace
from pixelcnn.errors import PixelCNNError
from pixelcnn.networks.base import ORDERS

pytestmark = needs_native

SIZES = [(ROWS, COLUMNS), (2, 3), (1, COLUMNS), (ROWS, 1), (1, 1)]
"""Of images: the networks' own, and smaller ones."""


def engine_of(model, n, condition=None, **arguments):
    return NativeEngine(model, trace(model.network), n, condition, **arguments)


def made(channels, size, **options):
    return model_of("made", (channels, *size), **{"rows": ROWS, "columns": COLUMNS} | options)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("condition", [None, "label", "vector", "map"])
@pytest.mark.parametrize(("channels", "order"), [(1, "channel"), *((3, order) for order in ORDERS)])
def test_images_of_every_size_have_their_numbers(size, condition, channels, order):
    output = outputs.LogisticMixture(levels=5, components=2) if order == "pixel" else None
    model = made(channels, size, order=order, condition=condition, output=output)
    assert_engine_is_exact(model, "native")


@pytest.mark.parametrize(
    "options",
    [
        {"direct": False},
        {"direct": False, "width": 2},
        {"width": 67, "depth": 3},
        {"activation": "prelu"},
        {"embedding": 3, "codes": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_variation_has_its_numbers(channels, options):
    assert_engine_is_exact(made(channels, (ROWS, COLUMNS), **options), "native")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("network", [lambda: Tangled(1), lambda: Tangled(3), Between])
def test_units_in_any_order_and_between_positions_have_their_numbers(network, size):
    torch.manual_seed(0)
    network = network()
    model = alive(network, outputs.Categorical(levels=2), (network.channels, *size))
    assert_engine_is_exact(model, "native")


@pytest.mark.parametrize("size", SIZES[:2])
def test_numbers_depend_on_the_image_alone(size):
    """Bit-identical for any batch and any number of threads, with sums of more than a few vectors."""
    model = made(3, size, width=201, condition="map")
    torch.manual_seed(2)
    ways = ((1, 1), (3, 2), (13, 5), (37, 3))
    assert_native_numbers_depend_on_the_image_alone(model, ways)


@pytest.mark.parametrize("size", SIZES[:2])
@pytest.mark.parametrize("broken_off", [1, 4])
def test_a_walk_that_begins_again_knows_no_unit(size, broken_off):
    """Neither after a whole walk nor after a part of one, by any way in."""
    model = made(1, size)
    given = torch.zeros(4, *model.shape, dtype=torch.int64)
    first, second = (uniforms(seed, range(4), model.shape) for seed in (1, 2))
    expected = engine_of(model, 4).fill(given, given.bool(), second, 1.0)
    engine, images = engine_of(model, 4, threads=2), images_of(model, 4)
    engine.fill(given, given.bool(), first, 1.0)
    assert torch.equal(engine.fill(given, given.bool(), second, 1.0), expected)
    for pixel in range(broken_off):
        engine.parameters(images, (0, pixel // size[1], pixel % size[1]))
    assert torch.equal(engine.fill(given, given.bool(), second, 1.0), expected)
    numbers = parameters(model, engine_of(model, 4), images)
    assert torch.equal(parameters(model, engine, images), numbers)


def test_what_was_no_number_in_one_walk_is_forgotten_by_the_next():
    model = made(1, (ROWS, COLUMNS), direct=False, width=40)
    with torch.no_grad():
        model.network.hidden[0].weight.mul_(1e30)  # times a level of 2**31 - 1 it overflows, later
    engine, u = engine_of(model, 2), uniforms(0, range(2), model.shape)
    given = torch.zeros(2, *model.shape, dtype=torch.int64)
    expected = engine.fill(given, given.bool(), u, 1.0)
    loud = given.clone()
    loud[0, 0, 0, 1] = 2**31 - 1
    with pytest.raises(PixelCNNError, match="not finite"):
        engine.fill(loud, loud > 0, u, 1.0)
    assert torch.equal(engine.fill(given, given.bool(), u, 1.0), expected)


def test_rows_of_units_never_advance_together():
    assert engine_of(model_of("made", (1, 3, 97), direct=False), 1, threads=4).together == 1


def test_weights_take_hardly_more_room_than_the_live_ones():
    """Few outputs become known together, so they lie in no vectors of outputs."""
    model = made(1, (23, 29), rows=23, columns=29, width=300)
    program = trace(model.network)
    live = sum(int(node.live.sum()) for node in program.nodes if node.op == "dense")
    assert native.plan(model, program).weights.size < 1.1 * live


DAMAGE = {
    "features out of range": ("_dense", 6, 10_000),
    "a dense layer reads units": ("_dense", 4, 0),
    "weights out of range": ("_dense", -1, 2**30),
    "an instruction that units have not": ("_dense", 0, "norm"),
    "units out of range": ("_moves", -1, 10_000),
    "no units": ("_moves", 5, 0),
    "a queue that does not exist": ("at", 5, 1),
    "a pixel outside the image": ("_due", 0, 10_000),
    "a step of a pixel": ("_due", 1, 2),
}
"""Complaints: the method that tells the plan a wrong word, which one, and the word."""


@pytest.mark.parametrize("complaint", DAMAGE)
def test_a_damaged_plan_is_refused(complaint, monkeypatch):
    method, index, word = DAMAGE[complaint]
    word = code("kind", word) if isinstance(word, str) else word
    right = getattr(Units, method)

    def damaged(words):
        return [word if i == index % len(words) else old for i, old in enumerate(words)]

    def wrong(*arguments):
        found = right(*arguments)
        return damaged(found) if method == "_due" else map(damaged, found)

    monkeypatch.setattr(Units, method, wrong)
    with pytest.raises(PixelCNNError, match=complaint):
        engine_of(made(1, (ROWS, COLUMNS)), 2)


def test_a_queue_out_of_order_is_refused(monkeypatch):
    pixels = iter(range(ROWS * COLUMNS, 0, -1))
    monkeypatch.setattr(Units, "_due", lambda units, stage: (next(pixels, 1) - 1, 0))
    with pytest.raises(PixelCNNError, match="the order of execution"):
        engine_of(made(1, (ROWS, COLUMNS)), 2)
