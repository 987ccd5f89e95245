"""Reports on data."""

import json

import numpy as np
import pytest
from PIL import Image

from pixelcnn import data
from pixelcnn.data.check import Tally
from pixelcnn.errors import DataError, UnknownName

VALUES = np.random.default_rng(0).integers(0, 256, (12, 6, 5), np.uint8) // 16 * 16


@pytest.fixture
def parts(tmp_path):
    """Twelve pictures to train on, one of them twice, and four to test on, all of one class."""
    for part, chosen in (("train", [*range(12), 3]), ("test", [3])):
        for place, number in enumerate(chosen):
            path = tmp_path / "set" / part / ("cat", "dog")[number % 2] / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(VALUES[number]).save(path)
    for number in range(3):
        Image.fromarray(VALUES[number] + 1).save(tmp_path / f"set/test/dog/new{number}.png")
    return tmp_path / "set"


def test_a_report_has_shapes_levels_classes_and_duplicates_within_and_across_parts(parts):
    found = data.check(parts)
    assert found.ok
    assert found.parts == {"train": 13, "test": 4}
    assert found.shapes == {"1x6x5": 17}
    assert (found.levels, found.occurring) == (256, len({*VALUES.flat, *(VALUES[:3] + 1).flat}))
    assert found.classes == {"cat": 6, "dog": 11}
    assert (found.duplicates, found.shared) == (1, {"train and test": 1})
    assert [folder.folder for folder in found.folders] == ["train", "test"]


def test_a_test_folder_with_one_class_keeps_its_labels(parts):
    test = data.load(parts).test
    assert (test.classes, test.labels.tolist()) == (("cat", "dog"), [1] * 4)
    train = data.load(parts / "train", test=parts / "test")
    assert train.test.labels.tolist() == [1] * 4


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "packed", "digits"])
def test_arrays_tables_packed_and_named_sets_are_reported(tmp_path, parts, kind):
    path = tmp_path / f"a.{kind}"
    labels = np.arange(12) % 3
    if kind == "npy":
        np.save(path, VALUES)
    elif kind == "npz":
        np.savez(path, images=VALUES, labels=labels)
    elif kind == "csv":
        rows = np.concatenate([labels[:, None], VALUES[:, :5].reshape(12, -1)], 1)
        np.savetxt(
            path,
            rows,
            "%d",
            ",",
            header="label," + ",".join(f"p{i}" for i in range(25)),
            comments="",
        )
    elif kind == "packed":
        data.prepare(parts / "train", path)
    found = data.check("digits" if kind == "digits" else path)
    assert found.ok and not found.folders
    assert sum(found.parts.values()) == {"packed": 13, "digits": 1797}.get(kind, 12)
    assert found.duplicates == (kind == "packed")
    assert len(found.classes) == {"npy": 0, "packed": 2, "digits": 10}.get(kind, 3)
    assert found.levels == (17 if kind == "digits" else 256)
    assert 0 < found.occurring <= 17


@pytest.mark.parametrize("look", [data.check, data.load], ids=["check", "load"])
def test_what_is_not_there_is_refused_as_everywhere(tmp_path, look):
    (tmp_path / "photos").mkdir()
    with pytest.raises(
        DataError, match=r"there is no file or folder .*\. Did you mean 'photos'\?"
    ) as caught:
        look(tmp_path / "photo")
    assert caught.value.hint == f"it was looked for in {tmp_path}"
    with pytest.raises(UnknownName, match="no data set called 'nowhere', and no such folder\n"):
        look("nowhere")


@pytest.mark.parametrize("look", [data.check_folder, lambda path: data.prepare(path, "out")])
def test_a_name_that_is_too_long_for_a_file_is_not_there(look):
    with pytest.raises(DataError, match=r"there is no file or folder m{299}"):
        look("m" * 300)


@pytest.mark.parametrize(
    ("path", "remedy"),
    [("https://x.org/a.zip", "download it first"), ("photos/*.png", "give the folder itself")],
)
def test_what_is_no_path_by_its_looks_is_told_what_to_do(path, remedy):
    with pytest.raises(DataError, match="there is no file or folder") as caught:
        data.check(path)
    assert remedy in caught.value.hint


def test_pictures_of_several_sizes_are_counted_and_are_no_set(parts):
    Image.fromarray(VALUES[0, :4]).save(parts / "train" / "cat" / "small.png")
    found = data.check(parts)
    assert not found.ok
    assert found.shapes == {"1x6x5": 17, "1x4x5": 1}
    assert "differ in size" in found.folders[0].problem
    assert data.check(parts, size=4).ok


def test_levels_are_those_to_train_on_whatever_the_sizes(parts):
    """One grey picture of 16 bits beside others of 8 becomes one of 8, as in training."""
    Image.fromarray(VALUES[0, :4].astype(np.uint16) * 257).save(parts / "test" / "dog" / "deep.png")
    assert data.check(parts).levels == data.load(parts, size=4).train.levels == 256


def test_numbered_classes_stand_in_their_order():
    images = data.ImageSet(VALUES[:, None], 256, labels=np.array([3, 1, 10, 2] * 3))
    tally = Tally()
    tally.add_labels(images.labels)
    assert [*tally.classes] == ["1", "2", "3", "10"]


@pytest.mark.parametrize("size", [None, 4])
def test_a_folder_without_a_good_picture_is_reported_whatever_size_is_asked_for(tmp_path, size):
    (tmp_path / "a.png").write_bytes(b"no picture")
    found = data.check(tmp_path, size)
    assert not found.ok
    assert (found.parts, found.folders[0].problem) == ({}, "no good image")


def test_an_array_that_is_a_folder_is_reported_as_an_array(tmp_path):
    """A store of Zarr, as its specification has it."""
    store = tmp_path / "cells.zarr"
    store.mkdir()
    described = {"zarr_format": 2, "shape": VALUES.shape, "chunks": VALUES.shape, "dtype": "|u1"}
    described |= {"compressor": None, "fill_value": 0, "filters": None, "order": "C"}
    (store / ".zarray").write_text(json.dumps(described))
    (store / "0.0.0").write_bytes(VALUES.tobytes())
    found = data.check(store)
    assert found.ok and not found.folders
    assert (found.parts, found.shapes) == ({"all": 12}, {"1x6x5": 12})


def test_parts_of_an_archive_are_compared_with_each_other(tmp_path):
    labels = np.arange(12) % 3
    np.savez(
        tmp_path / "set.npz",
        x_train=VALUES, y_train=labels, x_test=VALUES[:3], y_test=labels[:3],
    )  # fmt: skip
    found = data.check(tmp_path / "set.npz")
    assert (found.parts, found.shared) == ({"train": 12, "test": 3}, {"train and test": 3})
    assert (found.duplicates, found.classes) == (0, {"0": 5, "1": 5, "2": 5})


def test_patches_of_one_photograph_are_no_duplicates(tmp_path):
    np.save(tmp_path / "a.npy", VALUES)
    found = data.check(tmp_path / "a.npy", (3, 5), "patches")
    assert (found.parts, found.duplicates) == ({"all": 24}, 0)
