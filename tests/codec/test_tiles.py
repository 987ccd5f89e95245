"""Large images become tiles of one size that fit a bound, and whole images again."""

import functools

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies

import pixelcnn as px
from pixelcnn.codec import archive, tiles
from pixelcnn.codec.tiles import (
    BLOCK,
    MOST_COLUMNS,
    MOST_SUBPIXELS,
    TOGETHER,
    block_of,
    join,
    split,
    tile_of,
)
from pixelcnn.shapes import ImageShape
from tiny import tiny_model

sides = strategies.integers(1, 65_536)


@hypothesis.given(
    strategies.integers(1, 1_024), sides, sides, strategies.none() | strategies.tuples(sides, sides)
)
def test_tiles_stay_within_their_bounds(channels, height, width, largest):
    shape = ImageShape(channels, height, width)
    rows, columns = tile_of(shape, largest)
    assert channels * rows * columns <= MOST_SUBPIXELS and columns <= MOST_COLUMNS
    assert largest is None or (rows <= largest[0] and columns <= largest[1])
    down, across = tiles.grid(shape, (rows, columns))
    assert 0 <= down * rows - height < down and 0 <= across * columns - width < across
    count = block_of(ImageShape(channels, rows, columns))
    assert count == 1 or count * channels * rows * columns <= MOST_SUBPIXELS
    assert count <= BLOCK and count * columns <= TOGETHER


@functools.cache
def calibrated(**arguments):
    """A small model of two levels."""
    model = tiny_model(**arguments)
    labels = None if model.network.condition is None else torch.zeros(2, dtype=torch.long)
    px.calibrate(model, torch.ones(2, *model.shape, dtype=torch.uint8), labels)
    return model


def test_an_image_that_fits_is_one_tile():
    assert tile_of(ImageShape(3, 32, 32), None) == (32, 32)
    assert tile_of(ImageShape(1, 28, 28), (28, 28)) == (28, 28)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 23), (3, 23, 1), (2, 11, 13), (1, 12, 14)])
@pytest.mark.parametrize("largest", [(1, 1), (5, 7), (6, 7), (40, 40)])
def test_tiles_become_the_same_images(shape, largest):
    images = torch.arange(3 * shape[0] * shape[1] * shape[2]).reshape(3, *shape)
    tile = tile_of(ImageShape(*shape), largest)
    assert join(split(images, tile), ImageShape(*shape)).equal(images)


def test_a_network_of_one_size_codes_tiles_of_larger_images(monkeypatch):
    model = calibrated()
    monkeypatch.setattr(model.network, "largest", (5, 7), raising=False)
    images = np.random.default_rng(0).integers(0, 2, (3, 1, 11, 13), np.uint8)
    whole = px.compress(model, images)
    assert np.array_equal(px.decompress(model, whole), images)
    small = images[:, :, :3, :2]
    assert np.array_equal(px.decompress(model, px.compress(model, small)), small)


def test_a_network_without_a_size_splits_what_is_too_large(monkeypatch):
    model = calibrated(condition="label", condition_size=3)
    monkeypatch.setattr(tiles, "MOST_SUBPIXELS", 20)
    images = np.random.default_rng(0).integers(0, 2, (2, 1, 9, 6), np.uint8)
    packed = px.compress(model, images, [2, 0])
    assert np.array_equal(px.decompress(model, packed), images)


def test_images_in_several_blocks_are_read_a_few_at_a_time(monkeypatch):
    model = calibrated()
    images = np.random.default_rng(0).integers(0, 2, (11, 1, 5, 7), np.uint8)
    whole = px.compress(model, images)
    monkeypatch.setattr(tiles, "BLOCK", 3)
    seen = []

    class Mapped:
        shape, dtype, ndim = images.shape, images.dtype, images.ndim

        def __len__(self):
            return len(images)

        def __getitem__(self, some):
            seen.append(some.stop - some.start)
            return images[some]

    packed = px.compress(model, Mapped(), callback=lambda done, total: seen.append((done, total)))
    assert max(size for size in seen if isinstance(size, int)) == 3
    assert seen[-1] == (11, 11)
    assert np.array_equal(px.decompress(model, packed), images)
    assert len(whole) < len(packed)


def test_images_are_taken_of_a_block_without_a_copy_for_each():
    block = torch.arange(5 * 6).reshape(5, 1, 2, 3)
    waiting = archive._Tiles(iter([block]))
    images = [waiting.take(1, 1) for _ in range(5)]
    assert torch.cat(images).equal(block)
    assert {each.untyped_storage().data_ptr() for each in images} == {
        block.untyped_storage().data_ptr()
    }
