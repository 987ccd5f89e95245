"""Fixed shuffles, and splits by content."""

import hashlib

import numpy as np
import pytest
import torch

from pixelcnn.data import ImageSet, splits
from pixelcnn.data.content import content_keys
from pixelcnn.data.lazy import LazyImages
from pixelcnn.data.splits import TWO_WAYS, parts_by_content, permutation, shuffled_parts
from pixelcnn.errors import DataError


def noise(n, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (n, 1, 3, 4), np.uint8)
    return ImageSet(torch.from_numpy(images), 256)


def test_the_fixed_shuffle_is_the_same_for_ever():
    shuffle = permutation(1797).astype("<i8")
    assert sorted(shuffle.tolist()) == list(range(1797))
    assert hashlib.sha256(shuffle.tobytes()).hexdigest() == (
        "fef601242e876c041b08ccc043b08d5cd317b092efe57605994899434091fc16"
    )


def test_shuffled_parts_are_disjoint_complete_and_in_file_order():
    parts = shuffled_parts(100, 70, 20, 10)
    assert [len(part) for part in parts] == [70, 20, 10]
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert all((np.diff(part) > 0).all() for part in parts)


def test_content_keys_are_the_same_for_ever_and_for_any_integer_type():
    image = ImageSet(torch.arange(12).reshape(1, 1, 3, 4), 256)
    assert content_keys(image.images).tolist() == [15088811401924618430]


def test_own_data_split_about_80_10_10():
    """About four deviations of the training part: one set of images in 10,000 fails."""
    sizes = [len(part) for part in parts_by_content(content_keys(noise(5000).images))]
    assert sum(sizes) == 5000
    assert np.allclose(sizes, [4000, 500, 500], atol=5 * np.sqrt(5000 * 0.1))


def test_an_image_stays_in_its_part_when_others_come_and_go():
    keys = content_keys(noise(500).images)
    where = {keys[i]: part for part, found in enumerate(parts_by_content(keys)) for i in found}
    fewer = np.random.default_rng(1).permutation(keys)[:300]
    for part, found in enumerate(parts_by_content(fewer)):
        assert all(where[fewer[i]] == part for i in found)


def test_copies_of_an_image_are_never_on_two_sides():
    once = noise(40)
    twice = ImageSet(torch.cat([once.images, once.images.flip(0)]), 256)
    keys = content_keys(twice.images)
    parts = [set(keys[part].tolist()) for part in parts_by_content(keys)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


@pytest.mark.parametrize("n", [3, 4, 7, 12])
def test_even_a_handful_of_images_gives_every_part_something(n):
    for shares in ((0.8, 0.9), TWO_WAYS):
        parts = parts_by_content(content_keys(noise(n).images), shares)
        assert all(len(part) for part in parts)
        assert len(parts[0]) >= len(parts[1])
        assert sorted(np.concatenate(parts).tolist()) == list(range(n))


def test_too_few_different_images_are_refused():
    same = ImageSet(torch.zeros(9, 1, 3, 4, dtype=torch.uint8), 2)
    with pytest.raises(DataError, match="1 different image cannot be split into 3 parts") as caught:
        parts_by_content(content_keys(same.images))
    assert "data.test=" in caught.value.hint
    assert "--fit patches with --size (in Python fit='patches', size=)" in caught.value.hint
    with pytest.raises(DataError, match="into 2 parts") as caught:
        parts_by_content(content_keys(same.images), TWO_WAYS)
    assert "data.test=" not in caught.value.hint


def test_a_large_set_in_three_parts_is_not_read_to_look_for_copies(monkeypatch):
    def read(rows):
        raise AssertionError("read")

    kept = noise(5).images
    large = ImageSet(LazyImages(kept.shape, kept.dtype, read, 256), 256)
    parts = {"train": large, "val": noise(3), "test": noise(2)}
    monkeypatch.setattr(splits, "READ_AGAIN", large.images.nbytes - 1)
    assert list(map(len, splits.splits_of(parts))) == [5, 3, 2]
