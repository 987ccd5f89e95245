"""Whether the images drawn follow the model's probabilities."""

import torch
from torch import Tensor

from pixelcnn import sampling
from pixelcnn.devices import Device, copied
from pixelcnn.errors import ConformanceError
from pixelcnn.model import PixelModel
from pixelcnn.shapes import coding_order
from pixelcnn.verify.probability import MOST_IMAGES, every_image

FALSE_ALARM = 1e-6
"""How often the chi-square test fails a sampler that is right."""
BINS = 16
"""Into which the places of levels in their distributions are counted."""
LEAST = 5.0
"""Expected count of a cell, from which on the approximation holds."""


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
    single = copied(model).float()
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


def p_by_places(model: PixelModel, condition: Tensor | None, drawn: Tensor) -> float:
    """Compares where the levels drawn lie in their distributions with the uniform distribution."""
    with torch.no_grad():
        parameters = model(drawn, model.check_condition(condition, len(drawn)))
    inside = torch.rand(
        drawn.shape, generator=torch.Generator().manual_seed(14), dtype=torch.float64
    )
    counts = torch.zeros(model.shape.dimensions, BINS, dtype=torch.float64)
    for row, (channel, y, x) in zip(counts, coding_order(model.shape), strict=True):
        pmf = model.output.pmf(parameters[:, :, y, x], drawn[:, :channel, y, x])
        level = drawn[:, channel, y, x, None]
        own = pmf.gather(1, level)[:, 0]
        place = pmf.cumsum(1).gather(1, level)[:, 0] - own * inside[:, channel, y, x]
        row += (place * BINS).long().clamp(0, BINS - 1).bincount(minlength=BINS)
    expected = torch.full_like(counts, len(drawn) / BINS)
    return chi_square_p(counts.flatten(), expected.flatten(), groups=len(counts))


def chi_square_p(counts: Tensor, expected: Tensor, groups: int = 1) -> float:
    """Probability of counts at least as far from what was expected, by Pearson's test.

    The rarest cells are joined until each expects :data:`LEAST`.

    Args:
        counts: how often each case came, ``(k,)``.
        expected: how often it should have come, ``(k,)``.
        groups: sets of cells whose total was given beforehand.

    Example:
        >>> round(chi_square_p(torch.tensor([60.0, 40.0]), torch.tensor([50.0, 50.0])), 4)
        0.0455
    """
    order = expected.argsort()
    counts, expected = counts[order], expected[order]
    joined = max(int((expected < LEAST).sum()), int((expected.cumsum(0) < LEAST).sum()) + 1)
    if expected[0] < LEAST:
        counts = torch.cat([counts[:joined].sum()[None], counts[joined:]])
        expected = torch.cat([expected[:joined].sum()[None], expected[joined:]])
    statistic = ((counts - expected) ** 2 / expected).sum().double()
    freedom = torch.tensor(max(len(counts) - groups, 1), dtype=torch.float64)
    return float(torch.special.gammaincc(freedom / 2, statistic / 2))
