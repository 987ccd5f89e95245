"""Layers: masks act in the product, cropping changes nothing, norms stay at their position."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from pixelcnn import layers, masks
from pixelcnn.errors import ConfigError

COLOURS = [1, 3]


def masked(colours, kernel=(5, 3), sees_itself=True):
    inputs, outputs = masks.interleaved(7, colours), masks.contiguous(11, colours)
    return layers.MaskedConv2d(inputs, outputs, kernel, sees_itself=sees_itself).double()


def randomise(layer):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    return layer


@pytest.mark.parametrize("colours", COLOURS)
@pytest.mark.parametrize("sees_itself", [False, True])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 3), (3, 7)])
def test_cropped_convolution_equals_the_dense_masked_one(colours, kernel, sees_itself):
    layer = randomise(masked(colours, kernel, sees_itself))
    x = torch.randn(2, 7, 5, 7, dtype=torch.float64)
    padding = (kernel[0] // 2, kernel[1] // 2)
    dense = functional.conv2d(x, layer.weight * layer.mask, layer.bias, padding=padding)
    torch.testing.assert_close(layer(x), dense, rtol=0, atol=1e-12)


def test_masked_weights_get_no_gradient_and_start_at_zero():
    layer = masked(3, sees_itself=False)
    assert not layer.weight[layer.mask == 0].any()
    layer(torch.randn(2, 7, 5, 7, dtype=torch.float64)).square().sum().backward()
    assert not layer.weight.grad[layer.mask == 0].any()
    assert layer.weight.grad[layer.mask == 1].all()


def test_the_mask_is_derived_and_not_stored():
    assert set(masked(1).state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("colours", COLOURS)
@pytest.mark.parametrize("sees_itself", [False, True])
def test_live_weights_are_those_the_mask_keeps(colours, sees_itself):
    layer = masked(colours, sees_itself=sees_itself)
    assert layer.live_weights == int(layer.mask.sum())


def test_an_even_kernel_has_no_centre():
    with pytest.raises(ConfigError, match="odd"):
        layers.MaskedConv2d((0,), (0,), (3, 4), sees_itself=True)


@pytest.mark.parametrize(
    ("kernel", "origin"),
    [((2, 3), (2, 1)), ((2, 3), (1, 1)), ((1, 3), (0, 3)), ((1, 2), (0, 1)), ((4, 1), (6, 0))],
)
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (2, 9)])
def test_shifted_convolution_is_a_sum_over_its_offsets(kernel, origin, size):
    layer = randomise(layers.ShiftedConv2d((0, 0), (0,), kernel, origin).double())
    x = torch.randn(1, 2, *size, dtype=torch.float64)
    expected = layer.bias[:, None, None].expand(1, *size).clone()
    for row in range(size[0]):
        for column in range(size[1]):
            for i in range(kernel[0]):
                for j in range(kernel[1]):
                    r, c = row + i - origin[0], column + j - origin[1]
                    if 0 <= r < size[0] and 0 <= c < size[1]:
                        expected[0, row, column] += layer.weight[0, :, i, j] @ x[0, :, r, c]
    torch.testing.assert_close(layer(x)[0], expected, rtol=0, atol=1e-12)


NORMED = [(0,) * 6, masks.interleaved(7, 3), masks.contiguous(6, 3)]
"""Colours in turn, and in runs of equal length."""


@pytest.mark.parametrize("features", NORMED)
def test_position_norm_reads_one_position_and_colour(features):
    norm = layers.PositionNorm(features).double()
    x = torch.randn(1, len(features), 3, 5, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(norm, x)[0, ..., 0, :, :, :]
    for feature in range(len(features)):
        reads = jacobian[feature, 1, 2] != 0
        same = torch.tensor([colour == features[feature] for colour in features])
        assert torch.equal(reads[:, 1, 2], same)
        reads[:, 1, 2] = False
        assert not reads.any()


@pytest.mark.parametrize("features", NORMED)
def test_gradients_of_position_norm_are_those_of_its_formula(features):
    norm = layers.PositionNorm(features).double()
    torch.nn.init.uniform_(norm.weight, 0.5, 2)
    x = torch.randn(2, len(features), 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, gain: torch.func.functional_call(norm, {"weight": gain}, (x,)), (x, norm.weight)
    )


@pytest.mark.parametrize("features", NORMED)
def test_position_norm_gives_unit_mean_square(features):
    x = 5 * torch.randn(2, len(features), 3, 5, dtype=torch.float64)
    y = layers.PositionNorm(features).double()(x)
    for colour in set(features):
        members = [i for i, c in enumerate(features) if c == colour]
        torch.testing.assert_close(
            y[:, members].square().mean(1), torch.ones(2, 3, 5).double(), rtol=1e-4, atol=0
        )


@pytest.mark.parametrize(
    ("kind", "condition", "shape"),
    [
        ("label", torch.tensor([4, 0]), (2, 6, 1, 1)),
        ("vector", torch.randn(2, 5), (2, 6, 1, 1)),
        ("map", torch.randn(2, 5, 3, 7), (2, 6, 3, 7)),
    ],
)
def test_a_condition_becomes_a_bias_that_is_linear_in_it(kind, condition, shape):
    bias = layers.ConditionBias(kind, 5, 6)
    assert bias(condition).shape == shape
    if kind != "label":
        torch.testing.assert_close(bias(2 * condition), 2 * bias(condition))


def test_dropout_draws_from_its_generator_what_torch_draws_from_the_global_one():
    x = torch.randn(3, 4, 5, 7)
    layer = layers.Dropout(0.3)
    layer.generator = torch.Generator().manual_seed(9)
    before = torch.random.get_rng_state()
    drawn = layer(x)
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        assert torch.equal(drawn, functional.dropout(x, 0.3))


def test_dropout_without_a_generator_draws_from_the_global_one():
    x, layer = torch.ones(50), layers.Dropout(0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        drawn = layer(x)
        torch.manual_seed(4)
        assert torch.equal(drawn, functional.dropout(x, 0.5))


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (1.0, True), (0.5, False)])
def test_dropout_draws_nothing_where_nothing_is_left_to_chance(p, training):
    layer = layers.Dropout(p).train(training)
    layer.generator = torch.Generator().manual_seed(9)
    state = layer.generator.get_state()
    assert layer(torch.ones(4)).tolist() == [0.0 if p == 1 else 1.0] * 4
    assert torch.equal(layer.generator.get_state(), state)


def test_dropout_with_a_generator_has_a_gradient_where_it_keeps():
    x = torch.ones(40, requires_grad=True)
    layer = layers.Dropout(0.5)
    layer.generator = torch.Generator().manual_seed(0)
    drawn = layer(x)
    drawn.sum().backward()
    assert torch.equal(x.grad, drawn.detach())


def test_a_copy_of_dropout_draws_on_where_the_original_was():
    layer = layers.Dropout(0.5)
    layer.generator = torch.Generator().manual_seed(3)
    other = copy.deepcopy(layer)
    assert other.generator is not layer.generator
    assert torch.equal(other(torch.ones(64)), layer(torch.ones(64)))
    assert layer.state_dict() == {}


def test_each_channel_looks_its_codes_up_in_a_table_of_its_own():
    layer, codes = layers.CodeEmbedding(2, 5, 3), torch.randint(5, (4, 2, 3, 7))
    found = layer(codes).unflatten(1, (2, 3))
    for n, channel, row, column in np.ndindex(codes.shape):
        code = codes[n, channel, row, column]
        assert torch.equal(found[n, channel, :, row, column], layer.weight[channel, code])
