"""Vectors and maps from files of their own: tables, arrays and pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pictures import save_pictures
from pixelcnn import data
from pixelcnn.data.conditions import read_features
from pixelcnn.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (11, 5, 7), dtype=np.uint8)
FACTS = RNG.normal(size=(11, 2)) * [1e45, 1]
MAPS = RNG.normal(size=(11, 3, 5, 7))


@pytest.fixture
def images(tmp_path):
    np.save(tmp_path / "images.npy", PIXELS)
    return tmp_path / "images.npy"


@pytest.fixture
def photos(tmp_path):
    """Images in two class folders, and maps of the same names."""
    save_pictures(tmp_path / "maps", 255 - PIXELS, classes=("dog", "cat"))
    return save_pictures(tmp_path / "photos", PIXELS, classes=("dog", "cat"))


def table(tmp_path, text, encoding="utf-8"):
    (tmp_path / "facts.csv").write_bytes(text.encode(encoding))
    return tmp_path / "facts.csv"


def lines(separator=",", header=("mass", "age"), end="\n"):
    rows = [separator.join(map(repr, map(float, row))) for row in FACTS]
    return end.join([separator.join(header), *rows] if header else rows)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (lines(), "utf-8"),
        (lines(end="\r\n"), "utf-8-sig"),
        (lines(";", end="\r"), "utf-16"),
        (lines("\t") + "\n\n", "utf-8"),
        ("sep=;\n" + lines(";"), "utf-8"),
    ],
)
def test_parameters_from_a_table(tmp_path, images, text, encoding):
    found = data.load_all(images, condition=str(table(tmp_path, text, encoding)))
    assert found.condition_names == ("mass", "age")
    assert np.array_equal(found.condition.numpy(), FACTS)


def test_a_condition_whose_name_is_too_long_for_a_file_is_not_there():
    with pytest.raises(DataError, match=r"there is no file or folder m{299}"):
        read_features(Path("m" * 300 + ".csv"))


def test_a_table_without_a_header_has_no_names(tmp_path, images):
    found = data.load_all(images, condition=str(table(tmp_path, lines(header=()))))
    assert found.condition_names == ()
    assert np.array_equal(found.condition.numpy(), FACTS)


@pytest.mark.parametrize(("file", "between"), [("given.csv", ","), ("given.txt", " ")])
def test_numpys_header_names_the_parameters(tmp_path, images, file, between):
    np.savetxt(tmp_path / file, FACTS, delimiter=between, header=f"mass{between}age")
    found = data.load_all(images, condition=str(tmp_path / file))
    assert found.condition_names == ("mass", "age")
    assert np.array_equal(found.condition.numpy(), FACTS)


def test_the_name_of_the_only_parameter_may_have_blanks(tmp_path, images):
    text = "\n".join(["stellar mass", *(str(row[0]) for row in FACTS)])
    found = data.load_all(images, condition=str(table(tmp_path, text)))
    assert found.condition_names == ("stellar mass",)
    assert np.array_equal(found.condition.numpy(), FACTS[:, :1])


@pytest.mark.parametrize("index", ["", "Unnamed: 0"])
def test_the_index_that_pandas_writes_is_no_parameter(tmp_path, images, caplog, index):
    header, *rows = lines().split("\n")
    text = "\n".join([f"{index},{header}", *(f"{at},{row}" for at, row in enumerate(rows))])
    found = data.load_all(images, condition=str(table(tmp_path, text)))
    assert found.condition_names == ("mass", "age")
    assert np.array_equal(found.condition.numpy(), FACTS)
    assert "facts.csv: columns without a name are left out" in caplog.text


def test_rows_that_name_their_images_go_to_them(tmp_path, photos):
    names = [f"{'cat' if at % 2 else 'dog'}/{at}.png" for at in range(len(PIXELS))]
    rows = [f"{FACTS[at, 1]!r},{names[at]}" for at in (5, *range(5), *range(6, 11))]
    text = "\n".join(["age,file", *rows]).replace("np.float64(", "").replace(")", "")
    found = data.load_all(photos, condition=str(table(tmp_path, text)))
    expected = [FACTS[names.index(name), 1] for name in found.names]
    assert found.condition[:, 0].tolist() == expected
    assert found.condition_names == ("age",)
    (tmp_path / "facts.csv").write_text(text.replace("cat/3.png", "cat/33.png"))
    with pytest.raises(DataError, match=r"facts\.csv has nothing for cat/3\.png"):
        data.load_all(photos, condition=str(tmp_path / "facts.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines() + "\n1,x", "line 13: 'x' in column age is no finite"),
        (lines() + "\n1,nan", "line 13: 'nan' in column age"),
        (lines() + "\n1,inf", "line 13: 'inf' in column age"),
        (lines() + "\n1,2,3", "line 13: 3 values instead of 2"),
        (lines() + "\n1,2", "holds 12 conditions for 11 images"),
        (lines(header=("mass", "mass")), "two columns of one name"),
        ("mass,age\n", "no rows"),
        (lines().replace("mass", "m" * 200_000), "field"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_its_line(tmp_path, images, text, message):
    with pytest.raises(DataError, match=rf"facts\.csv.*{message}"):
        data.load_all(images, condition=str(table(tmp_path, text)))


@pytest.mark.parametrize("dtype", [">f8", "<f4", ">i2", "?"])
@pytest.mark.parametrize("values", [FACTS % 9, MAPS, MAPS[:, 0]], ids=["vector", "map", "plane"])
@pytest.mark.parametrize("name", ["given.npy", "given.npz"])
def test_arrays_of_any_number(tmp_path, images, values, dtype, name):
    given = values.astype(dtype)
    if name.endswith("npz"):
        np.savez(tmp_path / name, condition=given, seed=np.array(3))
    else:
        np.save(tmp_path / name, given)
    found = data.load_all(images, condition=str(tmp_path / name)).condition
    expected = given if given.ndim != 3 else given[:, None]
    assert np.array_equal(found.numpy(), expected.astype(found.numpy().dtype))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (FACTS.astype(str), "numbers"),
        (FACTS + 1j, "complex128"),
        ((FACTS % 9).astype("M8[s]"), "numbers"),
        (np.where(FACTS[3, 1] == FACTS, np.nan, FACTS), "feature 2 of image 3"),
        (np.where(MAPS[3, 1, 2, 2] == MAPS, -np.inf, MAPS), "feature 2 of image 3"),
        (MAPS * 1e300, "feature 1 of image 0"),
        (FACTS[:10], "10 conditions for 11"),
        (FACTS[:, 0], r"\(11,\)"),
        (MAPS[..., :6], "maps of 5x6 do not fit images of 5x7"),
        (np.array([{}] * 11), "Python objects"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path, images, given, message):
    np.save(tmp_path / "given.npy", given)
    with pytest.raises(DataError, match=rf"given\.npy.*{message}"):
        data.load_all(images, condition=str(tmp_path / "given.npy"))


def test_arrays_that_unpack_to_far_more_than_they_are_packed_in_are_refused(
    tmp_path, images, monkeypatch
):
    monkeypatch.setattr("pixelcnn.data.stored.ALWAYS_FINE", 2**10)
    np.savez_compressed(tmp_path / "given.npz", condition=np.zeros((11, 100, 100)))
    with pytest.raises(DataError, match=r"given\.npz unpacks"):
        data.load_all(images, condition=str(tmp_path / "given.npz"))


@pytest.mark.parametrize("names", [["mass"], ["mass", "age", "dust"]])
def test_an_archive_names_each_of_its_features(tmp_path, names):
    np.savez(tmp_path / "given.npz", condition=FACTS, condition_names=names)
    message = f"given.npz: the condition has 2 features and {len(names)} names"
    with pytest.raises(DataError, match=message):
        read_features(tmp_path / "given.npz")


def test_maps_are_pictures_of_the_images_names(tmp_path, photos):
    found = data.load_all(photos, condition=str(tmp_path / "maps"))
    assert found.condition.shape == (11, 1, 5, 7)
    assert torch.allclose(found.condition, 1 - found.images / 255.0)
    (tmp_path / "maps/cat/3.png").unlink()
    with pytest.raises(DataError, match=r"maps has nothing for cat/3\.png"):
        data.load_all(photos, condition=str(tmp_path / "maps"))


def test_maps_go_with_their_images_into_each_part(tmp_path, photos):
    for part in data.load(photos, condition=str(tmp_path / "maps")):
        assert len(part) and torch.allclose(part.condition, 1 - part.images / 255.0)


def test_maps_are_cropped_and_resized_like_the_images(tmp_path, photos):
    for fit in ("crop", "resize"):
        options = {"size": (3, 4), "fit": fit}
        found = data.load_all(photos, condition=str(tmp_path / "maps"), **options)
        assert (found.condition - (1 - found.images / 255.0)).abs().max() <= 2 / 255
    np.save(tmp_path / "given.npy", MAPS)
    np.save(tmp_path / "pixels.npy", PIXELS)
    options = {"size": (3, 4), "condition": str(tmp_path / "given.npy")}
    found = data.load_all(tmp_path / "pixels.npy", **options)
    assert np.array_equal(found.condition.numpy(), MAPS[:, :, 1:4, 1:5].astype(np.float32))
    np.savez(tmp_path / "both.npz", images=PIXELS, condition=MAPS)
    beside = data.load_all(tmp_path / "both.npz", size=(3, 4))
    assert torch.equal(beside.condition, found.condition)


def test_maps_of_pictures_for_images_without_names_are_refused(tmp_path, images, photos):
    with pytest.raises(DataError, match="have no names"):
        data.load_all(images, condition=str(tmp_path / "maps"))


def test_one_picture_is_one_map(tmp_path):
    pixels = RNG.integers(0, 65_536, (5, 7), dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_features(tmp_path / "a.png")
    assert found.values.shape == (1, 1, 5, 7)
    assert torch.allclose(found.values[0, 0], torch.from_numpy(pixels / 65_535).float())


def test_a_picture_is_never_another_of_the_same_name_in_a_folder_beside_it(tmp_path):
    save_pictures(tmp_path, PIXELS[:1], "b.png")
    save_pictures(tmp_path / "a", 255 - PIXELS[:1], "b.png")
    found = read_features(tmp_path / "b.png")
    assert torch.allclose(found.values[0, 0], torch.from_numpy(PIXELS[0] / 255).float())


def test_conditions_in_order_are_not_given_to_images_packed_in_another(tmp_path, photos):
    packed = tmp_path / "packed"
    data.prepare(photos, packed)
    names = data.load_all(photos).names
    rows = [f"{name},{at}" for at, name in enumerate(names)]
    named, ordered = tmp_path / "named.csv", tmp_path / "ordered.csv"
    named.write_text("\n".join(["name,place", *rows]))
    ordered.write_text("\n".join(["place", *map(str, range(len(names)))]))
    np.save(tmp_path / "places.npy", np.arange(len(names))[:, None].astype(float))
    found = data.load_all(packed, condition=str(named))
    assert [names[int(place)] for place in found.condition[:, 0]] == [*found.names]
    for unnamed in (ordered, tmp_path / "places.npy"):
        assert len(data.load_all(photos, condition=str(unnamed))) == len(names)
        with pytest.raises(DataError, match="packed in another") as caught:
            data.load_all(packed, condition=str(unnamed))
        assert "column `name`" in caught.value.hint


@pytest.mark.parametrize(("name", "told"), [("{}.png", True), ("{:02}.png", False)])
def test_names_that_count_otherwise_than_their_bytes_are_told_of(tmp_path, caplog, name, told):
    save_pictures(tmp_path / "photos", PIXELS, name)
    np.save(tmp_path / "facts.npy", FACTS)
    data.load_all(tmp_path / "photos", condition=str(tmp_path / "facts.npy"))
    assert ("in the order of names' bytes, 10.png before 2.png" in caplog.text) == told


def test_conditions_in_order_are_not_given_to_every_part_anew(tmp_path):
    for part, pixels in (("train", PIXELS), ("test", PIXELS ^ 1)):
        save_pictures(tmp_path / "photos" / part, pixels, "{:02}.png")
    np.save(tmp_path / "facts.npy", FACTS)
    with pytest.raises(DataError, match="photos has several parts"):
        data.load(tmp_path / "photos", condition=str(tmp_path / "facts.npy"))
    with pytest.raises(DataError, match="train has several parts"):
        data.load(
            tmp_path / "photos/train",
            test=tmp_path / "photos/test",
            condition=str(tmp_path / "facts.npy"),
        )
