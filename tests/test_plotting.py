"""Pictures show the numbers they are given."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import data, plotting, png
from pixelcnn.errors import DataError


@pytest.mark.parametrize("levels", [2, 3, 17, 256, 65_536])
def test_black_and_white_at_every_level_count(levels):
    images = torch.tensor([0, levels - 1]).reshape(2, 1, 1, 1)
    assert plotting.to_rgb(images, levels)[:, 0, 0].tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize("levels", [2, 3, 17, 100, 200, 255, 256])
def test_quantising_a_picture_gives_the_levels_back(levels):
    images = np.arange(levels).reshape(1, 1, 1, levels)
    rgb = plotting.to_rgb(images, levels)[0, 0, :, 0].astype(int)
    assert (rgb * levels // 256).tolist() == list(range(levels))


@pytest.mark.parametrize("levels", [2, 256, 257, 1_000, 4_096, 65_535, 65_536])
@pytest.mark.parametrize("channels", [1, 3])
def test_reading_a_png_file_gives_the_levels_back(tmp_path, levels, channels):
    every = np.arange(levels + -levels % channels) % levels
    images = every.reshape(1, -1, 1, channels).transpose(0, 3, 1, 2)
    (tmp_path / "image.png").write_bytes(next(png.files(images, levels)))
    found = data.load_all(tmp_path / "image.png", levels=levels)
    assert found.levels == levels
    assert np.array_equal(found.images, images)


def test_a_colour_file_of_16_bits_is_one_for_other_programs():
    colours = np.random.default_rng(0).integers(0, 65_536, (5, 7, 3)).astype(np.uint16)
    with Image.open(io.BytesIO(png.deep(colours))) as picture:
        assert (picture.size, picture.mode) == ((7, 5), "RGB")
        assert np.array_equal(picture, colours >> 8)


def test_levels_are_evenly_bright():
    values = plotting.to_rgb(np.arange(17).reshape(1, 1, 1, 17), 17)[0, 0, :, 0].astype(int)
    assert set(np.diff(values)) <= {15, 16}


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_any_number_of_channels(channels):
    images = np.random.default_rng(0).integers(0, 4, (2, channels, 5, 7))
    rgb = plotting.to_rgb(images, 4)
    assert rgb.shape == (2, 5, 7, 3)
    if channels >= 3:
        assert np.array_equal(rgb[..., 1], images[:, 1] * 85)


def test_two_equal_channels_look_grey():
    rgb = plotting.to_rgb(np.full((1, 2, 1, 1), 2), 4)
    assert len(set(rgb.flatten())) == 1


def test_pictures_of_something_else_are_refused():
    with pytest.raises(DataError, match="channels, height, width"):
        plotting.to_rgb(np.zeros((8, 8)), 2)
    with pytest.raises(DataError, match="no images"):
        plotting.grid(np.zeros((0, 1, 8, 8), int), 2)
    with pytest.raises(DataError, match="integers from 0 to 1"):
        plotting.grid(np.full((1, 1, 8, 8), 2), 2)
    with pytest.raises(DataError, match="integers"):
        plotting.grid(np.zeros((1, 1, 8, 8)), 2)


def test_a_set_of_images_is_drawn_as_its_levels():
    images = data.load("digits").test[:3]
    assert plotting.grid(images, 17) == plotting.grid(images.images, 17)


def test_every_pixel_is_in_the_grid():
    images = np.arange(6).reshape(3, 1, 1, 2)
    pixels = np.asarray(plotting.grid(images, 6, columns=2, scale=1))
    expected = np.full((8, 10, 3), plotting.PAPER)
    for index, image in enumerate(images[:, 0]):
        top, left = 2 + index // 2 * 3, 2 + index % 2 * 4
        expected[top, left : left + 2] = image[0, :, None] * 51
    assert np.array_equal(pixels, expected)


def test_small_images_are_enlarged_by_whole_factors():
    pixels = np.asarray(plotting.grid(np.array([[[[0, 1]]]]), 2, scale=5))
    assert (pixels[2:7, 2:7] == 0).all()
    assert (pixels[2:7, 7:12] == 255).all()
    assert plotting.grid(np.zeros((1, 1, 8, 8), int), 2).width >= 96


def test_saved_grids_are_the_grid(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 17, (5, 1, 8, 8))
    for path in (tmp_path / "a.png", "~/b.png"):
        plotting.save_grid(images, path, 17)
        with Image.open(tmp_path / Path(path).name) as picture:
            assert np.array_equal(np.asarray(picture), np.asarray(plotting.grid(images, 17)))


def test_unseen_pixels_are_neither_black_nor_white():
    seen = np.array([[[[True, False]]]])
    rgb = plotting.reveal(np.array([[[[1, 1]]]]), 2, seen)
    assert rgb[0, 0].tolist() == [[255] * 3, list(plotting.UNSEEN)]


def test_completions_stand_beside_what_was_known():
    given, known = np.ones((2, 1, 4, 4), int), np.zeros((1, 1, 4, 4), bool)
    known[:, :, :2] = True
    picture = plotting.completions(given, known, np.ones((6, 1, 4, 4), int), 2, scale=1)
    assert picture.size == (2 + 4 * 6, 2 + 2 * 6)
    pixels = np.asarray(picture)
    assert pixels[2, 2].tolist() != [255] * 3
    assert pixels[5, 2].tolist() == list(plotting.UNSEEN)
    assert pixels[2, 8].tolist() == [255] * 3


def test_the_colour_map_rises_in_lightness():
    rgb = plotting.coloured(np.linspace(0, 1, 256), 0, 1) / 255
    lightness = rgb @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1e-3).all()
    assert lightness[0] < 0.05
    assert lightness[-1] > 0.9


@pytest.mark.parametrize("shape", [(8, 8), (3, 5, 7)])
def test_heatmaps(shape):
    picture = plotting.heatmap(np.random.default_rng(0).random(shape), unit="bits")
    assert picture.mode == "RGB"
    plotting.heatmap(np.zeros(shape), unit="all the same")


def test_a_heat_map_of_log_probabilities_shows_which_are_small():
    nats = torch.tensor([[-4.0, -0.25], [-2.0, -0.25]], requires_grad=True)
    pixels = np.asarray(plotting.heatmap(nats, scale=60))
    assert pixels[30, 60].tolist() == list(plotting.EMBER[0])
    assert pixels[30, 120].tolist() == list(plotting.EMBER[-1])


@pytest.mark.parametrize("values", [np.zeros((1, 1, 3, 3)), np.zeros(3), np.full((3, 3), np.nan)])
def test_what_is_no_map_of_numbers_has_no_heat_map(values):
    with pytest.raises(DataError, match="a heat map needs numbers"):
        plotting.heatmap(values)
