"""Kaggle-style CSV."""

import contextlib
import re

import numpy as np
import pytest
import torch

from pixelcnn import data
from pixelcnn.data import table
from pixelcnn.errors import ConfigError, DataError

NOISE = np.random.default_rng(0).integers(0, 256, (30, 4, 4), np.uint8)
LABELS = np.arange(30) % 10


def text(pixels=NOISE, labels=LABELS, header=True, newline="\n"):
    """A table as Kaggle has it: `label,pixel1,...`."""
    rows = pixels.reshape(len(pixels), -1).tolist()
    names = [f"pixel{i + 1}" for i in range(len(rows[0]))]
    if labels is not None:
        rows = [[label, *row] for label, row in zip(labels.tolist(), rows, strict=True)]
        names = ["label", *names]
    lines = ([",".join(names)] if header else []) + [",".join(map(str, row)) for row in rows]
    return newline.join(lines) + newline


def joined(rows):
    """The same of rows of any cells."""
    return "\n".join(",".join(map(str, row)) for row in rows)


def assert_as_written(images, labels=LABELS):
    """They are the images of :func:`text`, with these classes."""
    assert np.array_equal(images.images[:, 0].numpy(), NOISE)
    assert np.array_equal(images.labels, labels) if labels is not None else images.labels is None


def stored(tmp_path, content, name="table.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("at", [0, 1, -1])
def test_a_column_of_words_called_unlike_the_others_is_left_out_and_told_of(tmp_path, caplog, at):
    names, *rows = (line.split(",") for line in text().splitlines())
    names.insert(at, "file")
    for number, row in enumerate(rows):
        row.insert(at, f"{number}.png")
    content = joined([names, *rows])
    caplog.set_level("INFO", logger="pixelcnn")
    assert_as_written(data.load_all(stored(tmp_path, content)))
    assert "column file (words) left out" in caplog.text


def test_a_word_among_the_pixels_is_a_bad_row_and_no_column_to_leave_out(tmp_path):
    first, row, rest = text().split("\n", 2)
    content = "\n".join([first, row.rpartition(",")[0] + ",x", rest])
    with pytest.raises(DataError, match="line 2: 'x' in column 17 is no whole number"):
        data.load_all(stored(tmp_path, content))


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("labels", [LABELS, None])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_header_and_label_column_are_found(tmp_path, header, labels, newline):
    images = data.load_all(stored(tmp_path, text(NOISE, labels, header, newline)))
    assert_as_written(images, labels)
    assert images.levels == 256


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.rstrip("\n"),
        lambda t: "\ufeff" + t,
        lambda t: t.replace("label", '"Label"'),
        lambda t: t.replace(",", ", "),
        lambda t: "\n\n" + t.replace("\n", "\n\n"),
    ],
)
def test_harmless_differences_do_no_harm(tmp_path, change):
    assert_as_written(data.load_all(stored(tmp_path, change(text()))))


def test_the_label_column_may_stand_anywhere_and_an_id_is_left_out(tmp_path):
    rows = [
        [7, *row, label] for row, label in zip(NOISE.reshape(30, 16).tolist(), LABELS, strict=True)
    ]
    names = ["id", *(f"p{i}" for i in range(16)), "class"]
    images = data.load_all(stored(tmp_path, joined([names, *rows])))
    assert_as_written(images)


@pytest.mark.parametrize("first", [0, 1])
def test_numbered_columns_are_a_header_not_an_image(tmp_path, first):
    numbers = ",".join(map(str, range(first, first + 16)))
    images = data.load_all(stored(tmp_path, f"{numbers}\n{text(labels=None, header=False)}"))
    assert_as_written(images, None)


def test_the_models_shape_settles_what_is_not_square(tmp_path):
    path = stored(tmp_path, text(NOISE.reshape(30, 2, 8)))
    assert data.load_all(path, shape=(1, 2, 8)).shape == (1, 2, 8)
    assert data.load_all(path).shape == (1, 4, 4)
    odd = stored(tmp_path, text(NOISE[:, :3, :2]), "odd.csv")
    assert data.load_all(odd, shape=(1, 3, 2)).shape == (1, 3, 2)
    with pytest.raises(DataError, match="6 pixel columns are no square image"):
        data.load_all(odd)


