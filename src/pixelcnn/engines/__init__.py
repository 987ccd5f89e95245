"""Engines: sources of the parameters of one position after another.

``full`` calls ``forward`` for every position and is the specification. ``cached`` walks the network's
program in torch, so that an image costs about one forward pass; ``native`` does so in C++, ``cuda`` on a
GPU that replays what was captured once. ``auto`` takes the fastest of these that applies. ``native-bf16``
multiplies in bfloat16: faster where the processor has such an instruction, but no longer the same numbers.

What a number depends on: on ``native`` the model and the image alone, to the bit, for any batch size and
number of threads. On ``cached``, ``cuda`` and ``full`` PyTorch adds up in another order for another batch
size, so that in float32 the last digits differ, and about one image in a thousand gets another level
somewhere.
"""

import inspect
import warnings
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from pixelcnn.devices import exact_convolutions, require_model
from pixelcnn.engines import cuda, native
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.engines.full import FullEngine, name_of
from pixelcnn.engines.guard import Drawer, Walker, Watched, WrongProgram, engine_difference
from pixelcnn.engines.origin import check_weights
from pixelcnn.engines.programs import (
    FUTURE,
    find_out,
    found_out,
    program_of,
    refuse,
    require_weights,
    sees_future,
    weights_of,
)
from pixelcnn.errors import ConfigError, SlowSampling
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view, within
from pixelcnn.networks import Network
from pixelcnn.program import Program, Unlowerable
from pixelcnn.surroundings import independent

__all__ = [
    "EXACT",
    "NAMES",
    "Drawer",
    "Engine",
    "Walker",
    "WrongProgram",
    "choose",
    "native",
    "program_of",
    "slowness",
    "start",
]

EXACT = ("full", "cached", "cuda", "native")
"""Engines that give the numbers of the parallel pass."""

NAMES = ("auto", *EXACT, "native-bf16")

CACHED, CUDA, NATIVE = "the cached engine", "the cuda engine", "the native engine"

FEW_POSITIONS = 128
"""Sub-pixels up to which a forward pass for each of them is no matter."""

