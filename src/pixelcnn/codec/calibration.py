"""What a model's integer twin needs to know of its values, measured on images, and what the twin costs."""

import itertools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pixelcnn.codec.fixed import PRECISIONS
from pixelcnn.codec.frequencies import BITS
from pixelcnn.codec.integers import PRECISION, RANGES, integer_form, integers
from pixelcnn.config import check_integer
from pixelcnn.data.tensors import evenly
from pixelcnn.devices import placed, require_model
from pixelcnn.engines import parallel
from pixelcnn.engines.programs import program_of
from pixelcnn.errors import DataError, ModelError
from pixelcnn.extent import cropped, cropped_condition
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.shapes import MAX_IMAGES
from pixelcnn.sources import levels_of
from pixelcnn.surroundings import independent

LOSS = "integer_loss"
"""Key of a model's record that holds how many more bits its twin takes, as a share of its own."""
TOLERATED = 0.002
"""Such share, expected and found, for which the coarsest precision is taken: the coarser, the faster."""
LARGEST = 4_096
"""Pixels that are looked at of an image."""
RANGED, COMPARED, AT_ONCE = 65_536, 4_096, 16_384
"""Pixels of all images together: of which ranges are taken, the twin is compared, and in one pass."""
PROBABILITIES, TOGETHER = 2**22, 2**18
"""Of all levels at all positions that are compared, and of those that are in memory together."""
IMAGES = 64
"""Looked at, at most."""
BOUNDS = 12
"""Of all values that are tried where a twin costs too much, each smaller than the last by the root of 2."""
LEAST = 1e-300
"""Of a probability whose logarithm is taken."""


class Excess(NamedTuple):
    """How many more bits a model's integer twin takes for some images, as a share of the model's own.

    Attributes:
        expected: of levels that the model would draw at these positions: the divergence of the twin's
            distributions from the model's, which no chance blurs.
        found: of the levels that the images have there. Where the model fits them badly it is another figure:
            less than none if the twin, whose frequencies have a least one, doubts it where it is wrong.

    Example:
        >>> Excess(0.001, -0.02).worse
        0.001
    """

    expected: float
    found: float

    @property
    def worse(self) -> float:
        """The larger share, by which precisions are chosen."""
        return max(self)


