"""Labels that are words, wherever they stand, and tables that are in memory."""

import datasets
import h5py
import numpy as np
import pandas
import pytest
import torch

from pixelcnn import data
from pixelcnn.data.labels import labels_tensor
from pixelcnn.errors import DataError

WORDS = ["dog", "cat", "eel", "dog", "cat"] * 4
NUMBERS = [1, 0, 2, 1, 0] * 4
CLASSES = ("cat", "dog", "eel")
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 25))
FRAME = pandas.DataFrame(PIXELS, columns=[f"pixel{i}" for i in range(25)]).assign(label=WORDS)


def table(folder, *, header=True, first=False, frame=FRAME):
    columns = sorted(frame.columns, key=lambda name: (name == "label") != first)
    frame[columns].to_csv(folder / "t.csv", index=False, header=header)
    return folder / "t.csv"


def archive(folder, labels):
    np.savez(folder / "t.npz", images=PIXELS.reshape(-1, 5, 5), labels=labels)
    return folder / "t.npz"


def parquet(folder, frame):
    frame.to_parquet(folder / "t.parquet")
    return folder / "t.parquet"


def hdf5(folder):
    with h5py.File(folder / "t.h5", "w") as file:
        file["images"], file["labels"] = PIXELS.reshape(-1, 5, 5), np.array(WORDS, "S")
    return folder / "t.h5"


def arrays_beside_each_other(folder):
    np.save(folder / "images.npy", PIXELS.reshape(-1, 5, 5))
    np.save(folder / "labels.npy", WORDS)
    return folder / "images.npy"


def dataset_of_pictures(_):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    pictures = list(PIXELS.reshape(-1, 5, 5).astype(np.uint8))
    return datasets.Dataset.from_dict({"image": pictures, "label": WORDS}, features)


