"""Programs written by hand, for what no registered network does, and what the native engine makes of them."""

from collections.abc import Callable

import torch
from torch import Tensor

from pixelcnn import PixelModel, networks, outputs
from pixelcnn.engines import parallel
from pixelcnn.engines.native import NativeEngine
from pixelcnn.engines.stages import stages_of
from pixelcnn.layers import MaskedConv2d
from pixelcnn.masks import Features, contiguous, interleaved
from pixelcnn.program import Program
from pixelcnn.shapes import coding_order

LEVELS = 3

Middle = Callable[[Program, int, Features], int]
"""Appends primitives behind a value with features of these colours; returns the last one's number."""


def random(*shape: int) -> Tensor:
    """Weights that a float32 holds exactly."""
    return torch.randn(*shape).double()


def layer(inputs: Features, outputs: Features, kernel: int) -> MaskedConv2d:
    """A layer with random weights."""
    found = MaskedConv2d(inputs, outputs, (kernel, kernel), sees_itself=kernel == 1)
    for parameter in found.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return found.double()


def model_of(shape: tuple[int, int, int], condition: str | None = None) -> PixelModel:
    """A model of a shape; its network says nothing but in which order its parameters are."""
    out, size = LEVELS * shape[0], LEVELS if condition else 0
    kind = {"condition": condition, "condition_size": size}
    network = networks.PixelCNN(shape[0], out, width=4, depth=0, head_depth=0, **kind)
    return PixelModel(network, outputs.Categorical(levels=LEVELS), shape).eval()


def program_of(shape: tuple[int, int, int], middle: Middle, width: int) -> Program:
    """A layer that sees the past, something, and a layer that gives the parameters."""
    torch.manual_seed(0)
    program, features = Program(), interleaved(width, shape[0])
    image = contiguous(shape[0], shape[0])
    first = layer(image, features, 3).lower(program, program.input(shape[0]))
    last = middle(program, first, features)
    colours = tuple(stages_of(program, shape[0])[last].tolist())
    layer(colours, contiguous(LEVELS * shape[0], shape[0]), 1).lower(program, last)
    return program


def assert_native_is_exact(
    program: Program,
    shape: tuple[int, int, int],
    condition: Tensor | None = None,
    kind: str | None = None,
    tolerance: float = 2e-5,
) -> None:
    """The native engine gives what the program is for whole images, but for float32's digits."""
    n, model = 3, model_of(shape, kind)
    images = torch.randint(LEVELS, (n, *shape), generator=torch.Generator().manual_seed(1))
    engine = NativeEngine(model, program, n, condition, threads=2)
    exact = parallel.compute(program, model.encode(images, torch.float64), condition)
    for at in coding_order(model.shape):
        mine = slice(at.channel * LEVELS, (at.channel + 1) * LEVELS)
        expected = exact[:, mine, at.row, at.column]
        found = engine.parameters(images, at)[:, mine].double()
        off = tolerance * (1 + float(expected.abs().max()))
        torch.testing.assert_close(found, expected, rtol=0, atol=off)