def test_colours_ask_for_their_order(tmp_path):
    planes = np.random.default_rng(1).integers(0, 256, (30, 3, 4, 4), np.uint8)
    path = stored(tmp_path, text(planes))
    with pytest.raises(DataError, match="3 channels in an unknown order"):
        data.load_all(path)
    assert np.array_equal(data.load_all(path, layout="n c h w").images.numpy(), planes)
    mixed = stored(tmp_path, text(planes.transpose(0, 2, 3, 1)), "mixed.csv")
    assert np.array_equal(data.load_all(mixed, layout="n h w c").images.numpy(), planes)


def test_bad_rows_are_named_by_line_and_skipped_on_request(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "REASONS", 9)
    lines = text().splitlines()
    lines[4] += ",1"
    lines[7] = lines[7].replace(",", ",x", 1)
    lines[9] = lines[9].rsplit(",", 1)[0] + ","
    lines[11] = lines[11].rsplit(",", 1)[0] + ",1.5"
    lines[13] = lines[13].rsplit(",", 1)[0] + ",-3"
    lines[15] = lines[15].rsplit(",", 1)[0] + ",70000"
    lines[17] = "\x00\x01\x02"
    path = stored(tmp_path, "\n".join(lines))
    with pytest.raises(DataError) as caught:
        data.load_all(path)
    assert "7 bad rows: line 5: 18 values instead of 17" in str(caught.value)
    told = {8: "x", 10: "", 12: "1.5", 14: "-3", 16: "70000"}
    for line, value in told.items():
        assert f"line {line}: '{value}" in str(caught.value)
    assert str(caught.value).count("is no whole number from 0 to 65535") == len(told)
    images = data.load_all(path, skip_bad=True)
    assert images.skipped == 7
    kept = np.delete(np.arange(30), np.array([4, 7, 9, 11, 13, 15, 17]) - 1)
    assert np.array_equal(images.images[:, 0].numpy(), NOISE[kept])
    assert images.labels.tolist() == LABELS[kept].tolist()


def test_rows_beside_which_others_are_left_out_keep_their_places_as_names(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelcnn.data.lines.BLOCK", 100)  # so that rows come in several blocks
    lines = text().splitlines()
    lines[3] += ",1"
    lines[8] = ""  # no row at all
    lines[20] += ",1"
    images = data.load_all(stored(tmp_path, "\n".join(lines)), skip_bad=True)
    assert images.names == tuple(str(row) for row in range(29) if row not in (2, 18))
    assert data.load_all(stored(tmp_path, text())).names == ()


def test_blocks_do_not_matter(tmp_path, monkeypatch):
    lines = text().splitlines()
    lines[20] += ",1"
    path = stored(tmp_path, "\n".join(lines))
    whole = data.load_all(path, skip_bad=True)
    for block in (1, 7, 64, 100):
        monkeypatch.setattr("pixelcnn.data.lines.BLOCK", block)
        assert data.load_all(path, skip_bad=True).content_hash == whole.content_hash
        with pytest.raises(DataError, match="line 21: 18 values"):
            data.load_all(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("label,a,b,c,d\n", "holds no rows"),
        ("label,label,a,b\n1,2,3,4\n", "2 label columns"),
        ("label\n3\n", "0 pixel columns"),
        (b"\x89PNG\r\n\x1a\n\0\0", "holds no rows|bad rows"),
    ],
)
def test_tables_without_images_are_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=rf"table\.csv.*({message})"):
        data.load_all(stored(tmp_path, content))


def test_training_and_test_tables_go_together(tmp_path):
    train = stored(tmp_path, text(NOISE[:20], LABELS[:20]), "fashion_train.csv")
    test = stored(tmp_path, text(NOISE[20:], LABELS[20:]), "fashion_test.csv")
    splits = data.load(train, test=test, threshold=0.33)
    assert np.array_equal(splits.test.images[:, 0].numpy(), NOISE[20:] >= 85)
    assert len(splits.train) + len(splits.val) == 20
    assert len(splits.val) > 0
    assert {part.binarisation for part in splits} == {"threshold 0.33"}
    assert [part.split for part in splits] == ["train", "val", "test"]


def test_a_table_as_large_as_a_tutorials_is_read_fast(tmp_path):
    import time

    rows = np.random.default_rng(0).integers(0, 256, (2_000, 28, 28), np.uint8)
    path = stored(tmp_path, text(rows, np.arange(2_000) % 10))
    start = time.perf_counter()
    images = data.load_all(path)
    assert np.array_equal(images.images[:, 0].numpy(), rows)
    assert time.perf_counter() - start < 3  # 60,000 rows within about a minute on a busy machine


