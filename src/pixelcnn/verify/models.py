"""What a model promises beyond its network and its output, one check for each promise."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from pixelcnn import checkpoint
from pixelcnn.devices import (
    Device,
    copied,
    float64_device,
    placed,
    require_model,
    resolve_device,
)
from pixelcnn.errors import ConformanceError, ModelError, UnknownName
from pixelcnn.extent import FEW_POSITIONS, cropped, representative
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view, within
from pixelcnn.networks import Network
from pixelcnn.record import classes_seen
from pixelcnn.shapes import ImageShape, Position
from pixelcnn.surroundings import independent
from pixelcnn.text import counted
from pixelcnn.verify.agreement import (
    check_full_size,
    check_reproducible,
    check_walk,
    program_in_use,
)
from pixelcnn.verify.compression import check_compression
from pixelcnn.verify.networks import NetworkChecks
from pixelcnn.verify.outputs import output_checks
from pixelcnn.verify.probability import (
    MOST_IMAGES,
    SUM_TOLERANCE,
    conditional_sum,
    total_probability,
)
from pixelcnn.verify.probing import (
    Probe,
    another_level,
    fitting,
    random_condition,
    random_levels,
    randomise,
)
from pixelcnn.verify.report import Check, Noted, Progress, Report, run
from pixelcnn.verify.samples import check_samples
from pixelcnn.verify.spots import check_spots, spread_to_ends
from pixelcnn.weights import check_finite

HEIGHT, WIDTH = 5, 7
"""Size of the small images: primes, and unlike each other."""
SHORT = (3, 5)
"""Size of the images that are walked, or tried with every level: primes too."""
TINY = ((2, 2), (1, 3), (1, 2), (1, 1))
"""Sizes tried for an enumeration, the largest first."""
MOST_LEVELS = 1024
"""Levels up to which every one of them is tried."""
FEW = 8
"""Positions of a full-size image that are tried, unless the check is thorough."""


class ModelChecks:
    """The promises of one model.

    Args:
        model: left as it is; the checks run on a copy in float64 on the CPU.
        thorough: change every sub-pixel of a full-size image.
        device: where images are drawn, and walks are walked.
    """

    def __init__(self, model: PixelModel, thorough: bool, device: torch.device) -> None:
        self.original, self.thorough, self.device = placed(model, "cpu"), thorough, device
        self.model = representative(copied(self.original).double().eval())
        self.random = like(self.model, randomise(model.network, seed=0), model.shape)

    def all(self) -> list[Check]:
        """Every promise, those of the network and the output included."""
        network = NetworkChecks(self.original.network, HEIGHT, WIDTH, self.model.shape[1:])
        return [
            Check("its weights are finite", self.finite),
            *network.all(),
            *output_checks(self.original.output, self.original.shape.channels),
            *self.together(small=network.any_size),
        ]

    def together(self, *, small: bool = True) -> list[Check]:
        """What network and output promise as one model, on small images only if the network takes any."""
        size = str(self.model.shape)
        if self.model.shape != self.original.shape:
            size += f", a part of {self.original.shape}"
        own = f"no output sees its future at {size}, with its own weights"
        scored = [
            Check("all images together have probability one", self.total),
            Check("sampling agrees with scoring, step by step", self.walk),
        ]
        drawn = [
            Check("samples follow the probabilities", self.samples),
            Check("image i of a seed is always the same", self.reproducible),
        ]
        return [
            Check("what is saved comes back", self.comes_back),
            Check(own, self.no_leaks),
            *(scored if small else []),
            Check("sampling agrees with scoring at its own size", self.walk_full_size),
            Check("sampling has a program", self.program),
            *(drawn if small else []),
            Check("images compress to what they cost, and come back", self.compresses),
        ]

    def finite(self) -> str:
        """A model that diverged is no model."""
        try:
            check_finite(self.original.state_dict(), dict(self.original.named_buffers()))
        except ModelError as error:
            raise ConformanceError(str(error)) from error
        return counted(self.original.parameters_count, "parameter")

    def comes_back(self) -> str:
        """From its configuration and from a file; what is not registered has no name to be saved by."""
        images = random_levels((2, *self.model.shape), self.model.levels, seed=0)
        condition = self.condition(self.model.shape)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            try:
                checkpoint.save(self.original, path)
            except UnknownName as error:
                raise Noted(f"not saved by name: {error}") from error
            loaded = checkpoint.load(path)
        if loaded.config() != self.original.config():
            raise ConformanceError("a saved model has another configuration when it is loaded")
        before, after = (representative(evaluation_view(each)) for each in (self.original, loaded))
        with torch.no_grad():
            same = torch.equal(
                before.log_prob(images, condition), after.log_prob(images, condition)
            )
        if not same:
            raise ConformanceError("a saved model gives other likelihoods when it is loaded")
        return "configuration and likelihoods of 2 images, to the bit"

    def condition(self, shape: ImageShape) -> Tensor | None:
        """A random condition for an image of a shape, in the units and the range of the training."""
        drawn = random_condition(self.model.network, 1, shape.height, shape.width, seed=0)
        if drawn is None:
            return None
        if self.model.network.condition == "label":
            seen = classes_seen(self.model.record, self.model.network.condition_size)
            return torch.tensor(seen[int(drawn[0]) % len(seen)])
        known = self.model.statistics
        return (drawn if known is None else known.clipped(known.physical(drawn)))[0]

    def no_leaks(self) -> str:
        """By gradient and by changing levels; which layer is at fault the network's own check says."""
        shape, levels = self.model.shape, self.model.levels
        images = random_levels(shape, levels, seed=1)
        x, other = (self.model.encode(i) for i in (images, another_level(images, levels, seed=1)))
        condition = random_condition(self.model.network, 1, shape.height, shape.width, seed=1)
        probe = Probe(self.model.network, condition)
        changed = spread_to_ends(shape.dimensions, shape.dimensions if self.thorough else FEW)
        asked = spread_to_ends(probe.groups * shape.height * shape.width, FEW)
        check_spots(probe, x, other, changed, asked)
        of_all = f"{len(changed)} of {counted(shape.dimensions, 'sub-pixel')} changed"
        return f"{of_all}, {counted(len(asked), 'gradient')}"

    def total(self) -> str:
        """Of all images where they can be counted, and of one sub-pixel's levels given its past."""
        tried = []
        tiny = countable(self.model)
        if tiny is not None:
            for model in (resized(self.model, *tiny), resized(self.random, *tiny)):
                expect_one(
                    total_probability(model, self.condition(model.shape)), "all images together"
                )
            tried.append(f"all {model.levels**model.shape.dimensions:,} images of {model.shape}")
        if self.model.levels <= MOST_LEVELS:
            model = resized(self.model, *SHORT)
            image = random_levels(model.shape, model.levels, seed=2)
            channels, height, width = model.shape
            places = {(0, 0), (height // 2, width // 2), (height - 1, width - 1)}
            for row, column in sorted(places):
                at = Position(channels - 1, row, column)
                total = conditional_sum(model, image, at, self.condition(model.shape))
                expect_one(total, f"the levels of {at} given the past")
            tried.append(f"the levels of {counted(len(places), 'sub-pixel')} of {model.shape}")
        return "; ".join(tried) or f"not tried: {self.model.levels} levels are too many to count"

    def walk(self) -> str:
        """Every engine gives the numbers of the parallel pass, in float64 and in float32."""
        model = resized(self.model, *SHORT)
        condition = self.condition(model.shape)
        double = check_walk(placed(model, float64_device(self.device)), condition)
        single = check_walk(copied(model).float().to(self.device), condition)
        return f"{double}; {single}"

    def walk_full_size(self) -> str:
        """The engine that it samples with: what it gives at some positions, and all that it draws."""
        model = placed(representative(self.original), self.device)
        return check_full_size(model, self.condition(model.shape))

    def program(self) -> str:
        """A network without one samples slowly, which is no fault; a wrong one is."""
        return program_in_use(self.original)

    def samples(self) -> str:
        """With random weights, whose distributions are broad."""
        model = resized(self.random, *(countable(self.model) or (1, 2)))
        n = 1000 if model.levels <= MOST_LEVELS else 100
        return check_samples(model, self.condition(model.shape), n, self.device)

    def reproducible(self) -> str:
        """For any count and batch size, in the type that models are used in."""
        model = resized(copied(self.random).float().to(self.device), 3, 4)
        return check_reproducible(model, self.condition(model.shape))

    def compresses(self) -> str:
        """Images that it draws, in whole numbers; a model without an integer form breaks no promise."""
        model = cropped(self.original, FEW_POSITIONS)
        try:
            return check_compression(model, self.condition(model.shape))
        except ModelError as error:
            raise Noted(str(error)) from error


def countable(model: PixelModel) -> tuple[int, int] | None:
    """The largest tiny size whose images can all be counted."""
    for height, width in TINY:
        if model.levels ** (model.shape.channels * height * width) <= MOST_IMAGES:
            return height, width
    return None


def resized(model: PixelModel, height: int, width: int) -> PixelModel:
    """The same network and output for images of another size, as far as the network allows."""
    size = fitting(model.network, height, width)
    return like(model, model.network, (model.shape.channels, *size))


def like(model: PixelModel, network: Network, shape: tuple[int, int, int]) -> PixelModel:
    """A model with another network and shape, that is given conditions in the same units."""
    found = PixelModel(network, model.output, shape).eval()
    found.statistics = model.statistics
    return found


def expect_one(total: float, what: str) -> None:
    """A probability that should be one."""
    if not abs(total - 1) <= SUM_TOLERANCE:
        raise ConformanceError(
            f"the probabilities of {what} sum to {total:.15g}, 1 up to {SUM_TOLERANCE:.0e} is expected"
        )


@independent
@torch.inference_mode(False)  # what is made in it takes no gradients
def check_model(
    model: PixelModel,
    *,
    thorough: bool = False,
    device: Device | None = None,
    progress: Progress | None = None,
) -> Report:
    """Everything that a model promises, the promises of its network and output included.

    On small images with random weights, and with the model's own weights at its own size.

    Args:
        model: on any device; left as it is.
        thorough: change every sub-pixel of a full-size image, not a few.
        device: where it draws and walks, see :func:`pixelcnn.devices.resolve_device`; None for where the
            model is. What it gives there is compared with scoring on the CPU, where all other checks run, and
            those in float64 where the device has none.
        progress: see :data:`Progress`.

    Raises:
        ConfigError: a device that is not there.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=4, depth=1)
        >>> report = check_model(PixelModel(network, outputs.Bernoulli(), shape=(1, 8, 8)))
        >>> report.raise_if_failed()
    """
    require_model(model)
    network, output = type(within(model.network)).__name__, type(model.output).__name__
    subject = f"model {network} x {output} for {model.shape} images of {model.levels} levels"
    place = model.device if device is None else torch.device(resolve_device(device))
    return run(subject, ModelChecks(model, thorough, place).all(), progress)
