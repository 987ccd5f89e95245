"""What a network promises, one check for each promise."""

from functools import cached_property

import torch
from torch import Tensor, nn

from pixelcnn.devices import copied
from pixelcnn.errors import ConformanceError
from pixelcnn.masks import past_within
from pixelcnn.modes import within
from pixelcnn.networks import NETWORKS, Network
from pixelcnn.shapes import Position, image_shape
from pixelcnn.surroundings import independent
from pixelcnn.text import counted
from pixelcnn.verify.causality import (
    Dependence,
    draw,
    example,
    may_miss_the_nearest,
    measure,
    program_past,
)
from pixelcnn.verify.diagnosis import explain
from pixelcnn.verify.probing import (
    Probe,
    fixed_noise,
    images_interact,
    is_mask,
    passed,
    random_batch,
    randomise,
    rebuilt,
    require_network,
)
from pixelcnn.verify.report import Check, Progress, Report, run
from pixelcnn.verify.sizes import HALVED, Sides, check_sizes, evaluated, first_taken, own_size
from pixelcnn.verify.spots import check_far
from pixelcnn.weights import HIDDEN, hidden

STATISTICS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.GroupNorm)
"""Layers that average over positions or images, whatever their arguments are."""
TWICE = "the centre is closed more than once, mask A belongs in the first layer only: "
"""What it usually means when an output does not see the pixel to its left."""
COLOURS = "the centre is closed for all channels, mask A leaves a pixel's earlier ones open: "
"""What it means when it sees that, and not its pixel's earlier channels."""
UNSAID = "; a network that means it states its claimed_past"