BAD_VALUES = {
    "-5": "-5", "1.0": "1.0", "0x1F": "0x1F", "inf": "inf", "nan": "nan", "65536": "65536", "": "",
    "9" * 4300: "9" * 20 + "...", "1 2": "1 2", '"15': '"15', "\0": "\\x00", "\x1b[2J": "\\x1b[2J",
    "1_0": "1_0", "+1": "+1", "x": "x",
}  # fmt: skip


@pytest.mark.parametrize("value", BAD_VALUES, ids=lambda value: value[:9].encode("unicode_escape"))
@pytest.mark.parametrize("line", [1, 31])
def test_a_bad_value_is_told_wherever_it_stands_and_never_taken_for_a_header(tmp_path, value, line):
    rows = text(labels=None, header=False).splitlines()
    rows.insert(line - 1, rows[0].rsplit(",", 1)[0] + "," + value)
    path = stored(tmp_path, "\n".join(rows))
    with pytest.raises(DataError) as caught:
        data.load_all(path)
    told = f"1 bad row: line {line}: '{BAD_VALUES[value]}' in column 16 is no whole number"
    assert told in str(caught.value)
    images = data.load_all(path, skip_bad=True)
    assert_as_written(images, None)


@pytest.mark.parametrize("first", ["?,?,?,?", "1,2,3,x", "1,x,3,4", "NA,NA,NA,NA"])
def test_a_first_row_without_numbers_is_a_header_only_if_its_fields_could_be_names(tmp_path, first):
    path = stored(tmp_path, f"{first}\n1,2,3,4\n5,6,7,8\n")
    with pytest.raises(DataError, match="line 1: "):
        data.load_all(path)
    assert len(data.load_all(path, skip_bad=True)) == 2


@pytest.mark.parametrize("header", ["label,0,1,2,3", "label,1,2,3,4", "label,1x1,1x2,2x1,2x2"])
def test_counted_and_named_columns_beside_a_label_are_a_header(tmp_path, header):
    images = data.load_all(stored(tmp_path, f"{header}\n7,1,2,3,4\n8,5,6,7,8\n"))
    assert images.labels.tolist() == [7, 8]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("block", [1, 5, 2**22])
def test_lines_end_as_on_any_system_and_are_counted(tmp_path, monkeypatch, end, block):
    monkeypatch.setattr("pixelcnn.data.lines.BLOCK", block)
    path = stored(tmp_path, end.join(["9,2,3,4", "", "5,6,7,8", "x,1,2,3"]).encode())
    with pytest.raises(DataError, match="1 bad row: line 4: 'x'"):
        data.load_all(path)
    assert len(data.load_all(path, skip_bad=True)) == 2


def test_a_line_without_end_is_refused_and_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelcnn.data.lines.BLOCK", 100)
    monkeypatch.setattr("pixelcnn.data.lines.MAX_LINE", 1000)
    with pytest.raises(DataError, match="a line of more than 1,000 bytes"):
        data.load_all(stored(tmp_path, "1," * 5000))
    monkeypatch.setattr("pixelcnn.data.table.MAX_COLUMNS", 100)
    with pytest.raises(DataError, match="has 150 columns"):
        data.load_all(stored(tmp_path, "1," * 150 + "\n"))


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("label", ["", "NA", "-1", "2.5"])
def test_a_label_that_is_not_wanted_keeps_no_image_from_being_read(tmp_path, header, label):
    *rows, last = text(header=header).splitlines()
    path = stored(tmp_path, "\n".join([*rows, label + last[last.index(",") :]]))
    options = {} if header else {"label_column": "first"}
    with pytest.raises(DataError, match="1 bad row"):
        data.load_all(path, **options)
    assert_as_written(data.load_all(path, labels=False, **options), None)


def test_values_are_kept_as_bytes_where_they_fit(tmp_path):
    wide = NOISE.astype(int)
    wide[-1, 0, 0] = 60_000
    wide = stored(tmp_path, text(wide), "wide.csv")
    assert data.load_all(wide, source_levels=65_536).images.dtype == torch.int32
    assert data.load_all(stored(tmp_path, text())).images.dtype == torch.uint8


