"""Every primitive that the program knows, natively: what it is for whole images."""

import pytest
import torch

from engines.native.programs import assert_native_is_exact, layer, program_of, random
from engines.walks import needs_native
from pixelcnn.engines.native import build
from pixelcnn.engines.native.plan import known_primitives
from pixelcnn.layers import RasterAttention, ShiftedConv2d
from pixelcnn.masks import PAST, interleaved
from pixelcnn.program import ELEMENTWISE, PRIMITIVES, Tap

pytestmark = needs_native

SHAPES = [(1, 5, 7), (3, 4, 5), (1, 1, 1)]
WIDTHS = [8, 19, 33]
CONSTANTS = {
    "elu": [(1.0,), (0.1,)],
    "softplus": [(1.0, 20.0), (3.0, 0.5)],
    "leaky_relu": [(0.01,), (-0.5,)],
    "clamp": [(-0.3, 0.4), (float("-inf"), 0.1), (0.0, float("inf"))],
    "scale": [(-1.5,)],
    "shift": [(0.7,)],
}
CASES = [(op, taken) for op in ELEMENTWISE for taken in CONSTANTS.get(op, [()])]


def applied(program, op, taken, *sources):
    """An elementwise primitive with random parameters."""
    kind = ELEMENTWISE[op]
    each = random(program.width(sources[0])) if kind.takes_parameter else None
    return program.elementwise(op, *sources[: kind.arity], constants=taken, parameter=each)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("op", "taken"), CASES)
def test_every_function_of_a_sum(op, taken, shape, width):
    program = program_of(shape, lambda p, x, _: applied(p, op, taken, x, x), width)
    assert_native_is_exact(program, shape)


@pytest.mark.parametrize(("op", "taken"), CASES)
def test_every_function_of_a_value_that_others_read(op, taken):
    def middle(p, x, _):
        half = p.slice(x, 3, 16)
        found = applied(p, op, taken, half, p.slice(x, 0, 13))
        return p.elementwise("add", found, p.elementwise("tanh", half))

    assert_native_is_exact(program_of((1, 5, 7), middle, 19), (1, 5, 7))


def test_the_library_computes_all_functions_and_takes_what_they_take():
    told = dict(zip(*(build._told()[group] for group in ("operation", "takes")), strict=True))
    assert set(ELEMENTWISE) <= set(told)
    for op, kind in ELEMENTWISE.items():
        assert told[op] == f"{kind.arity},{len(kind.takes)},{kind.takes_parameter:d}"


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [*WIDTHS, 48])
def test_norms(shape, width, centred, bias):
    def middle(p, x, features):
        more = {"centred": centred, "bias": random(width) if bias else None}
        return p.norm(x, random(width), features, 1e-3, **more)

    assert_native_is_exact(program_of(shape, middle, width), shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_positions_of_an_image_smaller_than_the_tables(shape, width):
    def middle(p, x, _):
        place = p.position(random(11, width), random(13, width), x)
        return p.elementwise("relu", p.elementwise("add", x, place))

    assert_native_is_exact(program_of(shape, middle, width), shape)


@pytest.mark.parametrize("shape", [(1, 5, 7), (1, 1, 1), (1, 4, 5)])
def test_positions_and_conditions_of_a_coarse_grid(shape):
    """Down to every second position and back, with what the coarse grid alone knows."""

    def middle(p, x, _):
        down = [tap(9, 19, 0, 0), tap(9, 19, -1, 0), tap(9, 19, 0, -1)]
        coarse = p.taps(x, down, random(9), stride=2)
        coarse = p.elementwise("add", coarse, p.position(random(3, 9), random(4, 9), coarse))
        coarse = p.elementwise(
            "silu", p.elementwise("add", coarse, p.condition("map", random(3, 9), 2))
        )
        up = [tap(19, 9, 0, 0, (i, j)) for i in range(2) for j in range(2)]
        return p.elementwise("mul", x, p.taps(coarse, up, random(19), up=2))

    condition = torch.randn(3, 3, *shape[1:]).double()
    assert_native_is_exact(program_of(shape, middle, 19), shape, condition, "map")


def tap(outputs, inputs, down, right, phase=(0, 0)):
    return Tap(down, right, random(outputs, inputs), torch.ones(outputs, inputs).bool(), phase)


@pytest.mark.parametrize("kind", ["label", "vector", "map"])
def test_a_condition_that_is_read_at_offsets(kind):
    """Outside the image it counts as zero, though it is the same everywhere inside."""

    def middle(p, x, features):
        value = p.condition(kind, random(3, 19))
        past = (PAST,) * 19
        read = ShiftedConv2d(past, past, (2, 3), (1, 1)).double().lower(p, value)
        return p.elementwise("add", x, read)

    given = {"label": torch.arange(3), "vector": torch.randn(3, 3).double()}
    condition = given.get(kind, torch.randn(3, 3, 5, 7).double())
    assert_native_is_exact(program_of((1, 5, 7), middle, 19), (1, 5, 7), condition, kind)


@pytest.mark.parametrize(
    ("heads", "key", "value"), [(1, 5, 3), (3, 16, 17), (2, 1, 35), (1, 4, 70)]
)
@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 4, 5), (1, 1, 1)])
def test_attention_to_all_before(shape, heads, key, value):
    """With colours, queries and keys become known at different steps, and lie in that order."""

    def middle(p, x, features):
        attention = RasterAttention(heads, key, value).double()
        for parameter in attention.parameters():
            torch.nn.init.normal_(parameter)
        mixed = layer(features, interleaved(sum(attention.widths), shape[0]), 1).lower(p, x)
        return attention.lower(p, mixed)

    assert_native_is_exact(program_of(shape, middle, 18), shape)


def test_attention_far_from_zero_keeps_its_digits():
    """Scores of several hundred, whose exponentials no float holds."""

    def middle(p, x, features):
        big = p.elementwise("scale", x, constants=(100.0,))
        return p.attend(big, big, x, 2, random(36))

    program = program_of((1, 3, 5), middle, 18)
    assert_native_is_exact(program, (1, 3, 5), tolerance=1e-3)


def test_a_recurrence_from_right_to_left_and_one_from_above():
    def middle(p, x, _):
        past = p.past(19, x)
        weights = [tap(19, 19, -1, 1), tap(19, 19, 0, 1)]
        hidden = p.elementwise("tanh", p.elementwise("add", x, p.taps(past, weights, None)))
        p.bind(past, hidden)
        return p.taps(hidden, [tap(19, 19, -1, 0)], None)

    assert_native_is_exact(program_of((1, 5, 7), middle, 19), (1, 5, 7))


def test_this_file_knows_every_primitive_that_the_engine_computes():
    tested = {
        "input",
        "taps",
        "depthwise",
        "norm",
        "position",
        "attend",
        "past",
        "condition",
        "slice",
    }
    elsewhere = {"lookup", "cat"}  # with the registered networks
    elsewhere |= {"flatten", "flat_condition", "dense", "unflatten"}  # with units
    elsewhere |= {"requantise", "rounded_mul", "table"}  # with the codec
    assert tested | elsewhere | set(ELEMENTWISE) == known_primitives()


def test_the_engine_computes_every_primitive():
    assert known_primitives() == set(PRIMITIVES) - {"rounded_norm"}  # which needs 64 bits
