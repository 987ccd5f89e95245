"""The sizes of images that a network is tried with: not all take images of any size."""

from collections.abc import Iterable

import torch
from torch import Tensor

from pixelcnn.devices import copied
from pixelcnn.errors import ConformanceError, PixelCNNError
from pixelcnn.networks import Network
from pixelcnn.verify.causality import program_past
from pixelcnn.verify.probing import (
    encoded,
    fitting,
    fixed_noise,
    passed,
    random_batch,
    random_condition,
    randomise,
)
from pixelcnn.verify.report import Noted, reason

Sides = tuple[int, int]
"""Rows and columns."""
HALVED: Sides = (4, 8)
"""Sides that can be halved twice, as networks on coarser grids may need."""
MOST_PARTS, MOST_OF_PROGRAMS = 144, 1024
"""Sub-pixels of an image of a model's own size that are all tried, where it takes no smaller one; more of
a network that has a program, which says what is to be seen, so that few tries see it."""


def first_taken(network: Network, sizes: Iterable[Sides]) -> tuple[Sides, dict[Sides, str]]:
    """The first size, or the first of all where none is taken, and why those before it are not.

    Args:
        network: left as it is.
        sizes: to try, at least one.
    """
    refused: dict[Sides, str] = {}
    for size in dict.fromkeys(fitting(network, *size) for size in sizes):
        try:
            evaluated(copied(network).double(), size)
        except Exception as error:  # whatever a stranger's forward raises
            refused[size] = reason(error)
        else:
            return size, refused
    return next(iter(refused)), refused


def own_size(network: Network, size: Sides) -> list[Sides]:
    """The size that a network is used for, if all of it can be tried."""
    parts = size[0] * size[1] * network.channels
    if parts > MOST_PARTS and (parts > MOST_OF_PROGRAMS or program_past(network, 1, 1) is None):
        return []
    return [size]


def evaluated(network: Network, size: Sides) -> Tensor:
    """Outputs of a network in float64, with its own parameters."""
    with torch.no_grad(), fixed_noise(0):
        outputs = passed(network.eval(), *random_batch(network, 2, *size, seed=0))
    return outputs.nan_to_num(nan=torch.inf)  # NaN is unlike itself, and another check's


def check_sizes(network: Network, sizes: Iterable[Sides], refused: Iterable[str]) -> str:
    """Outputs have the size of the image, and are finite for a black one.

    Args:
        network: left as it is.
        sizes: to try.
        refused: why other sizes were not taken.

    Raises:
        ConformanceError, ModelError: they have not.
        Noted: some sizes are not taken.
    """
    drawn = randomise(network, seed=0).eval()
    taken, reasons = list[str](), [*refused]
    for height, width in dict.fromkeys(fitting(drawn, *size) for size in sizes):
        x = encoded(drawn, torch.zeros(2, drawn.channels, height, width, dtype=torch.long))
        try:
            with torch.no_grad():
                outputs = passed(drawn, x, random_condition(drawn, 2, height, width, seed=0))
        except Exception as error:
            if isinstance(error, PixelCNNError) and not reasons:
                raise
            reasons.append(reason(error))
            continue
        if not bool(torch.isfinite(outputs).all()):
            raise ConformanceError(f"outputs of a black {height}x{width} image are not finite")
        taken.append(f"{height}x{width}")
    if reasons:
        raise Noted(f"at {', '.join(taken)}, and not at all sizes: {reasons[0]}")
    return ", ".join(taken)