DIGITS = data.load_all("digits")
DIGIT_ROWS, DIGIT_LABELS = DIGITS.images.reshape(-1, 64).numpy(), DIGITS.labels.numpy()


def headerless(tmp_path, *columns, separator=","):
    """A table of columns side by side, without names."""
    rows = np.column_stack(columns).tolist()
    return stored(tmp_path, "\n".join(separator.join(map(str, row)) for row in rows) + "\n")


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("end", ["first", "last"])
def test_without_a_header_the_classes_are_found_at_either_end(tmp_path, caplog, end, separator):
    columns = [DIGIT_LABELS, DIGIT_ROWS] if end == "first" else [DIGIT_ROWS, DIGIT_LABELS]
    images = data.load_all(headerless(tmp_path, *columns, separator=separator))
    assert np.array_equal(images.labels.numpy(), DIGIT_LABELS)
    assert np.array_equal(images.images.reshape(-1, 64).numpy(), DIGIT_ROWS)
    assert f"the {end} column is taken for it" in caplog.text


def chosen_or_asked(path, end):
    """A table that is read, or refused with a hint that makes it readable."""
    with contextlib.suppress(DataError):
        return data.load_all(path)
    with pytest.raises(DataError, match="could be its class") as caught:
        data.load_all(path)
    assert "label_column" in caught.value.hint
    return data.load_all(path, label_column=end)


@pytest.mark.parametrize("end", ["first", "last"])
@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        (NOISE > 127, LABELS),  # two levels and ten classes
        (NOISE, np.arange(30) % 26 + 1),  # each class once: no evidence
        (NOISE, np.arange(30) % 2 * 4 + 3),  # only threes and sevens
        (NOISE > 127, np.arange(30) % 2),  # a class looks like a pixel
        (np.zeros_like(NOISE), np.full(30, 3)),  # one class
        (NOISE[:1], LABELS[:1]),  # one row
        (NOISE // 128 * 255, LABELS),
        (np.pad(NOISE[:, 1:3, 1:3], ((0, 0), (1, 1), (1, 1))), np.arange(30) % 3),
    ],
    ids=["binary", "26", "gap", "alike", "constant", "row", "0-255", "margin"],
)
def test_a_label_is_never_taken_for_a_pixel_without_being_asked(tmp_path, end, pixels, labels):
    rows = pixels.reshape(len(pixels), -1).astype(int)
    columns = [labels, rows] if end == "first" else [rows, labels]
    path = headerless(tmp_path, *columns)
    images = chosen_or_asked(path, end)
    assert images.labels.tolist() == labels.tolist()
    assert np.array_equal(images.images.reshape(len(rows), -1).numpy(), rows)


def test_a_label_column_is_named_or_said(tmp_path):
    path = stored(tmp_path, text().replace("label", "Kind", 1))
    assert_as_written(data.load_all(path, label_column="none"), None)
    for wanted in ("Kind", "kind", "first", None):
        assert data.load_all(path, label_column=wanted).labels.tolist() == LABELS.tolist()
    with pytest.raises(DataError, match="no column called kin"):
        data.load_all(path, label_column="kin")
    plain = stored(tmp_path, text(labels=None, header=False), "plain.csv")
    assert data.load_all(plain, label_column="none").labels is None
    with pytest.raises(DataError, match="no header, so no column is called kind"):
        data.load_all(plain, label_column="kind")


def test_a_label_column_goes_with_tables_only(tmp_path):
    np.save(tmp_path / "a.npy", NOISE)
    for source in (tmp_path / "a.npy", "digits"):
        with pytest.raises(ConfigError, match="label_column goes with"):
            data.load_all(source, label_column="last")


NAMES = {
    "pixel0": [f"pixel{i}" for i in range(16)],
    "px_01": [f"px_{i + 1:02}" for i in range(16)],
    "1x1": [f"{i // 4 + 1}x{i % 4 + 1}" for i in range(16)],
    "9x9": [f"{i // 4 + 8}x{i % 4 + 8}" for i in range(16)],
    "0": [str(i) for i in range(16)],
}


