"""Whether sampling agrees with scoring: the walk and its engines."""

import math
from collections.abc import Set
from typing import Any

import torch
from torch import Tensor

from pixelcnn import engines, sampling
from pixelcnn.devices import copied, exact_convolutions
from pixelcnn.drawing import uniforms
from pixelcnn.engines.guard import MOST_STEPS, sampled
from pixelcnn.errors import ConfigError, ConformanceError
from pixelcnn.extent import cropped, cropped_condition
from pixelcnn.model import PixelModel
from pixelcnn.outputs import Output
from pixelcnn.program import Unlowerable
from pixelcnn.shapes import Position, coding_order
from pixelcnn.surroundings import independent
from pixelcnn.text import counted
from pixelcnn.verify.probability import AGREEMENT
from pixelcnn.verify.probing import random_levels
from pixelcnn.verify.report import Noted

TOLERANCES = {torch.float64: AGREEMENT, torch.float32: 1e-3}
"""Allowed difference of an engine's log-probability, relative to its size where that exceeds one."""
ROUGH = 0.1
"""The same in types of fewer digits."""
TINY = 1e-290
"""Probability below which a float64 has few digits."""


@independent
def walk_log_prob(
    model: PixelModel, images: Any, condition: Any = None, engine: str = "full"
) -> Tensor:
    """Log-probability of every sub-pixel, read off the walk that samples: nats, float64 ``(n, c, h, w)``.

    What ``log_prob_map`` computes in one pass, one sub-pixel after the other.

    Args:
        model: the model.
        images: levels ``(n, c, h, w)``.
        condition: see :meth:`PixelModel.check_condition`.
        engine: name of the engine.

    Raises:
        DataError, ModelError, ConfigError: see :meth:`PixelModel.check`, :meth:`PixelModel.check_condition`
            and :func:`pixelcnn.engines.choose`.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> model = PixelModel(networks.PixelCNN(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 3, 5))
        >>> images = torch.zeros(2, 1, 3, 5, dtype=torch.uint8)
        >>> torch.allclose(walk_log_prob(model, images).float(), model.log_prob_map(images), atol=1e-5)
        True
    """
    levels = model.check(images)
    nats = torch.zeros(levels.shape, dtype=torch.float64)
    log_prob_at(model, levels, condition, engine, set(coding_order(model.shape)), nats)
    return nats


def nats_of(output: Output, parameters: Tensor, pixels: Tensor, channel: int) -> Tensor:
    """Log-probability by ``pmf`` of one channel of a pixel of each image, ``(n,)``.

    Args:
        output: the distribution.
        parameters: of the pixels, ``(n, p)``.
        pixels: their levels ``(n, c)``.
        channel: whose level is meant.
    """
    level = pixels[:, channel, None].long()
    probability = output.pmf(parameters, pixels[:, :channel]).gather(-1, level)[:, 0]
    # What is too unlikely for a float64 still has a logarithm.
    whole = output.log_prob(parameters[..., None, None].double(), pixels[..., None, None])
    return torch.where(probability > TINY, probability.log(), whole[:, channel, 0, 0])


def program_in_use(model: PixelModel) -> str:
    """The engine that a model samples with, and its program.

    Raises:
        Noted: it has none, and calls ``forward`` for every position.
        ConformanceError: a layer's ``lower``, or an engine, gives other numbers than ``forward``.
    """
    try:
        program = engines.program_of(model)
    except engines.WrongProgram as error:
        raise ConformanceError(str(error)) from error
    except Unlowerable as error:
        raise Noted(engines.slowness(model, str(error))) from error
    chosen = engines.choose(model)
    if chosen.wrong:
        raise ConformanceError(chosen.reason)
    return f"{counted(len(program.nodes), 'primitive')}, run by {chosen.name}: {chosen.reason}"


