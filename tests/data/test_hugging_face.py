"""Datasets of Hugging Face: in memory, on the disk, streamed; there is no network here."""

import time

import numpy as np
import pytest
import torch
from PIL import Image

from pictures import save_pictures
from pixelcnn import data
from pixelcnn.data import hugging_face, pictures
from pixelcnn.data.lazy import LazyImages
from pixelcnn.errors import ConfigError, DataError, UnknownName

hf = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

VALUES = np.random.default_rng(0).integers(0, 256, (30, 6, 5), np.uint8)
LABELS = [index % 3 for index in range(30)]
NAMES = ["cat", "dog", "owl"]


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    before = hf.config.HF_DATASETS_CACHE
    hf.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("cache")
    yield
    hf.config.HF_DATASETS_CACHE = before


@pytest.fixture(scope="module")
def images():
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=NAMES)})
    given = {"image": [Image.fromarray(each) for each in VALUES], "label": LABELS}
    return hf.Dataset.from_dict(given, features=features)


@pytest.fixture(scope="module")
def arrays():
    features = hf.Features({"scan": hf.Array3D((1, 6, 5), "uint8"), "y": hf.Value("int32")})
    return hf.Dataset.from_dict({"scan": VALUES[:, None].tolist(), "y": LABELS}, features=features)


def check(found, labels=True, classes=tuple(NAMES)):
    """Whether a set holds the images in their order."""
    assert np.array_equal(found.images[:][:, 0].numpy(), VALUES)
    assert (found.labels.tolist() if labels else found.labels) == (LABELS if labels else None)
    assert found.classes == (classes if labels else ())


def test_columns_are_found_by_their_types(images, arrays):
    check(data.load_all(images))
    check(data.load_all(images, labels=False), labels=False)
    check(data.load_all(images, label_column="none"), labels=False)
    check(data.load_all(arrays), classes=())
    nested = hf.Dataset.from_dict({"pixels": VALUES.tolist(), "label": LABELS})
    check(data.load_all(nested, source_levels=256), classes=())


