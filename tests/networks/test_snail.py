"""PixelSNAIL: its attention written out, what it sees, and arguments that act."""

import math

import pytest
import torch

from pixelcnn.layers import Coordinates, RasterAttention
from pixelcnn.masks import raster_past
from pixelcnn.networks.snail import PixelSNAIL
from pixelcnn.verify import check_network
from pixelcnn.verify.causality import measure


def tiny(channels=1, **arguments):
    options = {"out": 2 * channels, "width": 6, "depth": 2, "convolutions": 1, "key_width": 3}
    return PixelSNAIL(channels=channels, **options | arguments)


def by_hand(layer, x):
    """Attention of every head of every position, one earlier position after the other."""
    n, _, height, width = x.shape
    query, key, value = (
        part.reshape(n, layer.heads, -1, height * width) for part in x.split(layer.widths, 1)
    )
    out = torch.zeros_like(value)
    for image in range(n):
        for head in range(layer.heads):
            for at in range(height * width):
                keys, values = [layer.start_key[head]], [layer.start_value[head]]
                for earlier in range(at):
                    keys.append(key[image, head, :, earlier])
                    values.append(value[image, head, :, earlier])
                q = query[image, head, :, at]
                scores = torch.stack([q @ k / math.sqrt(layer.key_width) for k in keys])
                weights = scores.exp() / scores.exp().sum()
                out[image, head, :, at] = sum(w * v for w, v in zip(weights, values, strict=True))
    return out.reshape(n, -1, height, width)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("size", [(3, 5), (1, 7), (5, 1), (1, 1)])
@pytest.mark.parametrize("widths", [(3, 2), (2, 5)])
@pytest.mark.parametrize("heads", [1, 2])
def test_attention_is_its_formula_at_every_position(heads, widths, size):
    layer = RasterAttention(heads, *widths)
    torch.nn.init.normal_(layer.start_key)
    torch.nn.init.normal_(layer.start_value)
    x = torch.randn(2, sum(layer.widths), *size)
    torch.testing.assert_close(layer(x), by_hand(layer, x), rtol=0, atol=1e-12)


def test_the_first_position_finds_the_start_token_and_nothing_else():
    layer = RasterAttention(heads=1, key_width=3, value_width=2)
    torch.nn.init.normal_(layer.start_value)
    x = torch.randn(1, sum(layer.widths), 3, 5, requires_grad=True)
    found = layer(x)[0, :, 0, 0]
    torch.testing.assert_close(found, layer.start_value[0])
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert not gradient.any()


def test_no_position_reads_its_own_key_or_value():
    layer = RasterAttention(heads=1, key_width=3, value_width=2)
    x = torch.randn(1, sum(layer.widths), 3, 5, requires_grad=True)
    seen = [
        torch.autograd.grad(layer(x)[0, :, row, column].sum(), x)[0][0, 3:].ne(0).any(0).flatten()
        for row in range(3)
        for column in range(5)
    ]
    assert torch.equal(torch.stack(seen)[1:], torch.ones(15, 15).tril(-1).bool()[1:])
    assert not seen[0].any()


def test_huge_scores_stay_finite():
    layer = RasterAttention(heads=1, key_width=3, value_width=2)
    x = 1e3 * torch.randn(1, sum(layer.widths), 3, 5)
    assert torch.isfinite(layer(x)).all()


def test_coordinates_do_not_depend_on_the_size_of_the_image():
    small, large = (Coordinates()(torch.zeros(1, 1, *size)) for size in ((3, 5), (7, 11)))
    assert torch.equal(small, large[:, :, :3, :5])
    rows, columns = large[0, 1], large[0, 2]
    assert (rows[4, 0] * 32, columns[0, 9] * 32) == (5, 10)
    assert torch.equal(rows, rows[:, :1].expand(7, 11))
    assert torch.equal(columns, columns[:1].expand(7, 11))


@pytest.mark.parametrize(
    "arguments",
    [
        {"norm": False},
        {"background": False},
        {"heads": 2, "value_width": 2},
        {"convolutions": 0},
        {"kernel": 3, "first_kernel": 7},
        {"kernel": 1},
        {"embedding": 5, "codes": 7},
    ],
)
def test_it_keeps_its_promises_with_other_arguments(arguments):
    check_network(tiny(3, **arguments)).raise_if_failed()


@pytest.mark.parametrize("channels", [1, 3])
def test_one_look_up_sees_all_of_the_past(channels):
    network = tiny(channels, depth=1, convolutions=0)
    assert torch.equal(measure(network, 9, 6).measured, raster_past(channels, 9, 6))


def test_a_query_sees_no_channel_of_its_own_pixel():
    """So that one look-up serves all channels of a pixel."""
    network = tiny(3, depth=1).double().eval()
    x = torch.rand(1, 3, 5, 7, dtype=torch.float64)
    other = x.clone()
    other[:, :, 2, 3] = 1 - other[:, :, 2, 3]
    found = []
    network.blocks[0].look_up.register_forward_hook(lambda *call: found.append(call[2]))
    network(x)
    network(other)
    changed = (found[0] != found[1]).any(1)[0]
    assert not changed[2, 3]
    assert changed[2, 4]
