"""Leaks in images too large to measure every output of: a few inputs are changed, a few outputs asked."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pixelcnn.errors import ConformanceError
from pixelcnn.networks import Network
from pixelcnn.shapes import ImageShape, Position
from pixelcnn.verify.causality import draw, flips, gradients
from pixelcnn.verify.probing import Probe
from pixelcnn.verify.sizes import first_taken

FAR = ((31, 37), (32, 40))
"""Sizes of the image in which a network is asked for leaks from far away: primes, if it takes them."""


def check_far(network: Network) -> str:
    """Looks for leaks from further away than a small image is large.

    In a larger one, no output before the last may see the last input but one (the very last is hidden from
    later layers by mask A), and the upper right corner may see nothing below it.

    Args:
        network: left as it is.

    Raises:
        ConformanceError: a leak.
    """
    (height, width), refused = first_taken(network, FAR)
    if (height, width) in refused:
        return "no larger image is taken"
    probe, x, other = draw(network, height, width, seed=0, positive=True)
    probe = replace(probe, alone=True)
    corner = torch.arange(probe.groups) * height * width + width - 1
    check_spots(probe, x, other, torch.tensor([max(0, x.numel() - 2)]), corner)
    return f"corners of {height}x{width}"


def check_spots(probe: Probe, x: Tensor, other: Tensor, changed: Tensor, asked: Tensor) -> None:
    """Finds leaks from some inputs by changing them, and into some outputs by gradient.

    Args:
        probe: the network.
        x: the image ``(c, h, w)``.
        other: what an input is changed to, ``(c, h, w)``.
        changed: numbers of inputs in the flattened ``(c, h, w)``.
        asked: numbers of outputs in the flattened ``(groups, h, w)``.

    Raises:
        ConformanceError: a leak; which output it reaches from which input.
    """
    shape = ImageShape(*x.shape)
    targets, sources = coding_numbers(probe, shape)
    leaks = flips(probe, x, other, changed).flatten(1) & (targets <= sources[changed, None])
    if leaks.any():
        source, target = (int(i) for i in leaks.nonzero()[0])
        raise ConformanceError(future(probe, shape, target, int(changed[source])))
    leaks = (gradients(probe, x, asked).flatten(1) != 0) & (sources >= targets[asked, None])
    if leaks.any():
        target, source = (int(i) for i in leaks.nonzero()[0])
        raise ConformanceError(future(probe, shape, int(asked[target]), source))


def coding_numbers(probe: Probe, shape: ImageShape) -> tuple[Tensor, Tensor]:
    """Numbers of all outputs ``(groups * h * w,)`` and inputs ``(c * h * w,)``.

    An output may see the inputs of smaller numbers.
    """
    channels, height, width = shape
    pixel = torch.arange(height * width)
    if probe.groups == 1:
        return pixel, pixel.repeat(channels)
    number = (pixel * channels + torch.arange(channels)[:, None]).flatten()
    return number, number


def spread_to_ends(total: int, few: int) -> Tensor:
    """At most ``few`` numbers below ``total``, evenly spread, the first and last among them.

    Example:
        >>> spread_to_ends(11, 3)
        tensor([ 0,  5, 10])
    """
    few = min(few, total)
    return torch.arange(few) * (total - 1) // max(few - 1, 1)


def future(probe: Probe, shape: ImageShape, target: int, source: int) -> str:
    """A leak in words, from the numbers of an output and an input in their flattened arrays."""
    output, given = (
        Position(*map(int, np.unravel_index(number, (channels, *shape[1:]))))
        for number, channels in ((target, probe.groups), (source, shape.channels))
    )
    return f"output {output} changes with input {given}, which does not come before it"
