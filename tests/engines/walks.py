"""Models whose weights use every path, and what engines make of them."""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

import tiny
from pixelcnn import PixelModel, drawing, engines, inversion, outputs, sampling
from pixelcnn.engines import Engine
from pixelcnn.engines.full import FullEngine
from pixelcnn.engines.native import NativeEngine
from pixelcnn.networks import NETWORKS, Network
from pixelcnn.outputs import Output
from pixelcnn.shapes import Position, coding_order

needs_native = pytest.mark.skipif(
    bool(engines.native.why_not()), reason=f"no native engine: {engines.native.why_not()}"
)
FAST = ["cached", pytest.param("native", marks=needs_native)]
"""Engines that run programs on a processor."""


def model_of(
    name: str,
    shape: tuple[int, int, int],
    levels: int = 3,
    order: str = "channel",
    condition: str | None = None,
    seed: int = 0,
    output: Output | None = None,
    **options: object,
) -> PixelModel:
    """A small network of a registered kind; the output is categorical if none is given."""
    output = output or outputs.Categorical(levels=levels)
    largest = max(shape[1], tiny.SMALL["rows"]), max(shape[2], tiny.SMALL["columns"])
    torch.manual_seed(seed)
    network = tiny.small(
        NETWORKS[name],
        channels=shape[0],
        out=output.parameters_per_pixel(shape[0]),
        order=order,
        condition=condition,
        condition_size=4 if condition else 0,
        **tiny.room(NETWORKS[name], largest) | options,
    )
    return alive(network, output, shape)


def alive(network: Network, output: Output, shape: tuple[int, int, int]) -> PixelModel:
    """A model none of whose weights is zero."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return PixelModel(network, output, shape).eval()


def condition_for(model: PixelModel, n: int) -> Tensor | None:
    """A condition for n images, if the model takes one."""
    size, kind = model.network.condition_size, model.network.condition
    shape = {None: None, "label": (), "vector": (size,), "map": (size, *model.shape[1:])}[kind]
    if shape is None:
        return None
    return torch.arange(n) % size if kind == "label" else torch.randn(n, *shape).to(model.dtype)


def parameters(model: PixelModel, engine: Engine, images: Tensor) -> Tensor:
    """The parameters that matter at every position, in coding order."""
    p = model.network.out // (model.shape.channels if model.network.order == "channel" else 1)
    found = []
    for position in coding_order(model.shape):
        first = position.channel * p if model.network.order == "channel" else 0
        found.append(engine.parameters(images, position)[:, first : first + p])
    return torch.stack(found)


def images_of(model: PixelModel, n: int = 4, seed: int = 1) -> Tensor:
    """Any images of a model's shape."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(model.levels, (n, *model.shape), generator=generator)


def assert_engine_is_exact(model: PixelModel, engine: str) -> None:
    """``cached`` gives the numbers of ``full`` in float64, ``native`` those but for float32's digits."""
    images, values = images_of(model, 3), condition_for(model, 3)
    model = model.double() if engine == "cached" else model
    fast = parameters(model, engines.start(model, 3, values, engine), images)
    exact = model.double()
    values = values.double() if values is not None and values.is_floating_point() else values
    slow = parameters(exact, FullEngine(exact, values), images)
    tolerance = 1e-10 if engine == "cached" else 1e-4
    torch.testing.assert_close(fast.double(), slow, rtol=0, atol=tolerance)


def assert_native_numbers_depend_on_the_image_alone(
    model: PixelModel, ways: Iterable[tuple[int, int]]
) -> None:
    """Bit-identical parameters for all these pairs of a batch and a number of threads."""
    ways = list(ways)
    most = max(n for n, _ in ways)
    images, condition = images_of(model, most), condition_for(model, most)
    program = engines.choose(model, "native").program

    def numbers(n: int, threads: int) -> Tensor:
        given = None if condition is None else condition[:n]
        return parameters(
            model, NativeEngine(model, program, n, given, threads=threads), images[:n]
        )

    expected = numbers(most, 1)
    for n, threads in ways:
        assert torch.equal(numbers(n, threads), expected[:, :n])


def off_in_the_last(kind: type[Engine], axis: int) -> type[Engine]:
    """An engine of a kind whose numbers are wrong in the last row (axis 1) or column (axis 2)."""

    class Off(kind):  # type: ignore[misc, valid-type]
        def parameters(self, levels: Tensor, position: Position) -> Tensor:
            found = super().parameters(levels, position)
            return found + 0.1 if position[axis] == self.model.shape[axis] - 1 else found

    return Off


def assert_engines_draw_alike(model: PixelModel) -> None:
    """``full``, ``cached`` and ``native`` draw the same levels."""
    full, *fast = (
        sampling.sample(model, 3, seed=2, engine=n) for n in ("full", "cached", "native")
    )
    assert all(torch.equal(full, drawn) for drawn in fast)


def drawn_from_parameters(model: PixelModel, n: int, seed: int, temperature: float) -> Tensor:
    """What the output makes of the native engine's parameters, a level at a time."""
    images = torch.zeros(n, *model.shape, dtype=torch.int64)
    u = drawing.uniforms(seed, range(n), model.shape)
    engine = engines.start(model, n, None, "native")
    for c, row, column in coding_order(model.shape):
        found = engine.parameters(images, (c, row, column))
        pmf = inversion.temper(model.output.pmf(found, images[:, :c, row, column]), temperature)
        images[:, c, row, column] = inversion.invert(pmf, u[:, c, row, column])
    return images