LISTS = pandas.DataFrame({"pixels": PIXELS.tolist(), "label": WORDS})
SOURCES = {
    "a set": lambda _: data.ImageSet(torch.tensor(PIXELS).reshape(-1, 1, 5, 5), 256, WORDS),
    "pairs": lambda _: [*zip(PIXELS.reshape(-1, 5, 5).astype(np.uint8), WORDS, strict=True)],
    "a table, label last": table,
    "a table, label first": lambda folder: table(folder, first=True),
    "rows, label last": lambda folder: table(folder, header=False),
    "rows, label first": lambda folder: table(folder, header=False, first=True),
    "an archive": lambda folder: archive(folder, np.array(WORDS)),
    "an archive of bytes": lambda folder: archive(folder, np.array(WORDS, "S")[:, None]),
    "HDF5": hdf5,
    "a file beside": arrays_beside_each_other,
    "a data frame": lambda _: FRAME,
    "a data frame of lists": lambda _: LISTS,
    "a data frame of arrays": lambda _: LISTS.assign(pixels=list(PIXELS.reshape(-1, 5, 5).astype(np.uint8))),
    "a data frame of categories": lambda _: FRAME.astype({"label": "category"}),
    "Parquet": lambda folder: parquet(folder, FRAME),
    "Parquet of lists": lambda folder: parquet(folder, LISTS),
    "a dataset of pictures": dataset_of_pictures,
    "a dataset": lambda _: datasets.Dataset.from_pandas(FRAME),
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_labels_that_are_words_number_the_classes(tmp_path, source):
    images = data.load_all(SOURCES[source](tmp_path))
    assert images.images.reshape(20, 25).tolist() == PIXELS.tolist()
    assert images.labels.tolist() == NUMBERS
    assert images.classes == CLASSES


@pytest.mark.parametrize(
    "labels",
    [
        ["b", "a"],
        (np.str_("b"), "a"),
        np.array(["b", "a"]),
        np.array([b"b", b"a"]),
        np.array([["b"], ["a"]], object),
        pandas.Series(["b", "a"], dtype="string"),
    ],
)
def test_words_of_any_kind_become_numbers(labels):
    numbers, classes = labels_tensor(labels)
    assert numbers.tolist() == [1, 0]
    assert classes == ("a", "b")


@pytest.mark.parametrize("labels", [["cat", 3], np.array(["cat", None], object)])
def test_a_label_that_is_no_word_among_words_is_named(labels):
    with pytest.raises(DataError, match="labels are words, that of image 1 is"):
        labels_tensor(labels)


def test_pairs_of_which_some_have_words_and_others_numbers_are_refused():
    pairs = [*zip(PIXELS.reshape(-1, 5, 5)[:2].astype(np.uint8), ["cat", 3], strict=True)]
    with pytest.raises(DataError, match="list: labels are words, that of image 1 is 3"):
        data.load_all(pairs)


def test_a_word_that_is_no_known_class_is_named():
    with pytest.raises(DataError, match="no class is called 'cow', only cat, dog"):
        labels_tensor(["cat", "cow"], ("cat", "dog"))


@pytest.mark.parametrize("value", ["", "7", "nan"])
def test_a_row_of_a_table_whose_label_is_no_word_as_others_are_is_bad(tmp_path, value):
    path = table(tmp_path, frame=FRAME.assign(label=[*WORDS[:-1], value]))
    with pytest.raises(DataError, match=f"line 21: '{value}' in column 26 is no word"):
        data.load_all(path)
    assert len(data.load_all(path, skip_bad=True)) == 19


def test_one_word_among_the_first_labels_is_a_bad_row_not_a_table_of_words(tmp_path):
    path = table(tmp_path, frame=FRAME.assign(label=["x", *NUMBERS[1:]]))
    with pytest.raises(DataError, match="1 bad row: line 2: 'x' in column 26"):
        data.load_all(path)


def test_a_part_counts_its_words_as_the_training_images_do(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    train = table(tmp_path / "train")
    test = table(tmp_path / "test", frame=FRAME[FRAME.label != "cat"])
    splits = data.load(train, test=test)
    assert splits.test.classes == splits.train.classes == CLASSES
    assert set(splits.test.labels.tolist()) == {1, 2}


@pytest.mark.parametrize("first", [True, False])
def test_the_one_column_called_unlike_the_pixels_that_are_an_image_is_the_label(caplog, first):
    frame = FRAME.rename(columns={"label": "digit"}).assign(digit=NUMBERS)
    frame = frame[sorted(frame.columns, key=lambda name: (name == "digit") != first)]
    assert data.load_all(frame).labels.tolist() == NUMBERS
    assert "column digit is taken for the label" in caplog.text


def test_a_data_frame_is_read_as_its_table_is(tmp_path):
    frame = FRAME.assign(mass=np.linspace(0, 1, 20))[["mass", *sorted(FRAME.columns)]]
    read = [
        data.load_all(source, condition="mass") for source in (frame, table(tmp_path, frame=frame))
    ]
    assert read[0].content_hash == read[1].content_hash
    assert read[0].labels.tolist() == read[1].labels.tolist()
    torch.testing.assert_close(read[0].condition, read[1].condition)


def test_a_data_frame_without_names_has_its_label_at_the_end_that_counts_classes():
    frame = pandas.DataFrame(np.column_stack([PIXELS, NUMBERS]))
    assert data.load_all(frame).labels.tolist() == NUMBERS


def test_a_data_frame_with_two_columns_of_images_asks_which():
    frame = LISTS.assign(thumbnail=list(PIXELS.reshape(-1, 5, 5) // 2))
    with pytest.raises(DataError, match=r"2 columns of images \(pixels, thumbnail\)"):
        data.load_all(frame)
    assert data.load_all(frame, key="thumbnail").images.max() < 128


def test_a_data_frame_of_real_numbers_is_told_how_to_quantise():
    with pytest.raises(DataError, match="levels are integers") as caught:
        data.load_all(FRAME.drop(columns="label") / 255)
    assert "[0,1]" in caught.value.hint


def test_bytes_of_files_are_the_images_whatever_numbers_stand_beside(tmp_path):
    pictures = list(PIXELS.reshape(-1, 5, 5).astype(np.uint8))
    features = datasets.Features({"image": datasets.Image()})
    stored = datasets.Dataset.from_dict({"image": pictures}, features)
    content = [
        each["bytes"] for each in stored.cast_column("image", datasets.Image(decode=False))["image"]
    ]
    beside = {name: range(20) for name in ("id", "width", "height", "x", "y0")}
    images = data.load_all(
        parquet(tmp_path, pandas.DataFrame({"image": content, "label": WORDS, **beside}))
    )
    assert images.images.reshape(20, 25).tolist() == PIXELS.tolist()
    assert images.labels.tolist() == NUMBERS


def test_the_index_that_pandas_writes_into_parquet_is_no_pixel(tmp_path):
    path = parquet(tmp_path, FRAME.sample(frac=1, random_state=0))
    assert data.load_all(path).shape == (1, 5, 5)


def test_words_in_other_encodings_stay_apart(tmp_path):
    words = ["d\xe4g", "d\xf6g"] * 10
    path = table(tmp_path, frame=FRAME.assign(label=words))
    path.write_bytes(path.read_text().encode("latin-1"))
    for source in (path, archive(tmp_path, np.array([word.encode("latin-1") for word in words]))):
        images = data.load_all(source)
        assert images.labels.tolist() == [0, 1] * 10
        assert images.classes == (r"d\xe4g", r"d\xf6g")


def test_an_empty_label_is_no_class():
    with pytest.raises(DataError, match="that of image 1 is empty"):
        labels_tensor(["dog", "", "cat"])


@pytest.mark.parametrize("words", ["train", "test"])
def test_a_part_with_words_and_one_with_numbers_are_told_of(words, caplog):
    images = PIXELS.reshape(-1, 5, 5).astype(np.uint8)
    parts = [(images[:15], WORDS[:15]), (images[15:], NUMBERS[15:])]
    if words == "test":
        parts = [(images[:15], NUMBERS[:15]), (images[15:], WORDS[15:])]
    data.load(tuple(parts))
    assert "are numbers" in caplog.text
    assert "taken for 0 cat, 1 dog" in caplog.text


def test_of_the_usual_names_of_labels_numbers_come_before_words():
    columns = {"target": [f"t{i}" for i in range(20)], "label": NUMBERS}
    images = data.load_all(
        datasets.Dataset.from_dict({"image": PIXELS.reshape(-1, 5, 5).tolist(), **columns})
    )
    assert images.labels.tolist() == NUMBERS
