"""Layers between an image and one of half its size, against their formulas."""

import pytest
import torch

from pixelcnn import layers, masks
from pixelcnn.errors import ConfigError
from pixelcnn.program import Program, Tap

SIZES = [(1, 1), (1, 6), (5, 7), (6, 5), (4, 8)]
DOWN = [((2, 3), (1, 1)), ((2, 2), (1, 1)), ((1, 3), (0, 2)), ((3, 3), (3, 1))]
UP = [((2, 3), (0, 1)), ((2, 2), (0, 0)), ((3, 2), (1, 0)), ((3, 4), (0, 2))]
COLOURS = [1, 3]


def make(kind, kernel, origin, colours=1):
    inputs, outputs = masks.interleaved(4, colours), masks.contiguous(5, colours)
    layer = kind(inputs, outputs, kernel, origin).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


def taps_of(layer):
    """The taps of a layer that reads the image, or one of half its size."""
    program = Program()
    source = program.input(len(layer.inputs))
    if isinstance(layer, layers.UpConv2d):
        weight = torch.eye(len(layer.inputs))
        source = program.taps(source, [Tap(0, 0, weight, weight > 0)], None, stride=2)
    return program.nodes[layer.lower(program, source)].taps


def by_its_taps(layer, x, size, *, stride=1, up=1):
    """What the taps of a layer say, one position after the other."""
    taps = taps_of(layer)
    y = layer.bias.detach().reshape(1, -1, 1, 1).repeat(len(x), 1, *size)
    for row in range(size[0]):
        for column in range(size[1]):
            for tap in taps:
                r, c = stride * row // up + tap.down, stride * column // up + tap.right
                inside = 0 <= r < x.shape[2] and 0 <= c < x.shape[3]
                if inside and tap.phase == (row % up, column % up):
                    y[:, :, row, column] += x[:, :, r, c] @ tap.weight.T
    return y


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", DOWN)
@pytest.mark.parametrize("colours", COLOURS)
def test_a_layer_down_reads_every_second_position(shape, size, colours):
    layer, x = make(layers.DownConv2d, *shape, colours), torch.randn(2, 4, *size).double()
    half = tuple(-(-side // 2) for side in size)
    expected = by_its_taps(layer, x, half, stride=2)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", UP)
@pytest.mark.parametrize("colours", COLOURS)
def test_a_layer_up_has_a_kernel_for_each_phase_and_the_size_it_is_told(shape, size, colours):
    layer, like = make(layers.UpConv2d, *shape, colours), torch.zeros(2, 4, *size)
    x = torch.randn(2, 4, *(-(-side // 2) for side in size)).double()
    expected = by_its_taps(layer, x, size, up=2)
    torch.testing.assert_close(layer(x, like), expected, rtol=0, atol=1e-12)


def test_a_layer_up_doubles_the_size_where_it_is_told_none():
    layer = layers.UpConv2d((0,), (0, 0), (2, 2), (0, 0))
    assert layer(torch.zeros(1, 1, 3, 5)).shape == (1, 2, 6, 10)


def test_the_layers_up_of_the_paper_read_a_neighbour_at_odd_columns_only():
    taps = taps_of(layers.UpConv2d((0,), (0,), (2, 3), (0, 1)))
    read = {(tap.phase, (tap.down, tap.right)) for tap in taps}
    even = {((row, 0), (0, 0)) for row in (0, 1)}
    assert read == even | {((row, 1), (0, right)) for row in (0, 1) for right in (0, 1)}


@pytest.mark.parametrize("origin", [(1, 0), (0, 1)])
def test_a_kernel_that_leaves_positions_unwritten_is_refused(origin):
    with pytest.raises(ConfigError, match="unwritten"):
        layers.UpConv2d((0,), (0,), (2, 2), origin)


def test_a_layer_up_keeps_the_variance():
    torch.manual_seed(0)
    layer = layers.UpConv2d((0,) * 64, (0,) * 64, (2, 2), (0, 0))
    assert layer(torch.randn(4, 64, 9, 9)).std().item() == pytest.approx(1, abs=0.05)


def test_concatenated_elu_is_elu_of_both_signs():
    x = torch.tensor([-1.0, 0.0, 2.0]).reshape(1, 3, 1, 1)
    below = torch.expm1(torch.tensor([-1.0, -2.0])).tolist()
    y = layers.ConcatELU()(x).flatten()
    assert y.tolist() == pytest.approx([below[0], 0.0, 2.0, 1.0, 0.0, below[1]])
