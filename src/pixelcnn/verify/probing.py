"""What every check starts from: random parameters, random inputs, and a network as a pure function."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from pixelcnn.config import arguments, check_integer, from_config, to_config
from pixelcnn.devices import copied, require_numbers
from pixelcnn.engines.guard import random_weight
from pixelcnn.errors import ConformanceError, ModelError
from pixelcnn.extent import MOST_NUMBERS, widest
from pixelcnn.layers import set_dropout_generator
from pixelcnn.modes import within
from pixelcnn.networks import Network, parameters_of
from pixelcnn.networks.base import ONES_OWN
from pixelcnn.registry import Registry
from pixelcnn.streams import DrawFrom
from pixelcnn.surroundings import independent
from pixelcnn.text import counted

T = TypeVar("T")

LEVELS = 256
"""Levels of the random inputs given to a network on its own."""
POSITIONS = 4096
"""Positions of all images in one pass: what bounds the memory."""


def require_network(network: object) -> Network:
    """What is checked as a network, or what ``torch.compile`` made it from: one that holds numbers.

    Raises:
        ModelError: it is something else, such as a model, or on the device ``meta``.

    Example:
        >>> try:
        ...     require_network(nn.Identity())
        ... except ModelError as error:
        ...     print(error)
        network must be a Network, got Identity
    """
    found = within(network) if isinstance(network, nn.Module) else network
    if not isinstance(found, Network):
        raise ModelError(
            f"network must be a Network, got {type(network).__name__}",
            hint=f"{ONES_OWN}; that of a model is model.network, and check_model checks all of it",
        )
    require_numbers(found)
    return found


@independent
def randomise(network: Network, seed: int, *, positive: bool = False) -> Network:
    """A copy in float64 on the CPU, each of whose parameters is random and none of which is zero.

    Fresh networks hide paths: a last layer that starts at zero makes any causality test pass. Weights of
    both signs are what training leaves behind, but a ReLU may then be dead on every input tried. With
    ``positive`` all weights are, so every ReLU is alive and no two paths cancel.

    Masks that are kept as parameters stay, and weights are trainable.

    Args:
        network: left as it is.
        seed: of the parameters, in [0, 2**64).
        positive: draw positive weights only, small enough that no gate saturates.

    Raises:
        ModelError: a network without numbers.
        ConfigError: a seed out of range.

    Example:
        >>> from pixelcnn.networks import PixelCNN
        >>> network = randomise(PixelCNN(channels=1, out=1, width=4, depth=1), seed=0)
        >>> all(bool((p != 0).all()) for p in network.parameters())
        True
    """
    require_numbers(network)
    generator = torch.Generator().manual_seed(check_integer("seed", seed, 0, 2**64 - 1))
    network = copied(network).cpu().double()
    set_dropout_generator(network, None)
    with torch.no_grad():
        for parameter in network.parameters():
            if is_mask(parameter):
                continue
            parameter.requires_grad_()  # a frozen weight is a weight
            new = random_weight(parameter, generator)
            if positive and parameter.dim() > 1:
                new = new.abs() / (2 * parameter[0].numel() ** 0.5)
            parameter.copy_(new)
    return network


def is_mask(parameter: Tensor) -> bool:
    """Whether a parameter is none to train: frozen, and some of it zeros, the others ones.

    Example:
        >>> is_mask(nn.Parameter(torch.eye(2), requires_grad=False)), is_mask(nn.Parameter(torch.eye(2)))
        (True, False)
    """
    if parameter.requires_grad:
        return False
    return not parameter.is_floating_point() or set(parameter.unique().tolist()) == {0, 1}


def fitting(network: Network, height: int, width: int) -> tuple[int, int]:
    """A size, or as much of it as the network takes.

    Example:
        >>> from pixelcnn.networks import PixelCNN
        >>> fitting(PixelCNN(channels=1, out=1, width=4, depth=1), 5, 7)
        (5, 7)
    """
    rows, columns = network.largest or (height, width)
    return min(height, rows), min(width, columns)


def random_images(network: Network, n: int, height: int, width: int, seed: int) -> Tensor:
    """Random levels for a network on its own, int64 ``(n, c, h, w)``."""
    return random_levels((n, network.channels, height, width), level_count(network), seed)


def level_count(network: Network) -> int:
    """Levels of the random inputs: those that it embeds, else any."""
    return network.codes if network.embedding else LEVELS


def encoded(network: Network, images: Tensor) -> Tensor:
    """Network input, as a model would make it of these levels, in float64."""
    return images if network.embedding else images.double() / (LEVELS - 1)


def random_levels(shape: tuple[int, ...], levels: int, seed: int) -> Tensor:
    """Uniform integers in ``[0, levels)``, int64."""
    return torch.randint(levels, shape, generator=torch.Generator().manual_seed(seed))


def another_level(images: Tensor, levels: int, seed: int) -> Tensor:
    """Levels that all differ from ``images``.

    Example:
        >>> another_level(torch.tensor([0, 1, 1]), levels=2, seed=0)
        tensor([1, 0, 0])
    """
    return (images + 1 + random_levels(tuple(images.shape), levels - 1, seed)) % levels


def random_condition(network: Network, n: int, height: int, width: int, seed: int) -> Tensor | None:
    """Something for the network to be conditioned on; None where it takes nothing."""
    generator = torch.Generator().manual_seed(seed)
    if network.condition is None:
        return None
    if network.condition == "label":
        return torch.randint(network.condition_size, (n,), generator=generator)
    shape = (n, *network.condition_shape(height, width))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@contextmanager
def fixed_noise(seed: int) -> Iterator[None]:
    """Dropout draws the same in here every time; the caller's random numbers are left alone."""
    with DrawFrom(torch.Generator().manual_seed(seed)):
        yield


