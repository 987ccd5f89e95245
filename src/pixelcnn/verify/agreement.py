"""Whether sampling agrees with scoring: the walk, its engines, and the images drawn from it."""

import copy
import math

import torch
from torch import Tensor

from pixelcnn import engines, sampling
from pixelcnn.devices import Device
from pixelcnn.errors import ConfigError, ConformanceError
from pixelcnn.model import PixelModel
from pixelcnn.shapes import Position, coding_order
from pixelcnn.verify.causality import place
from pixelcnn.verify.probability import AGREEMENT, MOST_IMAGES, every_image
from pixelcnn.verify.probing import random_levels
from pixelcnn.walk import Front, drive, walk

TOLERANCES = {torch.float64: AGREEMENT, torch.float32: 1e-3}
"""Allowed difference of an engine's log-probability, relative to its size where that exceeds one."""
FALSE_ALARM = 1e-6
"""How often the chi-square test fails a sampler that is right."""


def walk_log_prob(
    model: PixelModel, images: Tensor, condition: Tensor | None = None, engine: str = "full"
) -> Tensor:
    """Log-probability of every sub-pixel, read off the walk that samples: nats, float64 ``(n, c, h, w)``.

    What ``log_prob_map`` computes in one pass, one sub-pixel after the other.

    Args:
        model: the model.
        images: levels ``(n, c, h, w)``.
        condition: see :meth:`PixelModel.check_condition`.
        engine: name of the engine.
    """
    nats = torch.zeros(images.shape, dtype=torch.float64)

    def choose(front: Front) -> Tensor:
        levels: Tensor = front.of(images).to(front.pmf.device)
        channel, row, column = front.positions.T
        nats[:, channel, row, column] = front.pmf.gather(-1, levels[..., None])[..., 0].log().cpu()
        return levels

    drive(walk(model, len(images), condition, engine), choose)
    return nats


def engine_names(model: PixelModel) -> list[str]:
    """The exact engines that can run a model."""
    found = []
    for name in engines.EXACT:
        try:
            found.append(engines.choose(model, name).name)
        except ConfigError:
            continue
    return sorted(found)


def check_walk(model: PixelModel, condition: Tensor | None, n: int = 2) -> str:
    """Every engine's walk must give the numbers of the parallel pass in float64 on the CPU.

    Args:
        model: in float64, or in float32 for the engines that compute in it; on the device that walks.
        condition: of one image.
        n: images compared.

    Raises:
        ConformanceError: names the engine, the position and both numbers.
    """
    images = random_levels((n, *model.shape), model.levels, seed=11)
    with torch.no_grad():
        exact = copy.deepcopy(model).cpu().double().eval()
        parallel = exact.log_prob_map(images, condition)
    allowed = TOLERANCES[model.dtype] * parallel.abs().clamp(min=1.0)
    worst = 0.0
    for engine in engine_names(model):
        stepwise = walk_log_prob(model, images, condition, engine)
        error = (stepwise - parallel).abs().nan_to_num(math.inf)
        if bool((error > allowed).any()):
            at = [int(i) for i in torch.unravel_index((error / allowed).argmax(), error.shape)]
            raise ConformanceError(
                f"engine {engine!r} and log_prob disagree at {place(Position(*at[1:]))}:"
                f" {float(stepwise[tuple(at)]):.12g} and {float(parallel[tuple(at)]):.12g} nats"
            )
        worst = max(worst, float(error.max()))
    kind = str(model.dtype).removeprefix("torch.")
    return f"{', '.join(engine_names(model))} in {kind}, up to {worst:.0e} nats"


