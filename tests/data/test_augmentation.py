"""Transformations of images: what they do, what undoes them, and who gets which."""

import pytest
import torch

from pixelcnn import streams
from pixelcnn.data.augmentation import Augmentation
from pixelcnn.errors import ConfigError
from pixelcnn.shapes import ImageShape

WAYS = [
    (("flip",), 2, 2),
    (("flip-vertical",), 2, 2),
    (("flip", "flip-vertical"), 4, 4),
    (("rotate",), 4, 2),
    (("rotate", "flip"), 8, 4),
    (("flip-vertical", "rotate", "flip"), 8, 4),
    (("shift 2",), 25, 25),
    (("shift 1", "rotate", "flip"), 72, 36),
]
"""Names, and how many transformations of square and of other images they make."""
SHAPES = [ImageShape(2, 5, 5), ImageShape(1, 5, 7)]


def numbered(shape, n=1):
    """Images whose levels are all different."""
    return torch.arange(n * shape.dimensions).reshape(n, *shape)


def every(augmentation):
    """The numbers of all transformations."""
    return torch.arange(augmentation.count)


@pytest.mark.parametrize(("names", "square", "other"), WAYS)
def test_each_transformation_counts_once(names, square, other):
    for shape, count in zip(SHAPES, (square, other), strict=True):
        augmentation = Augmentation(names, shape)
        image = numbered(shape).expand(count, -1, -1, -1)
        found = augmentation.apply(image, every(augmentation))
        assert augmentation.count == count == len(found.flatten(1).unique(dim=0))
        assert torch.equal(found[0], image[0])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_flips_and_turns_are_those_of_torch(shape):
    image = numbered(shape)
    for names, expected in (
        (("flip",), {image.flip(3)}),
        (("flip-vertical",), {image.flip(2)}),
        (("rotate",), {torch.rot90(image, k, (2, 3)) for k in (1, 2, 3)}),
    ):
        fitting = [one for one in expected if one.shape == image.shape]
        augmentation = Augmentation(names, shape)
        found = augmentation.apply(
            image.expand(augmentation.count, -1, -1, -1), every(augmentation)
        )
        as_lists = sorted(one.tolist() for one in found[1:])
        assert as_lists == sorted(one[0].tolist() for one in fitting)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "names",
    [("flip",), ("flip-vertical",), ("flip", "flip-vertical"), ("rotate",), ("rotate", "flip")],
)
def test_one_orientation_after_another_is_one_of_them_and_none_counts_twice(names, shape):
    augmentation = Augmentation(names, shape)
    image, all_of_them = numbered(shape).expand(augmentation.count, -1, -1, -1), every(augmentation)
    known = augmentation.apply(image, all_of_them)
    assert len({each.numpy().tobytes() for each in known}) == augmentation.count
    for one in known:
        twice = augmentation.apply(one.expand_as(image), all_of_them)
        assert {each.numpy().tobytes() for each in twice} == {k.numpy().tobytes() for k in known}


def test_a_shift_keeps_what_stays_in_the_image_and_repeats_the_border():
    augmentation, image = Augmentation(("shift 1",), SHAPES[1]), numbered(SHAPES[1])
    found = augmentation.apply(image.expand(9, -1, -1, -1), every(augmentation))
    padded = torch.nn.functional.pad(image.float(), (1, 1, 1, 1), mode="replicate").long()
    crops = [padded[0, :, y : y + 5, x : x + 7] for y in range(3) for x in range(3)]
    assert sorted(one.tolist() for one in found) == sorted(one.tolist() for one in crops)


def test_each_transformation_is_as_likely():
    """Each of 72 is drawn 200 times with a deviation of 14: one seed in 1,500 or so fails."""
    augmentation = Augmentation(("shift 1", "rotate", "flip"), SHAPES[0])
    found = torch.bincount(augmentation.draw(0, 0, torch.arange(14_400)), minlength=72)
    assert found.min() > 140
    assert found.max() < 270


def test_an_image_and_an_epoch_decide_alone():
    augmentation = Augmentation(("shift 2", "flip"), SHAPES[0])
    whole = augmentation.draw(3, 7, torch.arange(20))
    some = torch.tensor([11, 4, 19])
    assert torch.equal(augmentation.draw(3, 7, some), whole[some])
    assert not torch.equal(augmentation.draw(3, 8, torch.arange(20)), whole)
    assert not torch.equal(augmentation.draw(4, 7, torch.arange(20)), whole)
    upper = [int(streams.augmentation(3, 7, i).words(1)[0]) >> 32 for i in range(20)]
    assert whole.tolist() == [word * 50 >> 32 for word in upper]


def test_maps_are_transformed_as_levels_are():
    augmentation, images = Augmentation(("shift 1", "rotate"), SHAPES[0]), numbered(SHAPES[0], 9)
    numbers = augmentation.draw(0, 0, torch.arange(9))
    maps = augmentation.apply(images.float() / 7, numbers)
    assert torch.equal(maps, augmentation.apply(images, numbers).float() / 7)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("flop",), "cannot be 'flop'"),
        (("shift",), "cannot be 'shift'"),
        (("shift 0",), "cannot be 'shift 0'"),
        (("shift 33",), "cannot be 'shift 33'"),
        (("shift \u0663",), "cannot be"),
        (("flip", "flip"), "names flip twice"),
        (("shift 1", "shift 2"), "names shift twice"),
        (("shift 5",), "out of sight"),
    ],
)
def test_what_is_no_transformation_is_refused(names, said):
    with pytest.raises(ConfigError, match=said) as caught:
        Augmentation(names, SHAPES[1])
    assert caught.value.hint


def test_nothing_looks_at_what_a_device_holds():
    """On the meta device there is nothing to look at."""
    augmentation = Augmentation(("shift 1", "rotate"), SHAPES[0])
    numbers = augmentation.draw(3, 7, torch.arange(9, device="meta"))
    images = torch.empty((9, *SHAPES[0]), dtype=torch.uint8, device="meta")
    assert augmentation.apply(images, numbers).device.type == "meta"
