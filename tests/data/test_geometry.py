"""Sizes of arrays."""

import pytest
import torch

from pixelcnn.data import ImageSet
from pixelcnn.data.geometry import as_size, fitted, in_colour
from pixelcnn.errors import ConfigError, DataError

IMAGES = ImageSet(torch.arange(1, 36).reshape(1, 1, 5, 7), 256, name="ramp")


@pytest.mark.parametrize(
    "size", ["a", "1x2x3", (1, 2, 3), 0, -4, 2.5, "8x", True, (), "9" * 5000, "9" * 5000 + "x2"]
)
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ConfigError):
        as_size(size)


def test_a_crop_is_about_the_centre():
    assert torch.equal(fitted(IMAGES, (3, 3), "crop").images, IMAGES.images[:, :, 1:4, 2:5])
    assert torch.equal(fitted(IMAGES, (2, 7), "crop").images, IMAGES.images[:, :, 1:3])


def test_padding_is_black_about_the_image_and_crops_what_is_larger():
    wide = fitted(IMAGES, (8, 3), "pad").images
    assert wide.shape == (1, 1, 8, 3)
    assert torch.equal(wide[:, :, 1:6], IMAGES.images[..., 2:5])
    assert int(wide[:, :, [0, 6, 7]].sum()) == 0


def test_a_crop_never_enlarges_and_an_array_is_never_resized():
    with pytest.raises(DataError, match="is 5x7, smaller than 6x6"):
        fitted(IMAGES, (6, 6), "crop")
    with pytest.raises(ConfigError, match="resized"):
        fitted(IMAGES, (3, 3), "resize")


def test_grey_becomes_three_equal_channels():
    coloured = in_colour(IMAGES)
    assert coloured.shape == (3, 5, 7)
    assert all(torch.equal(coloured.images[:, c], IMAGES.images[:, 0]) for c in range(3))
    assert in_colour(coloured) is coloured
    with pytest.raises(DataError, match="2 channels"):
        in_colour(ImageSet(torch.zeros(1, 2, 3, 3, dtype=torch.uint8), 2))
