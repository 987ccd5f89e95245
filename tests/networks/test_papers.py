"""Whole networks against plain PyTorch, written from their papers and published code: what stands where.

Tests of causality say that no layer sees the future. They do not notice a wrong activation, a residual
connection left out, or a short-cut to the wrong place.
"""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.nn.functional import conv2d, elu, pad, prelu

from pixelcnn import networks
from pixelcnn.masks import LAYOUTS

EXACT = {"rtol": 0, "atol": 1e-12}


def random(network):
    """In double precision, with weights and biases that hide nothing, masked ones among them."""
    generator = torch.Generator().manual_seed(1)
    network.double()
    with torch.no_grad():
        for weight in network.parameters():
            spread = max(1, weight[0].numel()) ** -0.5
            weight.copy_(torch.randn(weight.shape, generator=generator) * spread)
    return network


def images(channels, height=5, width=6):
    generator = torch.Generator().manual_seed(2)
    return torch.rand(2, channels, height, width, generator=generator, dtype=torch.float64)


def masked(x, layer, outputs, inputs, sees_itself):
    """Masks A and B of 2016a, an element at a time, from the colour of each feature."""
    kernel = layer.weight.clone()
    rows, columns = kernel.shape[2:]
    for out, given, row, column in np.ndindex(kernel.shape):
        place, centre = (row, column), (rows // 2, columns // 2)
        itself = inputs[given] < outputs[out] + sees_itself
        if not (place < centre or (place == centre and itself)):
            kernel[out, given, row, column] = 0
    return conv2d(x, kernel, layer.bias, padding=(rows // 2, columns // 2))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("halve", ["first", "middle"])
@pytest.mark.parametrize("activate", ["before", "after"])
def test_pixelcnn(activate, halve, layout):
    net = networks.PixelCNN(
        3, 6, 7, 2, bottleneck=5, first_kernel=5, head_width=4,
        activation="prelu", activate=activate, halve=halve, layout=layout,
    )  # fmt: skip
    random(net)
    image, out = (0, 1, 2), (0, 0, 1, 1, 2, 2)
    wide, narrow, top = (LAYOUTS[layout](width, 3) for width in (7, 5, 4))
    middle = narrow if halve == "first" else wide
    before = activate == "before"

    def layer(x, slopes, module, outputs, inputs):
        if before:
            return masked(prelu(x, slopes.weight), module, outputs, inputs, True)
        return prelu(masked(x, module, outputs, inputs, True), slopes.weight)

    x = images(3)
    y = masked(x, net.input, wide, image, False)
    y = y if before else prelu(y, net.first.weight)
    for block in net.blocks:
        first, second, third = block.activations
        z = layer(y, first, block.reduce, middle, wide)
        z = layer(z, second, block.convolve, narrow, middle)
        y = y + layer(z, third, block.expand, wide, narrow)
    convolutions = [module for module in net.head if hasattr(module, "mask")]
    slopes = [module for module in net.head if not hasattr(module, "mask")]
    y = layer(y, slopes[0], convolutions[0], top, wide)
    y = layer(y, slopes[1], convolutions[1], top, top)
    y = prelu(y, slopes[2].weight) if before else y
    torch.testing.assert_close(net(x), masked(y, convolutions[2], out, top, True), **EXACT)


def test_weights_of_the_keras_example_in_the_order_that_keras_gives_them():
    generator = np.random.default_rng(0)
    sizes = [(7, 1, 6), *[(1, 6, 6), (3, 6, 3), (1, 3, 6)] * 2, (1, 6, 6), (1, 6, 6), (1, 6, 1)]
    arrays = []  # what model.get_weights() returns: kernels (rows, columns, in, out), and biases
    for side, inputs, filters in sizes:
        arrays.append(generator.normal(size=(side, side, inputs, filters)) / side / inputs**0.5)
        arrays.append(generator.normal(size=filters))
    net = networks.PixelCNN(1, 1, 6, 2, halve="middle", activate="after").double()
    tensors = [torch.tensor(array) for array in arrays]
    stored = [t.permute(3, 2, 0, 1) if t.ndim == 4 else t for t in tensors]
    net.load_state_dict(dict(zip(net.state_dict(), stored, strict=True)))

    def layer(x, mask=None):
        kernel, bias = arrays.pop(0), arrays.pop(0)
        side = len(kernel)
        if mask:  # as the example builds it
            seen = np.zeros(kernel.shape)
            seen[: side // 2, ...] = 1.0
            seen[side // 2, : side // 2, ...] = 1.0
            if mask == "B":
                seen[side // 2, side // 2, ...] = 1.0
            kernel = kernel * seen
        kernel = torch.tensor(kernel).permute(3, 2, 0, 1)
        return conv2d(x, kernel, torch.tensor(bias), padding=side // 2)

    x = images(1)
    y = layer(x, "A").relu()
    for _ in range(2):
        y = y + layer(layer(layer(y).relu(), "B").relu()).relu()
    y = layer(layer(y, "B").relu(), "B").relu()
    torch.testing.assert_close(net(x), layer(y), **EXACT)


def test_gated_pixelcnn():
    """Figure 2 of 2016b as drawn: the vertical stack sees its own row, and is moved down on its way."""
    width = 5
    net = networks.GatedPixelCNN(
        1, 2, width, 3, condition="label", condition_size=3, first_kernel=5
    )
    random(net)
    x, labels = images(1), torch.tensor([2, 0])

    def gate(y):
        return y[:, :width].tanh() * y[:, width:].sigmoid()

    def down(y):
        return pad(y, (0, 0, 1, 0))[:, :, :-1]

    v = h = x
    for index, layer in enumerate(net.layers):
        rows, columns = layer.vertical.weight.shape[2:]
        v_bias, h_bias = (b.weight[labels][:, :, None, None] for b in net.biases[2 * index :][:2])
        above = pad(v, (columns // 2, columns // 2, rows - 1, 0))
        above = conv2d(above, layer.vertical.weight)
        # The first layer's kernel ends at its own row, which is moved down; later ones read what was.
        above = (down(above) if index == 0 else above) + layer.vertical.bias[:, None, None] + v_bias
        kernel = layer.horizontal.weight.clone()
        if index == 0:
            kernel[..., -1] = 0  # mask A
        left = pad(h, (kernel.shape[3] - 1, 0))
        left = conv2d(left, kernel, layer.horizontal.bias) + h_bias
        left = gate(left + conv2d(above, layer.link.weight))
        left = conv2d(left, layer.mix.weight, layer.mix.bias)
        v, h = (gate(above), left) if index == 0 else (v + gate(above), h + left)
    for layer in (net.head[1], net.head[3]):
        h = conv2d(h.relu(), layer.weight, layer.bias)
    torch.testing.assert_close(net(x, labels), h, **EXACT)


def concatenated(x):
    return elu(torch.cat([x, -x], 1))


class Published:
    """The layers of PixelCNN++'s published code, with the weights of ours."""

    @staticmethod
    def down(x, layer, stride=1):
        rows, columns = layer.weight.shape[2:]
        side = (columns - 1) // 2
        return conv2d(pad(x, (side, side, rows - 1, 0)), layer.weight, layer.bias, stride)

    @staticmethod
    def down_right(x, layer, stride=1):
        rows, columns = layer.weight.shape[2:]
        return conv2d(pad(x, (columns - 1, 0, rows - 1, 0)), layer.weight, layer.bias, stride)

    @staticmethod
    def up(x, layer, first):
        height, width = 2 * x.shape[2], 2 * x.shape[3]
        y = functional.conv_transpose2d(x, layer.weight.transpose(0, 1), layer.bias, stride=2)
        return y[:, :, :height, first : first + width]

    @staticmethod
    def block(x, block, convolve, other, told):
        y = convolve(concatenated(x), block.first)
        if other is not None:
            y = y + conv2d(concatenated(other), block.link.weight, block.link.bias)
        y = convolve(concatenated(y), block.second)
        stride = told.shape[2] // x.shape[2]
        y = y + torch.einsum("nchw,cf->nfhw", told[:, :, ::stride, ::stride], block.bias.weight)
        a, b = y.chunk(2, 1)
        return x + a * b.sigmoid()


def as_published(pair):
    """Levels in [-1, 1], and first biases that shifts move along, out of the border: both as weights.

    So our first layers do with levels in [0, 1] what published ones with their weights do.
    """
    with torch.no_grad():
        for layer, (row, column) in ((pair.above, (1, 1)), (pair.row, (0, 1)), (pair.left, (1, 0))):
            levels, ones = layer.weight[:, :-1], layer.weight[:, -1]
            ones -= levels.sum(1)
            levels *= 2
            ones[:, row, column] += layer.bias  # there is a one wherever the shifted image is
            layer.bias.zero_()


def test_pixelcnnpp():
    net = networks.PixelCNNpp(
        3, 20, 4, blocks=2, scales=3, norm="none", condition="map", condition_size=3
    )
    random(net)
    first = copy.deepcopy(net.first)
    as_published(net.first)
    x, told, code = images(3, 4, 8), images(3, 4, 8).flip(3), Published
    y = torch.cat([2 * x - 1, torch.ones_like(x[:, :1])], 1)
    above = [pad(code.down(y, first.above), (0, 0, 1, 0))[:, :, :-1]]
    row = pad(code.down(y, first.row), (0, 0, 1, 0))[:, :, :-1]
    left = [row + pad(code.down_right(y, first.left), (1, 0))[..., :-1]]
    steps = iter(net.inward)
    for scale in range(3):
        if scale:
            step = next(steps)
            above.append(code.down(above[-1], step.above, 2))
            left.append(code.down_right(left[-1], step.left, 2))
        for _ in range(2):
            pair = next(steps)
            above.append(code.block(above[-1], pair.above, code.down, None, told))
            left.append(code.block(left[-1], pair.left, code.down_right, above[-1], told))
    u, ul, steps = above.pop(), left.pop(), iter(net.outward)
    for scale in range(3):
        if scale:
            step = next(steps)
            u, ul = code.up(u, step.above, 1), code.up(ul, step.left, 0)
        for _ in range(3 if scale else 2):
            pair = next(steps)
            u = code.block(u, pair.above, code.down, above.pop(), told)
            both = torch.cat([u, left.pop()], 1)
            ul = code.block(ul, pair.left, code.down_right, both, told)
    assert not above
    expected = conv2d(elu(ul), net.head.weight, net.head.bias)
    torch.testing.assert_close(net(x, told), expected, **EXACT)


def normalised(y, norm):
    """By the root mean square of the features of each position, which all have one colour."""
    mean_square = y.square().mean(1, keepdim=True)
    return y / (mean_square + norm.epsilon).sqrt() * norm.weight[:, None, None]


def point(x, layer):
    return conv2d(x, layer.weight, layer.bias)


@pytest.mark.parametrize("kind", [networks.RowLSTM, networks.DiagonalBiLSTM])
def test_pixelrnn(kind):
    """Figure 5 of 2016a around the recurrences, which have a test of their own."""
    net = random(kind(1, 2, 6, 2, first_kernel=5, condition="label", condition_size=3))
    x, labels, grey = images(1), torch.tensor([2, 0]), (0,) * 6

    def states(y, gates, recurrence):
        bias = gates.bias.weight[labels][:, :, None, None]
        outputs, inputs = gates.convolve.weight.shape[:2]
        return recurrence(masked(y, gates.convolve, (0,) * outputs, (0,) * inputs, True) + bias)

    y = masked(x, net.input, grey, (0,), False)
    for layer in net.layers:
        found = states(y, layer.gates, layer.states)
        if kind is networks.DiagonalBiLSTM:
            both = torch.cat([y, x], 1)
            found = found + states(both, layer.backward_gates, layer.backward_states)
        y = y + point(found, layer.expand)
    for layer in net.head[1::2]:
        y = point(y.relu(), layer)
    torch.testing.assert_close(net(x, labels), y, **EXACT)


def test_pixelsnail():
    net = random(
        networks.PixelSNAIL(
            1, 2, 6, 2, convolutions=1, heads=2, key_width=3, condition="label", condition_size=3
        )
    )
    x, labels = images(1), torch.tensor([2, 0])
    height, width = x.shape[2:]
    rows = torch.arange(1.0, height + 1)[:, None].expand(height, width) / 32
    columns = torch.arange(1.0, width + 1).expand(height, width) / 32
    place = torch.stack([rows, columns]).double().expand(2, -1, -1, -1)

    def block(y, block, other=None):
        z = pad(concatenated(normalised(y, block.first_norm)), MARGINS[other is None])
        z = point(z, block.first)
        if other is not None:
            z = z + point(concatenated(other), block.link)
        z = pad(concatenated(normalised(z, block.second_norm)), MARGINS[other is None])
        a, b = (point(z, block.second) + block.bias.weight[labels][:, :, None, None]).chunk(2, 1)
        return y + a * b.sigmoid()

    y = masked(x, net.input, (0,) * 6, (0,), False)
    for part in net.blocks:
        for convolution in part.convolutions:
            y = block(y, convolution)
        known = torch.cat([normalised(y, part.look_up.norm), place], 1)
        memory = point(torch.cat([known, x], 1), part.look_up.memory)
        found = part.look_up.attend(torch.cat([point(known, part.look_up.query), memory], 1))
        y = block(y, part.mix, found)
    torch.testing.assert_close(net(x, labels), point(elu(y), net.head[1]), **EXACT)


MARGINS = {True: (1, 0, 1, 0), False: (0, 0, 0, 0)}
"""Around what a kernel of 2x2 reads, and what a point does."""


def test_compact():
    net = networks.Compact(
        1, 2, 6, 2, kernel=3, first_kernel=5, condition="label", condition_size=3
    )
    random(net)
    x, labels, features = images(1), torch.tensor([2, 0]), (-1, -1, -1, 0, 0, 0)
    above, left = net.first.above, net.first.left
    y = conv2d(pad(x, (2, 2, 2, 0))[:, :, :-1], above.weight, above.bias)
    y = torch.cat([y, masked(x, left, (0, 0, 0), (0,), False)], 1)
    for block, bias in zip(net.blocks, net.biases, strict=True):
        kernel = block.space.weight.clone()
        kernel[3:, :, -1, 2:] = 0  # features of finished rows see all of their last one
        z = conv2d(pad(y, (1, 1, 1, 0)), kernel, groups=6)
        z = masked(z, block.widen, features * 2, features, True)
        a, b = (z + bias.weight[labels][:, :, None, None]).chunk(2, 1)
        y = y + masked(a * b.sigmoid(), block.mix, features, features, True)
    z = masked(y, net.head[1], (0,) * 6, features, True)
    torch.testing.assert_close(net(x, labels), point(z * z.sigmoid(), net.head[3]), **EXACT)
