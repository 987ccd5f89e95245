"""Packed sets."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pictures import save_pictures
from pixelcnn import data
from pixelcnn.data import decoding
from pixelcnn.data.content import content_keys
from pixelcnn.data.lazy import LazyImages
from pixelcnn.data.packing import PLAN, REPORTS
from pixelcnn.errors import ConfigError, DataError, ResourceError
from pixelcnn.training.batches import Batches

N = 40


@pytest.fixture
def pets(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (N, 6, 5), np.uint8)
    return save_pictures(tmp_path / "pets", noise, classes=("dog", "cat"))


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


@pytest.mark.parametrize("levels", [256, 65_536])
@pytest.mark.parametrize("bits", [1, 8])
def test_packed_pictures_fill_the_range_that_is_said(tmp_path, bits, levels):
    values = np.random.default_rng(0).integers(0, 256, (6, 5, 7), np.uint8)
    save_pictures(tmp_path / "loose", values > 127 if bits == 1 else values)
    data.prepare(tmp_path / "loose", tmp_path / "packed")
    found = [data.load_all(tmp_path / name, source_levels=levels) for name in ("loose", "packed")]
    assert {images.levels for images in found} == {levels}
    loose, packed = (dict(zip(i.names, i.images[:].tolist(), strict=True)) for i in found)
    assert loose == packed


def test_folders_of_parts_do_not_become_its_classes(write_image, tmp_path):
    for name in ("train/cat/1.png", "train/dog/1.png", "test/dog/1.png"):
        write_image(f"parts/{name}")
    with pytest.raises(ConfigError, match="parts has the parts train, test") as caught:
        data.prepare(tmp_path / "parts", tmp_path / "packed")
    assert str(tmp_path / "parts/train") in caught.value.hint
    assert data.prepare(tmp_path / "parts/train", tmp_path / "packed").classes == ("cat", "dog")


def test_parts_of_each_class_are_packed_as_one_set_and_that_is_said(write_image, tmp_path, caplog):
    for name in ("cat/train/1.png", "cat/test/12.png", "dog/train/123.png", "dog/test/1234.png"):
        write_image(f"pets/{name}")
    assert len(data.prepare(tmp_path / "pets", tmp_path / "packed")) == 4
    assert "pets: train and test inside of its folders are packed as one" in caplog.text


@pytest.mark.parametrize("options", [{}, {"size": 4}, {"source_levels": 65_536}])
def test_test_images_that_are_packed_are_told_of_in_any_size_and_range(
    pets, tmp_path, caplog, options
):
    data.prepare(pets, tmp_path / "packed")
    data.load(tmp_path / "packed", test=tmp_path / "packed", **options)
    assert f"{N} of {N} test images are training or validation images, too" in caplog.text


@pytest.mark.parametrize("path", ["packed", "packed/images.npy"])
def test_it_splits_as_the_folder_does_without_copying(pets, tmp_path, path):
    whole = data.prepare(pets, tmp_path / "packed")
    for packed, loose in zip(data.load(tmp_path / path), data.load(pets), strict=True):
        assert by_name(packed) == by_name(loose)
        assert packed.split == loose.split
    assert len(whole) == N
    parts = data.load(tmp_path / path, levels=8)
    assert all(isinstance(part.images, LazyImages) for part in parts)


def test_it_goes_with_a_test_set(pets, tmp_path):
    data.prepare(pets, tmp_path / "packed")
    splits = data.load(tmp_path / "packed", test=pets)
    assert by_name(splits.test) == by_name(data.load_all(pets))
    assert by_name(splits.train) == by_name(data.load(pets, test=pets).train)


def test_for_want_of_memory_a_packed_set_is_not_called_damaged(pets, tmp_path, monkeypatch):
    data.prepare(pets, tmp_path / "packed")
    monkeypatch.setattr("pixelcnn.memory.available", lambda: 10)
    with pytest.raises(ResourceError, match=r"packed needs .* bytes of memory") as caught:
        data.load(tmp_path / "packed")
    assert caught.value.hint

    def without(*_):
        raise MemoryError

    monkeypatch.setattr(sys.modules["pixelcnn.data.prepare"], "_json", without)
    with pytest.raises(ResourceError, match="packed does not fit into memory"):
        data.load(tmp_path / "packed")


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


def test_a_file_system_without_locks_is_packed_to_all_the_same(pets, tmp_path, monkeypatch):
    def without(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", without)
    assert len(data.prepare(pets, tmp_path / "packed")) == N


def test_an_existing_folder_is_refused(pets, tmp_path):
    (tmp_path / "packed").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        data.prepare(pets, tmp_path / "packed")


class Cut(BaseException):
    """Stands for a process that is gone from one instruction to the next."""


def interrupt(pets, out, monkeypatch, at):
    """Packs until so many files have been decoded, then stops for ever."""
    left, read = [at], decoding.read_picture

    def until_cut(*arguments, **named):
        left[0] -= 1
        if left[0] < 0:
            raise Cut
        return read(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(decoding, "read_picture", until_cut)
        with pytest.raises(Cut):
            data.prepare(pets, out)


@pytest.fixture
def decoded(monkeypatch):
    """Counts the files that are decoded."""
    count, read = [], decoding.read_picture
    monkeypatch.setattr(
        decoding, "read_picture", lambda *a, **k: (count.append(1), read(*a, **k))[1]
    )
    return count


@pytest.mark.parametrize("at", [0, 7, N - 1])
def test_an_interrupted_packing_goes_on_where_it_was(at, pets, tmp_path, monkeypatch, decoded):
    whole = data.prepare(pets, tmp_path / "whole")
    interrupt(pets, tmp_path / "packed", monkeypatch, at)
    assert not (tmp_path / "packed").exists()
    decoded.clear()
    packed = data.prepare(pets, tmp_path / "packed")
    assert len(decoded) == N - at
    assert torch.equal(packed.images, whole.images)
    assert by_name(packed) == by_name(whole)
    assert {path.name for path in tmp_path.iterdir()} == {"pets", "packed", "whole"}


@pytest.mark.parametrize("name", ["reports.jsonl", "pixels.bin"])
@pytest.mark.parametrize("damage", ["cut", "spoilt"])
def test_what_a_crash_has_spoilt_is_done_again(name, damage, pets, tmp_path, monkeypatch):
    whole = data.prepare(pets, tmp_path / "whole")
    interrupt(pets, tmp_path / "packed", monkeypatch, 29)
    path = tmp_path / ".packed.partial" / name
    content = path.read_bytes()
    if damage == "spoilt":
        content = content[: len(content) // 2] + bytes(len(content) - len(content) // 2)
    path.write_bytes(content[:-5])
    assert by_name(data.prepare(pets, tmp_path / "packed")) == by_name(whole)


@pytest.mark.parametrize("change", ["file", "option"])
def test_other_files_or_options_start_anew(change, pets, tmp_path, monkeypatch, write_image):
    interrupt(pets, tmp_path / "packed", monkeypatch, 29)
    if change == "file":
        write_image("pets/cat/1.png", pixels=np.full((6, 5), 77, np.uint8))
    size = 4 if change == "option" else None
    packed = data.prepare(pets, tmp_path / "packed", size=size)
    assert by_name(packed) == by_name(data.load_all(pets, size=size))


def test_two_at_once_are_refused(pets, tmp_path):
    def again(done, total):
        with pytest.raises(ConfigError, match="packed is being packed by another process"):
            data.prepare(pets, tmp_path / "packed")

    data.prepare(pets, tmp_path / "packed", callback=again)


def test_progress_is_told(pets, tmp_path):
    seen = []
    data.prepare(pets, tmp_path / "packed", callback=lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, N) for i in range(N)]


def test_a_full_disk_is_a_resource_error(pets, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(ResourceError, match="2,400 bytes are needed"):
        data.prepare(pets, tmp_path / "packed")


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize(
    "name", ["lock", "plan.json", "reports.jsonl", "pixels.bin", "ready/names.json"]
)
def test_no_link_is_followed_in_what_a_packing_has_left(pets, tmp_path, name, link):
    victim, trap = tmp_path / "victim", tmp_path / ".packed.partial" / name
    victim.write_text("dear to somebody")
    trap.parent.mkdir(parents=True)
    link(victim, trap)
    with pytest.raises(ConfigError, match=f"{trap.name} .* link.*, and is not touched"):
        data.prepare(pets, tmp_path / "packed")
    assert victim.read_text() == "dear to somebody"


@pytest.mark.parametrize("name", [".packed.partial", ".packed.partial/ready"])
def test_no_folder_is_reached_by_a_link_in_what_a_packing_has_left(pets, tmp_path, name):
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "pixels.bin").write_text("dear to somebody")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(tmp_path / "victim")
    with pytest.raises(ConfigError, match="is a symbolic link"):
        data.prepare(pets, tmp_path / "packed")
    assert [path.name for path in (tmp_path / "victim").iterdir()] == ["pixels.bin"]
    assert (tmp_path / "victim" / "pixels.bin").read_text() == "dear to somebody"


@pytest.mark.parametrize(
    "name", ["images.npy", "prepared.json", "keys.npy", "names.json", "labels.npy"]
)
def test_a_damaged_packed_set_is_refused(pets, tmp_path, name):
    data.prepare(pets, tmp_path / "packed")
    path = tmp_path / "packed" / name
    path.write_bytes(path.read_bytes()[:100] if name != "prepared.json" else b"{}")
    with pytest.raises(DataError, match="damaged"):
        data.load(tmp_path / "packed")


@pytest.mark.parametrize("name", ["prepared.json", "keys.npy", "names.json", "labels.npy"])
def test_no_byte_beside_the_images_changes_a_packed_set(pets, tmp_path, name):
    def content(packed):
        return by_name(packed), packed.levels, packed.classes, packed.skipped, packed.fit

    whole = content(data.prepare(pets, tmp_path / "packed"))
    path = tmp_path / "packed" / name
    before = path.read_bytes()
    for at in range(0, len(before), 7):
        path.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
        with contextlib.suppress(DataError):
            assert content(data.load_all(tmp_path / "packed")) == whole
    path.unlink()
    with pytest.raises(DataError):
        data.load_all(tmp_path / "packed")


def test_checking_a_packed_set_finds_an_image_that_has_changed(pets, tmp_path):
    data.prepare(pets, tmp_path / "packed")
    path = tmp_path / "packed" / "images.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match="packed: the packed set is damaged: 1 image changed since"):
        data.check(tmp_path / "packed")


def test_an_unknown_format_is_refused(pets, tmp_path):
    data.prepare(pets, tmp_path / "packed")
    card = tmp_path / "packed" / "prepared.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "format": 2}))
    with pytest.raises(DataError, match="format 2"):
        data.load(tmp_path / "packed")


@pytest.mark.parametrize(("size", "fit"), [((4, 6), "crop"), (None, "")])
def test_a_packed_set_says_how_its_pictures_got_their_size(tmp_path, size, fit):
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 7), np.uint8)
    photos = save_pictures(tmp_path / "photos", images)
    options = {} if size is None else {"size": size, "fit": fit}
    data.prepare(photos, tmp_path / "packed", **options)
    assert data.load_all(tmp_path / "packed").fit == fit == data.load_all(photos, **options).fit


def test_a_packed_set_that_is_cropped_says_how_it_is_read_again(pets, tmp_path):
    data.prepare(pets, tmp_path / "packed", size=5)
    cropped = data.load_all(tmp_path / "packed", size=3)
    again = data.load_all(tmp_path / "packed", size=3, fit=cropped.fit)
    assert cropped.fit == "crop"
    assert torch.equal(again.images[:], cropped.images[:])


CARD = {"format": 1, "name": "pets", "levels": 256, "classes": ["cat", "dog"], "skipped": 0}
ODD = (None, -1, 1e300, {}, 10**30, [1], True)
HOSTILE = [
    *(json.dumps({**CARD, key: value}) for key in ("name", "levels", "classes") for value in ODD),
    *(json.dumps({**CARD, "format": value}) for value in (None, 2, "x" * 9999, [1])),
    *(json.dumps({**CARD, "skipped": value}) for value in (None, 1.5, "x", True)),
    *(json.dumps({**CARD, "fit": value}) for value in (None, 1, "x", ["crop"])),
    "[]", "null", "{}", "{", "[" * 100_000, '{"format": ' + "9" * 5000 + "}", '{"format": NaN}', "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("card", HOSTILE, ids=lambda card: card[:40])
def test_a_hostile_card_is_refused_in_one_line(pets, tmp_path, card):
    folder = written(tmp_path / "packed")
    (folder / "prepared.json").write_bytes(card.encode("utf-8", "surrogatepass"))
    with pytest.raises(
        DataError, match=r"^packed: (the packed set is damaged|packed in format)"
    ) as caught:
        data.load_all(folder)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def written(folder):
    """A packed set of four images as files, without packing."""
    folder.mkdir()
    np.save(folder / "images.npy", np.arange(4 * 6, dtype=np.uint8).reshape(4, 1, 2, 3))
    np.save(folder / "labels.npy", np.array([0, 1, 1, 0]))
    np.save(folder / "keys.npy", np.arange(4, dtype=np.uint64))
    (folder / "names.json").write_text(json.dumps(["a", "b", "c", "d"]))
    (folder / "prepared.json").write_text(json.dumps(CARD))
    return folder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("images.npy", np.zeros((4, 2, 3), np.uint8)),
        ("images.npy", np.zeros((4, 1, 2, 3), np.int64)),
        ("images.npy", np.zeros((5, 1, 2, 3), np.uint8)),
        ("labels.npy", np.array([0, 1, 2, 0])),
        ("labels.npy", np.array([0, 1, 10**18, 0])),
        ("labels.npy", np.array([0, 1, 0])),
        ("labels.npy", np.array(["0"] * 4)),
        ("names.json", ["a"]),
        ("names.json", [1, 2, 3, 4]),
        ("names.json", {}),
    ],
)
def test_files_of_a_packed_set_that_do_not_fit_are_refused(tmp_path, name, content):
    folder = written(tmp_path / "packed")
    assert len(data.load_all(folder)) == 4
    if name.endswith("json"):
        (folder / name).write_text(json.dumps(content))
    else:
        np.save(folder / name, content)
    with pytest.raises(DataError, match="packed: the packed set is damaged"):
        data.load_all(folder)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "keys.npy", "names.json"])
@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_in_a_packed_set_is_refused_and_not_waited_for(tmp_path, name, put):
    folder = written(tmp_path / "packed")
    (folder / name).unlink()
    put(folder / name)
    with pytest.raises(DataError, match="not a regular file"):
        data.load(folder)


def test_a_packed_set_names_no_place_on_this_machine(pets, tmp_path):
    data.prepare(pets, tmp_path / "packed")
    assert str(tmp_path).encode() not in b"".join(
        p.read_bytes() for p in (tmp_path / "packed").iterdir()
    )


KILLED = """
import sys
from pixelcnn import data
data.prepare(sys.argv[1], sys.argv[2], size=16)
"""


@pytest.mark.slow
def test_thousands_of_files_survive_kills_and_train_in_flat_memory(tmp_path, write_image):
    noise = np.random.default_rng(0)
    for i in range(6_000):
        write_image(f"many/{i % 60}/{i}.png", pixels=noise.integers(0, 256, (16, 16, 3), np.uint8))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "many"), str(tmp_path / "packed")]
    for part in (PLAN, REPORTS):
        process = subprocess.Popen(command)
        while not (tmp_path / ".packed.partial" / part).exists():
            time.sleep(0.01)
        time.sleep(0.3)
        process.kill()
        process.wait()
    assert not (tmp_path / "packed").exists()
    subprocess.run(command, check=True)
    whole = data.load_all(tmp_path / "many", size=16)
    packed = data.load_all(tmp_path / "packed")
    assert len(packed) == 6_000
    assert np.array_equal(np.sort(content_keys(packed.images)), np.sort(content_keys(whole.images)))
    batches = Batches(packed, 64, seed=0)
    batches[0]
    before = anonymous_memory()
    for step in range(batches.steps_per_epoch):
        batches[step]
    assert anonymous_memory() - before < packed.images.numel() / 4


def anonymous_memory():
    """Bytes in use that are no pages of a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith("RssAnon"))
    return 1024 * int(found.split()[1])


def test_a_place_that_cannot_be_written_is_no_fault_of_the_images(pets, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        data.prepare(pets, tmp_path / "file/packed")
