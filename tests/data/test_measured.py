"""Measured values in files: read as they are, split, and only then brought into bins."""

import numpy as np
import pytest
import torch
from PIL import Image

from pictures import save_pictures
from pixelcnn import data
from pixelcnn.data import Bins
from pixelcnn.data.bins import found_bins
from pixelcnn.data.lazy import LazyImages
from pixelcnn.data.raw import check_finite
from pixelcnn.data.reading import Reading
from pixelcnn.data.sources import splits_from
from pixelcnn.data.tensors import extent
from pixelcnn.errors import ConfigError, DataError

MAPS = np.random.default_rng(0).normal(size=(40, 5, 7)).astype(np.float32)
RULES = ("range", "quantiles", [-1.5, 2.5], [-9, -0.5, 0, 0.5, 9])


@pytest.fixture
def stored(tmp_path):
    """Writes an array, and gives its path."""

    def write(values, name="maps.npy"):
        np.save(tmp_path / name, values)
        return tmp_path / name

    return write


def options(rule):
    edges = isinstance(rule, list) and len(rule) > 2
    return {"quantise": rule} | ({} if edges else {"levels": 4})


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_makes_levels(stored, rule):
    train, val, test = data.load(stored(MAPS), **options(rule))
    assert type(train) is data.ImageSet
    assert (len(train) + len(val) + len(test), train.bins) == (40, test.bins)
    assert train.levels == val.levels == train.bins.levels == 4
    assert train.quantisation == test.quantisation == train.bins.describe()
    assert train.bins.real is True


@pytest.mark.parametrize("rule", ["range", "quantiles"])
def test_bins_come_from_training_images_alone(stored, rule):
    path = stored(MAPS)
    raw = splits_from(path, Reading(quantise=rule))
    bins = data.load(path, quantise=rule, levels=9).train.bins
    assert bins == found_bins(rule, raw.train.images, 9, "train")
    assert (bins.edges[0], bins.edges[-1]) == extent(raw.train.images)
    assert extent(raw.train.images) != extent(torch.from_numpy(MAPS))


@pytest.mark.parametrize(
    "kind", ["<f2", "<f4", ">f4", "<f8", ">f8", np.longdouble, "i4", ">i2", "u8"]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_type_and_order_of_numbers_makes_the_same_levels(stored, kind, order):
    values = np.round(MAPS * 100 + 500)
    path = stored(values.astype(kind, order=order))
    images = data.load_all(path, quantise=[200, 900], levels=50)
    assert torch.equal(images.images[:, 0], Bins.between(200, 900, 50).levels_of(values))


def test_values_in_a_file_stay_there_and_are_quantised_batch_by_batch(stored):
    train = data.load(stored(MAPS), quantise="quantiles", levels=8).train
    assert isinstance(train.images, LazyImages)
    every = train.images[:]
    assert every.dtype is torch.uint8
    assert torch.equal(
        torch.cat([train.levels_at(slice(k, k + 3)) for k in range(0, 40, 3)]), every
    )
    assert torch.equal(train.levels_at([3]), every[3:4])


def test_the_split_is_the_same_for_all_bins(stored):
    sizes = {tuple(map(len, data.load(stored(MAPS), **options(rule)))) for rule in RULES}
    assert len(sizes) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_with_its_place(stored, bad):
    maps = MAPS.copy()
    maps[3, 2, 1] = maps[20, 0, 0] = bad
    with pytest.raises(DataError, match=r"^maps\.npy holds NaN or infinity in 2 of 1,400 places"):
        data.load(stored(maps), quantise="range")
    with pytest.raises(DataError, match=r"the first at \[3, 2, 1\]"):
        data.load_all(stored(maps), quantise=[0, 1])


def test_places_are_counted_over_all_pieces(monkeypatch):
    monkeypatch.setattr("pixelcnn.data.lazy.PIECE", 100)
    maps = MAPS.copy()
    maps[39] = np.nan
    with pytest.raises(DataError, match=r"35 of 1,400 places, the first at \[39, 0, 0\]"):
        check_finite(maps)


def test_one_warning_counts_the_values_outside(stored, caplog):
    outside = int(((MAPS < -1) | (MAPS > 1)).sum())
    images = data.load_all(stored(MAPS), quantise=[-1, 1], levels=4)
    assert f"{outside} of 1,400 values lie outside the 4 equal bins from -1 to 1" in caplog.text
    assert len(caplog.records) == 1
    assert images.images[:].max() == 3


@pytest.mark.parametrize("real", [True, False])
def test_integers_in_bins_of_real_numbers_are_told_of_and_the_other_way(stored, caplog, real):
    bins = Bins((-9, 0, 9), real=real)
    data.load_all(stored(MAPS), quantise=bins)
    assert ("were made for integers" in caplog.text) == (not real)
    caplog.clear()
    data.load_all(stored(MAPS.astype(int)), quantise=bins)
    assert ("were made for real numbers" in caplog.text) == real


def test_whole_numbers_in_a_table_count_as_integers(tmp_path, caplog):
    written, values = tmp_path / "maps.csv", (MAPS * 9).astype(int).reshape(40, -1)
    np.savetxt(written, values, fmt="%d", delimiter=",")
    data.load_all(written, shape=(1, 5, 7), quantise=Bins((-99, 0, 99), real=False))
    assert "were made for" not in caplog.text
    assert data.load(written, shape=(1, 5, 7), quantise=[-99, 0, 99]).train.bins.real is False


def test_levels_of_these_bins_are_taken_as_they_are(stored, tmp_path):
    bins = Bins.between(-9, 9, 5)
    levels = np.random.default_rng(0).integers(0, 5, (6, 5, 5))
    np.savez(tmp_path / "levels.npz", images=levels, levels=5)
    said = data.load_all(tmp_path / "levels.npz", quantise=bins)
    told = data.load_all(stored(levels), quantise=bins, source_levels=5)
    for images in (said, told):
        assert torch.equal(images.images[:, 0], torch.from_numpy(levels).byte())
        assert (images.bins, images.quantisation) == (bins, bins.describe())


def test_bins_of_levels_say_nothing_of_the_values_behind_them(stored, tmp_path):
    levels = np.random.default_rng(0).integers(0, 5, (20, 5, 7))
    np.savez(tmp_path / "levels.npz", images=levels, levels=5)
    said = data.load(tmp_path / "levels.npz", quantise=[-9, 9], levels=5)
    told = data.load(stored(levels), quantise=[-9, 9], levels=5, source_levels=5)
    assert said.train.bins == told.train.bins == Bins.between(-9, 9, 5)
    assert said.train.bins.real is told.train.bins.real is None


def test_values_in_an_archive_that_names_their_levels_are_values(tmp_path):
    np.savez(tmp_path / "values.npz", images=MAPS, levels=5)
    images = data.load_all(tmp_path / "values.npz", quantise=Bins.between(-9, 9, 5))
    assert torch.equal(images.images[:, 0], Bins.between(-9, 9, 5).levels_of(MAPS))


@pytest.mark.parametrize("rule", ["range", "quantiles"])
def test_a_rule_needs_training_images(stored, rule):
    with pytest.raises(ConfigError, match="bins of training images"):
        data.load_all(stored(MAPS), quantise=rule)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"quantise": "quantile"}, "quantise must be one of"),
        ({"quantise": [0, 1], "threshold": 0.5}, "threshold binarisation is of integer levels"),
        ({"quantise": "range", "binarise": "dynamic"}, "dynamic binarisation is of integer levels"),
        ({"quantise": [0, 1, 2], "levels": 5}, "3 edges make 2 levels, but levels = 5"),
        ({"quantise": "range", "source_levels": 5}, "source_levels says that values are levels"),
        ({"quantise": [1]}, "1 edges make 0 bins"),
        ({"quantise": [1, 0]}, "a range of values goes upwards, got 1 to 0"),
        ({"quantise": [0, float("nan")]}, "quantise must be one of"),
        ({"quantise": [0, "1"]}, "quantise must be one of"),
    ],
)
def test_options_that_make_no_sense_are_refused(stored, wrong, said):
    with pytest.raises(ConfigError, match=said):
        data.load(stored(MAPS), **wrong)


