"""Plans for the driver: every registered network, with what makes plans differ."""

import inspect
import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

import tiny
from engines import units
from engines.depthwise import KINDS, Depthwise
from engines.native import programs
from engines.native.harness import Job
from engines.walks import condition_for
from pixelcnn import PixelModel, calibrate, outputs
from pixelcnn.codec.fixed import PRECISIONS
from pixelcnn.codec.integers import PRECISION, integers
from pixelcnn.engines.native import Arithmetic
from pixelcnn.layers import CONDITIONS, MaskedConv2d
from pixelcnn.masks import Features
from pixelcnn.networks import NETWORKS, Network
from pixelcnn.networks.base import ORDERS
from pixelcnn.outputs import Output
from pixelcnn.program import ELEMENTWISE, Program, Requantise, RoundedMul, Table

OUTPUTS = (
    outputs.Bernoulli(),
    outputs.Categorical(levels=17),
    outputs.LogisticMixture(levels=19, components=11),
)
SHAPES = {(5, 7): 6, (1, 1): 24, (9, 13): 50}
"""Sizes of images, and the width of the network for each: below, beside and above whole vectors."""
WIDE = (5, 67)
"""Rows of one image that advance together."""
CHANNELS, BATCHES, THREADS, TEMPERATURES = (1, 3, 4), (1, 5, 17), (1, 2, 3), (1.0, 0.7, 0.0)


class TapsOfACondition(Network):
    """A layer reads the condition itself: its value is one vector, not a row of them."""

    def __init__(self, channels: int, out: int, order: str) -> None:
        super().__init__(channels, out, order, "label", tiny.CONDITION_SIZE)
        features = (-1,) * 20
        self.bias = self.condition_bias(20)
        self.mix = MaskedConv2d(features, features, (1, 1), sees_itself=True)
        self.read = MaskedConv2d(self.image_features, features, (3, 3), sees_itself=False)
        self.head = MaskedConv2d(features, self.out_features, (1, 1), sees_itself=True)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.head(self.read(x) + self.mix(self.bias(condition)))


