"""Small instances of everything in the registries."""

import contextlib
import inspect
from collections.abc import Iterable, Iterator

import pytest
import torch

from pixelcnn.errors import ConfigError
from pixelcnn.layers import CONDITIONS
from pixelcnn.model import PixelModel
from pixelcnn.networks import NETWORKS, Network
from pixelcnn.networks.base import ORDERS
from pixelcnn.outputs import OUTPUTS, Output

SMALL = {"width": 6, "depth": 2, "first_kernel": 5, "kernel": 3, "head_width": 7}
SMALL |= {"blocks": 1, "levels": 3, "components": 2, "rows": 9, "columns": 11}
"""What makes a network or output small, where it takes such an argument."""
CONDITION_SIZE = 3
EMBEDS = [n for n in NETWORKS if "embedding" in inspect.signature(NETWORKS[n]).parameters]
"""Networks that can embed codes."""
REPLAYED = [name for name in NETWORKS if name != "made"]
"""Networks whose steps are alike, so that the cuda engine can replay one of them."""


def small(kind: type, **arguments: object) -> object:
    """An instance with the given arguments, small in all others."""
    known = inspect.signature(kind).parameters
    return kind(**{k: v for k, v in SMALL.items() if k in known} | arguments)


def room(kind: type, size: tuple[int, int]) -> dict[str, int]:
    """What makes a network just large enough for images of a size, where it takes such arguments."""
    known = inspect.signature(kind).parameters
    sides = zip(("rows", "columns"), size, strict=True)
    return {name: side for name, side in sides if name in known}


def tiny_outputs() -> Iterator[Output]:
    """Every registered output, with few levels where the level count is free."""
    for name in OUTPUTS:
        try:
            yield small(OUTPUTS[name])
        except ConfigError:
            yield OUTPUTS[name]()


def outputs_for(levels: int) -> Iterator[Output]:
    """Every registered output that exists for so many levels, small in all else."""
    for name in OUTPUTS:
        try:
            yield small(OUTPUTS[name], levels=levels)
        except ConfigError:
            continue


def tiny_networks(channels: int, out: int | None = None) -> Iterator[Network]:
    """Every registered network with every order and kind of condition."""
    total = 2 * channels if out is None else out
    orders = ORDERS if channels > 1 else ORDERS[:1]
    if total % channels:
        orders = ("pixel",)  # the parameters are those of whole pixels
    for name in NETWORKS:
        for order in orders:
            for condition in CONDITIONS:
                torch.manual_seed(0)
                yield small(
                    NETWORKS[name],
                    channels=channels,
                    out=total,
                    order=order,
                    condition=condition,
                    condition_size=CONDITION_SIZE if condition else 0,
                )


def tiny_models(channels: int, height: int = 5, width: int = 7) -> Iterator[PixelModel]:
    """Every registered network x output that a model accepts, without a condition and with labels."""
    for output in tiny_outputs():
        for network in tiny_networks(channels, output.parameters_per_pixel(channels)):
            if network.condition not in (None, "label"):
                continue
            try:
                yield PixelModel(network, output, (channels, height, width)).eval()
            except ConfigError:
                continue  # the pair would ignore how channels depend on each other


LARGE = {"diagonal-bilstm", "made", "pixelcnnpp", "row-lstm", "snail"}
"""Networks that take long even when they are small."""


def marked(things: Iterable[Network | PixelModel]) -> list[object]:
    """Parameters of a test.

    Slow are, of the large networks, all but one with each order; of their models all but one.
    """
    seen, parameters = set(), []
    for thing in things:
        network = thing.network if isinstance(thing, PixelModel) else thing
        name = NETWORKS.name_of(type(network))
        # What a network itself promises is tried with all of them.
        model = isinstance(thing, PixelModel)
        kind = (name,) if model else (name, network.channels, network.order)
        slow = name in LARGE and kind in seen
        seen.add(kind)
        parameters.append(pytest.param(thing, marks=[pytest.mark.slow] if slow else []))
    return parameters


def tiny_model(
    channels: int = 1, height: int = 5, width: int = 7, **arguments: object
) -> PixelModel:
    """One small model of the first registered kind, with arguments of its network."""
    output = next(tiny_outputs())
    network = small(
        NETWORKS["pixelcnn"],
        channels=channels,
        out=output.parameters_per_pixel(channels),
        **arguments,
    )
    return PixelModel(network, output, (channels, height, width)).eval()


def passes_within(model: PixelModel, name: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How deep inside contexts of a name each forward pass of a model is; grows as they come."""
    depth, seen = [0], []

    @contextlib.contextmanager
    def counted(*_: object) -> Iterator[None]:
        depth[0] += 1
        yield
        depth[0] -= 1

    monkeypatch.setattr(name, counted)
    model.network.register_forward_hook(lambda *_: seen.append(depth[0]))
    return seen


def label(thing: Network | PixelModel | Output) -> str:
    """A test's name for one of these."""
    if isinstance(thing, PixelModel):
        return f"{label(thing.network)}-{label(thing.output)}"
    if isinstance(thing, Network):
        name = NETWORKS.name_of(type(thing))
        return f"{name}-{thing.channels}-{thing.order}-{thing.condition}"
    return OUTPUTS.name_of(type(thing))