class NetworkChecks:
    """The promises of one network, tried on images of one size: the first that it takes.

    Args:
        network: left as it is.
        height: rows of the images.
        width: columns of the images.
        own: rows and columns that it is used for.
    """

    def __init__(self, network: Network, height: int, width: int, own: Sides = HALVED) -> None:
        self.network = copied(within(network)).cpu()  # where equal arithmetic gives equal bits
        sizes = [(height, width), HALVED, *own_size(self.network, own)]
        self.size, self.refused = first_taken(self.network, sizes)
        self.height, self.width = self.size
        self.refusal = self.refused.get(self.size, "")
        self.any_size = not self.refused and not first_taken(self.network, [(1, 1)])[1]

    def all(self) -> list[Check]:
        """Every promise that applies; of a network that takes no such images, those that need none."""
        checks = [
            Check("its arguments rebuild it", self.rebuilds),
            Check("one set of parameters for each position", self.shapes),
            Check("no statistic over space or batch", self.no_statistics),
        ]
        if self.refusal:
            return checks
        checks += [
            Check("no output sees its future", self.no_leaks),
            Check("no output sees its future, in training mode", self.no_leaks_in_training),
            Check("every output sees the past it claims", self.sees_its_claim),
            Check("images of a batch do not interact", self.batch_independence),
            Check("evaluation is deterministic", self.determinism),
            Check("gradients reach every parameter", self.gradients_arrive),
        ]
        if self.network.condition is not None:
            checks.append(Check("the condition reaches every output", self.condition_arrives))
        return checks

    @cached_property
    def dependence(self) -> Dependence:
        """What the outputs depend on in evaluation mode."""
        return measure(self.network, self.height, self.width)

    def rebuilds(self) -> str:
        """Constructor arguments are the configuration."""
        network = self.network
        if unlisted := next(iter(hidden(network)), ""):
            raise ConformanceError(f"`{unlisted}` {HIDDEN}")
        with fixed_noise(0):
            twin, arguments = rebuilt(NETWORKS, network)
        shapes, again = (
            {name: tuple(t.shape) for name, t in n.state_dict().items()} for n in (network, twin)
        )
        if shapes != again:
            name = min(set(shapes.items()) ^ set(again.items()))[0]
            raise ConformanceError(f"its arguments build another network: {name} differs")
        if self.refusal:
            return arguments
        network, twin = copied(network).cpu().double(), twin.double()
        twin.load_state_dict(network.state_dict())
        if not torch.equal(evaluated(network, self.size), evaluated(twin, self.size)):
            raise ConformanceError("built again with the same weights it gives other outputs")
        return arguments

    def shapes(self) -> str:
        """The output has the size of the image, at any size that the network takes."""
        if self.refusal:
            raise ConformanceError(f"{self.refusal}; name a size that it takes to try the rest")
        sizes = [self.size, (1, 1), (2, 3), (self.width + 1, self.height)]
        return check_sizes(self.network, sizes, self.refused.values())

    def no_statistics(self) -> str:
        """Statistics over positions let a pixel see its future, those over images change with the batch."""
        for name, module in self.network.named_modules():
            if isinstance(module, STATISTICS):
                raise ConformanceError(
                    f"`{name}` ({type(module).__name__}) averages over positions or images;"
                    " normalise the features of each position instead"
                )
        return "no batch, instance or group normalisation"

    def no_leaks(self) -> str:
        """By gradient and by bit flips."""
        return f"{self.report(self.dependence, training=False)}; {check_far(self.network)}"

    def no_leaks_in_training(self) -> str:
        """Batch statistics and dropout act in training mode only."""
        found = measure(self.network, self.height, self.width, training=True, most=2)
        return self.report(found, training=True)

    def report(self, found: Dependence, *, training: bool) -> str:
        """Names the layer at fault where there is a leak."""
        if found.leaks.any():
            raise ConformanceError(explain(self.network, found.leaks, training=training))
        size = found.measured[..., 0, 0, 0].numel()
        pairs = " by ".join(counted(size, each) for each in ("output", "input"))
        return f"{pairs}, by gradient and by bit flips"

    def sees_its_claim(self) -> str:
        """Neither less nor more, no future in the claim, and what its program reads of the past.

        Of that it sees the nearest in any case, unless it says otherwise.
        """
        found, read = self.dependence, program_past(self.network, self.height, self.width)
        past, seen = found.allowed, found.measured
        read = seen if read is None else read
        near, left = (
            past_within(frozenset(offsets), *seen.shape[:3], by_channel=False)
            for offsets in ({(0, 0), (0, -1)}, {(0, -1)})
        )
        must = torch.zeros_like(near) if may_miss_the_nearest(self.network) else near
        for pairs, text in (
            (past & seen & ~read, "does not depend on {} by its program, and does by measurement"),
            (past & read & ~seen, "depends on {} by its program, and does not by measurement"),
            (past & must & ~seen, "does not see {}"),
            (found.claimed & ~past, "claims to see {}, which comes later"),
            (found.missed, "does not see {}, which it claims to see"),
            (found.unclaimed, "sees {}, which it does not claim"),
        ):
            if pairs.any():
                target, source = example(pairs)
                blind = text.startswith("does not see")
                cause = TWICE if bool((pairs & left).any()) else COLOURS
                why = cause if blind and near[(*target, *source)] else ""
                fact = f"output {target} " + text.format(f"input {source}")
                fact += f" ({counted(int(pairs.sum()), 'such pair')})"
                raise ConformanceError(why + fact + (UNSAID if blind and must.any() else ""))
        claimed = int(found.claimed.sum())
        unseen = int(past.sum()) - claimed
        blind_to = f"; {unseen:,} of the past declared unseen" if unseen else ""
        return f"{counted(claimed, 'pair')} of output and earlier input{blind_to}"

    def batch_independence(self) -> str:
        """An image's outputs stay the same, to the bit, whatever else is in the batch; alone, to rounding."""
        for training in (False, True):
            if images_interact(self.network, self.height, self.width, training=training):
                when = "training" if training else "evaluation"
                raise ConformanceError(
                    f"in {when} mode the outputs of an image change with the other images of its batch"
                    " (batch statistics?), or are others for a lone image (a squeeze?)"
                )
        return "3 images, in evaluation and in training mode"

    def determinism(self) -> str:
        """The same input gives the same output, and evaluation leaves no trace in the network."""
        drawn = randomise(self.network, seed=3).eval()
        x, condition = random_batch(drawn, 2, self.height, self.width, seed=3)
        before = {name: t.clone() for name, t in drawn.state_dict().items()}
        with torch.no_grad():
            first, second = passed(drawn, x, condition), passed(drawn, x, condition)
        if not torch.equal(first, second):
            raise ConformanceError("two passes over the same images differ in evaluation mode")
        for name, t in drawn.state_dict().items():
            if not torch.equal(t, before[name]):
                raise ConformanceError(
                    f"evaluation changes `{name}`; masks multiply, they do not overwrite"
                )
        return "two passes agree to the bit, and change no weight"

    def gradients_arrive(self) -> str:
        """No parameter is dead, and no masked weight is alive."""
        dead = {n for n, p in self.network.named_parameters() if p.numel() and not is_mask(p)}
        for name, layer in self.network.named_modules():
            if getattr(layer, "live_weights", 1) == 0:  # as in images of one pixel, without a past
                dead.discard(f"{name}.weight")
        total = len(dead)
        for seed in range(4):
            probe, x, _ = draw(self.network, self.height, self.width, seed, positive=seed % 2 == 0)
            self.backward(probe, x)
            grads = {name: p.grad for name, p in probe.network.named_parameters()}
            dead -= {name for name, g in grads.items() if g is not None and bool(g.any())}
        if dead:
            raise ConformanceError(f"no gradient reaches {', '.join(sorted(dead)[:3])}")
        return counted(total, "parameter tensor")

    def backward(self, probe: Probe, x: Tensor) -> None:
        """Gradients of randomly weighted outputs; masked weights must get none."""
        outputs = probe(x[None])
        generator = torch.Generator().manual_seed(probe.seed)
        mix = torch.rand(outputs.shape, generator=generator, dtype=outputs.dtype)
        if outputs.requires_grad:
            (outputs * mix).sum().backward()
        for name, module in probe.network.named_modules():
            weight, mask = getattr(module, "weight", None), getattr(module, "mask", None)
            if not isinstance(weight, nn.Parameter) or not isinstance(mask, Tensor):
                continue
            if weight.grad is not None and bool((weight.grad * (mask == 0)).any()):
                raise ConformanceError(f"masked weights of `{name}` receive a gradient")

    def condition_arrives(self) -> str:
        """Another condition changes every output."""
        kind, size = self.network.condition, self.network.condition_size
        if kind == "label" and size < 2:
            return "one class only: nothing to change"
        reached = torch.zeros(1, dtype=torch.bool)
        for seed in range(4):
            probe, x, _ = draw(self.network, self.height, self.width, seed, positive=seed % 2 == 0)
            assert probe.condition is not None
            other = (probe.condition + 1) % size if kind == "label" else probe.condition + 1.0
            with torch.no_grad():
                outputs = [Probe(probe.network, c)(x[None])[0] for c in (probe.condition, other)]
            reached = reached | (outputs[0] != outputs[1]).any(1)
        if not reached.all():
            first = Position(*(~reached).nonzero()[0].tolist())
            raise ConformanceError(f"output {first} does not change with the {kind}")
        return f"{counted(reached.numel(), 'output')} changed by the {kind}"


@independent
@torch.inference_mode(False)  # what is made in it takes no gradients
def check_network(
    network: Network, height: int = 5, width: int = 7, *, progress: Progress | None = None
) -> Report:
    """Everything that a network promises, measured with random parameters on small images.

    Args:
        network: of any class, registered or not; left as it is.
        height: rows of the images tried.
        width: columns of the images tried; best unlike the rows, so that swapped axes show.
        progress: see :data:`Progress`.

    Raises:
        ModelError: no network, or one without numbers.
        ConfigError: no size of an image.

    Example:
        >>> from pixelcnn.networks import GatedPixelCNN
        >>> check_network(GatedPixelCNN(channels=1, out=2, width=4, depth=2)).passed
        True
    """
    network = require_network(network)
    image_shape((network.channels, height, width))
    subject = f"network {type(network).__name__}"
    return run(subject, NetworkChecks(network, height, width).all(), progress)
