"""Masks against the matrices that the tutorials print, and against their own definition."""

import itertools

import pytest
import torch

from pixelcnn import masks

# Seed 002 works out the centre tap for 4 input and 7 output features of a colour image.
MASK_A_4_TO_7 = [
    [0, 0, 0, 0],
    [1, 0, 0, 1],
    [1, 1, 0, 1],
    [0, 0, 0, 0],
    [1, 0, 0, 1],
    [1, 1, 0, 1],
    [0, 0, 0, 0],
]
MASK_B_4_TO_7 = [
    [1, 0, 0, 1],
    [1, 1, 0, 1],
    [1, 1, 1, 1],
    [1, 0, 0, 1],
    [1, 1, 0, 1],
    [1, 1, 1, 1],
    [1, 0, 0, 1],
]


@pytest.mark.parametrize(
    ("sees_itself", "printed"), [(False, MASK_A_4_TO_7), (True, MASK_B_4_TO_7)]
)
def test_interleaved_colours_give_the_printed_matrices(sees_itself, printed):
    outputs, inputs = masks.interleaved(7, 3), masks.interleaved(4, 3)
    mask = masks.colour_mask(outputs, inputs, sees_itself=sees_itself)
    assert mask.int().tolist() == printed


@pytest.mark.parametrize("sees_itself", [False, True])
def test_contiguous_colours_give_the_block_triangle(sees_itself):
    """Seed 003: blocks of 15/3 x 24/3 features, upper triangular as (inputs, outputs)."""
    blocks = torch.triu(torch.ones(3, 3), diagonal=0 if sees_itself else 1)
    expected = blocks.repeat_interleave(5, 0).repeat_interleave(8, 1).T.bool()
    outputs, inputs = masks.contiguous(24, 3), masks.contiguous(15, 3)
    assert torch.equal(masks.colour_mask(outputs, inputs, sees_itself=sees_itself), expected)


def test_mask_a_leaves_out_the_centre_that_the_printed_code_keeps():
    """Seed 002 prints code that zeroes from x_centre + 1, and a matrix without the centre."""
    printed_matrix = [[1] * 7] * 3 + [[1, 1, 1, 0, 0, 0, 0]] + [[0] * 7] * 3
    assert masks.raster_mask((7, 7), sees_itself=False).int().tolist() == printed_matrix


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 3), (1, 7), (7, 1)])
def test_a_raster_mask_is_the_raster_past(kernel):
    centre = (kernel[0] // 2, kernel[1] // 2)
    for row, column in itertools.product(range(kernel[0]), range(kernel[1])):
        a = masks.raster_mask(kernel, sees_itself=False)[row, column]
        b = masks.raster_mask(kernel, sees_itself=True)[row, column]
        assert bool(a) == ((row, column) < centre)
        assert bool(b) == ((row, column) <= centre)


@pytest.mark.parametrize("colours", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("layout", sorted(masks.LAYOUTS))
@pytest.mark.parametrize("width", [5, 6, 7, 13])
def test_every_colour_gets_its_share_of_features(layout, width, colours):
    features = masks.LAYOUTS[layout](width, colours)
    counts = [features.count(colour) for colour in range(colours)]
    assert len(features) == width
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("sees_itself", [False, True])
@pytest.mark.parametrize("colours", [1, 3, 4])
def test_live_links_are_counted_without_building_the_mask(colours, sees_itself):
    outputs, inputs = masks.interleaved(11, colours), (masks.PAST, *masks.contiguous(7, colours))
    mask = masks.colour_mask(outputs, inputs, sees_itself=sees_itself)
    assert masks.live_links(outputs, inputs, sees_itself=sees_itself) == int(mask.sum())


def test_features_of_the_past_are_seen_by_every_colour():
    past = (masks.PAST,) * 2
    assert masks.colour_mask((0, 1, 2), past, sees_itself=False).all()
    assert not masks.colour_mask(past, (0, 1, 2), sees_itself=True).any()


def test_raster_past_is_the_coding_order():
    past = masks.raster_past(2, 3, 5)
    order = {
        p: i for i, p in enumerate((c, r, x) for r in range(3) for x in range(5) for c in range(2))
    }
    for target, source in itertools.product(order, repeat=2):
        assert bool(past[target + source]) == (order[source] < order[target])