def check_full_size(model: PixelModel, condition: Tensor | None) -> str:
    """The engine that a model samples with must give the parallel pass's numbers at the model's own size.

    The probabilities at some positions of a random image, the edges among them, and each level of an image
    that is drawn.

    Args:
        model: in the type and on the device that it is used in; of images with too many positions a part.
        condition: of one image.

    Raises:
        ConformanceError: names the engine, the position and both numbers; or a level that is drawn wrongly.
    """
    model = cropped(model, MOST_STEPS // model.shape.channels)
    condition = cropped_condition(model, condition)
    chosen = engines.choose(model)
    if chosen.program is None:
        return "no program"
    images = random_levels((1, *model.shape), model.levels, seed=11)
    found = f"up to {compare_walk(model, images, condition, few=True):.0e} nats"
    if isinstance(chosen.start(1, model.check_condition(condition, 1)), engines.Drawer):
        compare_drawing(model, condition)
        found += ", and what it draws"
    return f"{chosen.name} at {model.shape}, {found}"


def engine_names(model: PixelModel) -> list[str]:
    """The exact engines that can run a model."""
    found = []
    for name in engines.EXACT:
        try:
            found.append(engines.choose(model, name).name)
        except ConfigError:
            continue
    return sorted(found)


def check_walk(model: PixelModel, condition: Tensor | None) -> str:
    """Every engine's walk must give the numbers of the parallel pass in float64 on the CPU.

    Args:
        model: in float64, or in float32 for the engines that compute in it; on the device that walks.
        condition: of one image.

    Raises:
        ConformanceError: names the engine, the position and both numbers.
    """
    images, worst = random_levels((2, *model.shape), model.levels, seed=11), 0.0
    names = engine_names(model)
    for engine in names:
        worst = max(worst, compare_walk(model, images, condition, engine))
    kind = str(model.dtype).removeprefix("torch.")
    return f"{', '.join(names)} in {kind}, up to {worst:.0e} nats"


def compare_walk(
    model: PixelModel,
    images: Tensor,
    condition: Tensor | None,
    engine: str = "auto",
    *,
    few: bool = False,
) -> float:
    """Largest difference in nats between an engine's walk and the parallel pass in float64 on the CPU.

    With ``few`` the engine walks everywhere, but only some positions, the edges among them, are compared.

    Raises:
        ConformanceError: it is too large; names the engine, the position and both numbers.
    """
    with torch.no_grad():
        parallel = exactly(model).log_prob_map(images, condition)
    stepwise = parallel.clone()
    wanted = {*sampled(model.shape)} if few else {*coding_order(model.shape)}
    log_prob_at(model, model.check(images), condition, engine, wanted, stepwise)
    error = (stepwise - parallel).abs().nan_to_num(math.inf)
    allowed = TOLERANCES.get(model.dtype, ROUGH) * parallel.abs().clamp(min=1.0)
    if bool((error > allowed).any()):
        at = [int(i) for i in torch.unravel_index((error / allowed).argmax(), error.shape)]
        name = engines.choose(model, engine).name
        raise ConformanceError(
            f"engine {name!r} and log_prob disagree at {Position(*at[1:])}:"
            f" {float(stepwise[tuple(at)]):.12g} and {float(parallel[tuple(at)]):.12g} nats"
        )
    return float(error.max())


def log_prob_at(
    model: PixelModel,
    levels: Tensor,
    condition: Any,
    engine: str,
    wanted: Set[Position],
    nats: Tensor,
) -> None:
    """Writes an engine's log-probabilities at some positions into ``nats``, ``(n, c, h, w)`` on the CPU.

    The engine walks everywhere; the levels have been checked.
    """
    n = len(levels)
    walker = engines.start(model, n, model.check_condition(condition, n), engine)
    for at in coding_order(model.shape):
        with exact_convolutions(model.device):
            parameters = walker.parameters(levels, at)
        if at in wanted:
            pixels = levels[:, :, at.row, at.column].cpu()
            found = nats_of(model.output, parameters.cpu(), pixels, at.channel)
            nats[:, at.channel, at.row, at.column] = found


def compare_drawing(model: PixelModel, condition: Tensor | None) -> None:
    """Each level drawn must be the one that its uniform number selects by the parallel pass.

    Raises:
        ConformanceError: names the first position where it is not.
    """
    drawn = sampling.sample(model, 1, seed=15, condition=condition).long()
    u = uniforms(15, [0], model.shape)
    exact = exactly(model)
    with torch.no_grad():
        parameters = exact(drawn, exact.check_condition(condition, 1))
    allowed = TOLERANCES.get(model.dtype, ROUGH)
    for row in range(model.shape.height):
        for channel in range(model.shape.channels):
            pixels, level = drawn[0, :, row].T, drawn[0, channel, row, :, None]
            pmf = model.output.pmf(parameters[0, :, row].T, pixels[:, :channel])
            above = pmf.cumsum(1).gather(1, level)[:, 0]
            below = above - pmf.gather(1, level)[:, 0]
            wrong = u[0, channel, row] < below - allowed
            wrong |= (u[0, channel, row] > above + allowed) & (level[:, 0] < model.levels - 1)
            if bool(wrong.any()):
                at = Position(channel, row, int(wrong.int().argmax()))
                name = engines.choose(model).name
                raise ConformanceError(
                    f"engine {name!r} draws level {int(drawn[0][at])} at {at} for"
                    f" the number {float(u[0][at]):.6g}, which selects another one"
                )


def exactly(model: PixelModel) -> PixelModel:
    """A copy in float64 on the CPU, in evaluation mode."""
    return copied(model).cpu().double().eval()


def check_reproducible(model: PixelModel, condition: Tensor | None) -> str:
    """Image i of a seed must be the same for any count and batch size, and another for another seed.

    Args:
        model: in any type; that a uniform number lies within rounding of a boundary is next to never.
        condition: of one image.

    Raises:
        ConformanceError: an image depends on more than the model, the seed and its index.
    """

    def draw(n: int, seed: int = 13, first: int = 0, batch_size: int = 8) -> Tensor:
        return sampling.sample(
            model, n, seed=seed, condition=condition, first=first, batch_size=batch_size
        )

    five = draw(5)
    if not torch.equal(five, draw(5)):
        raise ConformanceError("the same seed gives other images the second time")
    if not torch.equal(five, draw(5, batch_size=2)):
        raise ConformanceError(
            "the images drawn change with the batch size: images of a batch interact"
        )
    if not torch.equal(five[3:], draw(2, first=3)):
        raise ConformanceError(
            "image 3 of a seed is another when the images before it are not drawn"
        )
    chosen = engines.choose(model)
    if chosen.batch_matters:
        return "5 images, twice, in batches of 8 and 2, and from the third on"
    check_bits(chosen, five.long(), model.check_condition(condition, len(five)))
    return (
        "5 images, twice, in batches of 8 and 2, from the third on, and their parameters to the bit"
    )


def check_bits(engine: engines.Engine, images: Tensor, condition: Tensor | None) -> None:
    """An engine that promises so must give an image the same parameters to the bit in any batch.

    Raises:
        ConformanceError: names the position where it does not.
    """
    few = condition if condition is None else condition[:2]
    all_of_them, some = engine.start(len(images), condition), engine.start(2, few)
    for at in coding_order(engine.model.shape):
        if not torch.equal(all_of_them.parameters(images, at)[:2], some.parameters(images[:2], at)):
            raise ConformanceError(
                f"engine {engine.name!r} gives an image other parameters at {at} in a larger batch"
            )
