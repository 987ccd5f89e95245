"""Tables that name pictures, as competitions have them."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from pictures import save_pictures
from pixelcnn import data
from pixelcnn.errors import DataError

NAMES = [f"p{i}.png" for i in range(12)]
KINDS = ["cat", "dog", "eel"] * 4
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 5, 7), np.uint8)


@pytest.fixture
def folder(tmp_path):
    save_pictures(tmp_path / "pictures", PIXELS, "p{}.png")
    return tmp_path


def table(folder, rows, name="list.csv"):
    (folder / name).write_text("\n".join(",".join(map(str, row)) for row in rows))
    return folder / name


def check(images, labels=(0, 1, 2) * 4, classes=("cat", "dog", "eel")):
    assert np.array_equal(images.images[:, 0].numpy(), PIXELS[: len(images)])
    assert images.labels.tolist() == list(labels)
    assert images.classes == classes


@pytest.mark.parametrize("prefix", ["", "pictures/", "./pictures/", "elsewhere/"])
@pytest.mark.parametrize("header", [[], [("file", "label")], [("id", "Species")]])
def test_a_table_that_names_pictures_gives_them_in_its_order_with_their_classes(
    folder, header, prefix
):
    rows = [(prefix + name, kind) for name, kind in zip(NAMES, KINDS, strict=True)]
    check(data.load_all(table(folder, [*header, *rows])))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_pictures_may_be_named_without_their_suffixes(tmp_path, order):
    save_pictures(tmp_path / "train_images", PIXELS)
    rows = [("id_code", "diagnosis"), *((at, at % 2) for at in range(12)), ("gone", 1)]
    rows = [[row[at] for at in order] for row in rows]
    found = data.load_all(table(tmp_path, rows[:-1]))
    check(found, [at % 2 for at in range(12)], ())
    with pytest.raises(DataError, match="names 1 picture that the folder has not: gone"):
        data.load_all(table(tmp_path, rows))
    assert len(data.load_all(table(tmp_path, rows), skip_bad=True)) == 12


@pytest.mark.parametrize("index", ["", "Unnamed: 0"])
def test_the_index_that_pandas_writes_is_no_other_column(folder, index):
    rows = enumerate(zip(NAMES, KINDS, strict=True))
    path = table(folder, [(index, "id", "Species"), *((at, *row) for at, row in rows)])
    check(data.load_all(path))


def test_classes_of_a_list_in_another_encoding_stay_apart(folder):
    path = table(folder, zip(NAMES, ["d\xe4g", "d\xf6g"] * 6, strict=True))
    path.write_bytes(path.read_text().encode("latin-1"))
    check(data.load_all(path), [0, 1] * 6, (r"d\xe4g", r"d\xf6g"))


@pytest.mark.parametrize(("table_form", "file_form"), [("NFC", "NFD"), ("NFD", "NFD")])
def test_letters_with_accents_are_found_however_the_file_system_keeps_them(
    tmp_path, table_form, file_form
):
    save_pictures(tmp_path / "pictures", PIXELS, unicodedata.normalize(file_form, "größe_{}.png"))
    names = [unicodedata.normalize(table_form, f"größe_{at}.png") for at in range(12)]
    check(data.load_all(table(tmp_path, zip(names, KINDS, strict=True))))


def test_names_in_another_encoding_than_utf_8_are_said_to_be(tmp_path):
    save_pictures(tmp_path, PIXELS, "größe_{}.png")
    path = table(tmp_path, [])
    path.write_bytes("".join(f"größe_{at}.png;a\r\n" for at in range(12)).encode("cp1252"))
    with pytest.raises(DataError, match="names 12 pictures that the folder has not") as caught:
        data.load_all(path)
    assert "UTF-8" in caught.value.hint


def test_a_list_may_have_blanks_between_its_fields(folder):
    lines = "\n".join(f"pictures/{name}  {i % 3}" for i, name in enumerate(NAMES))
    (folder / "list.txt").write_text(lines)
    check(data.load_all(folder / "list.txt"), classes=())


def test_classes_of_a_list_may_be_numbers_in_any_of_its_columns(folder):
    rows = zip(range(12), [3, 0] * 6, NAMES, KINDS, strict=True)
    path = table(folder, [("id", "number", "file", "kind"), *rows])
    check(data.load_all(path, label_column="number"), [3, 0] * 6, ())
    check(data.load_all(path, label_column="kind"))
    assert data.load_all(path).labels is None


def test_pictures_of_a_list_that_are_not_there_are_named_or_left_out(folder, caplog):
    rows = [*zip(NAMES, KINDS, strict=True), ("p12.png", "eel")]
    path = table(folder, [("file", "label"), *rows])
    with pytest.raises(
        DataError, match=r"list\.csv names 1 picture that the folder has not: p12\.png"
    ):
        data.load_all(path)
    check(data.load_all(path, skip_bad=True))
    assert "p12.png, left out" in caplog.text


def test_a_picture_beside_folders_has_the_label_of_its_row(tmp_path, caplog):
    names = ("a/0.png", "b/1.png", "2.png")
    for name, pixels in zip(names, PIXELS, strict=False):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name)
    check(data.load_all(table(tmp_path, zip(names, KINDS, strict=False))), [0, 1, 2])
    assert "no labels" not in caplog.text


def test_a_damaged_picture_of_a_list_takes_its_label_along(folder):
    (folder / "pictures" / NAMES[-1]).write_bytes(b"no picture")
    path = table(folder, zip(NAMES, KINDS, strict=True))
    check(data.load_all(path, skip_bad=True), ([0, 1, 2] * 4)[:-1])


@pytest.mark.parametrize("name", ["/etc/passwd.png", "../secret.png"])
def test_nothing_outside_the_folder_of_a_list_is_opened(folder, name):
    Image.fromarray(PIXELS[0]).save(folder / "secret.png")
    (folder / "pictures" / "list.csv").write_text(f"{name},cat\n{NAMES[1]},dog\n")
    with pytest.raises(DataError, match="that the folder has not"):
        data.load_all(folder / "pictures" / "list.csv")


def test_a_row_of_a_list_that_names_no_picture_is_told_by_its_line(folder):
    path = table(folder, [("file", "label"), (NAMES[0], "cat"), ("notes.txt", "dog")])
    with pytest.raises(DataError, match="names no picture in column 1 of line 3"):
        data.load_all(path)


def test_a_table_of_pixels_that_names_their_files_is_no_list(folder):
    header = ["file", *(f"pixel{i}" for i in range(9))]
    rows = [
        [name, *pixels.flat[:9]] for name, pixels in zip(NAMES, PIXELS.reshape(12, -1), strict=True)
    ]
    images = data.load_all(table(folder, [header, *rows]))
    assert images.shape == (1, 3, 3)


def test_patches_of_the_photographs_of_a_list_have_their_labels(folder):
    images = data.load_all(table(folder, zip(NAMES, KINDS, strict=True)), size=3, fit="patches")
    assert len(images.labels) == len(images)
    assert images.classes == ("cat", "dog", "eel")


def test_a_folder_with_a_list_in_it_asks_whether_that_is_meant(folder, caplog):
    caplog.set_level("INFO")
    path = table(folder, zip(NAMES, KINDS, strict=True))
    assert data.load_all(folder).labels is None
    assert "does list.csv name the images and their classes?" in caplog.text
    caplog.clear()
    check(data.load_all(path))
    assert not caplog.text


def test_a_list_is_packed_with_its_labels(folder):
    rows = zip(NAMES, KINDS, [7, 8] * 6, strict=True)
    path = table(folder, [("file", "kind", "label"), *rows])
    packed = data.prepare(path, folder / "words", label_column="kind")
    kinds = dict(zip(NAMES, KINDS, strict=True))
    found = [packed.classes[label] for label in packed.labels.tolist()]
    assert found == [kinds[name.removeprefix("pictures/")] for name in packed.names]
    assert sorted(data.prepare(path, folder / "numbers").labels.tolist()) == [7] * 6 + [8] * 6


def test_another_list_is_the_test_part(folder):
    rows = [*zip(NAMES, KINDS, strict=True)]
    train, test = table(folder, rows[:9]), table(folder, rows[10:], "test.csv")
    assert data.load(train, test=test).test.labels.tolist() == [1, 2]


@pytest.mark.parametrize("kinds", [[0, "", 1], ["cat", "", "dog"], ["cat", 7, "dog"], [0, "NA", 1]])
def test_a_row_of_a_list_without_a_label_as_others_is_named_or_left_out(folder, kinds):
    path = table(folder, [("file", "label"), *zip(NAMES, kinds, strict=False)])
    with pytest.raises(DataError, match=r"list\.csv 1 bad row: line 3: '"):
        data.load_all(path)
    images = data.load_all(path, skip_bad=True)
    assert images.labels.tolist() == [0, 1]
    assert np.array_equal(images.images[:, 0].numpy(), PIXELS[[0, 2]])


def test_masks_that_a_list_names_beside_its_pictures_are_no_classes(folder):
    path = table(folder, [("file", "mask"), *zip(NAMES, NAMES[::-1], strict=True)])
    assert data.load_all(path).labels is None


def test_names_with_blanks_are_whole_where_nothing_else_separates(folder):
    for name, pixels in zip(("a b.png", "b.png"), PIXELS, strict=False):
        Image.fromarray(pixels).save(folder / name)
    (folder / "list.csv").write_text("file\na b.png\nb.png\n")
    assert data.load_all(folder / "list.csv").names == ("a b.png", "b.png")


def test_a_picture_that_a_list_names_twice_is_packed_with_both_labels(folder):
    path = table(folder, [(NAMES[0], "cat"), (NAMES[1], "dog"), (NAMES[0], "eel")])
    packed = data.prepare(path, folder / "packed")
    found = {
        (name, packed.classes[label])
        for name, label in zip(packed.names, packed.labels.tolist(), strict=True)
    }
    assert found == {
        (f"pictures/{NAMES[n]}", kind) for n, kind in ((0, "cat"), (1, "dog"), (0, "eel"))
    }


@pytest.fixture
def classes(tmp_path):
    """Two classes whose pictures have the same names, without the last of the second."""
    for at in range(11):
        place = tmp_path / "pets" / ("cat", "dog")[at // 6]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[at]).save(place / f"{at % 6}.png")
    return tmp_path / "pets"


def rows_of(prefix="", suffix=".png", separator="/", count=11):
    kinds = [("cat", "dog")[at // 6] for at in range(count)]
    names = [f"{prefix}{kind}{separator}{at % 6}{suffix}" for at, kind in enumerate(kinds)]
    return list(zip(names, kinds, strict=True))


@pytest.mark.parametrize(
    "spelt",
    [
        {},
        {"prefix": "pets/"},
        {"prefix": "../pets/"},
        {"prefix": "/content/pets/"},
        {"prefix": "C:\\data\\", "separator": "\\"},
        {"separator": "//"},
        {"suffix": ""},
        {"prefix": "pets/", "suffix": ""},
    ],
)
def test_names_with_folders_are_told_apart_by_them(classes, spelt):
    images = data.load_all(table(classes, rows_of(**spelt)))
    check(images, [0] * 6 + [1] * 5, ("cat", "dog"))


def test_names_from_below_the_folder_of_images_are_found(classes):
    classes.rename(classes.parent / "images")
    images = data.load_all(table(classes.parent, rows_of()))
    check(images, [0] * 6 + [1] * 5, ("cat", "dog"))


@pytest.mark.parametrize("left", ["dog/0.png", ""])
def test_no_other_picture_stands_for_one_that_is_not_there(classes, left):
    """Neither where others of its folder are there, nor where none is."""
    for path in (classes / "dog").iterdir():
        if path.name not in left:
            path.unlink()
    rows = [*rows_of(count=6), *[(left, "dog")] * bool(left), ("dog/5.png", "dog")]
    with pytest.raises(DataError, match=r"names 1 picture that the folder has not: dog/5\.png"):
        data.load_all(table(classes, rows))


def test_two_names_are_not_one_picture(folder):
    rows = [("pictures/p0.png", "a"), ("x/p1.png", "a"), ("y/p1.png", "b")]
    with pytest.raises(DataError, match="names 2 pictures that the folder has not: x/p1"):
        data.load_all(table(folder, rows))


@pytest.mark.parametrize("column", ["id", "index", "image_id", "Unnamed: 0", ""])
def test_numbers_of_rows_are_no_classes(folder, column):
    rows = [(at, name) for at, name in enumerate(NAMES)]
    assert data.load_all(table(folder, [(column, "file"), *rows])).labels is None
    rows = [(at, name, kind) for (at, name), kind in zip(rows, KINDS, strict=True)]
    path = table(folder, [(column, "file", "breed"), *rows])
    check(data.load_all(path))
    check(data.load_all(path, label_column="last"))


def test_numbers_of_rows_without_a_header_are_no_classes(folder):
    assert data.load_all(table(folder, enumerate(NAMES, 1))).labels is None


def test_the_first_column_that_is_no_index_and_no_file_is_the_first(folder):
    rows = [(at, kind, name) for at, (name, kind) in enumerate(zip(NAMES, KINDS, strict=True))]
    check(data.load_all(table(folder, [("", "breed", "file"), *rows]), label_column="first"))


@pytest.mark.parametrize(
    ("labels", "classes"), [(["-1", "1"] * 6, ("-1", "1")), (["0.0", "1.0"] * 6, ())]
)
def test_attributes_of_minus_one_and_one_and_whole_floats_are_labels(folder, labels, classes):
    rows = list(zip(NAMES, labels, strict=True))
    found = data.load_all(table(folder, [("image_id", "Smiling"), *rows]))
    check(found, [0, 1] * 6, classes)


def test_numbered_parts_are_parts_and_no_classes(folder):
    numbers = [0] * 6 + [1] * 3 + [2] * 3
    path = table(folder, [("image_id", "partition"), *zip(NAMES, numbers, strict=True)])
    parts = data.load(path)
    assert [list(part.names) for part in parts] == [
        [f"pictures/{name}" for name in NAMES[start:stop]]
        for start, stop in ((0, 6), (6, 9), (9, 12))
    ]
    assert parts.train.labels is None
    other = table(folder, [("image_id", "split"), *zip(NAMES, numbers, strict=True)])
    assert data.load_all(other).labels is None


@pytest.mark.parametrize("column", ["Id", "index", "image_id"])
@pytest.mark.parametrize("options", [{}, {"label_column": "last"}])
def test_classes_may_stand_in_a_column_that_is_called_like_an_index(folder, column, options):
    check(
        data.load_all(
            table(folder, [("Image", column), *zip(NAMES, KINDS, strict=True)]), **options
        )
    )


def test_words_that_end_like_numbers_stay_apart(folder):
    kinds = ["v1", "v1.0", "v2.00"] * 4
    found = data.load_all(table(folder, [("Image", "kind"), *zip(NAMES, kinds, strict=True)]))
    check(found, classes=("v1", "v1.0", "v2.00"))


def test_numbered_folds_are_no_parts(folder, caplog):
    caplog.set_level("INFO", "pixelcnn")
    rows = [("Image", "partition"), *((name, at % 5) for at, name in enumerate(NAMES))]
    data.load(table(folder, rows))
    assert "column partition left out" in caplog.text or "says '3'" in caplog.text
