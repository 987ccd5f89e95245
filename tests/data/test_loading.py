"""``load`` and ``load_all``."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import data
from pixelcnn.data import loading
from pixelcnn.errors import ConfigError, DataError, UnknownName

NOISE = np.random.default_rng(0).integers(0, 256, (60, 6, 5), np.uint8)


@pytest.fixture
def noise(tmp_path):
    path = tmp_path / "noise.npy"
    np.save(path, NOISE)
    return path


def test_the_default_is_the_embedded_digits():
    assert data.load().train.name == "digits"
    named = ("digits", "mnist", "binarized-mnist", "fashion-mnist", "cifar-10")
    assert data.DATASETS[: len(named)] == named


def test_names_teach():
    with pytest.raises(UnknownName, match="Did you mean 'mnist'") as caught:
        data.load("mnits")
    assert "cifar-10" in caught.value.hint


def test_no_name_is_not_the_working_folder(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    assert len(data.load_all(".")) == 1
    with pytest.raises(ConfigError, match="must be a text or a path, got ''"):
        data.load_all("")


@pytest.mark.parametrize("path", ["no/such/folder", "nothing.npy", "/nowhere.csv"])
def test_a_missing_path_is_bad_data(path):
    with pytest.raises(DataError, match="no file or folder"):
        data.load(path)


def test_a_place_that_may_not_be_looked_into_is_bad_data(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    for methods in (["exists"], ["iterdir"], ["is_file", "iterdir"]):
        with monkeypatch.context() as patch:
            for method in methods:
                patch.setattr(Path, method, denied)
            with pytest.raises(DataError, match="Permission denied"):
                data.load(tmp_path)


def test_an_unknown_kind_of_file_is_named(tmp_path):
    path = tmp_path / "images.mat"
    path.write_bytes(b"0")
    with pytest.raises(DataError, match=r"images\.mat is no known kind") as caught:
        data.load(path)
    assert ".npz" in caught.value.hint


@pytest.mark.parametrize(
    "options", [{"test": "digits"}, {"layout": "nhw"}, {"source_levels": 17}, {"split": "best"}]
)
def test_options_that_do_not_go_with_a_named_set_are_refused(options):
    (name,) = options
    with pytest.raises(ConfigError, match=f"^{name} (goes with own data|must be one of)"):
        data.load("digits", **options)


def test_own_data_have_no_tutorial_split(noise):
    with pytest.raises(ConfigError, match="no split but standard"):
        data.load(noise, split="tutorial")


def test_the_name_of_own_data_is_no_path(noise):
    assert {part.name for part in data.load(noise)} == {"noise.npy"}
    assert data.load_all(noise).name == "noise.npy"


def test_parts_are_disjoint_and_complete_whatever_becomes_of_the_levels(noise):
    plain = data.load(noise)
    assert sum(map(len, plain)) == 60
    for options in ({"levels": 2}, {"threshold": 0.9}, {"rgb": True}, {"levels": 8, "rgb": True}):
        for part, other in zip(plain, data.load(noise, **options), strict=True):
            assert len(part) == len(other)
    eighths = data.load(noise, levels=8).val.images
    assert torch.equal(eighths, plain.val.images // 32)


def test_a_test_set_of_the_users_own_is_kept_whole(noise, tmp_path):
    np.save(tmp_path / "other.npy", NOISE[:9])
    train, val, test = data.load(noise, test=tmp_path / "other.npy")
    assert len(train) + len(val) == 60
    assert np.array_equal(test.images[:, 0].numpy(), NOISE[:9])
    assert test.split == "test"


@pytest.mark.parametrize("parts", [{"test": "other.npz"}, {}])
def test_test_images_that_are_trained_on_are_told_of(tmp_path, caplog, monkeypatch, parts):
    monkeypatch.chdir(tmp_path)
    mixed = np.concatenate([NOISE[:3], 255 - NOISE[:4]])
    np.savez("other.npz", images=mixed)
    np.savez("all.npz", x_train=NOISE, **({} if parts else {"x_test": mixed}))
    data.load("all.npz", **parts)
    assert "3 of 7 test images are training or validation images, too" in caplog.text
    caplog.clear()
    np.savez("other.npz", images=mixed[3:])
    np.savez("all.npz", x_train=NOISE, **({} if parts else {"x_test": mixed[3:]}))
    data.load("all.npz", **parts)
    assert "too" not in caplog.text


def test_a_dark_test_set_is_coded_like_the_training_set(noise, tmp_path):
    np.save(tmp_path / "dark.npy", NOISE[:9] % 2)
    assert data.load(noise, test=tmp_path / "dark.npy").test.levels == 256
    quantised = data.load(noise, test=tmp_path / "dark.npy", levels=4).test
    assert int(quantised.images.max()) == 0


def test_a_test_set_of_another_shape_is_refused(noise, tmp_path):
    np.save(tmp_path / "other.npy", NOISE[:, :5])
    with pytest.raises(DataError, match=r"test images are 1x5x5 .* training images are 1x6x5"):
        data.load(noise, test=tmp_path / "other.npy")


def test_dynamic_binarisation_trains_on_new_draws_and_evaluates_on_one():
    train, val, test = data.load("digits", binarise="dynamic")
    assert [part.binarisation for part in (train, val, test)] == ["dynamic"] + [
        "dynamic, seed 0"
    ] * 2
    assert train.levels == val.levels == test.levels == 2
    assert not torch.equal(train.levels_at([0, 1], 0, 0), train.levels_at([0, 1], 0, 1))
    assert torch.equal(val.levels_at([0], 0, 0), val.levels_at([0], 1, 1))
    again = data.load("digits", binarise="dynamic")
    assert again.test.content_hash == test.content_hash


def test_size_pads_and_crops_named_sets():
    assert data.load("digits", size=10, fit="pad").train.shape == (1, 10, 10)
    assert data.load_all("digits", size=(6, 8)).shape == (1, 6, 8)


def test_rgb_gives_three_equal_channels_and_keeps_the_levels():
    grey, coloured = (
        data.load("digits", levels=8).test,
        data.load("digits", levels=8, rgb=True).test,
    )
    assert coloured.shape == (3, 8, 8)
    assert torch.equal(coloured.images, grey.images.expand(-1, 3, -1, -1))


def test_labels_can_be_dropped():
    assert data.load("digits", labels=False).train.labels is None
    assert data.load("digits").train.label_count == 10


def test_everything_at_once_keeps_the_order(noise):
    assert np.array_equal(data.load_all(noise).images[:, 0].numpy(), NOISE)
    assert data.load_all(str(noise)).split == "all"


def test_importing_the_package_imports_neither_pillow_nor_the_downloader():
    import subprocess
    import sys

    code = (
        "import sys; from pixelcnn import data; data.load('digits'); "
        "assert not {'PIL', 'pooch', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_all_parts_have_in_common_is_said_once(caplog):
    caplog.set_level("INFO", "pixelcnn")
    data.load("digits", levels=300)
    data.load("digits", levels=4)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_part_alone_is_that_of_all(part):
    found = loading.load_part("digits", part, levels=4)
    assert found.content_hash == getattr(data.load("digits", levels=4), part).content_hash
    assert found.split == part


@pytest.mark.parametrize("folder", ["~nobody-of-this-name", "~$lock"])
def test_a_name_that_looks_like_the_folder_of_a_user_is_a_name(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir()
    np.save(f"{folder}/noise.npy", NOISE)
    assert len(data.load_all(f"{folder}/noise.npy")) == 60
    assert data.check(f"{folder}/noise.npy").ok
    with pytest.raises(DataError, match="no file or folder"):
        data.load_all(f"{folder}/other.npy")


def test_a_tilde_is_the_folder_of_the_user_in_lists_and_checks_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(NOISE[0]).save(tmp_path / "a.png")
    assert len(data.load_all(["~/a.png", "~/a.png"])) == 2
    assert data.check_folder("~").ok


def test_a_test_set_takes_the_place_of_the_parts_own(tmp_path, caplog):
    every = np.random.default_rng(0).integers(0, 256, (40, 6, 6), np.uint8)
    np.savez(tmp_path / "parts.npz", x_train=every[:20], x_val=every[20:25], x_test=every[25:30])
    np.save(tmp_path / "other.npy", every[30:])
    train, val, test = data.load(tmp_path / "parts.npz", test=tmp_path / "other.npy")
    for part, expected in (train, every[:20]), (val, every[20:25]), (test, every[30:]):
        assert np.array_equal(part.images[:, 0].numpy(), expected)
    assert "parts.npz: its own test images are left out" in caplog.text


@pytest.mark.parametrize("part", ["x_train", "x_val"])
def test_copies_between_three_given_parts_are_told(tmp_path, caplog, part):
    every = np.random.default_rng(0).integers(0, 256, (30, 6, 6), np.uint8)
    parts = {"x_train": every[:20], "x_val": every[20:25], "x_test": every[25:]}
    np.savez(
        tmp_path / "parts.npz", **parts | {"x_test": np.concatenate([every[25:], parts[part][:2]])}
    )
    data.load(tmp_path / "parts.npz")
    assert "2 of 7 test images are training or validation images, too" in caplog.text
