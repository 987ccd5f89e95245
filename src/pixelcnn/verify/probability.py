"""Whether probabilities are probabilities: they sum to one, and two ways of computing them agree."""

import math

import torch
from torch import Tensor

from pixelcnn.errors import ConfigError, ConformanceError
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.outputs import Output
from pixelcnn.shapes import Position
from pixelcnn.surroundings import independent
from pixelcnn.text import counted
from pixelcnn.verify.probing import random_levels

SUM_TOLERANCE = 1e-12
"""Allowed error of a sum of probabilities in float64."""
AGREEMENT = 1e-10
"""Allowed difference in nats between two ways of computing one log-probability in float64."""
MOST_IMAGES = 4096
"""Images that an enumeration may count."""
SPREAD = 3.0
"""Standard deviation of random parameters of ordinary size."""
LARGE = 30.0
"""Standard deviation of large ones, which a long training gives."""


def every_image(shape: tuple[int, int, int], levels: int) -> Tensor:
    """All images of a tiny shape, int64 ``(levels ** (c * h * w), c, h, w)``.

    Raises:
        ConfigError: more than :data:`MOST_IMAGES` of them.

    Example:
        >>> every_image((1, 1, 2), levels=2).flatten(1).tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    dimensions = math.prod(shape)
    count = levels**dimensions
    if count > MOST_IMAGES:
        raise ConfigError(f"{count} images are too many to enumerate, at most {MOST_IMAGES}")
    digits = torch.arange(count)[:, None] // levels ** torch.arange(dimensions - 1, -1, -1)
    return (digits % levels).reshape(count, *shape)


@independent
def total_probability(model: PixelModel, condition: Tensor | None = None) -> float:
    """The sum of the probabilities of all images of a model for tiny images; 1 up to rounding.

    Args:
        model: best in float64; at most :data:`MOST_IMAGES` images.
        condition: of one image, see :meth:`PixelModel.check_condition`.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=3, width=4, depth=1)
        >>> model = PixelModel(network.double(), outputs.Categorical(levels=3), shape=(1, 2, 2))
        >>> abs(total_probability(model) - 1) < 1e-12
        True
    """
    images = every_image(model.shape, model.levels)
    with torch.no_grad():
        nats = evaluation_view(model).log_prob(images, condition).cpu()
    return math.fsum(nats.double().exp().tolist())


@torch.no_grad()
def conditional_sum(
    model: PixelModel, image: Tensor, at: Position, condition: Tensor | None = None
) -> float:
    """The sum over the levels of one sub-pixel of its probability given the past; 1 up to rounding.

    Args:
        model: best in float64.
        image: levels ``(c, h, w)``, the past that is given.
        at: the sub-pixel that takes every level in turn.
        condition: of one image.
    """
    images = image.repeat(model.levels, 1, 1, 1)
    images[:, at.channel, at.row, at.column] = torch.arange(model.levels)
    nats = evaluation_view(model).log_prob_map(images, condition)
    mine = nats[:, at.channel, at.row, at.column].cpu()
    return math.fsum(mine.double().exp().tolist())


def random_parameters(output: Output, channels: int, n: int, spread: float, seed: int) -> Tensor:
    """Parameters ``(n, out, 1, 1)`` in float64, normal with standard deviation ``spread``."""
    shape = (n, output.parameters_per_pixel(channels), 1, 1)
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(shape, generator=generator, dtype=torch.float64)


def check_sums(output: Output, channels: int) -> float:
    """Largest distance from one of the sum of any pmf, over random parameters and earlier levels.

    Raises:
        ConformanceError: a pmf of the wrong shape or type, negative, or whose sum is not one.
    """
    worst = 0.0
    parameters = random_parameters(output, channels, 16, SPREAD, seed=0)[:, :, 0, 0]
    levels = random_levels((16, channels), output.levels, seed=1)
    for channel in range(channels):
        pmf = output.pmf(parameters, levels[:, :channel])
        if pmf.dtype != torch.float64 or pmf.shape != (16, output.levels):
            raise ConformanceError(
                f"pmf of channel {channel} is {str(pmf.dtype).removeprefix('torch.')}"
                f" {tuple(pmf.shape)}, it must be float64 {(16, output.levels)}"
            )
        error = float((pmf.sum(-1) - 1).abs().max())
        if not bool((pmf >= 0).all()):
            raise ConformanceError(f"pmf of channel {channel} has a negative or undefined entry")
        if not error <= SUM_TOLERANCE:
            raise ConformanceError(
                f"with {output.levels} levels the probabilities of channel {channel} sum to one up"
                f" to {error:.1e} only, {SUM_TOLERANCE:.0e} is allowed"
            )
        worst = max(worst, error)
    return worst


def check_agreement(output: Output, channels: int) -> float:
    """Largest difference between ``pmf`` and ``exp(log_prob)``, over the levels of each channel.

    All levels up to 512; of more, 64 random ones, which bounds the memory. Three pixels, each with numbers
    of its own, of ordinary size and large.

    Raises:
        ConformanceError: they disagree, or ``log_prob`` has the wrong shape.
    """
    worst = 0.0
    tried = torch.arange(output.levels)
    if output.levels > 512:
        tried = random_levels((64,), output.levels, seed=2)
    for spread in (SPREAD, LARGE):
        drawn = random_parameters(output, channels, 3, spread, seed=2)[:, :, 0, 0].T
        parameters = drawn.reshape(1, -1, 1, 3).expand(len(tried), -1, -1, -1)
        for channel in range(channels):
            error = _disagreement(output, parameters, tried, channel, channels)
            if not error <= AGREEMENT:
                why = "; does it re-weight by the earlier channels what it mixes?"
                raise ConformanceError(
                    f"with {output.levels} levels the pmf of channel {channel} differs from exp(log_prob)"
                    f" by {error:.1e}, {AGREEMENT:.0e} is allowed"
                    f"{why if channel and output.couples_channels else ''}"
                )
            worst = max(worst, error)
    return worst


def _disagreement(
    output: Output, parameters: Tensor, tried: Tensor, channel: int, channels: int
) -> float:
    """Largest difference at any position, where one channel takes each level that is tried."""
    size = parameters.shape[2:]
    levels = random_levels((1, channels, *size), output.levels, seed=3).repeat(len(tried), 1, 1, 1)
    levels[:, channel] = tried[:, None, None]
    nats = output.log_prob(parameters, levels)
    if nats.shape != levels.shape:
        raise ConformanceError(
            f"log_prob gives {tuple(nats.shape)} for levels {tuple(levels.shape)}, one number for"
            " each sub-pixel is expected"
        )
    mine, before = (x[0].flatten(1).T for x in (parameters, levels[:, :channel]))
    pmf = output.pmf(mine, before)[:, tried].T
    return float((pmf - nats[:, channel].flatten(1).exp()).abs().max())


def check_locality(output: Output, channels: int) -> str:
    """A sub-pixel's log-probability may change with its own pixel only, and with no later channel.

    Raises:
        ConformanceError: it changes with another pixel's parameters or levels, or with a later channel;
            or with an earlier channel although the output says that it does not couple channels.
    """
    parameters = random_parameters(output, channels, 4, 1.0, seed=4).reshape(1, -1, 2, 2)
    levels = random_levels((1, channels, 2, 2), output.levels, seed=5)
    before = output.log_prob(parameters, levels)
    moved = parameters.clone()
    moved[..., 1, 1] += 1.0
    far = levels.clone()
    far[..., 1, 1] = (far[..., 1, 1] + 1) % output.levels
    elsewhere = (output.log_prob(moved, far) != before).any(1)[0]
    elsewhere[1, 1] = False
    if elsewhere.any():
        raise ConformanceError(
            "the log-probability of a pixel changes with the numbers of another pixel"
        )
    for channel in range(channels):
        other = levels.clone()
        other[:, channel] = (other[:, channel] + 1) % output.levels
        changed = (output.log_prob(parameters, other) != before)[0].flatten(1).any(1)
        if changed[:channel].any():
            raise ConformanceError(
                f"the log-probability of channel {int(changed.int().argmax())} changes with the level of"
                f" channel {channel}, which comes later"
            )
        if changed[channel + 1 :].any() and not output.couples_channels:
            raise ConformanceError(
                f"a later channel changes with the level of channel {channel},"
                " but couples_channels is False"
            )
    return f"{counted(channels, 'channel')}, in float64, to the bit"


def check_extremes(output: Output, channels: int) -> str:
    """Large parameters, as a diverging training gives, must not make a NaN in float32.

    Raises:
        ConformanceError: a log-probability, pmf or gradient that is not a number.
    """
    for spread in (LARGE, 1000.0):
        parameters = random_parameters(output, channels, 8, spread, seed=6).float().requires_grad_()
        levels = random_levels((8, channels, 1, 1), output.levels, seed=7)
        nats = output.log_prob(parameters, levels)
        (gradient,) = torch.autograd.grad(nats.clamp(min=-1e30).sum(), parameters)
        given, past = parameters.detach()[:, :, 0, 0], levels[:, :, 0, 0]
        pmfs = [("pmf", output.pmf(given, past[:, :channel])) for channel in range(channels)]
        for what, values in (("log_prob", nats), ("its gradient", gradient), *pmfs):
            if bool(values.isnan().any()) or bool((values == math.inf).any()):
                raise ConformanceError(f"{what} is not a number for parameters of size {spread:g}")
    return "parameters of size 30 and 1000 in float32"
