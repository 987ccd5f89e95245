"""Compact: its depthwise layer by hand, what it sees, and arguments that act."""

import pytest
import torch
from torch.nn import functional

from pixelcnn import engines, outputs
from pixelcnn.layers import DepthwiseConv2d
from pixelcnn.masks import PAST, raster_past
from pixelcnn.model import PixelModel
from pixelcnn.networks.compact import Compact
from pixelcnn.verify import check_network
from pixelcnn.verify.causality import claimed_past, measure


def tiny(channels=1, **arguments):
    torch.manual_seed(0)
    options = {"out": 2 * channels, "width": 6, "depth": 2, "first_kernel": 5, "kernel": 3}
    return Compact(channels=channels, **options | arguments)


def by_hand(layer, x):
    """Each feature of each position as a sum over its kernel, one product after the other."""
    _, features, height, width = x.shape
    y = torch.zeros_like(x)
    for feature in range(features):
        past = layer.features[feature] == PAST
        for row in range(height):
            for column in range(width):
                for i in range(layer.kernel[0]):
                    for j in range(layer.kernel[1]):
                        down, right = i - layer.kernel[0] + 1, j - layer.kernel[1] // 2
                        at = row + down, column + right
                        inside = at[0] >= 0 and 0 <= at[1] < width
                        if inside and (past or (down, right) <= (0, 0)):
                            weight = layer.weight[feature, 0, i, j]
                            y[:, feature, row, column] += weight * x[:, feature, at[0], at[1]]
    return y if layer.bias is None else y + layer.bias[:, None, None]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kernel", [(1, 1), (1, 5), (2, 3), (3, 1), (3, 7)])
def test_a_depthwise_layer_is_its_formula_at_every_position(kernel, bias):
    layer = DepthwiseConv2d((PAST, 0, 1), kernel, bias=bias)
    torch.nn.init.normal_(layer.weight)
    if bias:
        torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 5, 7)
    torch.testing.assert_close(layer(x), by_hand(layer, x), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("columns", [1, 3, 5, 7, 11])
def test_gradients_taken_in_strips_are_those_of_the_convolution(columns):
    layer = DepthwiseConv2d((PAST, 0, 1, 1), (3, columns))
    x, mix = torch.randn(2, 4, 5, 7, requires_grad=True), torch.randn(2, 4, 5, 7)
    ours = torch.autograd.grad((layer(x) * mix).sum(), (x, layer.weight))
    padded = functional.pad(x, (columns // 2, columns // 2, 2, 0))
    plain = functional.conv2d(padded, layer.effective_weight(), layer.bias, groups=4)
    theirs = torch.autograd.grad((plain * mix).sum(), (x, layer.weight))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("frozen", ["input", "kernel"])
def test_only_wanted_gradients_are_taken(frozen):
    layer = DepthwiseConv2d((0, 0), (2, 5))
    x = torch.randn(1, 2, 5, 7, requires_grad=frozen != "input")
    layer.weight.requires_grad_(frozen != "kernel")
    layer(x).sum().backward()
    assert (x.grad is None) == (frozen == "input")
    assert (layer.weight.grad is None) == (frozen == "kernel")


def test_masked_elements_of_a_depthwise_kernel_stay_zero():
    layer = DepthwiseConv2d((PAST, 0), (2, 5))
    layer(torch.randn(2, 2, 5, 7)).square().sum().backward()
    dead = layer.mask == 0
    assert dead[1, 0, 1].tolist() == [False, False, False, True, True]
    assert not dead[0].any()
    assert not layer.weight[dead].any()
    assert not layer.weight.grad[dead].any()
    assert layer.live_weights == 20 - 2


def test_half_precision_computes_the_kernel_in_half_precision():
    layer, x = DepthwiseConv2d((PAST, 0), (2, 5)), torch.randn(2, 2, 5, 7, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    y.float().square().sum().backward()
    torch.testing.assert_close(y.float(), layer(x), rtol=0.05, atol=0.05)
    assert x.grad.dtype == layer.weight.grad.dtype == torch.float32


def test_shapes_can_be_computed_without_numbers():
    with torch.device("meta"):  # as who counts operations does
        assert Compact(1, 2, width=8, depth=2)(torch.empty(2, 1, 5, 7)).shape == (2, 2, 5, 7)


@pytest.mark.parametrize(
    "arguments",
    [
        {"layout": "contiguous", "width": 7},
        {"norm": True},
        {"middle": 8, "head_width": 5},
        {"kernel": 5, "first_kernel": 3},
        {"embedding": 5, "codes": 7},
    ],
)
def test_it_keeps_its_promises_with_other_arguments(arguments):
    check_network(tiny(3, **arguments)).raise_if_failed()


@pytest.mark.parametrize("channels", [1, 3])
def test_within_reach_there_is_no_blind_spot(channels):
    seen = measure(tiny(channels, first_kernel=7, kernel=5, depth=3), 7, 9)
    assert torch.equal(seen.measured, raster_past(channels, 7, 9))


@pytest.mark.parametrize("depth", [1, 2])
def test_what_it_sees_grows_by_half_a_kernel_with_each_block(depth):
    claimed = claimed_past(tiny(first_kernel=3, kernel=3, depth=depth), 7, 11)[0, 6, 5, 0].int()
    reach = 1 + depth
    expected = torch.zeros(7, 11, dtype=torch.int32)
    expected[6 - reach : 6, 5 - reach : 6 + reach] = 1
    expected[6, 5 - reach : 5] = 1
    assert torch.equal(claimed, expected)


def test_blocks_start_near_the_identity():
    torch.manual_seed(0)
    block = tiny(width=64).blocks[0]
    x = torch.randn(2, 64, 9, 9)
    assert 0.001 < float((block(x, None) - x).detach().std()) < 0.6


@pytest.mark.parametrize("condition", [None, "label", "map"])
def test_it_lowers_to_a_program_of_depthwise_and_pointwise_taps(condition):
    network = tiny(condition=condition, condition_size=3 if condition else 0)
    choice = engines.choose(PixelModel(network, outputs.Categorical(levels=2), (1, 5, 7)), "cached")
    nodes = [node for node in choice.program.nodes if node.op in ("taps", "depthwise")]
    assert sum(node.op == "depthwise" for node in nodes) == 2
    pointwise = [node for node in nodes if node.op == "taps"][2:]
    assert {(tap.down, tap.right) for node in pointwise for tap in node.taps} == {(0, 0)}
