"""Folders of images, with everything that real ones hold."""

import os
import re

import numpy as np
import pytest
import torch
from PIL import Image

from forgery import png_file
from pictures import save_pictures
from pixelcnn import data, plotting, png
from pixelcnn.cli.conditions import class_number
from pixelcnn.cli.output import save_picture
from pixelcnn.data import refusal
from pixelcnn.data.files import class_labels, find_images
from pixelcnn.data.labels import labels_tensor
from pixelcnn.data.parts import image_parts
from pixelcnn.errors import ConfigError, DataError

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


def bad_files(root):
    """Files that only look like images, and why each is none."""
    whole = (root / "a.png").read_bytes()
    contents = {
        "truncated.png": (whole[: len(whole) // 2], "truncated"),
        "zero.png": (b"", "is empty"),
        "text.png": (b"this is no picture", "is not an image"),
        "huge.png": (png_file(30_000, 30_000), "900,000,000 pixels"),
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
def zoo(tmp_path):
    root = tmp_path / "zoo"
    root.mkdir()
    good = good_files(root)
    bad = bad_files(root)
    (root / "round").symlink_to(root, target_is_directory=True)
    (root / "deep" / "up").symlink_to(root / "deep", target_is_directory=True)
    (root / "notes.txt").write_text("no picture")
    (root / ".hidden.png").write_text("no picture")
    return root, good, bad


def test_everything_that_is_wrong_with_files_is_one_line(zoo, monkeypatch):
    monkeypatch.setattr(refusal, "NAMED", 99)
    root, _, bad = zoo
    with pytest.raises(DataError) as caught:
        data.load(root)
    message = str(caught.value)
    assert message.startswith(f"zoo: {len(bad)} of {GOOD + len(bad)} files cannot be used")
    assert "\n" not in message
    assert message.count(";") == len(bad) - 2
    assert "--skip-bad" in caught.value.hint


def test_bad_files_of_one_reason_are_told_of_together(tmp_path):
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(b"")
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(
        DataError, match=r"none of 10 files can be used: 0.png .*\(and 8 more\); a.png"
    ):
        data.load(tmp_path)


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
    with pytest.raises(DataError, match=r": its only file cannot be used: a\.png is empty"):
        data.load_all(tmp_path, skip_bad=True)


def test_a_file_that_cannot_be_used_is_named_once(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        data.load_all(tmp_path / "a.png")
    assert (str(caught.value), caught.value.hint) == ("a.png is empty", "mend or remove it")


def test_of_too_large_a_picture_the_remedy_is_a_smaller_one(tmp_path):
    (tmp_path / "a.png").write_bytes(png_file(10_000, 10_000))
    with pytest.raises(DataError, match="is too large: 100,000,000 pixels, at most") as caught:
        data.load_all(tmp_path)
    assert caught.value.hint == "scale it down, cut it into parts, or store it as .npy"


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
    images = data.load_all(tmp_path, size=(5, 6), fit="crop")
    with Image.open(path) as image:
        pixels = np.asarray(image)
    assert images.images[0, 0].tolist() == pixels[2:7, 1:7].tolist()
    with pytest.raises(DataError, match=r"b\.png is 6x6, smaller than 7x7"):
        data.load_all(tmp_path, size=7, fit="crop")
    padded = data.load_all(tmp_path, size=7, fit="pad")
    assert padded.shape == (1, 7, 7)
    assert int(padded.images[1, 0, 6].sum()) == 0


@pytest.mark.parametrize(
    ("sizes", "fit", "told"),
    [
        ([(40, 40)] * 3, None, "photos: 40x40 resized to 10x10"),
        ([(40, 30), (41, 30)], "resize", "photos: 40x30 and 41x30 resized to 10x10, the longer"),
        ([(8, 8), (20, 20)], None, "8x8 and 20x20 resized to 10x10, 1 of 2 enlarged"),
        ([(40, 40), (10, 10)], "nearest", "40x40 scaled without mixing pixels to 10x10"),
        ([(40, 30)], "crop", "photos: 40x30 cropped to the central 10x10"),
        ([(4, 30)], "pad", "photos: 4x30 cropped or padded to 10x10"),
        ([(40, 30)], "patches", "photos: 40x30 cut into patches of 10x10"),
        ([(10, 10)], None, ""),
    ],
)  # fmt: skip
def test_what_is_done_for_a_size_is_said_in_one_line(
    write_image, tmp_path, caplog, sizes, fit, told
):
    for number, size in enumerate(sizes):
        write_image(f"photos/{number}.png", "RGB", size=size)
    images = data.load_all(tmp_path / "photos", size=10, fit=fit)
    assert images.shape == (3, 10, 10)
    assert len(caplog.records) == bool(told)
    assert told in caplog.text
    assert images.fit == (fit or "resize")


@pytest.mark.parametrize("bits", [8, 16])
def test_resizing_averages_all_pixels_so_a_fine_pattern_is_not_aliased(tmp_path, bits):
    board = (np.indices((64, 64)).sum(0) % 2 * (2**bits - 1)).astype(f"uint{bits}")
    Image.fromarray(board).save(tmp_path / "a.png")
    grey = data.load_all(tmp_path, size=8, source_levels=2**bits).images / (2**bits - 1)
    assert ((grey - 0.5).abs() < 0.02).all()
    corner = data.load_all(tmp_path, size=8, fit="crop", source_levels=2**bits).images
    assert torch.equal(corner[0, 0], torch.from_numpy(board[28:36, 28:36].astype(int)))


def test_resizing_keeps_the_centre_of_the_longer_side(tmp_path):
    ramp = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None], 40, 0)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    found = data.load_all(tmp_path, size=4).images[0, 0].float()
    assert ((found - torch.arange(89, 240, 20)[:4]).abs() < 2).all()


def test_large_jpegs_are_decoded_smaller_without_a_difference_to_be_seen(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    photo = Image.fromarray(noise).resize((1600, 1200), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "a.jpg", quality=95)
    turned = Image.Exif()
    turned[0x0112] = 6
    photo.save(tmp_path / "b.jpg", quality=95, exif=turned)
    upright, rotated = data.load_all(tmp_path, size=(24, 32)).images.int()
    with Image.open(tmp_path / "a.jpg") as whole:
        expected = np.asarray(whole.resize((32, 24), Image.Resampling.LANCZOS))
    assert (upright - torch.from_numpy(expected.astype(int)).permute(2, 0, 1)).abs().max() <= 1
    assert rotated.shape == upright.shape and not torch.equal(rotated, upright)


def test_no_more_than_one_whole_picture_a_thread_is_in_memory(tmp_path, monkeypatch):
    import threading

    from pixelcnn.data import decoding

    for number in range(9):
        Image.new("L", (64, 64), number).save(tmp_path / f"{number}.png")
    inside, most, read = set(), [], decoding.read_picture

    def counted(*arguments, **named):
        inside.add(threading.get_ident())
        most.append(len(inside))
        picture = read(*arguments, **named)
        inside.discard(threading.get_ident())
        assert picture.pixels.nbytes == 16
        return picture

    monkeypatch.setattr(decoding, "read_picture", counted)
    for workers in (0, 3):
        images = data.load_all(tmp_path, size=4, workers=workers)
        assert images.images[:, 0, 0, 0].tolist() == list(range(9))
        assert max(most) <= max(workers, 1)
        assert len(most) == 9, "each file is decoded once"
        most.clear()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_an_interruption_ends_the_threads(tmp_path, monkeypatch):
    import threading
    import time

    from pixelcnn.data import decoding

    for number in range(40):
        Image.new("L", (8, 8), number).save(tmp_path / f"{number}.png")
    done = []

    def stopped(path, how):
        done.append(path)
        if path.name == "5.png":
            raise KeyboardInterrupt
        time.sleep(0.02)  # or all are read before anybody hears of it, where the processor is busy
        return read(path, how)

    read = decoding.read_picture
    monkeypatch.setattr(decoding, "read_picture", stopped)
    with pytest.raises(KeyboardInterrupt):
        data.load_all(tmp_path, workers=2)
    assert len(done) < 40
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


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
    for number in range(4, 8):
        write_image(f"pets/{number}.png")
    assert data.load_all(tmp_path / "pets").labels is None


def test_a_stray_picture_beside_class_folders_is_refused_or_left_out(write_image, tmp_path, caplog):
    for name in ("dog/1.png", "cat/2.png", "cat/deep/3.png", "stray.png"):
        write_image(f"pets/{name}")
    with pytest.raises(DataError, match=r"stray\.png lies beside the class folders") as caught:
        data.load_all(tmp_path / "pets")
    assert "data.labels=false" in caught.value.hint and "--skip-bad" in caught.value.hint
    assert [each.name for each in data.check_folder(tmp_path / "pets").errors] == ["stray.png"]
    with pytest.raises(DataError, match="stray"):
        data.prepare(tmp_path / "pets", tmp_path / "packed")
    left = data.load_all(tmp_path / "pets", skip_bad=True)
    assert (len(left), left.skipped, left.classes) == (3, 1, ("cat", "dog"))
    assert len(data.load_all(tmp_path / "pets", labels=False)) == 4
    assert "no labels" not in caplog.text
    whole = data.load_all(tmp_path / "pets", shape=(1, 6, 5))
    assert (len(whole), whole.labels) == (4, None)
    assert "no labels: 1 of 4 images lie beside class folders" in caplog.text


def test_a_single_folder_is_no_class():
    assert class_labels(["cat/1.png", "cat/2.png"]) is None


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
    with pytest.raises(DataError, match="no file or folder"):
        data.check_folder(tmp_path / "none")


def test_images_that_do_not_fit_into_memory_are_a_resource_error(
    write_image, tmp_path, monkeypatch
):
    from pixelcnn.errors import ResourceError

    write_image("a.png")
    monkeypatch.setattr(
        "pixelcnn.data.pictures.settle", lambda *_: (_ for _ in ()).throw(MemoryError)
    )
    with pytest.raises(ResourceError, match="do not fit into memory"):
        data.load_all(tmp_path)


def test_levels_that_image_files_do_not_have_are_refused(write_image, tmp_path):
    write_image("a.png")
    with pytest.raises(DataError, match=r"a\.png holds the value \d+, but 17 levels") as caught:
        data.load_all(tmp_path, source_levels=17)
    assert "source_levels" in caught.value.hint
    write_image("b.png", pixels=np.full((6, 5), 16, np.uint8))
    assert data.load_all(tmp_path, source_levels=17, skip_bad=True).names == ("b.png",)


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


def stored_as(kind, path, values):
    """Few values in the way of one format."""
    if kind == "palette":
        image = Image.fromarray(values, "P")
        image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 90, 90, 90, 0, 0, 0])
        image.save(path.with_suffix(".png"))
    elif kind == "maxval":
        head = f"P5 {values.shape[1]} {values.shape[0]} 4\n".encode()
        path.with_suffix(".pgm").write_bytes(head + values.tobytes())
    elif kind == "plain":
        head = f"P2 {values.shape[1]} {values.shape[0]} 7\n"
        path.with_suffix(".pgm").write_text(head + " ".join(map(str, values.flatten())))
    elif kind == "sixteen":
        Image.fromarray(values.astype(np.uint16)).save(path.with_suffix(".png"))
    elif kind == "bits":
        Image.fromarray(values > 0).save(path.with_suffix(".tif"))
    else:
        Image.fromarray(values).save(path.with_suffix(kind))


KINDS = [".png", ".bmp", ".tif", ".webp", ".pgm", "palette", "maxval", "plain", "sixteen"]
MAPS = np.random.default_rng(0).integers(0, 5, (4, 6, 5), np.uint8)
MASKS = MAPS // 3


@pytest.mark.parametrize("levels", [None, 2, 5])
@pytest.mark.parametrize(("kind", "source", "values"), [
    *((kind, 5, MAPS) for kind in KINDS if kind != ".webp"),
    *((kind, 2, MASKS) for kind in [*KINDS[:3], "bits", "palette", "sixteen"]),
])  # fmt: skip
def test_values_of_files_are_levels_if_it_is_said(tmp_path, caplog, kind, source, values, levels):
    for number, each in enumerate(values):
        stored_as(kind, tmp_path / f"{number}", each)
    images = data.load_all(tmp_path, source_levels=source, levels=levels)
    np.save(tmp_path / "same.npy", values)
    same = data.load_all(tmp_path / "same.npy", source_levels=source, levels=levels)
    assert torch.equal(images.images, same.images)
    assert images.levels == same.levels
    assert "largest value" not in caplog.text


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (MASKS, "the largest value is 1 of 255: say 2 with source_levels "),
        (MAPS, "the largest value is 4 of 255: say 5 with source_levels "),
        (MAPS.astype(np.uint16) * 1023, "4092 of 65535: say 4096 with source_levels "),
        (MAPS.astype(np.uint16) * 50, "200 of 65535: store them with 8 bits"),
        (MAPS * 63, ""),
        (MAPS * 0, ""),
        (MASKS > 0, ""),
    ],
    ids=["masks", "maps", "12 bits", "8 of 16", "full", "black", "bits"],
)
def test_few_values_are_told_once_a_folder_and_never_guessed(tmp_path, caplog, values, told):
    save_pictures(tmp_path, values)
    images = data.load_all(tmp_path, levels=256 if values.dtype == bool else None)
    assert caplog.text.count("largest value") == (1 if told else 0)
    assert told in caplog.text
    assert told in data.check_folder(tmp_path).warning
    assert bool(told) == bool(data.check_folder(tmp_path).warning)
    if values.dtype == np.uint8:
        assert np.array_equal(images.images[:, 0].numpy(), values)