def test_a_parquet_file_that_another_program_wrote_again_still_holds_images(images, tmp_path):
    from pyarrow import parquet

    images.to_parquet(tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet").replace_schema_metadata(None)
    parquet.write_table(table, tmp_path / "b.parquet")
    found = data.load_all(tmp_path / "b.parquet")
    assert np.array_equal(found.images[:][:, 0].numpy(), VALUES)
    assert found.labels.tolist() == LABELS


@pytest.mark.parametrize("beside", [[1, 2, 3, 4], "1 2 3 4"])
def test_a_list_shorter_than_a_row_is_no_image_beside_columns_of_pixels(beside):
    squares = VALUES[:, :5]
    pixels = {f"pixel{at}": squares.reshape(30, -1)[:, at] for at in range(25)}
    found = data.load_all(hf.Dataset.from_dict({**pixels, "box": [beside] * 30, "label": LABELS}))
    assert np.array_equal(found.images[:, 0].numpy(), squares)
    assert found.labels.tolist() == LABELS


def test_a_text_may_hold_the_pixels_of_an_image_as_in_a_data_frame(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (7, 5, 5), np.uint8)
    texts = [" ".join(map(str, each.flatten())) for each in values]
    columns = {"emotion": [0, 1, 2, 3, 2, 1, 0], "pixels": texts, "Usage": ["Training"] * 7}
    hf.Dataset.from_dict(columns).to_parquet(tmp_path / "fer.parquet")
    found = data.load_all(tmp_path / "fer.parquet")
    assert np.array_equal(found.images.numpy()[:, 0], values)
    assert found.labels.tolist() == columns["emotion"] and found.name == "fer.parquet"


def test_a_text_of_numbers_beside_images_is_none(images):
    check(data.load_all(images.add_column("box", ["1 2 3 4"] * 30)))


def test_a_column_of_texts_that_is_asked_for_holds_images_and_their_classes_have_names():
    squares, kinds = VALUES[:, :5], hf.ClassLabel(names=NAMES)
    known = hf.Features({"label": kinds, "pixels": hf.Value("string")})
    texts = [" ".join(map(str, each.flatten())) for each in squares]
    texts = hf.Dataset.from_dict({"label": LABELS, "pixels": texts}, features=known)
    for options in ({}, {"key": "pixels"}):
        found = data.load_all(texts, **options)
        assert np.array_equal(found.images.numpy()[:, 0], squares)
        assert (found.labels.tolist(), found.classes) == (LABELS, tuple(NAMES))


def test_the_bytes_of_picture_files_are_images(images):
    files = [each["bytes"] for each in images.cast_column("image", hf.Image(decode=False))["image"]]
    features = hf.Features({"png": hf.Value("binary"), "label": hf.Value("int64")})
    stored = hf.Dataset.from_dict({"png": files, "label": LABELS}, features=features)
    check(data.load_all(stored), classes=())


@pytest.mark.parametrize("kind", ["numpy", "torch", "arrow", None])
def test_the_format_of_a_dataset_does_not_matter(images, arrays, kind):
    check(data.load_all(images.with_format(kind)))
    check(data.load_all(arrays.with_format(kind)), classes=())


def test_a_choice_and_a_transform_are_kept(images):
    chosen = data.load_all(images.select([7, 3]))
    assert np.array_equal(chosen.images[:, 0].numpy(), VALUES[[7, 3]])
    dark = images.with_transform(lambda rows: {"image": [np.array(i) // 2 for i in rows["image"]]})
    assert np.array_equal(data.load_all(dark).images[:, 0].numpy(), VALUES // 2)


def test_on_the_disk(images, tmp_path):
    images.save_to_disk(tmp_path / "saved")
    check(data.load_all(tmp_path / "saved"))
    assert data.load(tmp_path / "saved").train.name == "saved"
    check(data.load_all(next((tmp_path / "saved").glob("*.arrow"))))
    images.to_parquet(tmp_path / "a.parquet")
    check(data.load_all(tmp_path / "a.parquet"))


def test_splits_are_parts(images, tmp_path):
    parts = hf.DatasetDict(
        {
            "test": images.select(range(20, 30)),
            "train": images.select(range(12)),
            "validation": images.select(range(12, 20)),
        }
    )
    parts.save_to_disk(tmp_path / "set")
    for source in (parts, tmp_path / "set"):
        found = data.load(source)
        assert [(len(part), part.split) for part in found] == [
            (12, "train"),
            (8, "val"),
            (10, "test"),
        ]
        check(data.load_all(source))
    assert [len(part) for part in data.load(hf.DatasetDict({"train": images}))] == [
        len(part) for part in data.load(images)
    ]
    del parts["validation"]
    found = data.load(parts)
    assert len(found.train) + len(found.val) == 12
    for names in (["a", "b"], ["train", "dev", "valid"]):
        with pytest.raises(ConfigError, match=f"has the splits {', '.join(names)}"):
            data.load(hf.DatasetDict(dict.fromkeys(names, images)))


def test_a_stream_is_read_once(images, arrays):
    check(data.load_all(images.to_iterable_dataset()))
    check(data.load_all(arrays.to_iterable_dataset()), classes=())
    assert len(data.load_all(images.to_iterable_dataset().take(4))) == 4

    def rows():
        yield from ({"image": each} for each in VALUES)

    check(data.load_all(hf.IterableDataset.from_generator(rows), source_levels=256), labels=False)


def test_files_on_the_disk_are_read_in_a_stream_too(tmp_path):
    save_pictures(tmp_path, VALUES, "{:02}.png")
    files = [{"path": str(path), "bytes": None} for path in sorted(tmp_path.iterdir())]
    images = hf.Dataset.from_dict({"image": files}).cast_column("image", hf.Image())
    check(data.load_all(images.to_iterable_dataset()), labels=False)


def test_many_pictures_are_decoded_when_they_are_used(images, monkeypatch):
    monkeypatch.setattr(pictures, "HELD", 100)
    found = data.load(images, levels=4)
    assert isinstance(found.train.images, LazyImages)
    whole = data.load_all(images, levels=4)
    assert torch.equal(
        whole.images[torch.tensor([9, 2])][:, 0], torch.from_numpy(VALUES[[9, 2]] // 64)
    )


def test_missing_labels_are_none(images):
    features = images.features
    unlabelled = images.remove_columns("label").add_column("label", [-1] * 30).cast(features)
    assert data.load_all(unlabelled).labels is None


@pytest.mark.parametrize(
    ("columns", "options", "error", "hint"),
    [
        ({"a": [1, 2]}, {}, "no columns of images", "Image"),
        ({"a": [["x"] * 4] * 2}, {}, "no columns of images", "Image"),
        ({"a": VALUES.tolist(), "b": VALUES.tolist()}, {}, "2 columns of images", "key="),
        ({"a": VALUES.tolist()}, {"key": "b"}, "no column of images called b", "a"),
        ({"a": VALUES.tolist()}, {"label_column": "b"}, "no column called b", "a"),
        ({"a": VALUES.tolist(), "Kind": [1] * 30}, {"label_column": "kin"}, "mean 'kind'", "a"),
        ({"a": [[[1] * 6] * 6, [[1] * 5] * 6]}, {}, "differ in shape", ""),
        ({"a": [[[0.5]], [[1.0]]]}, {}, "levels are integers", ""),
    ],
)
def test_what_cannot_be_used_is_named(columns, options, error, hint):
    with pytest.raises(DataError, match=error) as caught:
        data.load_all(hf.Dataset.from_dict(columns), **options)
    assert hint in caught.value.hint


def test_bad_pictures_are_named_or_left_out(images):
    features = hf.Features({"image": hf.Image()})
    good = images[0]["image"]
    bad = hf.Dataset.from_dict(
        {"image": [good, {"bytes": b"no", "path": None}, None]}, features=features
    )
    with pytest.raises(DataError, match="2 of 3 files cannot be used: image 1 is not an image"):
        data.load_all(bad)
    found = data.load_all(bad, skip_bad=True)
    assert (len(found), found.skipped) == (1, 2)


def test_pictures_beside_which_others_are_left_out_keep_their_places_as_names(images):
    features = hf.Features({"image": hf.Image()})
    good, bad = images[0]["image"], {"bytes": b"no", "path": None}
    some = hf.Dataset.from_dict({"image": [bad, good, bad, good]}, features=features)
    assert data.load_all(some, skip_bad=True).names == ("1", "3")
    whole = hf.Dataset.from_dict({"image": [good, good]}, features=features)
    parts = hf.DatasetDict({"train": some, "test": whole})
    assert data.load_all(parts, skip_bad=True).names == ("1", "3", "0", "1")


def test_without_a_network_there_is_one_line_and_no_waiting():
    start = time.monotonic()
    with pytest.raises(DataError, match="hf:ada/cats cannot be read") as caught:
        data.load("hf:ada/cats")
    assert "save_to_disk" in caught.value.hint
    assert time.monotonic() - start < 10  # the library alone tries for half a minute
    assert not hf.config.HF_HUB_OFFLINE
    with pytest.raises(UnknownName, match="no name of a dataset"):
        data.load("hf:a/b/c/d")


def test_no_name_is_not_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_pictures(tmp_path, VALUES, "{:02}.png")
    for name in ("hf:", "hf::train"):
        with pytest.raises(UnknownName, match="no name of a dataset"):
            data.load_all(name)


def test_a_folder_by_the_librarys_own_reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_pictures(tmp_path / "photos", VALUES, "{:02}.png", NAMES)
    found = data.load_all("hf:photos:train")
    assert (len(found), found.classes, found.name) == (30, tuple(NAMES), "photos")


def test_without_the_library_its_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(ConfigError) as caught:
        data.load("hf:ada/cats")
    assert "pixelcnn[data]" in caught.value.hint
    assert not hugging_face.fits(VALUES)


@pytest.mark.parametrize("options", [{"size": 3, "fit": "patches"}, {"quantise": [0, 99, 256]}])
def test_pictures_of_a_dataset_take_the_options_of_files(images, options, tmp_path):
    save_pictures(tmp_path, VALUES, "{:02}.png")
    expected = data.load_all(tmp_path, **options)
    for source in (images, images.to_iterable_dataset()):
        assert torch.equal(data.load_all(source, **options).images[:], expected.images[:])
