"""Engines: sources of the parameters of one position after another.

``full`` calls ``forward`` for every position and is the specification. ``cached`` walks the network's
program in torch, so that an image costs about one forward pass; ``native`` does so in C++. ``auto`` takes
the fastest of these that applies. ``native-bf16`` multiplies in bfloat16: faster where the processor has
such an instruction, but no longer the same numbers.
"""

import copy
import threading
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from pixelcnn.engines import native
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.engines.full import FullEngine
from pixelcnn.engines.stages import schedule
from pixelcnn.engines.trace import trace
from pixelcnn.errors import ConfigError
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.networks import Network
from pixelcnn.program import Program, Unlowerable
from pixelcnn.shapes import Position, coding_order

EXACT = ("full", "cached", "native")
"""Engines that give the numbers of the parallel pass."""

NAMES = ("auto", *EXACT, "native-bf16")

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
_compared: WeakKeyDictionary[Network, str] = WeakKeyDictionary()
_lowered: WeakKeyDictionary[Network, tuple[object, Program]] = WeakKeyDictionary()
_lowering = threading.RLock()


class Engine(Protocol):
    """Gives the parameters of positions visited in coding order."""

    def parameters(self, levels: Tensor, position: Position) -> Tensor:
        """Parameters of one pixel, ``(n, out)``, given the levels before ``position``."""
        ...


@dataclass(frozen=True)
class EngineChoice:
    """The engine that runs, and why."""

    name: str
    reason: str
    program: Program | None = field(default=None, repr=False)


def choose(model: PixelModel, engine: str = "auto") -> EngineChoice:
    """The engine that a model runs on.

    Args:
        model: the model.
        engine: ``auto``, ``full``, ``cached``, ``native`` or ``native-bf16``.

    Raises:
        ConfigError: no such engine, or one that cannot run this model; the message says why.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> model = PixelModel(networks.PixelCNN(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7))
        >>> choose(model.double())
        EngineChoice(name='cached', reason='the native engine computes in float32, this model in float64')
    """
    if engine not in NAMES:
        raise ConfigError(f"no engine called {engine!r}", hint=f"engines: {', '.join(NAMES)}")
    if engine == "full":
        return EngineChoice("full", "asked for")
    try:
        program = lower(model)
    except Unlowerable as error:
        if engine == "auto":
            return EngineChoice("full", str(error))
        raise ConfigError(f"the {engine} engine cannot run this model: {error}") from error
    obstacle = _native_obstacle(model, program) if engine != "cached" else "asked for"
    if not obstacle:
        name = "native" if engine == "auto" else engine
        return EngineChoice(name, "built for this processor", program)
    if engine.startswith("native"):
        raise ConfigError(f"the {engine} engine cannot run this model: {obstacle}")
    return EngineChoice("cached", obstacle, program)


def _native_obstacle(model: PixelModel, program: Program) -> str:
    """Why a model with a program does not run natively; empty if it does."""
    if model.device.type != "cpu":
        return f"the native engine runs on the CPU, this model is on {model.device.type}"
    if model.dtype != torch.float32:
        kind = str(model.dtype).removeprefix("torch.")
        return f"the native engine computes in float32, this model in {kind}"
    return native.obstacle(model, program) or native.why_not()


def start(model: PixelModel, n: int, condition: Tensor | None, engine: str = "auto") -> Engine:
    """An engine at the first position of n images.

    Args:
        model: computes in evaluation mode, whatever mode it is in.
        n: number of images.
        condition: checked by the model.
        engine: a name, see :func:`choose`.
    """
    choice = choose(model, engine)
    if choice.program is None:
        return FullEngine(evaluation_view(model), condition)
    if choice.name.startswith("native"):
        half = choice.name == "native-bf16"
        return native.NativeEngine(model, choice.program, n, condition, half=half)
    return CachedEngine(model, choice.program, n, condition)


def lower(model: PixelModel) -> Program:
    """The program of a model's network, compared once with ``forward`` on a small image.

    Raises:
        Unlowerable: the network does something that a program cannot say, or says it otherwise.
    """
    with _lowering:  # of the threads that want a program at first, one makes it
        weights = _weights(model.network)
        if model.network in _lowered and _lowered[model.network][0] == weights:
            program = _lowered[model.network][1]
        else:
            program = trace(model.network)
            _lowered[model.network] = weights, program
        schedule(model, program)
        if model.network not in _compared:
            _compared[model.network] = _difference(model, program)
        if _compared[model.network]:
            raise Unlowerable(_compared[model.network])
        return program


def _weights(network: Network) -> object:
    """What changes whenever a weight does: programs hold masked copies of the weights."""
    tensors = (*network.parameters(), *network.buffers())
    if any(tensor.is_inference() for tensor in tensors):  # these are not counted
        return object()
    return [(tensor.data_ptr(), tensor._version, tensor.dtype) for tensor in tensors]


@torch.no_grad()
def _difference(model: PixelModel, program: Program) -> str:
    """How a program differs from ``forward`` on a small image; empty if it does not."""
    if (
        model.device.type != "cpu"
    ):  # a GPU may round its products to 10 bits, which would look like a fault
        model = copy.deepcopy(model).cpu()
        program = trace(model.network)
    channels, height, width = model.shape
    small = evaluation_view(
        PixelModel(model.network, model.output, (channels, min(height, 4), min(width, 5)))
    )
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(model.levels, (2, *small.shape), generator=generator)
    condition = small.check_condition(_some_condition(small), 2)
    expected = small(levels, condition)
    scale = float(expected.abs().max()) + 1
    engine = CachedEngine(small, program, 2, condition)
    p = model.network.out // channels if model.network.order == "channel" else model.network.out
    worst = 0.0
    for position in coding_order(small.shape):
        first = position.channel * p if model.network.order == "channel" else 0
        mine = slice(first, first + p)
        got = engine.parameters(levels, position)[:, mine]
        worst = max(
            worst, float((got - expected[:, mine, position.row, position.column]).abs().max())
        )
    if worst <= TOLERANCE.get(model.dtype, 0.1) * scale:
        return ""
    return f"its program and its forward pass differ by {worst:.2g}"


def _some_condition(model: PixelModel) -> Any:
    size = model.network.condition_size
    if model.network.condition is None:
        return None
    if model.network.condition == "label":
        return torch.arange(2) % size
    tail = () if model.network.condition == "vector" else tuple(model.shape[1:])
    return torch.linspace(-1, 1, size).reshape(size, *[1] * len(tail)).expand(size, *tail)
