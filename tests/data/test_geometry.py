"""Sizes of arrays."""

import numpy as np
import pytest
import torch

from pixelcnn.data import ImageSet, load_all
from pixelcnn.data.geometry import fitted, in_colour, in_grey
from pixelcnn.data.raw import RawSet
from pixelcnn.data.reading import as_size
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


@pytest.mark.parametrize("axes", [(5, 8, 8, 3), (5, 3, 8, 8), (5, 8, 8)])
@pytest.mark.parametrize("wanted", [{"grey": True}, {"rgb": True}])
def test_arrays_of_either_kind_become_what_a_model_takes(tmp_path, axes, wanted):
    np.save(tmp_path / "a.npy", np.full(axes, 7, np.uint8))
    channels = 1 if "grey" in wanted else 3
    images = load_all(tmp_path / "a.npy", shape=(channels, 8, 8), **wanted)
    assert images.shape == (channels, 8, 8)
    assert images.images.unique().tolist() == [7]
    assert load_all("digits", size=8, **wanted).shape == (channels, 8, 8)


def test_colour_becomes_grey_by_its_brightness():
    colours = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [3, 3, 3]])
    grey = in_grey(ImageSet(colours.view(5, 3, 1, 1), 256)).images.flatten().tolist()
    assert grey == [76, 150, 29, 255, 3]
    assert in_grey(IMAGES) is IMAGES
    real = in_grey(RawSet(torch.tensor([0.5, 0.25, 1.0]).view(1, 3, 1, 1)))
    assert real.images.item() == pytest.approx(0.41025)
    large = in_grey(RawSet(torch.full((1, 3, 1, 1), 10**8, dtype=torch.int32)))
    assert large.images.item() == 10**8
    with pytest.raises(DataError, match="2 channels"):
        in_grey(ImageSet(torch.zeros(1, 2, 3, 3, dtype=torch.uint8), 2))


def test_grey_becomes_three_equal_channels():
    coloured = in_colour(IMAGES)
    assert coloured.shape == (3, 5, 7)
    assert all(torch.equal(coloured.images[:, c], IMAGES.images[:, 0]) for c in range(3))
    assert in_colour(coloured) is coloured
    with pytest.raises(DataError, match="2 channels"):
        in_colour(ImageSet(torch.zeros(1, 2, 3, 3, dtype=torch.uint8), 2))