def test_twelve_bits_fill_their_levels(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (6, 5), np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    images = data.load_all(tmp_path, source_levels=4096)
    assert (images.levels, images.images[0, 0].tolist()) == (4096, values.tolist())
    few = data.load_all(tmp_path, source_levels=4096, levels=16)
    assert few.images[0, 0].tolist() == (values // 256).tolist()


def test_dark_pictures_of_sixteen_bits_are_told_their_own_range(tmp_path):
    save_pictures(tmp_path, MAPS.astype(np.uint16) * 1023)
    with pytest.raises(DataError, match="4092 of 65535") as caught:
        data.load_all(tmp_path, levels=4096)
    assert "0 to 65535 is their range, say 65536" in caught.value.hint


def test_a_picture_that_was_drawn_has_the_levels_that_it_says_whatever_is_expected(tmp_path):
    drawn = next(png.files(np.arange(4).reshape(1, 1, 2, 2), levels=4))
    (tmp_path / "a.png").write_bytes(drawn)
    assert data.load_all(tmp_path, source_levels=8).images.flatten().tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="holds the value 3, but 3 levels are 0 to 2"):
        data.load_all(tmp_path, source_levels=3)


@pytest.mark.parametrize("source", [256, 65_536])
def test_a_whole_range_is_that_of_the_format(tmp_path, source):
    deep = np.random.default_rng(0).integers(0, 65_536, (6, 5), np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    Image.fromarray((deep >> 8).astype(np.uint8)).save(tmp_path / "b.png")
    images = data.load_all(tmp_path, source_levels=source)
    assert images.levels == source
    expected = [deep >> 8, deep >> 8] if source == 256 else [deep, (deep >> 8) * 257]
    assert np.array_equal(images.images[:, 0].numpy(), np.stack(expected).astype(int))


def test_stored_levels_stay_levels_when_they_are_resized_or_padded(tmp_path):
    Image.fromarray(MAPS[0]).save(tmp_path / "a.png")
    for fit in ("nearest", "pad", "crop"):
        size = (9, 9) if fit != "crop" else (3, 3)
        images = data.load_all(tmp_path, source_levels=5, size=size, fit=fit)
        assert images.images.max() <= 4 and images.levels == 5
    assert data.load_all(tmp_path, source_levels=5, size=(6, 5)).levels == 5
    for fit in (None, "resize"):
        with pytest.raises(
            DataError, match="6x5 would be resized to 9x9, but the values are 5"
        ) as no:
            data.load_all(tmp_path, source_levels=5, size=9, fit=fit)
        assert "--fit nearest, crop or pad" in no.value.hint


def test_black_and_white_is_never_mixed_unless_grey_is_asked_for(tmp_path):
    mask = np.kron(np.random.default_rng(0).random((8, 8)) > 0.5, np.ones((4, 4), bool))
    Image.fromarray(mask).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="they are black and white, and resizing mixes them"):
        data.load_all(tmp_path, size=8)
    nearest = data.load_all(tmp_path, size=8, fit="nearest")
    assert (nearest.levels, nearest.images[0, 0].bool().tolist()) == (2, mask[::4, ::4].tolist())
    assert data.load_all(tmp_path, size=5, levels=256).images.unique().numel() > 2
    assert data.load_all(tmp_path, size=5, source_levels=256).levels == 256
    assert data.load_all(tmp_path, size=5, source_levels=256, levels=2).levels == 2


def test_test_folders_are_read_as_the_training_folder(tmp_path):
    for part, maps in (("train", MAPS), ("test", MASKS)):
        save_pictures(tmp_path / part, maps)
    parts = data.load(tmp_path, source_levels=5)
    assert {part.levels for part in parts} == {5}
    assert np.array_equal(parts.test.images[:, 0].numpy(), MASKS)


def test_a_packed_folder_has_the_levels_that_are_said(tmp_path):
    save_pictures(tmp_path / "maps", MAPS)
    data.prepare(tmp_path / "maps", tmp_path / "packed")
    for said in ("source_levels", "picture_levels"):
        loose, packed = (data.load_all(tmp_path / name, **{said: 5}) for name in ("maps", "packed"))
        assert (packed.levels, packed.images[:].unique().tolist()) == (5, [0, 1, 2, 3, 4])
        assert packed.source_levels == loose.source_levels == 5
        assert packed.picture_levels == loose.picture_levels == 5
    with pytest.raises(DataError, match="maps: 2 levels are the values 0 to 1"):
        data.load_all(tmp_path / "packed", source_levels=2)[0:1].images[:]


@pytest.mark.parametrize("options", [{"threshold": 0.5}, {"levels": 2}, {"binarise": "threshold"}])
def test_a_threshold_that_leaves_one_level_warns(tmp_path, caplog, options):
    np.save(tmp_path / "dark.npy", MAPS.astype(np.uint8))
    data.load_all(tmp_path / "dark.npy", source_levels=256, **options)
    assert "threshold 0.5 of 256 levels makes every pixel 0" in caplog.text
    caplog.clear()
    data.load_all(tmp_path / "dark.npy", source_levels=5, **options)
    assert not caplog.text


PART_NAMES = [
    ("train", "test"), ("Training", "Testing"), ("TRAIN", "TEST"), ("train", "dev"),
    ("train_images", "test_images"), ("train-set", "test-set"), ("seg_train", "seg_test"),
    ("imagesTr", "imagesTs"), ("trainA", "testA"),
    ("train", "validation"), ("train2017", "val2017"), ("trainset", "testset"), ("train", "test images"),
]  # fmt: skip


@pytest.mark.parametrize("above", ["", "archive/"])
@pytest.mark.parametrize("below", ["", "images/", "same/"])
@pytest.mark.parametrize("parts", PART_NAMES, ids="+".join)
def test_folders_with_names_of_parts_are_parts(write_image, tmp_path, caplog, parts, below, above):
    for part, n in zip(parts, (8, 5), strict=True):
        inner = below.replace("same", part)
        for i in range(n):
            name = f"{part}/{inner}{'dog' if i % 2 else 'cat'}/{part[:3]}{i}{'x' * i}.png"
            write_image(f"set/{above}{name}")
    (tmp_path / "set" / "__MACOSX").mkdir()
    splits = data.load(tmp_path / "set")
    assert {each.classes for each in splits} == {("cat", "dog")}
    val_is_given = parts[1].lower().startswith(("val", "dev"))
    given = splits.val if val_is_given else splits.test
    assert len(given) == 5
    assert all(name.startswith(parts[1]) for name in given.names)
    assert all("test images" in line for line in caplog.text.splitlines())  # equal ones, here


@pytest.mark.parametrize(
    ("train", "test", "classes"),
    [
        ("images/train/{}.png", "images/test/{}.png", ()),  # beside labels/train/1.txt
        ("a/b/c/train/{}.png", "a/b/c/test/{}.png", ()),
        ("{kind}/train/{}.png", "{kind}/test/{}.png", ("cat", "dog")),
        ("{kind}/train/good/{}.png", "{kind}/test/bad/{}.png", ("cat", "dog")),
        ("pets/train/{kind}/{}.png", "pets/test/{kind}/{}.png", ("cat", "dog")),  # beside others
        ("train/{kind}/{}.png", "eval/{kind}/{}.png", ("cat", "dog")),
        ("train/{kind}/{}.png", "holdout/{kind}/{}.png", ("cat", "dog")),
    ],
)
def test_parts_are_found_at_any_depth(write_image, tmp_path, caplog, train, test, classes):
    for at in range(8):
        kind = ("cat", "dog")[at % 2]
        write_image("set/" + train.format("a" + "x" * at, kind=kind))
        write_image("set/" + test.format("y" * at + "t", kind=kind))
    if train.startswith("pets"):
        write_image("set/figures/plot.png")
    if train.startswith("images"):
        (tmp_path / "set/labels/train").mkdir(parents=True)
    parts = data.load(tmp_path / "set")
    assert len(parts.test) == 8
    assert {name.rpartition("/")[2][-5] for name in parts.test.names} == {"t"}
    assert {part.classes for part in parts} == {classes}
    assert ("figures/plot.png" in caplog.text) == train.startswith("pets")
    assert data.check(tmp_path / "set").parts == {"train": 8, "test": 8}


@pytest.mark.parametrize(
    "names",
    [
        ("outdoor/train_station", "outdoor/test_track", "indoor/kitchen"),
        ("cat/1", "cat/2", "bus/train", "bus/test"),
        ("hi/1", "te/1", "ta/1"),
    ],
)
def test_what_only_sounds_like_parts_is_none(write_image, tmp_path, caplog, names):
    for name in names:
        write_image(f"set/{name}/{'x' * len(name)}.png")
    images = data.load_all(tmp_path / "set")
    assert images.classes == tuple(sorted({name.partition("/")[0] for name in names}))
    assert "part" not in caplog.text


def test_two_folders_of_one_part_are_refused_at_any_depth(write_image, tmp_path):
    for name in ("cat/train1", "cat/train2", "cat/test", "dog/train", "dog/test"):
        write_image(f"set/{name}/0.png")
    with pytest.raises(DataError, match="set: train1 and train2 could both be the part train"):
        data.load(tmp_path / "set")


@pytest.mark.parametrize("others", [("test", "eval"), ("val", "test", "holdout")])
def test_more_to_evaluate_on_is_left_out_beside_a_test_folder(
    write_image, tmp_path, caplog, others
):
    for part in ("train", *others):
        for at in range(8):
            write_image(f"set/{part}/{part}{'x' * at}.png")
    parts = data.load(tmp_path / "set")
    assert all("test" in name for name in parts.test.names)
    assert f"1 beside the parts of the set left out: {others[-1]}" in caplog.text


@pytest.mark.parametrize("names", [("train", "bus"), ("test", "val"), ("training-shoe", "sandal")])
def test_one_class_may_be_called_like_a_part(write_image, tmp_path, names):
    for name in names:
        for i in range(3):
            write_image(f"set/{name}/{name}{i}{'x' * i}.png")
    assert data.load_all(tmp_path / "set").classes == tuple(sorted(names))


def test_classes_called_like_parts_are_told(write_image, tmp_path, caplog):
    for name in ("test_cats", "train_dogs", "cats"):
        write_image(f"set/{name}/1.png")
    data.load_all(tmp_path / "set")
    assert "classes are called test_cats, train_dogs: are they parts of a set?" in caplog.text


@pytest.mark.parametrize("below", ["", "runs/"])
def test_what_a_training_on_a_folder_left_in_it_changes_nothing(
    write_image, tmp_path, caplog, below
):
    write_image("set/train/cat/1.png")
    write_image("set/test/cat/1.png")
    parts, files = image_parts(tmp_path), find_images(tmp_path)
    write_image(f"{below}mine/samples/epoch-0001.png")
    for name in ("recipe.toml", "metrics.csv"):
        (tmp_path / below / "mine" / name).touch()
    assert image_parts(tmp_path) == parts
    assert find_images(tmp_path) == files
    assert "run folders left out: mine" in caplog.text


def test_a_page_of_drawn_images_is_none_of_the_set(write_image, tmp_path):
    write_image("photos/1.png")
    grid = np.zeros((4, 1, 7, 9), int)
    save_picture(plotting.grid(grid, levels=2), tmp_path / "photos" / "samples.png")
    with pytest.raises(DataError, match=r"samples.png shows several images, drawn by"):
        data.load(tmp_path / "photos")


def test_what_lies_beside_the_parts_is_left_out_and_told(write_image, tmp_path, caplog):
    for name in ("train", "test", "extra"):
        for i in range(4):
            write_image(f"set/{name}/{name}{i}{'x' * i}.png")
    write_image("set/preview.png")
    whole = data.load_all(tmp_path / "set")
    assert {name.split("/")[0] for name in whole.names} == {"train", "test"}
    assert "2 beside the parts of the set left out: extra, preview.png" in caplog.text
    write_image("set/Training/1.png")
    with pytest.raises(DataError, match="Training and train could both be the part train"):
        data.load(tmp_path / "set")


@pytest.mark.parametrize("beside", ["labels", "masks", "Annotations"])
def test_masks_beside_a_folder_of_images_are_no_images(write_image, tmp_path, caplog, beside):
    for name in ("images/cat/1.png", "images/dog/2.png", f"{beside}/cat/1.png"):
        write_image(f"set/{name}")
    images = data.load_all(tmp_path / "set")
    assert images.names == ("images/cat/1.png", "images/dog/2.png")
    assert images.classes == ("cat", "dog")
    assert f"{beside} beside a folder of images left out" in caplog.text


def test_class_folders_stand_in_the_order_of_their_numbers():
    for names in (
        ["1", "2", "10"],
        ["class 9", "class 10"],
        ["01", "2", "010"],
        ["a", "b2", "b10"],
    ):
        assert labels_tensor(names[::-1])[1] == tuple(names)


def test_a_class_is_the_same_however_its_accents_are_composed(write_image, tmp_path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    labels, classes = labels_tensor([composed, apart, "tea"])
    assert (labels.tolist(), classes) == ([0, 0, 1], (composed, "tea"))
    for part, cafe in (("train", composed), ("test", apart)):
        for i in range(5):
            write_image(f"set/{part}/{cafe if i % 2 else 'tea'}/{part}{i}{'x' * i}.png")
    assert data.load(tmp_path / "set").test.classes == (composed, "tea")


@pytest.mark.parametrize(
    ("label", "names", "found"),
    [
        ("1", ["1", "2", "10"], 0),
        ("10", ["1", "2", "10"], 2),
        ("0", ["1", "2", "10"], None),
        ("3", ["1", "2", "10"], None),
        ("1", ["00", "01"], 1),
        ("1", ["01", "1"], 1),
        ("1", ["01", "001"], None),
        ("0", ["0", "cat"], 0),
        ("1", ["0", "cat"], None),
        ("1", ["cat", "dog"], 1),
        ("Cat", ["cat", "Cat"], 1),
        ("CAFE\u0301", ["tea", "caf\u00e9"], 1),
        ("2", [], 2),
        ("3", [], None),
    ],
)
def test_a_label_that_is_a_number_is_a_name_where_names_are_numbers(label, names, found):
    classes = len(names) or 3
    if found is not None:
        assert class_number(label, classes, names) == found
        return
    with pytest.raises(ConfigError, match="no class called") as caught:
        class_number(label, classes, names)
    assert all(name in caught.value.hint for name in names)
    assert ("0 to" in caught.value.hint) == (not names)


def test_pictures_that_would_all_be_black_are_refused_unless_their_levels_are_known(tmp_path):
    masks = np.random.default_rng(0).integers(0, 2, (5, 5, 7)).astype(np.uint8)
    save_pictures(tmp_path, masks)
    with pytest.raises(DataError, match="the largest value is 1 of 255"):
        data.load_all(tmp_path, levels=2)
    found = data.load_all(tmp_path, levels=2, source_levels=2).images
    assert torch.equal(found[:, 0], torch.from_numpy(masks))
    assert not data.load_all(tmp_path, levels=2, source_levels=256).images.any()
    assert not data.load_all(tmp_path, levels=2, usual_levels=256).images.any()  # to be scored


def test_a_folder_is_named_also_where_it_is_the_working_one(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.md").write_text("")
    with pytest.raises(DataError, match=f"^{tmp_path.name} holds no images"):
        data.load_all(".")
    good_files(tmp_path, 1)
    with caplog.at_level("INFO"):
        data.load_all(".")
    told = f"{tmp_path.name}: 1 file without the suffix of an image left out"
    assert [record.getMessage() for record in caplog.records] == [told]


def test_images_that_all_become_grey_are_not_said_to_be_brought_to_rgb(
    write_image, tmp_path, caplog
):
    write_image("a.png", "L")
    write_image("b.png", "RGB")
    assert data.load_all(tmp_path, grey=True).shape == (1, 6, 5)
    assert "RGB" not in caplog.text
