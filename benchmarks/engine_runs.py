"""Sampling with this library's engines, as contenders of a benchmark."""

import contextlib
import time

import torch

from benchmarks.timing import Action, now, timed
from pixelcnn import PixelModel, engines
from pixelcnn.drawing import uniforms
from pixelcnn.engines import Drawer
from pixelcnn.errors import ConfigError
from pixelcnn.inversion import invert
from pixelcnn.sampling import sample
from pixelcnn.walk import walk

ROWS = 4
"""Rows that the cached engine draws of an image that is too large for whole ones: without attention all
rows cost the same."""
WHOLE = 1024
"""Sub-pixels up to which it draws whole images."""


def whole_images(model: PixelModel, n: int, engine: str) -> Action:
    """``sample``, as a user calls it."""
    return timed(lambda: sample(model, n, engine=engine, batch_size=n))


def drawing(model: PixelModel, n: int, engine: str) -> tuple[Action, str]:
    """An engine that draws whole images, or some rows of large ones; and which of the two."""
    if engine.startswith("native") or model.shape.dimensions <= WHOLE:
        return whole_images(model, n, engine), "whole images"
    rows = min(ROWS, model.shape.height)
    fronts = rows * model.shape.width * model.shape.channels
    return some_fronts(model, n, fronts, engine), f"extrapolated from {rows} rows"


def full_passes(model: PixelModel, n: int) -> Action:
    """The engine ``full`` with as few passes as a sampler needs, extrapolated from one pixel.

    A pass gives the parameters of whole pixels, so if they do not depend on the pixel's own channels one pass
    serves them all; the engine, which is the specification and no contender, takes one for each.
    """
    passes = model.shape.channels
    action = some_fronts(model, n, passes, "full")
    return (lambda: action() / passes) if model.network.order == "pixel" else action


def some_fronts(model: PixelModel, n: int, fronts: int, engine: str) -> Action:
    """Draws the first sub-pixels of n images; the seconds that all of them would take."""

    def run() -> float:
        return first_part(model, n, engine, at_least=fronts)[0]

    return run


@torch.inference_mode()
def first_part(
    model: PixelModel, n: int, engine: str, *, at_least: int = 1, seconds: float = 0.0
) -> tuple[float, int]:
    """Draws the first sub-pixels of n images.

    Args:
        model: on its device.
        n: number of images.
        engine: name of the engine.
        at_least: sub-pixels that are drawn.
        seconds: for which more are drawn, up to whole images.

    Returns:
        Seconds that whole images would take, and the sub-pixels that were drawn of them.
    """
    device, every = model.device, model.shape.dimensions
    u = uniforms(0, range(n), model.shape).to(device)
    steps = walk(model, n, engine=engine)
    began = now(device)
    front = next(steps)
    prepared, drawn = now(device), 0
    pixel = model.shape.channels
    while drawn < at_least or drawn % pixel or time.perf_counter() - prepared < seconds:
        levels, drawn = invert(front.pmf, front.of(u)), drawn + 1
        if drawn == every:
            break
        front = steps.send(levels)
    taken = now(device) - prepared
    steps.close()
    return prepared - began + taken * every / drawn, drawn


def native_walk(model: PixelModel, n: int, engine: str) -> Action:
    """A native engine without its preparation: what the steps of the pixels themselves cost."""
    levels = torch.zeros(n, *model.shape, dtype=torch.int64)
    known = torch.zeros_like(levels, dtype=torch.bool)
    u = uniforms(0, range(n), model.shape)

    def run() -> float:
        source = engines.start(model, n, None, engine)
        assert isinstance(source, Drawer)
        return timed(lambda: source.fill(levels, known, u, 1.0))()

    return run


def native_engines(model: PixelModel) -> list[str]:
    """Names of the native engines that can run a model here."""
    found = []
    for name in engines.NAMES:
        if name.startswith("native"):
            with contextlib.suppress(ConfigError):
                found.append(engines.choose(model, name).name)
    return found
