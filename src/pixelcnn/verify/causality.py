"""Which input each output depends on, by gradient and by changing one input after the other.

Neither method sees all. A gradient misses what goes through an integer look-up; a changed input is lost
where its effect is below the last bit. So a dependence counts when either finds it. Changes are compared
bit by bit in float64: the two passes have the same batch shape and differ in one number of each image,
so equal arithmetic gives equal bits and no tolerance is needed.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pixelcnn.config import check_integer
from pixelcnn.engines.parallel import past_seen
from pixelcnn.engines.trace import trace
from pixelcnn.errors import ConformanceError
from pixelcnn.networks import Network
from pixelcnn.program import UNITS, Unlowerable
from pixelcnn.shapes import Position, image_shape
from pixelcnn.surroundings import independent
from pixelcnn.verify.features import as_features
from pixelcnn.verify.probing import (
    Probe,
    another_level,
    encoded,
    images_interact,
    level_count,
    random_condition,
    random_images,
    randomise,
    require_network,
)


@dataclass(frozen=True)
class Dependence:
    """What each output was seen to depend on.

    Attributes:
        measured: bool ``(c, h, w, c, h, w)``: target, source.
        allowed: the coding order's verdict, of the same shape.
        claimed: what the network says of itself, of the same shape; see :func:`claimed_past`.
    """

    measured: Tensor
    allowed: Tensor
    claimed: Tensor

    @property
    def leaks(self) -> Tensor:
        """Dependence on the future, bool as ``measured``."""
        return self.measured & ~self.allowed

    @property
    def missed(self) -> Tensor:
        """Past that is claimed and has no effect, bool as ``measured``."""
        return self.claimed & self.allowed & ~self.measured

    @property
    def unclaimed(self) -> Tensor:
        """Past that has an effect and is not claimed, bool as ``measured``."""
        return self.measured & self.allowed & ~self.claimed


@independent
def allowed_past(network: Network, height: int, width: int) -> Tensor:
    """What the coding order lets each output see, bool ``(c, h, w, c, h, w)``: target, source.

    With order ``"channel"`` the parameters of channel c see the pixel's earlier channels; with ``"pixel"``
    all parameters of a pixel see earlier pixels only.
    """
    return Network.claimed_past(network, height, width)


def claimed_past(network: Network, height: int, width: int) -> Tensor:
    """What a network says that it sees, bool ``(c, h, w, c, h, w)``: target, source.

    What it states itself (:meth:`Network.claimed_past`), else what its program reads of the past, else all of
    the past.
    """
    derived = program_past(network, height, width)
    if derived is None or states_its_past(network):
        return network.claimed_past(height, width).cpu()
    return derived & allowed_past(network, height, width)


def states_its_past(network: Network) -> bool:
    """Whether a network overrides :meth:`Network.claimed_past`."""
    return type(network).claimed_past is not Network.claimed_past


def may_miss_the_nearest(network: Network) -> bool:
    """Whether a network states its own past, or has units: narrow dense layers see parts of the past."""
    try:
        nodes = trace(network).nodes
    except Unlowerable:
        nodes = []
    return states_its_past(network) or any(node.clock == UNITS for node in nodes)


def program_past(network: Network, height: int, width: int) -> Tensor | None:
    """What a network's program reads, with any weights, the future too if it does; None without a program."""
    try:
        program = trace(randomise(network, seed=0))
    except Unlowerable:
        return None
    return past_seen(program, network.order, height, width)


@independent
@torch.inference_mode(False)  # what is made in it takes no gradients
def measure(
    network: Network,
    height: int = 5,
    width: int = 7,
    *,
    training: bool = False,
    seed: int = 0,
    least: int = 2,
    most: int = 8,
) -> Dependence:
    """Measures what every output depends on, over random parameters and inputs.

    A path may be dead for one draw of parameters (a ReLU that is off), so dependence is the union over
    draws. Draws end when all that the network claims has been seen, but for the first ``least``.

    Args:
        network: left as it is.
        height: rows of the images tried.
        width: columns of the images tried; unlike the rows, so that swapped axes show.
        training: measure in training mode, where batch statistics and dropout act.
        seed: of parameters and inputs, in [0, 2**63).
        least: draws made in any case, the first with positive weights.
        most: draws made at most.

    Raises:
        ModelError: no network.
        ConfigError: no size of an image; a seed or a number of draws out of range.
        ConformanceError: outputs or gradients that are not finite.

    Example:
        >>> from pixelcnn.networks import PixelCNN
        >>> seen = measure(PixelCNN(channels=1, out=1, width=4, depth=1), 3, 4)
        >>> int(seen.leaks.sum()), int(seen.missed.sum()), int(seen.unclaimed.sum())
        (0, 0, 0)
    """
    network = require_network(network)
    image_shape((network.channels, height, width))
    seed = check_integer("seed", seed, 0, 2**63 - 1)
    least, most = check_integer("least", least, 0, 2**31), check_integer("most", most, 1, 2**31)
    alone = images_interact(network, height, width, training=training)
    allowed = allowed_past(network, height, width)
    claimed = claimed_past(network, height, width)
    seen = torch.zeros_like(allowed)
    for count in range(most):
        positive = count % 2 == 0
        probe, x, other = draw(
            network, height, width, seed + count, positive=positive, training=training
        )
        probe = replace(probe, alone=alone)
        seen |= by_gradient(probe, x) | by_flips(probe, x, other)
        if count + 1 >= least and not (claimed & allowed & ~seen).any():
            break
    return Dependence(seen, allowed, claimed)


