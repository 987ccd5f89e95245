"""Engines: sources of the parameters of one position after another."""

from typing import NamedTuple, Protocol

from torch import Tensor

from pixelcnn.engines.full import FullEngine
from pixelcnn.errors import ConfigError
from pixelcnn.model import PixelModel
from pixelcnn.shapes import Position

NAMES = ("auto", "full")


class Engine(Protocol):
    """Gives the parameters of positions visited in coding order."""

    def parameters(self, levels: Tensor, position: Position) -> Tensor:
        """Parameters of one pixel, ``(n, out)``, given the levels before ``position``."""
        ...


class EngineChoice(NamedTuple):
    """The engine that runs, and why."""

    name: str
    reason: str


def choose(model: PixelModel, engine: str = "auto") -> EngineChoice:
    """The engine that a model runs on.

    Raises:
        ConfigError: no such engine here.
    """
    if engine not in NAMES:
        raise ConfigError(f"no engine called {engine!r} here", hint=f"engines: {', '.join(NAMES)}")
    return EngineChoice("full", "one forward pass for each position")


def start(model: PixelModel, n: int, condition: Tensor | None, engine: str = "auto") -> Engine:
    """An engine at the first position of n images.

    Args:
        model: in evaluation mode.
        n: number of images.
        condition: checked by the model.
        engine: a name, see :func:`choose`.
    """
    choose(model, engine)
    return FullEngine(model, condition)
