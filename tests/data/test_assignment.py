"""Tables that say which part of a split each image belongs to."""

import logging

import numpy as np
import pytest
from torch.utils.data import ConcatDataset, Subset

import pixelcnn as px
from pictures import save_pictures
from pixelcnn import data, sources
from pixelcnn.sources import training_sets

SIDES = (5, 7)
WORDS = ["train", "Test", "train", "validation", "TRAIN", "test", "train"]
PARTS = [[0, 2, 4, 6], [3], [1, 5]]


def images():
    return np.random.default_rng(0).integers(0, 256, (len(WORDS), *SIDES), np.uint8)


def as_pixels(path, column="split", words=WORDS):
    header = ["label", *(f"pixel{at}" for at in range(35)), column]
    values = enumerate(zip(images(), words, strict=True))
    rows = [[at % 3, *image.flatten(), word] for at, (image, word) in values]
    path.write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n")
    return path, {"shape": (1, *SIDES)}


def as_cells(path):
    cells = (" ".join(map(str, image.flatten())) for image in images())
    rows = (f"{at % 3},{cell},{WORDS[at]}" for at, cell in enumerate(cells))
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path, {"shape": (1, *SIDES)}


def as_list(path):
    save_pictures(path.parent / "photos", images())
    rows = (f"photos/{at}.png,{word}" for at, word in enumerate(WORDS))
    path.write_text("\n".join(["file,split", *rows]) + "\n")
    return path, {}


def as_frame(path):
    pandas = pytest.importorskip("pandas")
    pixels = {f"p{at}": column for at, column in enumerate(images().reshape(len(WORDS), -1).T)}
    return pandas.DataFrame(pixels | {"split": WORDS}), {"shape": (1, *SIDES)}


def as_frame_of_arrays(path):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"image": list(images()), "split": WORDS}), {}


def as_dataset(path):
    datasets = pytest.importorskip("datasets")
    pictures = save_pictures(path.parent / "photos", images())
    files = [{"path": str(pictures / f"{at}.png"), "bytes": None} for at in range(len(WORDS))]
    found = datasets.Dataset.from_dict({"image": files, "split": WORDS})
    return found.cast_column("image", datasets.Image()), {}


def as_dataset_of_arrays(path):
    datasets = pytest.importorskip("datasets")
    return datasets.Dataset.from_dict({"image": images().tolist(), "split": WORDS}), {}


MADE = [
    as_pixels, as_cells, as_list, as_frame, as_frame_of_arrays, as_dataset, as_dataset_of_arrays,
]  # fmt: skip


@pytest.mark.parametrize("made", MADE)
def test_images_are_in_the_part_that_their_column_says(made, tmp_path):
    source, options = made(tmp_path / "set.csv")
    parts = data.load(source, **options)
    for found, rows in zip(parts, PARTS, strict=True):
        assert np.array_equal(found.images[:].numpy()[:, 0], images()[rows])
    assert [part.split for part in parts] == ["train", "val", "test"]
    whole = data.load_all(source, **options)
    assert np.array_equal(whole.images[:].numpy()[:, 0], images())


def test_labels_stay_with_their_images(tmp_path):
    source, options = as_pixels(tmp_path / "set.csv")
    found = [part.labels.tolist() for part in data.load(source, **options)]
    assert found == [[0, 2, 1, 0], [0], [1, 2]]


def test_a_part_that_the_column_lacks_is_cut_from_training(tmp_path):
    words = ["train", "test"] * 3 + ["train"]
    source, options = as_pixels(tmp_path / "set.csv", words=words)
    train, val, test = data.load(source, **options)
    assert len(train) + len(val) == 4 and len(val) == 1
    assert np.array_equal(test.images[:].numpy()[:, 0], images()[1::2])


