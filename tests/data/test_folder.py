"""Folders of images, with everything that real ones hold."""

import os
import re

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import data
from pixelcnn.data.files import class_labels, find_images
from pixelcnn.errors import DataError

GOOD = 12


def good_files(root, n=GOOD, size=(7, 9)):
    """Grey pictures of one size under names that only just are names."""
    names = ["a.png", "ünï cödé.png", "two\nlines.png", "B.PNG", "deep/er/c.png", "10.png", "9.png"]
    names += [f"more{i}.png" for i in range(n - len(names))]
    noise = np.random.default_rng(0)
    for name in names[:n]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, size, np.uint8)).save(path)
    return sorted(names[:n], key=os.fsencode)


def bad_files(root, make_png):
    """Files that only look like images, and why each is none."""
    whole = (root / "a.png").read_bytes()
    contents = {
        "truncated.png": (whole[: len(whole) // 2], "truncated"),
        "zero.png": (b"", "is empty"),
        "text.png": (b"this is no picture", "is not an image"),
        "huge.png": (make_png(30_000, 30_000), "900,000,000 pixels"),
        "flipped.png": (whole[:60] + bytes([whole[60] ^ 255]) + whole[61:], "damaged|truncated"),
        "bad\nname.jpg": (b"\xff\xd8\xff\xe0", "damaged|not an image|truncated"),
    }
    for name, (content, _) in contents.items():
        (root / name).write_bytes(content)
    (root / "dangling.png").symlink_to(root / "nowhere.png")
    return {name: reason for name, (_, reason) in contents.items()} | {
        "dangling.png": "No such file"
    }


@pytest.fixture
def zoo(tmp_path, make_png):
    root = tmp_path / "zoo"
    root.mkdir()
    good = good_files(root)
    bad = bad_files(root, make_png)
    (root / "round").symlink_to(root, target_is_directory=True)
    (root / "deep" / "up").symlink_to(root / "deep", target_is_directory=True)
    (root / "notes.txt").write_text("no picture")
    (root / ".hidden.png").write_text("no picture")
    return root, good, bad


def test_every_bad_file_is_named_in_one_line(zoo):
    root, _, bad = zoo
    with pytest.raises(DataError) as caught:
        data.load(root)
    message = str(caught.value)
    assert message.startswith(f"zoo: {len(bad)} of {GOOD + len(bad)} files cannot be used")
    assert "\n" not in message
    assert all(name.replace("\n", "\\n") in message for name in bad)
    assert "--skip-bad" in caught.value.hint


def test_with_skip_bad_the_result_equals_that_of_the_good_files(zoo, tmp_path, caplog):
    root, good, bad = zoo
    clean = tmp_path / "clean"
    clean.mkdir()
    assert good_files(clean) == good
    for found, expected in zip(data.load(root, skip_bad=True), data.load(clean), strict=True):
        assert found.content_hash == expected.content_hash
        assert found.names == expected.names
        assert found.skipped == len(bad)
    assert f"{len(bad)} of {GOOD + len(bad)} files skipped" in caplog.text
    assert all(name.replace("\n", "\\n") in caplog.text for name in bad)


def test_the_report_has_every_file_with_its_reason(zoo):
    root, good, bad = zoo
    report = data.check_folder(root)
    assert {each.name for each in report.errors} == set(bad)
    assert {each.name for each in report.files} == {*good, *bad}
    assert all(re.search(bad[each.name], each.detail) for each in report.errors)
    assert not report.ok
    assert (
        report.summary
        == f"zoo: {GOOD + len(bad)} images, {GOOD} good, 0 with a note, {len(bad)} bad"
    )


def test_a_folder_of_nothing_but_bad_files_stays_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 1 files .* a\.png is empty"):
        data.load_all(tmp_path, skip_bad=True)


def test_linked_folders_are_read_once_and_circles_end(zoo):
    root, good, bad = zoo
    assert len(find_images(root)) == len(good) + len(bad)


def test_the_order_is_that_of_the_names_bytes_whatever_the_file_system_says(tmp_path):
    names = ["b.png", "a/z.png", "a.png", "B.png", "ä.png", "a/b/c.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [each.name for each in find_images(tmp_path)] == sorted(names, key=os.fsencode)


def test_different_sizes_are_refused_naming_two_files_and_the_remedy(write_image, tmp_path):
    write_image("a.png", size=(6, 5))
    write_image("b.png", size=(6, 5))
    write_image("c.png", size=(4, 9))
    with pytest.raises(DataError, match=r"a\.png is 6x5, c\.png is 4x9") as caught:
        data.load_all(tmp_path)
    assert "--size" in caught.value.hint
    assert "differ in size" in data.check_folder(tmp_path).summary
    assert data.check_folder(tmp_path, size=4).ok


def test_a_size_crops_about_the_centre_and_names_what_is_too_small(write_image, tmp_path):
    path = write_image("a.png", size=(9, 8))
    write_image("b.png", size=(6, 6))
    images = data.load_all(tmp_path, size=(5, 6))
    with Image.open(path) as image:
        pixels = np.asarray(image)
    assert images.images[0, 0].tolist() == pixels[2:7, 1:7].tolist()
    with pytest.raises(DataError, match=r"b\.png is 6x6, smaller than 7x7"):
        data.load_all(tmp_path, size=7)
    padded = data.load_all(tmp_path, size=7, fit="pad")
    assert padded.shape == (1, 7, 7)
    assert int(padded.images[1, 0, 6].sum()) == 0


def test_resizing_happens_on_request_and_is_said(write_image, tmp_path, caplog):
    for i in range(3):
        write_image(f"{i}.png", "RGB", size=(40 + i, 30))
    images = data.load_all(tmp_path, size=10, fit="resize")
    assert images.shape == (3, 10, 10)
    assert "resized to 10x10" in caplog.text


def test_resizing_keeps_a_flat_picture_flat(write_image, tmp_path):
    write_image("a.png", pixels=np.full((33, 20), 77, np.uint8))
    assert set(data.load_all(tmp_path, size=8, fit="resize").images.flatten().tolist()) == {77}


def test_if_any_image_has_colour_all_are_rgb_and_it_is_said(write_image, tmp_path, caplog):
    grey = write_image("a.png", "L")
    write_image("b.png", "RGB")
    images = data.load_all(tmp_path)
    assert images.shape == (3, 6, 5)
    with Image.open(grey) as image:
        pixels = np.asarray(image)
    assert all(images.images[0, c].tolist() == pixels.tolist() for c in range(3))
    assert "1 of 2 images brought to RGB" in caplog.text


def test_a_grey_model_takes_grey_pictures_that_are_stored_in_colour(write_image, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 1), np.uint8).repeat(3, 2)
    write_image("a.png", pixels=pixels)
    images = data.load_all(tmp_path, shape=(1, 6, 5))
    assert images.images[0, 0].tolist() == pixels[..., 0].tolist()
    write_image("b.png", "RGB")
    with pytest.raises(DataError, match=r"b\.png is in colour"):
        data.load_all(tmp_path, shape=(1, 6, 5))


def test_a_colour_model_takes_grey_pictures(write_image, tmp_path):
    write_image("a.png", "L")
    assert data.load_all(tmp_path, shape=(3, 6, 5)).shape == (3, 6, 5)


def test_what_is_done_to_files_is_said_once_a_kind(write_image, tmp_path, caplog):
    for i in range(3):
        write_image(f"{i}.png", "RGBA")
    data.load_all(tmp_path)
    assert caplog.text.count("opaque alpha channel dropped: 3 of 3 files, first 0.png") == 1


def test_folders_are_classes_if_every_image_lies_in_one(write_image, tmp_path):
    for name in ("dog/1.png", "cat/2.png", "cat/deep/3.png"):
        write_image(f"pets/{name}")
    images = data.load_all(tmp_path / "pets")
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [0, 0, 1]
    assert data.load_all(tmp_path / "pets", labels=False).labels is None
    write_image("pets/4.png")
    assert data.load_all(tmp_path / "pets").labels is None


def test_a_single_folder_is_no_class():
    assert class_labels(["cat/1.png", "cat/2.png"]) == (None, ())


def test_folders_called_train_and_test_are_parts_not_classes(write_image, tmp_path):
    for part, n in (("train", 9), ("test", 4)):
        for i in range(n):
            write_image(f"set/{part}/{'dog' if i % 2 else 'cat'}/{part}{i}{'x' * i}.png")
    train, val, test = data.load(tmp_path / "set")
    assert (len(train) + len(val), len(test)) == (9, 4)
    assert train.classes == test.classes == ("cat", "dog")
    assert {each.name for each in (train, val, test)} == {"set"}
    assert all(name.startswith("test/") for name in test.names)
    whole = data.load_all(tmp_path / "set")
    assert len(whole) == 13
    assert whole.classes == ("cat", "dog")


def test_a_val_folder_validates_and_a_missing_test_part_is_cut_from_train(write_image, tmp_path):
    for part, n in (("train", 9), ("valid", 3)):
        for i in range(n):
            write_image(f"set/{part}/{part}{i}{'x' * i}.png")
    train, val, test = data.load(tmp_path / "set")
    assert (len(val), len(train) + len(test)) == (3, 9)
    assert len(test) > 0


def test_a_class_that_training_lacks_is_refused(write_image, tmp_path):
    for i in range(6):
        write_image(f"set/train/{'dog' if i % 2 else 'cat'}/{i}{'x' * i}.png")
    for name in ("cat", "fox"):
        write_image(f"set/test/{name}/1.png")
    with pytest.raises(DataError, match="classes that training images lack: fox"):
        data.load(tmp_path / "set")


def test_one_bit_images_have_two_levels_unless_more_are_asked_for(write_image, tmp_path):
    for i in range(3):
        write_image(f"{'x' * (i + 1)}.png", "1")
    images = data.load_all(tmp_path)
    assert (images.levels, images.binarisation) == (2, "fixed")
    assert set(images.images.flatten().tolist()) == {0, 1}
    grey = data.load_all(tmp_path, levels=256)
    assert set(grey.images.flatten().tolist()) == {0, 255}
    write_image("grey.png", "L")
    assert data.load_all(tmp_path).levels == 256


def test_more_than_256_levels_come_from_sixteen_bits(tmp_path):
    values = np.random.default_rng(0).integers(0, 65_536, (6, 5), np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    images = data.load_all(tmp_path, levels=4096)
    assert images.images.dtype == torch.int32
    assert images.images[0, 0].tolist() == (values.astype(int) // 16).tolist()


def test_a_single_file_and_several_files_are_sets(write_image):
    first, second = write_image("a.png"), write_image("bb.png")
    assert data.load_all(first).names == ("a.png",)
    both = data.load_all([second, first])
    assert both.names == ("bb.png", "a.png")
    assert torch.equal(both.images[1], data.load_all(first).images[0])


def test_an_empty_folder_and_an_unreadable_one_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        data.load_all(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        data.check_folder(tmp_path / "none")


def test_images_that_do_not_fit_into_memory_are_a_resource_error(
    write_image, tmp_path, monkeypatch
):
    from pixelcnn.errors import ResourceError

    write_image("a.png")
    monkeypatch.setattr(
        "pixelcnn.data.folder.settle", lambda *_: (_ for _ in ()).throw(MemoryError)
    )
    with pytest.raises(ResourceError, match="do not fit into memory"):
        data.load_all(tmp_path)


def test_levels_that_image_files_do_not_have_are_refused(write_image, tmp_path):
    write_image("a.png")
    with pytest.raises(DataError, match="the files have 256 levels, not 17"):
        data.load_all(tmp_path, source_levels=17)


def test_names_of_images_can_be_printed_and_written_whatever_the_files_are_called(
    write_image, tmp_path
):
    content = write_image("plain.png").read_bytes()
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in (b"\xff.png", b"a\nb.png", b"esc\x1b[2J.png"):
        (folder / os.fsdecode(name)).write_bytes(content)
    expected = ("a\\nb.png", "esc\\x1b[2J.png", "\\udcff.png")
    assert data.load_all(folder).names == expected
    assert sorted(data.prepare(folder, tmp_path / "packed").names) == sorted(expected)