@pytest.mark.parametrize("labels", [LABELS, None])
@pytest.mark.parametrize(
    ("names", "order"),
    [(n, o) for n in NAMES for o in ("image", "text", "reversed") if (n, o) != ("0", "reversed")],
)  # numbers from high to low could be an image
def test_columns_stand_in_the_order_of_the_numbers_in_their_names(tmp_path, names, order, labels):
    names = NAMES[names]
    columns = dict(zip(names, NOISE.reshape(30, 16).T.tolist(), strict=True))
    chosen = {"image": names, "text": sorted(names), "reversed": names[::-1]}[order]
    rows = [[columns[name][row] for name in chosen] for row in range(30)]
    if labels is not None:
        chosen = ["label", *chosen]
        rows = [[label, *row] for label, row in zip(labels.tolist(), rows, strict=True)]
    images = data.load_all(stored(tmp_path, joined([chosen, *rows])))
    assert_as_written(images, labels)


def test_names_that_say_no_order_keep_that_of_the_file(tmp_path):
    names = ["b", "a", "d", "c"], ["r1", "g1", "b1", "r2"], ["1x1", "2x1", "1x2", "2x2"]
    for each in names:
        path = stored(tmp_path, ",".join(each) + "\n1,2,3,4\n5,6,7,8\n")
        assert data.load_all(path).images[0].flatten().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["", "id", "Unnamed: 0", "Unnamed: 0.1", '"index"'])
@pytest.mark.parametrize("value", ["7", "70000", "a.png", "", '"x"', "-1.5"])
@pytest.mark.parametrize("place", [0, 1, 17])
def test_what_stands_in_a_column_that_is_left_out_does_not_matter(tmp_path, name, value, place):
    lines = [line.split(",") for line in text().splitlines()]
    for number, line in enumerate(lines):
        line.insert(place, value if number else name)
    images = data.load_all(stored(tmp_path, joined(lines)))
    assert_as_written(images)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("block", [1, 7, 2**22])
def test_every_encoding_with_a_mark_is_read(tmp_path, monkeypatch, newline, encoding, block):
    monkeypatch.setattr("pixelcnn.data.lines.BLOCK", block)
    content = text(newline=newline).encode(encoding)
    content = b"\xfe\xff" + content if encoding == "utf-16-be" else content
    assert_as_written(data.load_all(stored(tmp_path, content)))


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("separator", [";", "\t", " ", "  ", " \t"])
def test_columns_are_separated_by_any_of_these(tmp_path, separator, header):
    content = text(header=header).replace(",", separator)
    name = "table.amat" if separator == " " else "table.tsv"
    assert_as_written(data.load_all(stored(tmp_path, content, name)))
    quoted = '"' + text().replace(",", f'"{separator}"').replace("\n", '"\n"')[:-1]
    assert_as_written(data.load_all(stored(tmp_path, quoted, "quoted.tsv")))


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), (" ", "blanks")]
)
def test_a_bad_row_is_told_with_what_separates_the_columns(tmp_path, separator, name):
    rows = ["9,2,3,4", "1,2,9.5,4", "1,2,3", "5,6,7,8"]
    path = stored(tmp_path, "\n".join(rows).replace(",", separator).replace("9.5", "9,5"))
    told = rf"2 bad rows \(columns separated by {name}\): line 2: '9,5' in column 3"
    with pytest.raises(DataError, match=told):
        data.load_all(path)
    assert len(data.load_all(path, skip_bad=True)) == 2


@pytest.mark.parametrize("name", ["", "label"])
def test_a_header_of_very_many_columns_takes_time_in_proportion(tmp_path, name):
    path = stored(tmp_path, ",".join([name] * 50_000) + ",x\n1,2\n")
    with pytest.raises(DataError):
        data.load_all(path)