def model_of(network: Network, output: Output, size: tuple[int, int]) -> PixelModel:
    """A model whose weights use every path."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return PixelModel(network, output, (network.channels, *size)).eval()


def networks(channels: int, output: Output, width: int, size: tuple[int, int]) -> Iterator[Network]:
    """Every registered network with every kind of condition, and with what plans do differently."""
    out, order = output.parameters_per_pixel(channels), ORDERS[output.couples_channels]
    embedded: dict[str, object] = {"embedding": 5, "codes": output.levels}
    other: dict[str, object] = {"layout": "contiguous", "norm": True, "activation": "prelu"}
    options = [(embedded, condition) for condition in CONDITIONS]
    options += [(other | {"activate": "after"}, condition) for condition in (None, "map")]
    for name, (more, condition) in itertools.product(NETWORKS, options):
        if name in tiny.LARGE and width > 24:
            continue  # they take long, and the others have every width
        known = inspect.signature(NETWORKS[name]).parameters
        if name == "pixelcnnpp":  # its norms have names
            more = more | {"norm": "position"}
        yield tiny.small(
            NETWORKS[name],
            channels=channels,
            out=out,
            order=order,
            width=width,
            condition=condition,
            condition_size=tiny.CONDITION_SIZE if condition else 0,
            **tiny.room(NETWORKS[name], size),
            **{k: v for k, v in more.items() if k in known},
        )
    yield TapsOfACondition(channels, out, order)
    for kind in KINDS:
        yield Depthwise(channels, out, order, width, kind)


def settings() -> Iterator[tuple[Output, int, tuple[int, int], int]]:
    """Output, channels, size and width: two thirds of all, so that any two of them meet."""
    for i, j, k in itertools.product(range(3), repeat=3):
        if (i + j + k) % 3:
            yield OUTPUTS[i], CHANNELS[j], *list(SHAPES.items())[k]


def all_jobs() -> Iterator[Job]:
    """Every network with every setting; batches, threads and temperatures in turn.

    The turns are coprime to the networks, so that each network meets each of them.
    """
    torch.manual_seed(0)
    turns = itertools.cycle(itertools.product(BATCHES, THREADS, TEMPERATURES))
    kinds: itertools.cycle[Arithmetic] = itertools.cycle(("single", "single", "single", "half"))
    for output, channels, size, width in settings():
        for network in networks(channels, output, width, size):
            model = model_of(network, output, size)
            n, threads, temperature = next(turns)
            yield Job(model, n, condition_for(model, n), threads, next(kinds), temperature)
    for network in networks(1, OUTPUTS[0], 6, WIDE):
        model = model_of(network, OUTPUTS[0], WIDE)
        yield Job(model, 1, condition_for(model, 1), 3, "single", 1.0)
    yield from unit_jobs()
    yield from written_jobs()


def coder_jobs() -> Iterator[Job]:
    """Integer twins with the tables of their outputs: images in one slice and in several, 1 to 3 threads."""
    torch.manual_seed(0)
    kinds = (outputs.Bernoulli(), outputs.Categorical(levels=5), outputs.LogisticMixture(levels=19))
    names = ("pixelcnn", "gated-pixelcnn", "compact")
    for output, channels, name in itertools.product(kinds, (1, 3), names):
        order = ORDERS[output.couples_channels]
        out = output.parameters_per_pixel(channels)
        network = NETWORKS[name](channels, out, width=6, depth=1, kernel=3, order=order)
        model = PixelModel(network, output, (channels, 3, 5)).eval()
        calibrate(model, torch.randint(0, model.levels, (8, *model.shape)))
        for precision, (n, threads) in itertools.product(PRECISIONS, ((1, 1), (5, 2), (70, 3))):
            model.record[PRECISION] = precision
            twin, _ = integers(model, model.shape)
            tables, program, kind = (
                twin.frequencies.tables,
                twin.twin.program,
                twin.native or "single",
            )
            yield Job(twin, n, None, threads, kind, written=program, tables=tables)


def unit_jobs() -> Iterator[Job]:
    """Units in every order and between positions, of images of the networks' size and of smaller ones."""
    for size in ((units.ROWS, units.COLUMNS), (2, 3)):
        for network in (units.Tangled(1), units.Tangled(3), units.Between()):
            yield Job(model_of(network, outputs.Categorical(levels=2), size), 5, None, 2)


def written_jobs() -> Iterator[Job]:
    """Programs of what no registered network does."""

    def middle(p: Program, x: int, features: Features) -> int:
        for op in ELEMENTWISE:
            kind, width = ELEMENTWISE[op], p.width(x)
            each = programs.random(width) if kind.takes_parameter else None
            constants = [0.3, 1.7][: len(kind.takes)]
            found = p.elementwise(op, *(x,) * kind.arity, constants=constants, parameter=each)
            more = {"centred": True, "bias": programs.random(width)}
            x = p.norm(found, programs.random(width), features, 1e-3, **more)
        each = programs.random(width)
        x = p.add(Requantise(sources=(x,), width=width, constants=(7.0,), parameter=each))
        x = p.add(RoundedMul(sources=(x, x), width=width, constants=(0.25, 7.0)))
        table = programs.random(15).mul(9).round()
        x = p.add(Table(sources=(x,), width=width, constants=(7.0,), table=table))
        place = p.position(programs.random(11, width), programs.random(13, width), x)
        big = p.elementwise("add", x, place)
        return p.attend(big, x, big, 2, programs.random(2 * width))

    kinds: tuple[Arithmetic, ...] = ("single", "half")
    for channels, width, kind in itertools.product((1, 3), (18, 34), kinds):
        shape = (channels, 5, 7)
        program = programs.program_of(shape, middle, width)
        yield Job(programs.model_of(shape), 5, None, 2, kind, 1.0, program)