def test_edges_may_be_an_array(stored):
    edges = np.linspace(-9, 9, 7)
    assert data.load(stored(MAPS), quantise=edges).train.bins == Bins(tuple(edges))


def test_a_test_set_of_its_own_gets_the_bins_of_training(stored):
    parts = data.load(
        stored(MAPS), test=stored(MAPS[:3] * 9, "other.npy"), quantise="quantiles", levels=8
    )
    assert torch.equal(parts.test.images[:, 0], parts.train.bins.levels_of(MAPS[:3] * 9))


def test_named_sets_have_bins_too():
    train, val, _ = data.load("digits", quantise=[0, 1, 8, 17])
    plain = data.load("digits").train.images
    assert torch.equal(train.images, Bins((0, 1, 8, 17)).levels_of(plain))
    assert (train.bins.real, val.levels) == (False, 3)


@pytest.fixture
def folder(tmp_path):
    """A folder of pictures of floating-point numbers."""
    return save_pictures(tmp_path, MAPS[:12], "{:02}.tif")


@pytest.mark.parametrize("size", [{}, {"size": 4}, {"size": (5, 7), "fit": "crop"}])
def test_a_folder_of_real_numbers(folder, size):
    parts = data.load(folder, quantise="quantiles", levels=16, **size)
    assert {part.levels for part in parts} == {16}
    assert parts.train.shape[1:] == ((4, 4) if size.get("size") == 4 else (5, 7))
    if not size:
        whole = data.load_all(folder, quantise=parts.train.bins)
        assert torch.equal(whole.images[:, 0], parts.train.bins.levels_of(MAPS[:12]))


def test_pictures_of_real_numbers_need_bins_and_it_is_said_once(folder):
    with pytest.raises(
        DataError, match=r"none of 12 .*floating-point.*\(and 11 more\)(\n|$)"
    ) as caught:
        data.load(folder)
    assert "quantise=" in caught.value.hint


def test_a_picture_with_nan_is_a_bad_file(folder):
    values = MAPS[0].copy()
    values[1, 2] = np.nan
    Image.fromarray(values).save(folder / "bad.tif")
    with pytest.raises(DataError, match=r"bad\.tif holds NaN.*1 of 35 places.*\[0, 1, 2\]"):
        data.load(folder, quantise="range")
    assert data.load_all(folder, quantise=[-9, 9], skip_bad=True).skipped == 1


def test_patches_of_real_numbers_are_drawn_anew_each_epoch(folder):
    train = data.load(folder, quantise="range", size=3, fit="patches").train
    first, second = (train.levels_at(slice(0, 4), 0, epoch) for epoch in (1, 2))
    assert first.dtype is torch.uint8
    assert not torch.equal(first, second)


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_integers_of_pictures_count_as_they_stand(tmp_path, kind):
    values = np.random.default_rng(0).integers(0, 60_000, (9, 5, 5)).astype(kind)
    values *= 10 if kind is np.int32 else 1
    save_pictures(tmp_path, values, "{}.tif")
    bins = Bins.between(0, 600_000, 99)
    images = data.load_all(tmp_path, quantise=bins)
    assert torch.equal(images.images[:, 0], bins.levels_of(values.astype(np.int64)))
