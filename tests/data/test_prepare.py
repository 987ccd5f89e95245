"""Packed sets."""

import json
import shutil

import numpy as np
import pytest

from pixelcnn import data
from pixelcnn.data.prepare import reorder
from pixelcnn.errors import ConfigError, DataError, ResourceError

N = 40


@pytest.fixture
def pets(write_image, tmp_path):
    noise = np.random.default_rng(0)
    for i in range(N):
        kind = "cat" if i % 2 else "dog"
        write_image(f"pets/{kind}/{i}.png", pixels=noise.integers(0, 256, (6, 5), np.uint8))
    return tmp_path / "pets"


def by_name(images):
    return {
        name: (image.tolist(), label)
        for name, image, label in zip(
            images.names, images.images, images.labels.tolist(), strict=True
        )
    }


def test_a_packed_set_holds_what_the_folder_holds(pets, tmp_path):
    packed = data.prepare(pets, tmp_path / "packed")
    folder = data.load_all(pets)
    assert by_name(packed) == by_name(folder)
    assert (packed.name, packed.levels, packed.classes) == ("pets", 256, ("cat", "dog"))


@pytest.mark.parametrize("path", ["packed", "packed/images.npy"])
def test_it_splits_as_the_folder_does_without_copying(pets, tmp_path, path):
    whole = data.prepare(pets, tmp_path / "packed")
    for packed, loose in zip(data.load(tmp_path / path), data.load(pets), strict=True):
        assert by_name(packed) == by_name(loose)
        assert packed.split == loose.split
    assert len(whole) == N
    train, val, test = data.load(tmp_path / path)
    step = train.images.stride(0)
    assert val.images.data_ptr() == train.images.data_ptr() + len(train) * step
    assert test.images.data_ptr() == val.images.data_ptr() + len(val) * step


def test_it_goes_with_a_test_set(pets, tmp_path):
    data.prepare(pets, tmp_path / "packed")
    splits = data.load(tmp_path / "packed", test=pets)
    assert by_name(splits.test) == by_name(data.load_all(pets))
    assert by_name(splits.train) == by_name(data.load(pets, test=pets).train)


def test_size_and_bad_files_are_handled_as_in_a_folder(pets, tmp_path, write_image):
    write_image("pets/cat/odd.png", size=(9, 9))
    with pytest.raises(DataError, match="differ in size"):
        data.prepare(pets, tmp_path / "packed")
    (pets / "cat" / "bad.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"bad\.png is empty"):
        data.prepare(pets, tmp_path / "packed", size=4)
    assert not any(tmp_path.glob("*packed*")), "nothing is left of a failure"
    packed = data.prepare(pets, tmp_path / "packed", size=4, skip_bad=True)
    assert (len(packed), packed.skipped, packed.shape) == (N + 1, 1, (1, 4, 4))
    assert data.load_all(tmp_path / "packed").skipped == 1


def test_an_existing_folder_is_refused(pets, tmp_path):
    (tmp_path / "packed").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        data.prepare(pets, tmp_path / "packed")


def test_an_interrupted_packing_leaves_nothing(pets, tmp_path):
    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.prepare(pets, tmp_path / "packed", callback=stop)
    assert not any(tmp_path.glob("*packed*"))


def test_progress_is_told(pets, tmp_path):
    seen = []
    data.prepare(pets, tmp_path / "packed", callback=lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, N) for i in range(N)]


def test_a_full_disk_is_a_resource_error(pets, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(ResourceError, match="1,200 bytes are needed"):
        data.prepare(pets, tmp_path / "packed")


@pytest.mark.parametrize(
    "name", ["images.npy", "prepared.json", "keys.npy", "names.json", "labels.npy"]
)
def test_a_damaged_packed_set_is_refused(pets, tmp_path, name):
    data.prepare(pets, tmp_path / "packed")
    path = tmp_path / "packed" / name
    path.write_bytes(path.read_bytes()[:100] if name != "prepared.json" else b"{}")
    with pytest.raises(DataError, match="damaged"):
        data.load(tmp_path / "packed")


def test_an_unknown_format_is_refused(pets, tmp_path):
    data.prepare(pets, tmp_path / "packed")
    card = tmp_path / "packed" / "prepared.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "format": 2}))
    with pytest.raises(DataError, match="format 2"):
        data.load(tmp_path / "packed")


def test_a_packed_set_names_no_place_on_this_machine(pets, tmp_path):
    data.prepare(pets, tmp_path / "packed")
    assert str(tmp_path).encode() not in b"".join(
        p.read_bytes() for p in (tmp_path / "packed").iterdir()
    )


def test_reordering_in_place_equals_indexing():
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(23)
        rows = np.arange(46).reshape(23, 2)
        expected = rows[order]
        reorder(rows, order)
        assert np.array_equal(rows, expected)
