"""Sets that are drawn here: the same for ever, and what they are said to be."""

import math

import pytest
import torch

from pixelcnn import data
from pixelcnn.data import course

HASHES = {
    "shapes": "8c29b9b41f01",
    "shapes-colour": "b7d9009abd01",
}
"""First digits of the content hashes of the test parts."""


@pytest.fixture(scope="module")
def shapes():
    return data.load("shapes")


@pytest.mark.parametrize("name", HASHES)
def test_shapes_are_the_same_for_ever(name):
    parts = data.load(name)
    assert [len(part) for part in parts] == [10_000, 1_000, 4_000]
    assert [part.split for part in parts] == ["train", "val", "test"]
    assert parts.test.content_hash.startswith(HASHES[name])


def test_kinds_of_shapes_are_told_by_their_areas(shapes):
    images, kinds = shapes.train.images.flatten(1).float().sum(1), shapes.train.labels
    square, disc, triangle = (images[kinds == kind].mean() for kind in range(3))
    assert 0.75 < disc / square < 0.85  # π / 4, in pixels
    assert 0.5 < triangle / square < 0.65


def test_an_image_holds_as_many_nats_as_the_docstring_says(shapes):
    corners = [21 - size for size in course.SIZES]
    counted = len(shapes.train.images.flatten(1).unique(dim=0))
    assert counted < 3 * sum(n**2 for n in corners)  # each kind, size and place is one image
    nats = math.log(len(course.KINDS) * len(corners))
    nats += sum(2 * math.log(n) for n in corners) / len(corners)
    assert f"{nats:.3f} nats" in course.shapes.__doc__
    assert f"{nats + math.log(64 * 63):.3f}" in course.shapes.__doc__


def test_a_coloured_shape_has_two_colours_where_the_binary_one_has_two_levels(shapes):
    coloured = data.load("shapes-colour").test
    for binary, colour in zip(shapes.test.images[:50, 0], coloured.images[:50], strict=True):
        ink, paper = colour[:, binary == 1], colour[:, binary == 0]
        assert len(ink.unique(dim=1)[0]) == len(paper.unique(dim=1)[0]) == 1
        assert not torch.equal(ink[:, 0], paper[:, 0])


def test_every_pair_of_different_colours_is_as_likely():
    pairs = [course._pair((index + 0.5) / (64 * 63)) for index in range(64 * 63)]
    assert len(set(pairs)) == 64 * 63
    assert all(ink != paper for ink, paper in pairs)
    assert {colour for pair in pairs for colour in pair} == set(range(64))


def test_colours_of_digits_depend_on_no_order():
    generator = torch.Generator().manual_seed(0)
    grey = torch.randint(256, (5, 1, 5, 7), generator=generator, dtype=torch.uint8)
    one = course.tinted(data.ImageSet(grey, levels=256)).images
    other = course.tinted(data.ImageSet(grey.flip(0), levels=256)).images
    assert torch.equal(one.flip(0), other)


@pytest.mark.slow
@pytest.mark.usefixtures("data_root")
def test_coloured_digits_are_those_of_mnist():
    coloured, grey = data.load("mnist-colour").test, data.load("mnist").test
    assert (coloured.levels, len(coloured), coloured.shape.channels) == (4, 10_000, 3)
    assert torch.equal(coloured.labels, grey.labels)
    ink = grey.images[:100, 0] >= 128
    for image, mask in zip(coloured.images[:100], ink, strict=True):
        assert len(image[:, mask].unique(dim=1)[0]) == 1
