"""Pictures that say which pixels are known pass the one reader of pictures."""

import os

import numpy as np
import pytest
from PIL import Image

from pixelcnn.errors import ConfigError, DataError, ModelError
from pixelcnn.known import known_pixels, later_pixels_known
from pixelcnn.shapes import ImageShape

SHAPE = ImageShape(3, 4, 6)
MASK = np.random.default_rng(0).integers(0, 2, (4, 6), np.uint8) * 255


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "LA", "RGBA", "I;16"])
def test_white_is_known_however_it_is_stored(tmp_path, mode):
    picture = Image.fromarray(MASK)
    stored = (
        Image.fromarray(MASK.astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    )
    stored.save(tmp_path / "mask.png")
    mask = known_pixels(str(tmp_path / "mask.png"), SHAPE)
    assert np.array_equal(mask[0, 0].numpy(), MASK > 0)


def test_colours_are_known_from_half_brightness_on_as_in_grey(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    picture = Image.fromarray(colours)
    picture.save(tmp_path / "mask.png")
    mask = known_pixels(str(tmp_path / "mask.png"), SHAPE)
    assert np.array_equal(mask[0, 0].numpy(), np.asarray(picture.convert("L")) >= 128)


def test_a_mask_that_is_transparent_in_places_is_refused(tmp_path):
    picture = Image.fromarray(MASK).convert("RGBA")
    picture.putpixel((0, 0), (0, 0, 0, 0))
    picture.save(tmp_path / "mask.png")
    with pytest.raises(DataError, match="transparent in places"):
        known_pixels(str(tmp_path / "mask.png"), SHAPE)


def test_what_is_no_picture_is_refused_in_one_line(tmp_path):
    (tmp_path / "mask.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n")
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    for name, message in (
        ("mask.eps", "is not an image"),
        ("empty.png", "is empty"),
        ("pipe.png", "is not a regular file"),
        ("", "is not a regular file"),
    ):
        with pytest.raises(DataError, match=message):
            known_pixels(str(tmp_path / name), SHAPE)
    for name in ("none.png", "x" * 300, "nul\0"):
        with pytest.raises(ConfigError, match="nor a file"):
            known_pixels(name, SHAPE)


def test_booleans_of_a_file_are_those_of_the_array(tmp_path):
    known = np.random.default_rng(0).random((3, 1, *MASK.shape)) < 0.5
    for mask in (known, MASK > 0):
        np.save(tmp_path / "mask.npy", mask)
        path = str(tmp_path / "mask.npy")
        assert known_pixels(path, SHAPE).equal(known_pixels(mask, SHAPE))
    np.save(tmp_path / "mask.npy", MASK)
    with pytest.raises(DataError, match=r"mask.npy.*must be a bool mask, got uint8"):
        known_pixels(str(tmp_path / "mask.npy"), SHAPE)
    (tmp_path / "mask.npy").write_bytes(b"\x93NUMPY no array")
    with pytest.raises(DataError, match=r"mask\.npy"):
        known_pixels(str(tmp_path / "mask.npy"), SHAPE)


def test_a_channel_that_is_known_behind_an_unknown_one_is_known_later():
    mask = np.zeros((1, 3, 4, 6), bool)
    mask[:, 1] = True
    assert later_pixels_known(known_pixels(mask, SHAPE))
    mask[:, :, :2], mask[:, :, 2:] = True, False
    mask[:, 0, 2, 0] = True  # of the first pixel that is not known whole
    assert not later_pixels_known(known_pixels(mask, SHAPE))


def test_another_size_than_the_models_is_refused(tmp_path):
    Image.fromarray(MASK.T.copy()).save(tmp_path / "mask.png")
    with pytest.raises(ModelError, match="the mask is 6x4"):
        known_pixels(str(tmp_path / "mask.png"), SHAPE)


@pytest.mark.parametrize(
    ("value", "remark"), [(1, "so nothing is known"), (255, "so nothing is drawn")]
)
def test_a_mask_that_says_nothing_is_remarked(run, model, picture, value, remark):
    """A mask of 0 and 1, saved as it is, is black."""
    mask = picture("mask.png", value=value)
    assert remark in run("complete", model, picture(), "--known", mask, "-n", 1).stderr
