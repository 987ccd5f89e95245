"""Data frames of pandas and polars, whatever their columns hold."""

import importlib
import io

import numpy as np
import pandas
import pytest
from PIL import Image

import pixelcnn as px
from pixelcnn import data
from pixelcnn.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 5, 5), np.uint8)
ROWS = IMAGES.reshape(20, -1)
LABELS = np.arange(20) % 3
CELLS = [" ".join(map(str, row)) for row in ROWS.tolist()]


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


COLUMNS = {
    "one column a pixel": {f"pixel{at}": ROWS[:, at] for at in range(25)},
    "lists": {"image": ROWS.tolist()},
    "lists of lists": {"image": IMAGES.tolist()},
    "files": {"image": [*map(png, IMAGES)]},
    "files of a dataset": {"image": [{"bytes": png(each), "path": None} for each in IMAGES]},
    "cells": {"pixels": CELLS, "usage": ["Training", "Test"] * 10},
    "lists as text": {"pixels": [str(row) for row in ROWS.tolist()]},
}


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("name", COLUMNS)
def test_images_and_labels_are_found_in_a_frame(library, name):
    frames = pytest.importorskip(library)
    frame = frames.DataFrame({**COLUMNS[name], "label": LABELS})
    images = data.load_all(frame)
    assert np.array_equal(images.images[:, 0].numpy(), IMAGES)
    assert np.array_equal(images.labels.numpy(), LABELS)


def test_the_one_other_column_beside_cells_is_the_label(caplog):
    images = data.load_all(pandas.DataFrame({"emotion": LABELS, "pixels": CELLS}))
    assert np.array_equal(images.labels.numpy(), LABELS)
    assert "column emotion is taken for the label" in caplog.text


def test_labels_of_a_frame_that_are_not_wanted_are_not_looked_at():
    frame = pandas.DataFrame({**COLUMNS["one column a pixel"], "label": LABELS - 0.5})
    with pytest.raises(DataError, match="labels are integers"):
        data.load_all(frame)
    images = data.load_all(frame, labels=False)
    assert np.array_equal(images.images[:, 0].numpy(), IMAGES) and images.labels is None


def test_numbers_in_a_frame_of_objects_are_numbers():
    frame = pandas.DataFrame(COLUMNS["one column a pixel"]).astype(object)
    assert np.array_equal(data.load_all(frame).images[:, 0].numpy(), IMAGES)


def test_a_frame_and_a_series_are_images_and_labels():
    words = pandas.Series(np.array(["b", "a", "c"])[LABELS], dtype="category")
    images = data.load_all((pandas.DataFrame(ROWS), words))
    assert np.array_equal(images.images[:, 0].numpy(), IMAGES)
    assert [images.classes[each] for each in images.labels.tolist()] == words.tolist()


def test_a_frame_that_a_dataset_became_is_read_as_the_dataset():
    datasets = importlib.import_module("datasets")
    found = datasets.Dataset.from_dict({**COLUMNS["files of a dataset"], "label": LABELS})
    frame = found.cast_column("image", datasets.Image()).to_pandas()
    assert np.array_equal(data.load_all(frame).images[:, 0].numpy(), IMAGES)


@pytest.mark.parametrize(
    ("cells", "error"),
    [([*CELLS[:-1], "1 2 3 4"], "differ in shape"), ([*CELLS[:-1], "none"], "no numbers")],
)
def test_cells_of_other_sizes_are_refused(cells, error):
    with pytest.raises(DataError, match=error):
        data.load_all(pandas.DataFrame({"pixels": cells, "label": LABELS}))


@pytest.mark.parametrize("sides", [(2, 8), (3, 12), (5, 15, 3)])
def test_brackets_in_a_cell_say_how_long_the_sides_are(tmp_path, sides):
    images = np.random.default_rng(0).integers(0, 256, (20, *sides))
    frame = pandas.DataFrame({"pixels": [str(each.tolist()) for each in images], "label": LABELS})
    frame.to_csv(tmp_path / "nested.csv", index=False)
    for source in (frame, tmp_path / "nested.csv"):
        found = data.load_all(source)
        flat = images if len(sides) == 2 else images.transpose(0, 3, 1, 2)
        assert np.array_equal(found.images.squeeze(1).numpy(), flat)
        assert np.array_equal(found.labels.numpy(), LABELS)


def test_a_column_of_images_may_have_any_name():
    frame = pandas.DataFrame({"Picture": COLUMNS["files"]["image"], "Label": LABELS})
    for key in (None, "Picture", "picture"):
        images = data.load_all(frame, key=key)
        assert np.array_equal(images.images[:, 0].numpy(), IMAGES)
        assert np.array_equal(images.labels.numpy(), LABELS)