def check_samples(
    model: PixelModel, condition: Tensor | None, n: int = 1000, device: Device = "cpu"
) -> str:
    """The images drawn must follow the model's own probabilities.

    Where all images can be counted, by a chi-square test over them; else over the places that the levels
    drawn take in their distributions, which are uniform (the probability integral transform).

    Args:
        model: in float64, for tiny images; the images are drawn from a copy in float32.
        condition: of one image.
        n: images drawn.
        device: where they are drawn.

    Raises:
        ConformanceError: they do not; false alarms come at the rate :data:`FALSE_ALARM`.
    """
    single = copy.deepcopy(model).float()
    drawn = sampling.sample(
        single, n, seed=12, condition=condition, batch_size=n, device=device
    ).long()
    if model.levels**model.shape.dimensions <= MOST_IMAGES:
        p = p_by_images(model, condition, drawn)
        how = "over all images"
    else:
        p = p_by_places(model, condition, drawn)
        how = "over each level's place in its distribution"
    if not p >= FALSE_ALARM:
        raise ConformanceError(
            f"{n} samples do not follow the model's probabilities (chi-square test {how}, p = {p:.0e})"
        )
    return (
        f"{n} images of {model.shape}, chi-square {how}: p = {p:.2g}, alarm below {FALSE_ALARM:.0e}"
    )


def p_by_images(model: PixelModel, condition: Tensor | None, drawn: Tensor) -> float:
    """Compares how often each image was drawn with its probability."""
    images = every_image(model.shape, model.levels)
    with torch.no_grad():
        probabilities = model.log_prob(images, condition).double().exp()
    place = model.levels ** torch.arange(images[0].numel() - 1, -1, -1)
    counts = (drawn.flatten(1) * place).sum(1).bincount(minlength=len(images))
    return chi_square_p(counts.double(), len(drawn) * probabilities / probabilities.sum())


def p_by_places(
    model: PixelModel, condition: Tensor | None, drawn: Tensor, bins: int = 16
) -> float:
    """Compares where the levels drawn lie in their distributions with the uniform distribution."""
    with torch.no_grad():
        parameters = model(drawn, model.check_condition(condition, len(drawn)))
    inside = torch.rand(
        drawn.shape, generator=torch.Generator().manual_seed(14), dtype=torch.float64
    )
    counts = torch.zeros(model.shape.dimensions, bins, dtype=torch.float64)
    for row, (channel, y, x) in zip(counts, coding_order(model.shape), strict=True):
        pmf = model.output.pmf(parameters[:, :, y, x], drawn[:, :channel, y, x])
        level = drawn[:, channel, y, x, None]
        own = pmf.gather(1, level)[:, 0]
        place = pmf.cumsum(1).gather(1, level)[:, 0] - own * inside[:, channel, y, x]
        row += (place * bins).long().clamp(0, bins - 1).bincount(minlength=bins)
    expected = torch.full_like(counts, len(drawn) / bins)
    return chi_square_p(counts.flatten(), expected.flatten(), groups=len(counts))


def chi_square_p(counts: Tensor, expected: Tensor, least: float = 5.0, groups: int = 1) -> float:
    """Probability of counts at least as far from what was expected, by Pearson's test.

    The rarest cells are joined until each expects ``least``, as the approximation needs.

    Args:
        counts: how often each case came, ``(k,)``.
        expected: how often it should have come, ``(k,)``.
        least: expected count of a cell.
        groups: sets of cells whose total was given beforehand.

    Example:
        >>> round(chi_square_p(torch.tensor([60.0, 40.0]), torch.tensor([50.0, 50.0])), 4)
        0.0455
    """
    order = expected.argsort()
    counts, expected = counts[order], expected[order]
    joined = max(int((expected < least).sum()), int((expected.cumsum(0) < least).sum()) + 1)
    if expected[0] < least:
        counts = torch.cat([counts[:joined].sum()[None], counts[joined:]])
        expected = torch.cat([expected[:joined].sum()[None], expected[joined:]])
    statistic = ((counts - expected) ** 2 / expected).sum().double()
    freedom = torch.tensor(max(len(counts) - groups, 1), dtype=torch.float64)
    return float(torch.special.gammaincc(freedom / 2, statistic / 2))


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
    return "5 images, twice, in batches of 8 and 2, and from the third on"