_warned: WeakKeyDictionary[Network, set[str]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Engine:
    """What computes the parameters of a model's positions.

    It belongs to the weights that the model had when it was chosen.

    Attributes:
        name: one of :data:`NAMES`, never ``auto``.
        reason: why this one.
        program: that it runs; None where it calls ``forward``.
        model: whose positions they are.
        view: of the model in evaluation mode, which computes.
        weights: a digest of those that the program has; empty without one.
        fallback: whether it runs since the model has no program.
        wrong: whether it runs since a faster one was found to be wrong.
    """

    name: str
    reason: str
    program: Program | None = field(default=None, repr=False)
    model: PixelModel = field(kw_only=True, repr=False)
    view: PixelModel = field(kw_only=True, repr=False)
    weights: bytes = field(default=b"", kw_only=True, repr=False)
    fallback: bool = field(default=False, kw_only=True, repr=False)
    wrong: bool = field(default=False, kw_only=True, repr=False)

    @property
    def batch_matters(self) -> bool:
        """Whether the last digits of an image's numbers may change with the images computed beside it."""
        return not self.name.startswith("native")

    def check(self, model: PixelModel) -> None:
        """Whether it still computes what a model does: what programs hold of the weights is partly a copy.

        Raises:
            ConfigError: it was chosen for another model.
            ModelError: the weights are others by now.
        """
        if within(model) is not within(self.model):
            raise ConfigError(
                "this engine was chosen for another model", hint="choose one for this model"
            )
        if self.program is not None:
            require_weights(self.model, self.weights)

    @independent
    def start(self, n: int, condition: Tensor | None = None, *, fresh: bool = False) -> Walker:
        """A walker at the first position of n images.

        Args:
            n: number of images.
            condition: checked by the model.
            fresh: it was chosen or checked just now, so that its weights need no second look.

        Returns:
            A :class:`Walker`; a :class:`Drawer` where the engine draws levels on its own.

        Raises:
            ModelError: the weights are others by now than when it was chosen.
        """
        if not fresh:
            self.check(self.model)
        if self.fallback:
            self._warn()
        if self.program is None:
            return FullEngine(self.view, condition)
        if self.name == "cuda":
            return cuda.CudaEngine(self.view, self.program, n, condition)
        if self.name.startswith("native"):
            kind: native.Arithmetic = "half" if self.name == "native-bf16" else "single"
            return native.NativeEngine(self.view, self.program, n, condition, arithmetic=kind)
        walker = CachedEngine(self.view, self.program, n, condition)
        if found_out(self.model, self.program, CACHED) is not None:
            return walker
        tell = partial(find_out, self.model, self.program, CACHED)
        return Watched(walker, self.view, condition, tell)

    def _warn(self) -> None:
        """Says that sampling is slow, once for each network and reason."""
        positions, said = self.model.shape.dimensions, _warned.setdefault(self.model.network, set())
        if positions > FEW_POSITIONS and self.reason not in said:
            said.add(self.reason)
            message = slowness(self.model, self.reason)
            warnings.warn(message, SlowSampling, stacklevel=_frames_of_ours())


def _frames_of_ours() -> int:
    """Calls between here and whoever called this package, for a warning to point at."""
    frames = 1
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("pixelcnn."):
        frame, frames = frame.f_back, frames + 1
    return frames - 1


def slowness(model: PixelModel, reason: str) -> str:
    """Why sampling without a program is slow, and what would help, in one line."""
    if sees_future(model):
        return FUTURE % name_of(model.network)
    return (
        f"sampling calls forward for each of {model.shape.dimensions:,} positions: {reason};"
        " layers with a `lower` method, and functions that programs have, would make it fast"
    )


@independent
def choose(model: PixelModel, engine: str | Engine = "auto") -> Engine:
    """The engine that a model runs on.

    Args:
        model: the model; left as it is.
        engine: one of :data:`NAMES`, or what was chosen before.

    Raises:
        ConfigError: no such engine, or one that cannot run this model; the message says why.
        ModelError: no model, or a weight is not a finite number; or the weights have changed since.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> model = PixelModel(networks.PixelCNN(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7))
        >>> choose(model.double())
        Engine(name='cached', reason='the native engine computes in float32, this model in float64')
    """
    require_model(model)
    if isinstance(engine, Engine):
        engine.check(model)
        return engine
    if engine not in NAMES:
        raise ConfigError(f"no engine called {engine!r}", hint=f"engines: {', '.join(NAMES)}")
    check_weights(model)
    model = model if engine == "full" else within(model)
    chosen = partial(Engine, model=model, view=evaluation_view(model))
    if engine == "full":
        return chosen("full", "asked for")
    try:
        program = program_of(model)
        chosen = partial(chosen, weights=weights_of(model, program))
        wanted = engine
        if engine == "auto":
            wanted = "cuda" if model.device.type == "cuda" else "native"
        obstacle = "asked for"
        if wanted != "cached":
            obstacle = _obstacle(model, program, wanted)
        if not obstacle:
            reason = "captured on this GPU" if wanted == "cuda" else "built for this processor"
            return chosen(wanted, reason, program)
        if engine not in ("auto", "cached"):
            raise Unlowerable(obstacle)
        refuse(found_out(model, program, CACHED))
    except Unlowerable as error:
        if engine == "auto":
            return chosen("full", str(error), fallback=True, wrong=isinstance(error, WrongProgram))
        raise ConfigError(f"the {engine} engine cannot run this model: {error}") from error
    wrong = found_out(model, program, NATIVE) or found_out(model, program, CUDA)
    return chosen("cached", obstacle, program, wrong=bool(wrong))


def start(
    model: PixelModel, n: int, condition: Tensor | None = None, engine: str | Engine = "auto"
) -> Walker:
    """A walker of the engine that a model runs on, see :func:`choose` and :meth:`Engine.start`."""
    return choose(model, engine).start(n, condition, fresh=True)


def _obstacle(model: PixelModel, program: Program, name: str) -> str:
    """Why a model with a program does not run on the cuda engine, or a native one; empty if it does."""
    kind, what = (cuda.CudaEngine, CUDA) if name == "cuda" else (native.NativeEngine, NATIVE)
    if name != "cuda" and model.device.type != "cpu":
        return f"the native engine runs on the CPU, this model is on {model.device.type}"
    if name != "cuda" and model.dtype != torch.float32:
        number = str(model.dtype).removeprefix("torch.")
        return f"the native engine computes in float32, this model in {number}"
    if obstacle := (cuda if name == "cuda" else native).obstacle(model, program):
        return obstacle
    if found_out(model, program, what) is None:
        try:
            with exact_convolutions(model.device):
                different = engine_difference(
                    evaluation_view(model), partial(kind, program=program)
                )
        except Unlowerable as error:  # which only a plan shows
            return str(error)
        find_out(model, program, what, different)
    return found_out(model, program, what) or ""