def draw(
    network: Network,
    height: int,
    width: int,
    seed: int,
    *,
    positive: bool,
    training: bool = False,
) -> tuple[Probe, Tensor, Tensor]:
    """Random parameters, a random image ``(c, h, w)``, and a second one that differs everywhere."""
    drawn = randomise(network, seed, positive=positive).train(training)
    images = random_images(network, 1, height, width, seed)[0]
    others = another_level(images, level_count(network), seed)
    probe = Probe(drawn, random_condition(drawn, 1, height, width, seed), seed)
    return probe, encoded(network, images), encoded(network, others)


def by_gradient(probe: Probe, x: Tensor) -> Tensor:
    """Support of the Jacobian at the image ``x`` (c, h, w), bool ``(c, h, w, c, h, w)``."""
    targets = torch.arange(probe.groups * x[0].numel())
    rows = gradients(probe, x, targets) != 0
    return rows.reshape(probe.groups, *x.shape[1:], *x.shape).expand(*x.shape, *x.shape)


def by_flips(probe: Probe, x: Tensor, other: Tensor) -> Tensor:
    """Outputs that change when an input of ``x`` becomes that of ``other``, bool ``(c, h, w, c, h, w)``."""
    columns = flips(probe, x, other, torch.arange(x.numel()))
    rows = columns.reshape(x.numel(), -1).T
    return rows.reshape(probe.groups, *x.shape[1:], *x.shape).expand(*x.shape, *x.shape)


def gradients(probe: Probe, x: Tensor, targets: Tensor) -> Tensor:
    """Sizes of the gradients of outputs with respect to the image: ``(len(targets), c, h, w)``.

    One copy of the image for each output: output i reads copy i. The parameters of an output are summed
    with random weights, lest their gradients cancel.

    Args:
        probe: the network.
        x: the image ``(c, h, w)``.
        targets: numbers of outputs in the flattened ``(groups, h, w)``.
    """
    return torch.cat([_gradients(probe, x, part) for part in targets.split(probe.copies(x))])


def _gradients(probe: Probe, x: Tensor, targets: Tensor) -> Tensor:
    network = probe.network
    with as_features(network, x.expand(len(targets), *x.shape)) as (given, copies):
        outputs = probe(given)
        check_finite("the outputs are", outputs)
        generator = torch.Generator().manual_seed(probe.seed)
        weights = 0.5 + torch.rand(outputs.shape[2], generator=generator, dtype=outputs.dtype)
        flat = torch.einsum("ngphw,p->nghw", outputs, weights).flatten(1)
        total = flat[torch.arange(len(targets)), targets].sum()
        found = torch.zeros_like(copies)
        if total.requires_grad:  # a network may be constant: then nothing does
            (found,) = torch.autograd.grad(total, copies, materialize_grads=True)
    check_finite("the gradients are", found)
    return found.unflatten(1, (network.channels, -1)).abs().sum(2)


@torch.no_grad()
def flips(probe: Probe, x: Tensor, other: Tensor, sources: Tensor) -> Tensor:
    """Outputs that change with one input, bool ``(len(sources), groups, h, w)``.

    Passes all have one batch shape, and image i of a changed pass is compared with image i of the
    reference pass: at another place in the batch a kernel may round differently.

    Args:
        probe: the network.
        x: the image ``(c, h, w)``.
        other: what an input is changed to, ``(c, h, w)``.
        sources: numbers of inputs in the flattened ``(c, h, w)``.
    """
    size = min(probe.copies(x), len(sources))
    copies = x.expand(size, *x.shape).clone()
    reference = probe(copies)
    check_finite("the outputs are", reference)
    found = []
    for part in sources.split(size):
        changed = copies.clone().flatten(1)
        changed[torch.arange(len(part)), part] = other.flatten()[part]
        outputs = probe(changed.reshape(copies.shape))
        check_finite("the outputs are", outputs)
        found.append((outputs != reference).any(2)[: len(part)])
    return torch.cat(found)


def check_finite(what: str, values: Tensor) -> None:
    """NaN differs from itself, so it would look like a leak."""
    if not bool(torch.isfinite(values).all()):
        raise ConformanceError(f"{what} not finite for finite parameters and inputs")


def example(pairs: Tensor) -> tuple[Position, Position]:
    """One (target, source) of many: the target nearest to the image's middle, its last source.

    Args:
        pairs: bool ``(c, h, w, c, h, w)``, at least one of them true.

    Example:
        >>> pairs = torch.ones(1, 3, 3, 1, 3, 3, dtype=torch.bool)
        >>> [tuple(p) for p in example(pairs)]
        [(0, 1, 1), (0, 2, 2)]
    """
    found = pairs.nonzero()
    middle = torch.tensor([pairs.shape[1] - 1, pairs.shape[2] - 1]) / 2
    off_centre = (found[:, 1:3] - middle).abs().sum(1)
    near = found[off_centre == off_centre.min()]
    raster = (near[:, 4] * pairs.shape[2] + near[:, 5]) * pairs.shape[0] + near[:, 3]
    numbers = near[int(raster.argmax())].tolist()
    return Position(*numbers[:3]), Position(*numbers[3:])