@independent
def calibrate(
    model: PixelModel, images: Any, condition: Any = None, *, most: int = IMAGES
) -> float:
    """Measures what a model's integer twin needs to know, and keeps it in the model's record.

    Training does so with validation images; this is for models that were trained before, or elsewhere, and
    for weights that were changed since: ranges that do not fit them cost bits, though never a pixel.

    Args:
        model: its record gets ``activation_ranges``, ``integer_precision`` and ``integer_loss``; left as it
            is in all else.
        images: some like those that are to be compressed, of any source, see :func:`pixelcnn.score`; 64 of
            them, evenly spread, are looked at, or fewer if they are large.
        condition: see :meth:`PixelModel.check_condition`; by default what the source says of each image.
        most: images that are looked at.

    Returns:
        How many more bits the twin takes than the model's likelihood says, as a share of these: 0.001 is one
        in a thousand, and -0.001 one less; found on a few of the images, see :class:`Excess`.

    Raises:
        ConfigError: fewer than one image is to be looked at.
        DataError: no images.
        ModelError: the model has no integer form; the message says why.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> model = PixelModel(networks.PixelCNN(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7))
        >>> calibrate(model, torch.zeros(10, 1, 5, 7, dtype=torch.uint8)) < 0.001
        True
    """
    require_model(model)
    most = check_integer("most", most, 1, MAX_IMAGES)
    images, condition, _ = levels_of(model, images, condition)
    model.shape.require(images.shape)
    if not len(images):
        raise DataError("calibration needs at least one image")
    given = model.check_condition(condition, len(images))
    view = cropped(placed(model, "cpu"), LARGEST)
    _, height, width = view.shape
    pixels = height * width
    some = evenly(len(images), min(most, max(1, RANGED // pixels)))
    levels = model.check(images[some])[:, :, :height, :width].cpu()
    given = None if given is None else cropped_condition(view, given[some].cpu())
    view.record = {RANGES: ranges(view, levels, given)}
    few = evenly(len(levels), max(1, COMPARED // pixels))
    seen = levels[few], None if given is None else given[few]
    for name in PRECISIONS:
        view.record[PRECISION] = name
        loss = excess(view, *seen)
        if loss.worse <= TOLERATED:
            break
    else:
        loss = bound(view, loss, *seen)
    # A new one: copies of the model, as checks make them, share the old one.
    model.record = model.record | view.record | {LOSS: loss.found}
    return loss.found


def bound(model: PixelModel, loss: Excess, levels: Tensor, given: Tensor | None) -> Excess:
    """Cuts all values off at one bound, if that costs fewer bits than the steps that larger values need.

    A few features of a residual stream may grow far beyond the others, whose steps they make coarse.

    Args:
        model: its record has ranges and a precision; the ranges are replaced.
        loss: of these.
        levels: as for :func:`excess`.
        given: likewise.

    Returns:
        The loss with the ranges that it leaves.
    """
    found = best = model.record[RANGES]
    for number in range(1, BOUNDS + 1):
        most = max(found) / 2 ** (number / 2)
        model.record[RANGES] = [min(value, most) for value in found]
        if (less := excess(model, levels, given)).worse < loss.worse:
            loss, best = less, model.record[RANGES]
    model.record[RANGES] = best
    return loss


@torch.no_grad()
def ranges(model: PixelModel, levels: Tensor, given: Tensor | None = None) -> list[float]:
    """The largest absolute value of each node of a model's program over some images.

    Args:
        model: on the CPU.
        levels: int64 ``(n, c, h, w)``.
        given: the condition as the network is given it.

    Raises:
        ModelError: the model has no program.
    """
    with integer_form():
        program = program_of(model)
    largest = [0.0] * len(program.nodes)

    def observe(number: int, values: Tensor) -> None:
        if values.numel() and values.dtype.is_floating_point:
            most = float(values.abs().max())
            largest[number] = math.inf if math.isnan(most) else max(largest[number], most)

    size = max(1, AT_ONCE // (levels.shape[2] * levels.shape[3]))
    for start in range(0, len(levels), size):
        some = None if given is None else given[start : start + size]
        parallel.compute(program, model.encode(levels[start : start + size]), some, observe)
    if not all(map(math.isfinite, largest)):
        raise ModelError("values of this model are not finite numbers: it has diverged")
    return largest


@torch.no_grad()
def excess(model: PixelModel, levels: Tensor, given: Tensor | None = None) -> Excess:
    """How many more bits a model's integer twin takes, as a share of what some images take.

    At all positions of the images; of many levels at some, other ones of each image.

    Args:
        model: on the CPU, calibrated.
        levels: int64 ``(n, c, h, w)``.
        given: the condition as the network is given it.

    Raises:
        ModelError: the model has no integer form.
    """
    twin, _ = integers(model, model.shape)
    view, expected, found, own = evaluation_view(model), 0.0, 0.0, 0.0
    few = max(1, PROBABILITIES // (len(levels) * model.levels))
    for image in range(len(levels)):
        one = levels[image : image + 1]
        condition = None if given is None else given[image : image + 1]
        whole = twin.parameters(one, condition, 1).flatten(2)[0].T
        parameters = view.network(model.encode(one), condition).flatten(2)[0].T
        known = one.flatten(2)[0].T
        places = scattered(*model.shape[1:], few, image * few)
        parts = places.split(max(1, TOGETHER // model.levels))
        for some, channel in itertools.product(parts, range(known.shape[1])):
            chances = model.output.pmf(parameters[some], known[some, :channel])
            counts = twin.frequencies(whole[some], known[some, :channel])
            ratio = (chances * 2**BITS / counts).clamp(min=LEAST).log()
            expected += float((chances * ratio).sum())
            level = known[some, channel : channel + 1]
            found += float(ratio.gather(-1, level).sum())
            own -= float(chances.gather(-1, level).clamp(min=LEAST).log().sum())
    return Excess(expected / own, found / own) if own else Excess(0.0, 0.0)


def scattered(height: int, width: int, few: int, first: int = 0) -> Tensor:
    """At most ``few`` pixels of an image, spread over its rows and columns; no pixel twice.

    They follow each other by the same step, whose rows and columns are shares of the sides that no small
    fractions come near: the powers of the root of x^3 = x + 1.

    Args:
        height: of the image.
        width: of the image.
        few: pixels.
        first: how many steps come before; after as many as there are pixels they are the same again.

    Example:
        >>> scattered(8, 8, 5), scattered(8, 8, 2, 3)
        (tensor([ 0, 53, 42, 31, 20]), tensor([31, 20]))
    """
    total = height * width
    step = int(height * 0.7549) * width + int(width * 0.5698)
    while math.gcd(step, total) > 1:
        step += 1
    return (first + torch.arange(min(few, total))) * step % total
