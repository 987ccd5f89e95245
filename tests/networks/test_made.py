"""MADE: its masks by hand, what it sees, and a program of units, each computed once."""

import itertools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engines.units import COLUMNS, ROWS, Between, Tangled
from engines.walks import alive, images_of, parameters
from pixelcnn import PixelModel, engines, networks, outputs
from pixelcnn.engines import parallel
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.engines.full import FullEngine
from pixelcnn.engines.stages import stages_of
from pixelcnn.engines.trace import trace
from pixelcnn.errors import ConfigError
from pixelcnn.layers import CONDITIONS
from pixelcnn.masks import raster_past
from pixelcnn.networks.base import ORDERS
from pixelcnn.program import ROW_START, Program, Tap, Unlowerable, walk_stage
from pixelcnn.shapes import Position
from pixelcnn.verify import check_network
from pixelcnn.verify.causality import claimed_past, measure


def tiny(channels=1, **arguments):
    torch.manual_seed(0)
    options = {"out": 2 * channels, "rows": ROWS, "columns": COLUMNS, "width": 7, "depth": 2}
    if arguments.get("condition"):
        options["condition_size"] = 3
    return networks.MADE(channels, **options | arguments)


def model_of(network, shape):
    return alive(network.double(), outputs.Categorical(levels=2), shape)


def assert_program_is_exact(model):
    """For whole images, and walked step by step."""
    images = images_of(model, 2)
    found = parallel.compute(engines.program_of(model), model.encode(images))
    torch.testing.assert_close(found, model(images), rtol=0, atol=1e-12)
    fast = parameters(model, engines.start(model, 2, None, "cached"), images)
    slow = parameters(model, FullEngine(model, None), images)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(5, 7), (9, 6)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("direct", [False, True])
def test_with_a_unit_for_each_step_it_sees_all_of_the_past(direct, channels, size):
    rows, columns = size
    units = rows * columns * channels - 1
    network = tiny(channels, rows=rows, columns=columns, width=units, direct=direct)
    assert torch.equal(claimed_past(network, *size), raster_past(channels, *size))
    check_network(network, *size).raise_if_failed()


def test_with_few_units_it_claims_only_what_their_bounds_cover():
    network = networks.MADE(1, 1, rows=1, columns=7, width=2, direct=False)
    assert network.bounds.tolist() == [1, 4]
    seen = claimed_past(network, 1, 7)[0, 0, :, 0, 0].sum(1).tolist()
    assert seen == [0, 1, 1, 1, 4, 4, 4]
    check_network(network, 1, 7).raise_if_failed()


def test_it_is_its_masked_matrices():
    """The masks of the paper's section 4, written out for one hidden layer and natural order."""
    network = networks.MADE(1, 1, rows=2, columns=3, width=5).double()
    w, v, a = network.hidden[0], network.head, network.link
    order, bounds = torch.arange(1, 7), torch.arange(1, 6)
    hidden = bounds[:, None] >= order
    output = order[:, None] > bounds
    x = torch.rand(4, 6, dtype=torch.float64)
    y = torch.relu(x @ (w.weight * hidden).T + w.bias) @ (v.weight * output).T + v.bias
    y = y + x @ (a.weight * (order[:, None] > order)).T
    torch.testing.assert_close(network(x.reshape(4, 1, 2, 3)), y.reshape(4, 1, 2, 3))


def test_a_map_is_as_large_as_the_image_and_its_features_make_it():
    """The bound of ``condition_size`` is not one of the values of all positions together."""
    network = networks.MADE(
        1, 1, rows=2, columns=3, width=2, condition="map", condition_size=20_000
    )
    found = network(torch.zeros(1, 1, 2, 3), torch.ones(1, 20_000, 2, 3))
    assert found.shape == (1, 1, 2, 3)


def test_it_refuses_larger_images():
    with pytest.raises(ConfigError, match="at most 5x7, not 8x5"):
        PixelModel(tiny(out=1, rows=5, columns=7), outputs.Bernoulli(), (1, 8, 5))


VARIANTS = list(
    itertools.product(
        [(1, "channel"), *((3, order) for order in ORDERS)], CONDITIONS, [True, False]
    )
)


@pytest.mark.parametrize(("kind", "condition", "direct"), VARIANTS)
def test_its_program_is_its_forward_pass_and_sees_what_it_sees(kind, condition, direct):
    """Of images of the full size and of smaller ones, with few units and with many."""
    channels, order = kind
    for width, size in itertools.product([2, 17], [(ROWS, COLUMNS), (2, 3), (1, 1)]):
        network = tiny(
            channels, order=order, condition=condition, direct=direct, width=width
        ).double()
        x = torch.rand(2, channels, *size, dtype=torch.float64)
        given = {None: (), "label": (torch.tensor([2, 0]),)}.get(
            condition, (torch.randn(2, 3, *size[: 2 * (condition == "map")]).double(),)
        )
        program = trace(network)
        found = parallel.compute(program, x, *given)
        torch.testing.assert_close(found, network(x, *given), rtol=0, atol=1e-12)
        measured = measure(network, *size).measured
        assert torch.equal(parallel.past_seen(program, order, *size), measured)