def test_the_words_of_fer_2013_are_known(tmp_path):
    words = ["Training"] * 4 + ["PublicTest"] * 2 + ["PrivateTest"]
    source, options = as_pixels(tmp_path / "set.csv", "Usage", words)
    assert [len(part) for part in data.load(source, **options)] == [4, 2, 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train"] * 6 + ["spare"], "says 'spare'"),
        (["train"] * 6 + ["1"], "says '1'"),
        (["train"] * 3 + ["test"] * 3 + [""], "says ''"),
        (["train"] * 7, "all is train"),
        (["test"] * 6 + ["val"], "all is val or test"),
    ],
)
def test_a_column_that_is_no_split_is_left_out_and_that_is_said(
    tmp_path, caplog, monkeypatch, words, said
):
    caplog.set_level(logging.INFO, "pixelcnn")
    monkeypatch.setattr("pixelcnn.data.lines.BLOCK", 100)  # so that rows come in several blocks
    source, options = as_pixels(tmp_path / "set.csv", words=words)
    assert sum(map(len, data.load(source, **options))) == 7
    assert said in caplog.text


def test_a_column_that_is_asked_for_as_the_label_is_the_label(tmp_path):
    path, _ = as_list(tmp_path / "set.csv")
    found = data.load_all(path, label_column="split")
    assert found.assigned is None and len(found.classes) == 5


def test_fit_trains_on_the_part_to_train_on(tmp_path):
    source, options = as_frame_of_arrays(tmp_path)
    model = px.create_model("pixelcnn", data.load(source, **options), width=3, depth=1)
    train, val = training_sets(model, source)
    assert np.array_equal(train.images[:].numpy()[:, 0], images()[PARTS[0]])
    assert np.array_equal(val.images[:].numpy()[:, 0], images()[PARTS[1]])


def test_evaluation_takes_the_part_of_a_frame_to_test_on(tmp_path):
    source, options = as_frame_of_arrays(tmp_path)
    model = px.create_model("pixelcnn", data.load(source, **options), width=3, depth=1)
    found = px.evaluate(model, source)
    assert (found.images, found.split) == (2, "test")
    assert px.evaluate(model, source, split="all").images == 7
    assert px.evaluate(model, data.load_all(source)).images == 7


def test_a_frame_without_images_to_test_on_is_trained_on_none_of_those_that_test(tmp_path):
    source, _ = as_frame_of_arrays(tmp_path)
    source = source.assign(split=["train"] * 6 + ["val"])
    model = px.create_model("pixelcnn", data.load(source), width=3, depth=1)
    sets = (*training_sets(model, source), sources.set_of(model, source))
    assert [images.split for images in sets] == ["train", "val", "test"]
    different = {one.tobytes() for each in sets for one in each.images.numpy()}
    assert sum(map(len, sets)) == len(different) == 7


def test_numbers_in_a_frame_are_no_parts(tmp_path, caplog):
    source, _ = as_frame_of_arrays(tmp_path)
    assert data.load_all(source.assign(split=range(7))).assigned is None
    assert "column of parts" not in caplog.text


def test_pictures_that_are_left_out_are_in_no_part(tmp_path, caplog):
    caplog.set_level(logging.INFO, "pixelcnn")
    source, _ = as_list(tmp_path / "set.csv")
    for at in PARTS[0]:
        (tmp_path / "photos" / f"{at}.png").write_bytes(b"no picture")
    assert [len(part) for part in data.load(source, skip_bad=True)] == [1, 1, 1]
    assert "all is val or test" in caplog.text


def test_some_images_of_a_table_are_split_by_its_column_if_that_leaves_some_to_train_on(tmp_path):
    source, options = as_pixels(tmp_path / "set.csv")
    whole = data.load_all(source, **options)
    assert [len(part) for part in data.load(whole[1:])] == [3, 1, 2]
    assert sum(map(len, data.load(whole[PARTS[0]]))) == 4
    assert sum(map(len, data.load(whole[PARTS[1] + PARTS[2]]))) == 3


def test_what_pytorch_makes_of_a_set_is_split_anew(tmp_path):
    source, options = as_pixels(tmp_path / "set.csv")
    whole = data.load_all(source, **options)
    twice, some = ConcatDataset([whole, whole]), Subset(whole, [1, 2, 3])
    assert [len(data.load_all(each)) for each in (twice, some)] == [14, 3]
    assert [data.load_all(each).assigned for each in (twice, some)] == [None, None]


def test_a_check_tells_the_parts(tmp_path):
    source, _ = as_list(tmp_path / "set.csv")
    assert data.check(source).parts == {"train": 4, "val": 1, "test": 2}