def test_values_beyond_a_byte_ask_how_many_levels_they_have(tmp_path):
    wide = NOISE.astype(int)
    wide[3, 1, 2] = 300
    path = stored(tmp_path, text(wide))
    with pytest.raises(DataError, match="values run up to 300, and a table does not say") as caught:
        data.load_all(path)
    assert "source_levels" in caught.value.hint
    for options in ({"source_levels": 1024}, {"usual_levels": 1024}):
        assert data.load_all(path, **options).levels == 1024
    labelled = stored(tmp_path, text(NOISE, LABELS + 300))
    assert data.load_all(labelled).levels == 256


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_separators_at_the_end_of_each_line_make_no_column(tmp_path, separator, header, quote):
    content = re.sub(r"\w+", rf"{quote}\g<0>{quote}", text(header=header))
    content = content.replace("\n", ",\n").replace(",", separator)
    assert_as_written(data.load_all(stored(tmp_path, content)))
    rows = content.splitlines()
    rows[5] += "7"
    with (
        pytest.raises(DataError, match="line 6: 18 values instead of 17")
        if not header
        else (contextlib.nullcontext())
    ):
        data.load_all(stored(tmp_path, "\n".join(rows)))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "# made by a program\n# on a day\n" + t,
        lambda t: "# " + t,  # as NumPy's savetxt writes names
        lambda t: t.replace("\n", "\n# in between, with, commas\n"),
        lambda t: "sep=,\n" + t,
    ],
)
def test_comments_are_no_rows_but_may_name_the_columns(tmp_path, change):
    assert_as_written(data.load_all(stored(tmp_path, change(text()))))
    bad = change(text()) + "1,2\n"
    with pytest.raises(DataError, match=f"line {len(bad.splitlines())}: 2 values"):
        data.load_all(stored(tmp_path, bad))


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_line_for_spreadsheets_is_no_row(tmp_path, header, separator):
    content = f"sep={separator}\n" + text(header=header).replace(",", separator)
    assert_as_written(data.load_all(stored(tmp_path, content)))


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_packed_table_is_read(tmp_path, suffix):
    import gzip
    import lzma

    pack = {".gz": gzip.compress, ".xz": lzma.compress}[suffix]
    path = stored(tmp_path, pack(text().encode()), f"table.csv{suffix}")
    assert_as_written(data.load_all(path))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"table\.csv"):
        data.load_all(path)


def test_a_quoted_field_with_a_separator_in_it_is_told(tmp_path):
    path = stored(tmp_path, text() + '0,"1,234"' + ",1" * 15 + "\n")
    with pytest.raises(DataError, match=r'line 32: 18 values instead of 17, .* "1,234"'):
        data.load_all(path)


def test_columns_of_a_condition_are_numbers_of_any_kind_beside_the_pixels(tmp_path):
    mass, age = np.linspace(-1, 1, 30).round(3), np.arange(30) * 1_000
    rows = [line.split(",") for line in text().splitlines()]
    for number, row in enumerate(rows):
        row.insert(1, "Mass" if number == 0 else str(mass[number - 1]))
        row.append("age" if number == 0 else f"{age[number - 1]}")
    path = stored(tmp_path, joined(rows))
    images = data.load_all(path, condition="age, Mass")
    assert_as_written(images)
    assert images.condition_names == ("age", "Mass")
    wanted = np.column_stack([age, mass])
    assert np.array_equal(images.condition.numpy(), wanted)
    rows[4][1] = rows[7][-1] = "x"
    rows[9][3] = "?"
    bad = stored(tmp_path, joined(rows), "bad.csv")
    with pytest.raises(DataError, match="line 5: 'x' in column 2 is no finite number; line 8: 'x'"):
        data.load_all(bad, condition=["age", "mass"])
    kept = data.load_all(bad, condition=["age", "mass"], skip_bad=True)
    good = np.delete(np.arange(30), [3, 6, 8])
    assert np.array_equal(kept.condition.numpy(), wanted[good])
    assert np.array_equal(kept.images[:, 0].numpy(), NOISE[good])


def test_a_condition_that_no_column_is_called_is_named(tmp_path):
    with pytest.raises(DataError, match="no column called mas"):
        data.load_all(stored(tmp_path, text()), condition="mas")
    with pytest.raises(DataError, match="no header, so no column is called mass"):
        data.load_all(stored(tmp_path, text(header=False)), condition="mass")


@pytest.mark.parametrize("separator", [",", ";"])
def test_real_numbers_are_parsed_where_they_are_to_be_quantised(separator):
    from pixelcnn.data.parsing import Columns, Dialect, parse_rows

    lines = b"1.5,-2e3,0\n nan,1,2\n1_0,1,2\n3,4,1e99\n7, 8 ,9\n+1.5,1e-50,2\n"
    if separator == ";":
        lines = lines.replace(b",", b";").replace(b".", b",")
    columns = Columns(3, pixels=range(3))
    rows, *_, bad = parse_rows(lines, columns, Dialect(separator.encode(), real=True))
    assert rows.tolist() == [[1.5, -2000, 0], [7, 8, 9], [1.5, 0, 2]]
    assert [line for line, _ in bad] == [1, 2, 3]