@pytest.mark.parametrize("kind", ["int8", "uint16", "float64"])
@pytest.mark.parametrize("end", [0, 25])
def test_the_type_of_a_label_without_a_name_says_nothing_of_the_pixels(kind, end):
    frame = pandas.DataFrame(ROWS)
    frame.insert(end, "", LABELS.astype(kind))
    images = data.load_all(frame.set_axis(range(26), axis=1))
    assert images.levels == 256
    assert np.array_equal(images.images[:, 0].numpy(), IMAGES)
    assert np.array_equal(images.labels.numpy(), LABELS)


@pytest.mark.parametrize("gap", [np.nan, "?"])
def test_a_gap_in_a_frame_without_names_is_told_in_one_line(gap):
    frame = pandas.DataFrame(np.column_stack([LABELS, ROWS])).astype(object)
    frame.iloc[2, 3] = gap
    with pytest.raises(DataError, match=r"^data frame (holds|cannot be read)"):
        data.load_all(frame)


@pytest.mark.parametrize("key", ["pixel3", "scan"])
def test_a_column_that_is_said_and_holds_no_images_is_refused(key):
    with pytest.raises(DataError, match=f"no column of images called {key}"):
        data.load_all(pandas.DataFrame(COLUMNS["one column a pixel"]), key=key)


@pytest.mark.parametrize("words", ["1 2 3 4", [1, 2, 3, 4], {"box": 1}])
def test_what_is_shorter_than_a_row_is_no_image_beside_columns_of_pixels(words):
    frame = pandas.DataFrame({**COLUMNS["one column a pixel"], "box": [words] * 20})
    assert np.array_equal(data.load_all(frame).images[:, 0].numpy(), IMAGES)


@pytest.mark.parametrize("name", ["lists", "cells"])
def test_a_column_that_is_said_holds_images_of_any_size(name):
    column = next(iter(COLUMNS[name]))
    more = {f"more{at}": LABELS for at in range(30)}
    frame = pandas.DataFrame({**more, column: COLUMNS[name][column]})
    images = data.load_all(frame, key=column, condition=tuple(more))
    assert np.array_equal(images.images[:, 0].numpy(), IMAGES)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("name", COLUMNS)
def test_columns_beside_labels_mean_what_their_names_say(library, name):
    frames = pytest.importorskip(library)
    backwards = dict(reversed(COLUMNS[name].items()))
    frame = frames.DataFrame({"id": range(20), **backwards})
    images = data.load_all((frame, frames.Series(LABELS)))
    assert np.array_equal(images.images[:, 0].numpy(), IMAGES)
    assert np.array_equal(images.labels.numpy(), LABELS)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_of_names_is_told_how_they_are_read(library):
    frames = pytest.importorskip(library)
    with pytest.raises(DataError, match="names pictures in column file") as caught:
        data.load_all(frames.DataFrame({"label": [0, 1], "file": ["a/1.PNG", "a/2.png"]}))
    assert "frame.to_csv" in caught.value.hint
    pixels = COLUMNS["one column a pixel"] | {"file": [f"{at}.png" for at in range(20)]}
    assert len(data.load_all(frames.DataFrame(pixels))) == 20


def test_a_frame_with_two_columns_of_labels_is_refused():
    frame = pandas.DataFrame({**COLUMNS["one column a pixel"], "label": LABELS})
    with pytest.raises(DataError, match="labels of its own"):
        data.load_all((frame, pandas.Series(LABELS)))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_condition_is_given_whatever_holds_the_images(name):
    frame = pandas.DataFrame({"mass": LABELS / 2, **COLUMNS[name], "label": LABELS})
    images = data.load_all(frame, condition="mass")
    assert np.array_equal(images.condition[:, 0].numpy(), LABELS / 2)
    assert images.condition_names == ("mass",)
    with pytest.raises(DataError, match=r"holds mass of .*, no numbers"):
        data.load_all(frame.assign(mass="heavy"), condition="mass")


def test_a_frame_means_the_same_to_a_model_with_its_labels_and_alone():
    train, val, _ = data.load((ROWS, LABELS), levels=2)
    model = px.create_model("pixelcnn", train, width=4, depth=1)
    px.fit(model, train, val, epochs=1, verbose=False)
    frame = pandas.DataFrame(dict(reversed(COLUMNS["one column a pixel"].items())))
    alone = px.evaluate(model, IMAGES, source_levels=256)
    assert px.evaluate(model, frame) == px.evaluate(model, (frame, pandas.Series(LABELS)))
    assert px.evaluate(model, frame).nats == alone.nats