@pytest.mark.parametrize("options", [{"activation": "prelu"}, {"embedding": 3, "codes": 2}])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_variation_walks_to_the_numbers_of_its_forward_pass(channels, options):
    model = model_of(tiny(channels, width=23, **options), (channels, ROWS, COLUMNS))
    assert_program_is_exact(model)


class Multiplications(TorchDispatchMode):
    """Counts those of matrix products."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "mm" in function.overloadpacket.__name__:
            left, right = args[-2:]
            self.count += len(left) * right.numel()
        return function(*args, **kwargs or {})


def test_a_walk_multiplies_less_than_one_pass():
    """Each unit is computed once, of what is known by then: about half of the dense products."""
    model = model_of(tiny(rows=11, columns=13, width=97), (1, 11, 13))
    images = images_of(model, 2)
    walker = CachedEngine(model, engines.program_of(model), 2, None)
    with Multiplications() as walk:
        parameters(model, walker, images)
    with Multiplications() as one_pass:
        FullEngine(model, None).parameters(images, Position(0, 0, 0))
    assert 0.4 * one_pass.count < walk.count < 0.75 * one_pass.count


def test_it_samples_by_its_program():
    model = PixelModel(tiny(), outputs.Categorical(levels=2), (1, ROWS, COLUMNS))
    choice = engines.choose(model)
    assert choice.name == ("cached" if engines.native.why_not() else "native")
    assert model.live_parameters_count < model.parameters_count


@pytest.mark.parametrize("size", [(ROWS, COLUMNS), (2, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_units_may_come_in_any_order_and_be_cut_and_joined(channels, size):
    torch.manual_seed(0)
    model = model_of(Tangled(channels), (channels, *size))
    assert_program_is_exact(model)


@pytest.mark.parametrize("size", [(ROWS, COLUMNS), (2, 3)])
def test_units_and_positions_may_take_turns(size):
    torch.manual_seed(0)
    model = model_of(Between(), (1, *size))
    assert_program_is_exact(model)


@pytest.mark.parametrize(
    ("late", "reason"), [(1, "an output reads its own channel"), (2, "known after it only")]
)
def test_a_program_whose_units_see_the_future_is_refused(late, reason):
    model = model_of(Tangled(late=late), (1, ROWS, COLUMNS))
    assert reason in engines.choose(model).reason
    seen = parallel.past_seen(trace(model.network), "channel", ROWS, COLUMNS)
    assert (seen & ~raster_past(1, ROWS, COLUMNS)).any()


def dense(program, source):
    weight = torch.ones(4, program.width(source))
    return program.dense(source, weight, weight.bool(), None)


TAP = Tap(0, 0, torch.ones(2, 15), torch.ones(2, 15, dtype=torch.bool))
MISUSES = {
    "taps of units": lambda program, image, units: program.taps(units, [TAP], None),
    "past of units": lambda program, image, units: program.past(3, units),
    "attention of units": lambda program, image, units: program.attend(
        units, units, units, 1, torch.zeros(30)
    ),
    "flatten of units": lambda program, image, units: program.flatten(units, ROWS, COLUMNS),
    "add of units, and": lambda program, image, units: program.elementwise(
        "add", program.slice(units, 0, 1), image
    ),
    "dense of what belongs to positions": lambda program, image, units: dense(program, image),
    "unflatten of anything but": lambda program, image, units: program.unflatten(units, 4, 4),
}


@pytest.mark.parametrize("reason", MISUSES)
def test_units_and_positions_are_never_confused(reason):
    program = Program()
    image = program.input(1)
    units = program.flatten(image, ROWS, COLUMNS)
    with pytest.raises(Unlowerable, match=reason):
        MISUSES[reason](program, image, units)


def test_a_unit_becomes_known_with_the_last_that_it_reads():
    """Before the walk, after the first pixel of 3x5, and after the last."""
    program = Program()
    units = program.flatten(program.input(1), ROWS, COLUMNS)
    live = torch.zeros(3, 15, dtype=torch.bool)
    live[1, 0] = live[2, 0] = live[2, 14] = True
    program.dense(units, live.float(), live, None)
    stages = stages_of(program, steps=1)[-1].tolist()
    assert stages == [ROW_START, walk_stage(0, 0, 1) + 1, walk_stage(2, 4, 1) + 1]