def test_words_for_some_of_the_classes_are_to_be_looked_at_not_left_out(tmp_path):
    rows = [f"{row if row % 2 else 'dog'},1,2,3,4" for row in range(24)]
    (tmp_path / "words.csv").write_text("\n".join(["label,p0,p1,p2,p3", *rows]))
    with pytest.raises(DataError, match="12 bad rows") as caught:
        data.load_all(tmp_path / "words.csv")
    assert "lines 2, 4, 6 and 9 more: 'dog' in column 1" in str(caught.value)


CELLS = [" ".join(map(str, image.reshape(-1).tolist())) for image in NOISE]
LISTS = [f'"{image.reshape(-1).tolist()}"' for image in NOISE]


@pytest.mark.parametrize(
    ("name", "header", "rows"),
    [
        ("a.csv", "emotion,pixels,Usage", [f"{n},{c},Test" for n, c in zip(LABELS, CELLS, strict=True)]),
        ("a.csv", "emotion,pixels", [f'{n},"{c}"' for n, c in zip(LABELS, CELLS, strict=True)]),
        ("a.tsv", "pixels\temotion", [f"{c}\t{n}" for n, c in zip(LABELS, CELLS, strict=True)]),
        ("a.csv", "pixels,emotion", [f"{c},{n}" for n, c in zip(LABELS, LISTS, strict=True)]),
        ("a.csv", "label;pixels", [f"{n};{c}" for n, c in zip(LABELS, LISTS, strict=True)]),
    ],
)  # fmt: skip
def test_a_table_may_hold_an_image_in_one_cell(tmp_path, name, header, rows):
    content = "\n".join([header, *rows])
    assert_as_written(data.load_all(stored(tmp_path, content, name)))


@pytest.mark.parametrize("name", ["face.jpg", "7"])
@pytest.mark.parametrize("label", [None, "gender"])
def test_numbers_called_unlike_the_pixels_are_no_pixels(tmp_path, caplog, name, label):
    noise = np.random.default_rng(0).integers(0, 256, (30, 64))
    rows = [f"{n},{n % 2},{name},{' '.join(map(str, row))}" for n, row in enumerate(noise)]
    path = stored(tmp_path, "\n".join(["age,gender,name,pixels", *rows]))
    images = data.load_all(path, **({"label_column": label} if label else {}))
    assert np.array_equal(images.images.reshape(30, 64).numpy(), noise)
    assert (images.labels is None) == (label is None)
    assert "left out: age" in caplog.text


@pytest.mark.parametrize("rows", [CELLS, LISTS, [f'"{cell}"' for cell in CELLS]])
def test_a_table_may_have_nothing_but_cells_of_images(tmp_path, rows):
    images = data.load_all(stored(tmp_path, "\n".join(["pixels", *rows])))
    assert np.array_equal(images.images[:, 0].numpy(), NOISE)


@pytest.mark.parametrize(
    ("bad", "error"), [("3,1 2 3,Test", "line 32: 5 values instead"), ("3,1 x,Test", "line 32")]
)
def test_a_cell_with_other_numbers_than_the_rest_is_a_bad_row(tmp_path, bad, error):
    rows = [f"{n},{c},Test" for n, c in zip(LABELS, CELLS, strict=True)]
    path = stored(tmp_path, "\n".join(["emotion,pixels,Usage", *rows, bad]))
    with pytest.raises(DataError, match=error):
        data.load_all(path)
    assert_as_written(data.load_all(path, skip_bad=True))


def test_a_row_with_a_cell_of_numbers_is_never_taken_for_names(tmp_path):
    with pytest.raises(DataError, match=r"no square image|bad row"):
        data.load_all(stored(tmp_path, "\n".join(f"3,{c},Test" for c in CELLS)))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "beside", ["1 2 3 4", '"[1, 2, 3, 4]"', '"0, 0, 1, 0"', '"[[0, 0, 1], [0, 0, 1], [0, 0, 1]]"']
)
@pytest.mark.parametrize("cells", [CELLS, LISTS, [f'"{c.replace(" ", ",")}"' for c in CELLS]])
def test_the_longest_cells_are_the_images_and_run_into_no_others(
    tmp_path, separator, beside, cells
):
    rows = [[beside, c, n, beside] for c, n in zip(cells, LABELS, strict=True)]
    content = "\n".join(
        map(separator.join, [["box", "face", "label", "mark"], *[map(str, r) for r in rows]])
    )
    assert_as_written(data.load_all(stored(tmp_path, content)))


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("words", ["[1, 2, 3, 4]", "1 2 3 4", '{"box": [1, 2, 3, 4]}', "1,2,3,4"])
def test_a_cell_of_fewer_numbers_than_a_row_has_cells_is_words(tmp_path, separator, words):
    names, *rows = (f"{line},".replace(",", separator) for line in text().splitlines())
    content = "\n".join([f"{names}box", *[row + words for row in rows]])
    assert_as_written(data.load_all(stored(tmp_path, content)))


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("end", ["", ";"])
def test_numbers_with_decimal_commas_are_never_taken_for_names(tmp_path, separator, header, end):
    lines = text(labels=None, header=header).replace(",", ";").splitlines()
    rows = [line.replace(";", ",5;") + ",5" for line in lines[header:]]
    content = "".join(f"{row}{end}\n" for row in [*lines[:header], *rows])
    path = stored(tmp_path, content.replace(";", separator))
    assert_as_written(data.load_all(path, quantise=[0, 256], levels=256), None)