@contextmanager
def same_buffers(module: nn.Module) -> Iterator[None]:
    """What passes in training mode remember, such as running statistics, is forgotten afterwards.

    A pass is given copies: its gradients may need what it has left in them.
    """
    parts = [part for part in module.modules() if not isinstance(part, torch.jit.ScriptModule)]
    before = [(part._buffers, part._buffers.copy()) for part in parts if module.training]
    for buffers, was in before:
        buffers.update((name, None if b is None else b.clone()) for name, b in was.items())
    try:
        yield
    finally:
        for buffers, was in before:
            buffers.update(was)


def passed(network: Network, x: Tensor, condition: Tensor | None) -> Tensor:
    """What a network gives in a model, which leaves it its input to overwrite.

    Raises:
        ModelError: no parameters, or of another shape.
    """
    try:
        return parameters_of(network, x.clone(), condition)
    except Exception as error:  # many take squares only, or images of one size
        error.add_note(f"on {x.shape[2]}x{x.shape[3]} images in float64")
        raise


@dataclass(frozen=True)
class Probe:
    """A network as a pure function of the image: a fixed condition, and the same dropout at each call.

    Attributes:
        network: called in the mode that it is in.
        condition: of one image, repeated for all; None where it takes nothing.
        seed: of the dropout.
        alone: one image in a pass, since the images of a batch interact.
    """

    network: Network
    condition: Tensor | None
    seed: int = 0
    alone: bool = False

    @property
    def groups(self) -> int:
        """Outputs of a pixel that may differ in what they see: its channels, or one for all of them."""
        return self.network.colours

    def copies(self, x: Tensor) -> int:
        """How many copies of an image ``(c, h, w)`` go into one pass."""
        positions = min(POSITIONS, MOST_NUMBERS // widest(self.network))
        return 1 if self.alone else max(1, positions // x[0].numel())

    def __call__(self, x: Tensor) -> Tensor:
        """Parameters ``(n, groups, p, h, w)`` of the images ``(n, c, h, w)``."""
        condition = self.condition
        if condition is not None:
            condition = condition.expand(len(x), *condition.shape[1:])
        with fixed_noise(self.seed), same_buffers(self.network):
            parameters = passed(self.network, x, condition)
        return parameters.reshape(len(x), self.groups, -1, *x.shape[2:])


def images_interact(network: Network, height: int, width: int, *, training: bool) -> bool:
    """Whether the outputs of an image change with the other images of its batch, with random parameters.

    In evaluation mode also where there are none: a ``squeeze`` is something else for a lone image. There
    sums may round otherwise. In training mode dropout would draw a lone image other numbers.
    """
    drawn = randomise(network, seed=1).train(training)
    outputs: list[Tensor] = []
    middle = random_batch(drawn, 3, height, width, seed=0)
    for seed in (1, 2):
        batch = random_batch(drawn, 3, height, width, seed)
        for mine, fixed in zip(batch, middle, strict=True):
            if mine is not None and fixed is not None:
                mine[1] = fixed[1]  # the image in the middle stays, the others change
        with torch.no_grad(), fixed_noise(0), same_buffers(drawn):
            outputs.append(passed(drawn, *batch)[1])
    if training or not torch.equal(*outputs):
        return not torch.equal(*outputs)
    x, condition = middle
    given = condition if condition is None else condition[1:2]
    with torch.no_grad(), fixed_noise(0):
        lone = passed(drawn, x[1:2], given)[0]
    return not torch.allclose(lone, outputs[0], rtol=1e-6, atol=1e-9)


def random_batch(
    network: Network, n: int, height: int, width: int, seed: int
) -> tuple[Tensor, Tensor | None]:
    """Random images, as a network is given them, with their conditions."""
    images = random_images(network, n, height, width, seed)
    return encoded(network, images), random_condition(network, n, height, width, seed)


def rebuilt(registry: Registry[T], original: T) -> tuple[T, str]:
    """What the arguments of a network or an output build, and how many they are in words.

    Raises:
        ConformanceError: one is not kept under its own name, or is not JSON.
    """
    kind = type(original)
    if absent := [name for name in arguments(kind) if not hasattr(original, name)]:
        raise ConformanceError(f"argument {absent[0]!r} is not stored under its own name")
    values = {name: getattr(original, name) for name in arguments(kind)}
    try:
        json.dumps(values)
    except (TypeError, ValueError) as error:
        raise ConformanceError(f"an argument is not JSON: {error}") from error
    said = counted(len(values), "argument")
    if any(registry[name] is kind for name in registry):
        return from_config(registry, json.loads(json.dumps(to_config(registry, original)))), said
    return kind(**values), f"{said}; not registered, so not saved by name"
