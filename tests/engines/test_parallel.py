"""Programs for whole images: what ``forward`` gives, and what each output depends on."""

import pytest
import torch

import tiny
from engines.small import WIDTH, small_model
from engines.walks import condition_for, images_of, model_of
from pixelcnn.engines import parallel
from pixelcnn.engines.cached import pointwise
from pixelcnn.engines.trace import trace
from pixelcnn.layers import CONDITIONS, PositionEmbedding, PositionNorm
from pixelcnn.networks import NETWORKS
from pixelcnn.program import Program, Tap, Unlowerable

SIZES = [(1, 1), (5, 7), (1, 9), (9, 1), (4, 6)]


def cases():
    """Every network with every condition; the sizes in turn, most of the large networks slow."""
    for name in NETWORKS:
        for number, condition in enumerate(CONDITIONS):
            for channels in (1, 3):
                size = SIZES[(number + channels) % len(SIZES)]
                slow = name in tiny.LARGE and number != channels
                marks = [pytest.mark.slow] if slow else []
                yield pytest.param(name, condition, (channels, *size), marks=marks)


@pytest.mark.parametrize(("name", "condition", "shape"), list(cases()))
def test_a_program_computes_what_forward_computes(name, condition, shape):
    model = model_of(name, shape, condition=condition).double()
    values = condition_for(model, 3)
    x = model.encode(images_of(model, 3), torch.float64)
    with torch.no_grad():
        expected = model.network(x, values)
    found = parallel.compute(trace(model.network), x, values)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_squares_of_half_precision_do_not_outgrow_it():
    layer, x = PositionNorm((0, 1, 0, 1)).half(), torch.full((1, 4, 2, 3), 300.0).half()
    program, out = Program(), torch.empty(1, 4).half()
    norm = program.nodes[layer.lower(program, program.input(4))]
    pointwise.norm(norm, slice(0, 4), [x[..., 0, 0]], out)()
    torch.testing.assert_close(parallel.compute(program, x), layer(x))
    torch.testing.assert_close(out, layer(x)[..., 0, 0])


def tap(down, right, size=1, **options):
    return Tap(down, right, torch.ones(size, size), torch.ones(size, size) > 0, **options)


def seen_by(program, height, width):
    """What the output at the last row's middle sees of a grey image, as rows of 0 and 1."""
    found = parallel.past_seen(program, "channel", height, width)
    return found[0, height - 1, width // 2, 0].int().tolist()


def test_what_is_seen_follows_the_taps_whatever_their_weights_are():
    program = Program()
    y = program.taps(program.input(1), [Tap(-1, 1, torch.zeros(1, 1), torch.ones(1, 1) > 0)], None)
    program.taps(y, [tap(0, -1), tap(-1, 0)], torch.ones(1))
    assert seen_by(program, 3, 5) == [[0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0] * 5]


def test_what_is_masked_is_not_seen():
    program = Program()
    live = torch.tensor([[True, False]])
    x = program.input(2)
    program.taps(x, [Tap(0, -1, torch.ones(1, 2), live)], None)
    found = parallel.past_seen(program, "pixel", 1, 2)[0, 0, 1]
    assert found.flatten(1).int().tolist() == [[1, 0], [0, 0]]


def test_what_is_multiplied_by_zero_is_not_seen():
    program = Program()
    program.elementwise("scale", program.taps(program.input(1), [tap(0, -1)], None), constants=[0])
    assert not parallel.past_seen(program, "channel", 2, 3).any()


def test_positions_are_seen_by_nobody():
    program = Program()
    y = program.taps(program.input(1), [tap(0, -1)], None)
    program.elementwise("add", y, program.position(torch.ones(2, 1), torch.ones(3, 1), like=y))
    assert seen_by(program, 2, 3) == [[0, 0, 0], [1, 0, 0]]


def test_attention_sees_all_before_it_and_its_own_query():
    program = Program()
    x = program.input(1)
    program.attend(program.taps(x, [tap(0, -1)], None), x, x, 1, torch.ones(2))
    assert seen_by(program, 2, 3) == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([(0, -1)], [[0] * 5, [0] * 5, [1, 1, 1, 0, 0]]),
        ([(-1, 0)], [[0, 0, 1, 0, 0]] * 3),
        ([(-1, -1), (-1, 0), (-1, 1)], [[1] * 5, [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]]),
        ([(-1, 1), (0, -1)], [[1] * 5, [1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]),
        ([(-1, 2), (0, -1)], [[1] * 5, [1] * 5, [1, 1, 1, 0, 0]]),
    ],
    ids=["row", "column", "row LSTM", "diagonal", "steep"],
)
def test_a_recurrence_sees_what_it_saw_before(offsets, expected):
    program = Program()
    x = program.input(1)
    past = program.past(1, like=x)
    state = program.elementwise("add", x, program.taps(past, [tap(*o) for o in offsets], None))
    program.bind(past, state)
    assert seen_by(program, 3, 5) == expected
    image = torch.rand(2, 1, 3, 5)
    assert torch.allclose(parallel.compute(program, image), recurrence(image, offsets))


def recurrence(x, offsets):
    """The same sum, a position at a time."""
    state = x.clone()
    for row in range(3):
        for column in range(5):
            for down, right in offsets:
                r, c = row + down, column + right
                if r >= 0 and 0 <= c < 5:
                    state[:, :, row, column] += state[:, :, r, c]
    return state


def test_a_recurrence_that_reads_both_sides_is_refused():
    program = Program()
    x = program.input(1)
    past = program.past(1, like=x)
    both = program.taps(past, [tap(0, -1), tap(0, 1)], None)
    program.bind(past, program.elementwise("add", x, both))
    with pytest.raises(Unlowerable, match="both sides"):
        parallel.compute(program, torch.ones(1, 1, 2, 3))


def test_a_program_without_any_weight_is_computed_in_the_type_of_the_image():
    program = Program()
    program.elementwise("shift", program.input(1), constants=[0.5])
    x = torch.rand(2, 1, 3, 5).double()
    assert torch.equal(parallel.compute(program, x), x + 0.5)


def test_an_output_of_positions_alone_is_that_of_every_image():
    model = small_model(lambda s, y: s.place(y * 0), place=PositionEmbedding(3, 5, WIDTH))
    found = parallel.compute(trace(model.network), torch.rand(2, 1, 3, 5).double())
    assert torch.equal(found[0], found[1])
    assert found.shape == (2, 2, 3, 5)