def test_what_savetxt_writes_is_told_to_be_written_as_whole_numbers(tmp_path):
    np.savetxt(tmp_path / "a.csv", NOISE.reshape(len(NOISE), -1), delimiter=",")
    with pytest.raises(DataError, match="is no whole number") as caught:
        data.load_all(tmp_path / "a.csv")
    assert "fmt='%d'" in caught.value.hint
    np.savetxt(tmp_path / "b.csv", NOISE.reshape(len(NOISE), -1), delimiter=",", fmt="%d")
    assert_as_written(data.load_all(tmp_path / "b.csv"), None)


@pytest.mark.parametrize(
    ("gap", "hint"),
    [
        ("{},1,,3,4", "no line is as it should be: mend or remove the columns"),
        ("{}.0,1,2,3,4", "real numbers: say how they become levels"),
        ("{}.5,1,2,3,4", "real numbers: say how they become levels"),
    ],
)
def test_a_column_that_pandas_wrote_for_gaps_has_a_remedy(tmp_path, gap, hint):
    rows = [gap.format(row) for row in range(12)]
    (tmp_path / "gaps.csv").write_text("\n".join(["label,p0,p1,p2,p3", *rows]))
    with pytest.raises(DataError, match="12 bad rows") as caught:
        data.load_all(tmp_path / "gaps.csv")
    assert caught.value.hint.startswith(hint)


INDEX = np.arange(30)
COLUMNS = [f"p{at}" for at in range(16)]
CELLS = NOISE.reshape(30, -1)


@pytest.mark.parametrize(
    ("which", "header", "columns"),
    [
        ("first", ["", "kind", *COLUMNS], [INDEX, LABELS, *CELLS.T]),
        ("first", ["id", "kind", *COLUMNS], [INDEX, LABELS, *CELLS.T]),
        ("first", ["", *range(17)], [INDEX, LABELS, *CELLS.T]),
        ("last", [*COLUMNS, "kind", "id"], [*CELLS.T, LABELS, INDEX]),
        ("last", [*COLUMNS, "kind", ""], [*CELLS.T, LABELS, [""] * 30]),
    ],
)
def test_an_index_is_neither_the_first_nor_the_last_column(tmp_path, which, header, columns):
    rows = [header, *zip(*columns, strict=True)]
    assert_as_written(data.load_all(stored(tmp_path, joined(rows)), label_column=which))


@pytest.mark.parametrize("name", ["id", "index"])
def test_a_class_may_be_called_like_an_index(tmp_path, name):
    rows = [[name, *COLUMNS], *np.column_stack([LABELS, CELLS]).tolist()]
    assert_as_written(data.load_all(stored(tmp_path, joined(rows)), label_column="first"))


def test_a_first_row_whose_equal_numbers_pandas_has_numbered_is_a_header(tmp_path):
    """As of A_Z Handwritten Data.csv, whose own first row became names when it was read and written."""
    header = ["0", *(f"0.{at}" for at in range(1, 17))]
    rows = np.column_stack([LABELS, CELLS]).tolist()
    assert_as_written(
        data.load_all(stored(tmp_path, joined([header, *rows])), label_column="first")
    )
    real = [["0", "0.1", "0.2", "0.3"], ["0.5", "0.25", "1", "0"]]
    found = data.load_all(stored(tmp_path, joined(real)), quantise=[0, 0.25, 0.5, 1])
    assert len(found) == 2
