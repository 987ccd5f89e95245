"""``.npy`` and ``.npz``."""

import numpy as np
import pytest
import torch

from pixelcnn import data
from pixelcnn.data.layout import infer_layout
from pixelcnn.errors import ConfigError, DataError
from pixelcnn.shapes import ImageShape

NOISE = np.random.default_rng(0).integers(0, 256, (12, 5, 7), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (12, 5, 7, 3), np.uint8)


def stored(tmp_path, values, name="images.npy"):
    path = tmp_path / name
    np.save(path, values)
    return path


@pytest.mark.parametrize(
    ("values", "images"),
    [
        (NOISE, NOISE[:, None]),
        (NOISE[..., None], NOISE[:, None]),
        (NOISE[:, None], NOISE[:, None]),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2)),
    ],
)
def test_every_clear_layout_is_read(tmp_path, values, images):
    assert np.array_equal(data.load_all(stored(tmp_path, values)).images.numpy(), images)


@pytest.mark.parametrize(
    "shape", [(9, 3, 4, 3), (9, 5, 7, 8), (9, 7, 3), (90, 81), (5,), (1, 2, 3, 4, 5)]
)
def test_an_unclear_layout_is_refused_and_asks(tmp_path, shape):
    with pytest.raises(DataError, match=r"ambiguous|is no set of images") as caught:
        data.load_all(stored(tmp_path, np.zeros(shape, np.uint8)))
    assert "n h w c" in caught.value.hint


SQUARES = NOISE[:, :, :5]
ROWS = SQUARES.reshape(len(SQUARES), -1)
MANY = np.tile(ROWS, (9, 1))


@pytest.mark.parametrize("call", ["array", "tensor", "list", ".npy", ".npz", ".h5"])
def test_an_image_in_each_row_is_read_where_no_picture_is_so_long(tmp_path, call):
    h5py = pytest.importorskip("h5py")
    np.savez(tmp_path / "a.npz", MANY, np.zeros(len(MANY), int))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/data"] = MANY
    source = {
        "array": MANY,
        "tensor": torch.from_numpy(MANY),
        "list": MANY.tolist(),
        ".npy": stored(tmp_path, MANY),
        ".npz": tmp_path / "a.npz",
        ".h5": tmp_path / "a.h5",
    }[call]
    images = data.load_all(source)
    assert np.array_equal(images.images[: len(ROWS), 0].numpy(), SQUARES)


def test_a_long_picture_to_be_cut_into_patches_has_no_images_in_its_rows():
    with pytest.raises(DataError, match="no set of images"):
        data.load_all(MANY, size=(2, 2), fit="patches")


def test_a_single_number_is_no_set_of_images(tmp_path):
    with pytest.raises(DataError, match=r"the shape \(\) is no set of images"):
        data.load_all(stored(tmp_path, np.array(3)))


def test_rows_are_images_if_each_has_a_label_or_a_model_says_so(tmp_path):
    few = ROWS[:9]
    with pytest.raises(DataError, match="no set of images") as caught:
        data.load_all(few[:, :9])
    assert "`pixelcnn train --set data.shape=1,3,3` (in Python shape=(1,3,3))" in caught.value.hint
    assert np.array_equal(data.load_all((few, np.arange(9))).images[:, 0].numpy(), SQUARES[:9])
    assert data.load_all(few[:, :9], shape=(1, 3, 3)).shape == (1, 3, 3)
    wide = data.load_all(few[:, :6], shape=(1, 2, 3))
    assert np.array_equal(wide.images.numpy(), few[:, :6].reshape(9, 1, 2, 3))
    np.save(tmp_path / "x_train.npy", few)
    np.save(tmp_path / "y_train.npy", np.arange(9))
    beside = data.load_all(tmp_path / "x_train.npy")
    assert np.array_equal(beside.images[:, 0].numpy(), SQUARES[:9])
    assert beside.labels.tolist() == list(range(9))
    pairs = (MANY, np.arange(len(MANY)) % 3), (few, np.arange(9) % 3)
    assert np.array_equal(data.load(pairs).test.images[:, 0].numpy(), SQUARES[:9])


def test_rows_of_colours_ask_for_their_order():
    rows = np.zeros((400, 27), np.uint8)
    with pytest.raises(DataError, match="3 channels in an unknown order"):
        data.load_all(rows)
    assert data.load_all(rows, layout="n h w c").shape == (3, 3, 3)


def test_the_layout_option_settles_it(tmp_path):
    path = stored(tmp_path, np.zeros((9, 3, 4, 3), np.uint8))
    assert data.load_all(path, layout="n h w c").shape == (3, 3, 4)
    assert data.load_all(path, layout="nchw").shape == (3, 4, 3)
    with pytest.raises(DataError, match="layout n h w for the shape"):
        data.load_all(path, layout="nhw")
    with pytest.raises(ConfigError, match="no layout"):
        data.load_all(path, layout="chw")


@pytest.mark.parametrize(
    ("shape", "model", "layout"),
    [
        ((9, 3, 4, 3), (3, 3, 4), "nhwc"),
        ((9, 3, 4, 3), (3, 4, 3), "nchw"),
        ((9, 5, 7, 8), (5, 7, 8), "nchw"),
        ((9, 5, 7, 8), (8, 5, 7), "nhwc"),
        ((9, 9, 9, 3), (3, 8, 8), "nhwc"),
        ((9, 7, 3), (1, 7, 3), "nhw"),
    ],
)
def test_the_models_shape_decides(shape, model, layout):
    assert infer_layout(shape, ImageShape(*model), "a") == layout


def test_images_that_come_last_are_read_if_that_is_said(tmp_path):
    images = np.random.default_rng(2).integers(0, 256, (8, 8, 3, 30), np.uint8)
    with pytest.raises(DataError, match="looks like h w c n") as caught:
        infer_layout(images.shape, None, "a")
    assert "--layout 'h w c n'" in caught.value.hint
    found = data.load_all(stored(tmp_path, images), layout="h w c n")
    assert np.array_equal(found.images.numpy(), images.transpose(3, 2, 0, 1))


@pytest.mark.parametrize("model", [None, ImageShape(1, 8, 8)])
def test_grey_images_one_behind_another_are_no_rows_of_images(model):
    images = np.random.default_rng(3).integers(0, 256, (8, 8, 30), np.uint8)
    with pytest.raises(DataError, match="looks like h w n") as caught:
        infer_layout(images.shape, model, "a")
    assert "--layout 'h w n'" in caught.value.hint
    found = data.load_all(images, layout="h w n").images
    assert np.array_equal(found[:, 0].numpy(), images.transpose(2, 0, 1))
    assert data.load_all(images, layout="n h w").shape == (1, 8, 30)
    assert infer_layout(images.shape, ImageShape(1, 8, 30), "a") == "nhw"


def test_a_shape_that_fits_both_ways_stays_ambiguous():
    with pytest.raises(DataError, match="ambiguous"):
        infer_layout((9, 3, 3, 3), ImageShape(3, 3, 3), "a")


@pytest.mark.parametrize(
    "dtype", [np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, ">i4"]
)
def test_any_integer_type_is_taken(tmp_path, dtype):
    values = (NOISE // 4).astype(dtype)
    images = data.load_all(stored(tmp_path, values), source_levels=256)
    assert images.images.dtype == torch.uint8
    assert np.array_equal(images.images[:, 0].numpy(), NOISE // 4)
    assert images.levels == 256


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (NOISE / 255, "float64 numbers, but levels are integers"),
        (NOISE.astype(np.float32), "float32 numbers"),
        (NOISE.astype(np.int64) * 1000, "these run from 0 to 255000"),
        (np.full((2, 5, 7), 2**63, np.uint64), "9223372036854775808"),
        (NOISE.astype(complex), "complex128 values"),
        (NOISE.astype(str), "values, but levels are integers"),
        (np.zeros((0, 5, 7), np.uint8), "is empty"),
    ],
)
def test_what_cannot_be_levels_is_refused_and_named(tmp_path, values, message):
    with pytest.raises(DataError, match=rf"images\.npy.*{message}"):
        data.load_all(stored(tmp_path, values))


@pytest.mark.parametrize("values", [NOISE.astype(np.int16) - 1, NOISE.astype(np.int64) * 1000])
def test_values_that_no_levels_are_are_refused_with_the_remedy(tmp_path, values):
    with pytest.raises(DataError, match=r"images\.npy.*these run from") as caught:
        data.load_all(stored(tmp_path, values))
    assert "quantise=" in caught.value.hint


def test_a_model_of_integers_has_no_way_for_real_numbers(tmp_path):
    with pytest.raises(DataError) as caught:
        data.load_all(stored(tmp_path, NOISE / 255), usual_levels=256)
    assert "a model trained with data.quantise takes real numbers" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "options", "levels"),
    [
        (NOISE > 128, {}, 2),
        (NOISE % 2, {}, 256),
        (NOISE % 2, {"source_levels": 2}, 2),
        (NOISE % 2, {"usual_levels": 2, "levels": 2}, 2),
        (NOISE, {}, 256),
        (NOISE % 17, {}, 256),
        (NOISE % 17, {"source_levels": 17}, 17),
        (NOISE % 17, {"usual_levels": 17}, 17),
        (NOISE % 17, {"source_levels": 17, "usual_levels": 256}, 17),
        (NOISE > 128, {"usual_levels": 256}, 2),
        (NOISE % 17, {"source_levels": 17, "levels": 2}, 2),
        (NOISE.astype(np.uint16) * 4, {}, 65_536),
        (NOISE.astype(np.uint16) * 4, {"source_levels": 1024}, 1024),
        (NOISE, {"levels": 8}, 8),
    ],
)
def test_levels_are_inferred_or_said(tmp_path, values, options, levels):
    images = data.load_all(stored(tmp_path, values), **options)
    assert images.levels == levels
    assert images.binarisation == (
        "none" if levels > 2 else "fixed" if values.max() < 2 else "threshold 0.5"
    )


def test_values_beyond_the_levels_that_were_said_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"images\.npy.*17 levels are the values 0 to 16"):
        data.load_all(stored(tmp_path, NOISE), source_levels=17)


def test_archives_hold_images_labels_and_levels(tmp_path):
    path = tmp_path / "set.npz"
    labels = np.arange(12) % 3
    np.savez(path, images=NOISE % 5, labels=labels, levels=5)
    images = data.load_all(path)
    assert (images.levels, images.labels.tolist()) == (5, labels.tolist())
    assert data.load_all(path, labels=False).labels is None
    np.savez_compressed(path, NOISE)
    assert np.array_equal(data.load_all(path).images[:, 0].numpy(), NOISE)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": NOISE, "b": NOISE}, r"holds the arrays a \(12, 5, 7\), b \(12"),
        ({"images": NOISE, "labels": np.arange(11)}, "11 labels for 12 images"),
        ({"images": NOISE, "labels": np.arange(12) / 2}, "labels are integers"),
        ({"images": NOISE, "labels": np.eye(12)}, r"got float64 \(12, 12\)"),
        ({"images": NOISE, "labels": np.arange(12) - 1}, "labels count from 0"),
        ({"images": NOISE, "levels": np.arange(3)}, "levels should be one number"),
        ({}, "holds the arrays none"),
    ],
)
def test_archives_that_cannot_be_used_are_refused(tmp_path, arrays, message):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=rf"set\.npz.*{message}"):
        data.load_all(path)


class Trap:
    """Would leave a file behind if it were ever unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("kind", ["npy", "npz", "pickle"])
def test_python_objects_are_never_loaded(tmp_path, kind):
    import pickle

    trap, sprung = Trap(tmp_path / "sprung"), tmp_path / "sprung"
    path = tmp_path / f"images.{'npz' if kind == 'npz' else 'npy'}"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(trap))
    elif kind == "npy":
        np.save(path, np.array([trap], dtype=object), allow_pickle=True)
    else:
        np.savez(path, images=np.array([trap], dtype=object))
    with pytest.raises(DataError) as caught:
        data.load_all(path)
    assert "Python objects are never loaded" in str(caught.value) + caught.value.hint
    assert not sprung.exists()


def test_python_objects_beside_images_are_left_alone(tmp_path):
    path = tmp_path / "dsprites.npz"
    about = np.array({"title": "as dSprites has it"}, dtype=object)
    np.savez(path, metadata=about, imgs=NOISE, latents=np.zeros((len(NOISE), 6)))
    assert (data.load_all(path).images.numpy() == data.load_all(NOISE).images.numpy()).all()


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_damaged_files_are_refused_and_nothing_else(tmp_path, suffix):
    path = tmp_path / f"images{suffix}"
    np.save(path, NOISE) if suffix == ".npy" else np.savez_compressed(path, images=NOISE)
    content = path.read_bytes()
    for length in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match="images"):
            data.load_all(path)


def test_an_array_of_bytes_stays_on_disk_and_is_never_written(tmp_path):
    path = stored(tmp_path, NOISE)
    before = path.read_bytes()
    images = data.load_all(path)
    with path.open("r+b") as stream:  # what is read on demand follows the file
        stream.seek(-1, 2)
        stream.write(b"\x07")
    assert int(images.images[-1, 0, -1, -1]) == 7
    with pytest.raises(TypeError, match="cannot be written to"):
        images.images[0] = 0
    assert path.read_bytes()[:-1] == before[:-1]


def test_a_size_crops_or_pads_arrays(tmp_path):
    path = stored(tmp_path, NOISE)
    assert data.load_all(path, size=(3, 4)).shape == (1, 3, 4)
    assert data.load_all(path, size=8, fit="pad").shape == (1, 8, 8)


def test_maps_of_65536_codes_are_levels_as_they_are(tmp_path):
    codes = np.random.default_rng(0).integers(0, 65_536, (20, 5, 7)).astype(np.uint16)
    codes[0, 0, :2] = 0, 65_535
    train, val, test = data.load(stored(tmp_path, codes))
    assert {part.levels for part in (train, val, test)} == {65_536}
    assert train.images.dtype == torch.int32
    found = torch.cat([part.images for part in (train, val, test)]).flatten(1).sum(1).sort().values
    assert found.tolist() == sorted(codes.reshape(20, -1).sum(1, dtype=np.int64).tolist())


def test_values_that_cannot_but_be_levels_are_not_read_to_see_it(tmp_path, monkeypatch):
    def read(values):
        raise AssertionError("their type says it")

    for module in ("arrays", "tensors"):
        monkeypatch.setattr(f"pixelcnn.data.{module}.extent", read)
    assert data.load_all(stored(tmp_path, NOISE.astype(np.uint16))).levels == 65_536


def test_the_number_of_codes_can_be_said(tmp_path):
    codes = np.random.default_rng(0).integers(0, 300, (20, 5, 7))
    with pytest.raises(DataError, match="256 levels are the values 0 to 255, these run"):
        data.load_all(stored(tmp_path, codes))
    assert data.load_all(stored(tmp_path, codes), source_levels=320).levels == 320
    np.savez(tmp_path / "codes.npz", images=codes, levels=310)
    assert data.load_all(tmp_path / "codes.npz", usual_levels=320).levels == 310


@pytest.mark.parametrize("axes", [(3,), (3, 5, 7)])
def test_an_archive_may_hold_a_condition(tmp_path, axes):
    condition = np.random.default_rng(0).normal(size=(12, *axes))
    np.savez(tmp_path / "given.npz", images=NOISE, condition=condition)
    images = data.load_all(tmp_path / "given.npz")
    kind = torch.float64 if len(axes) == 1 else torch.float32
    assert torch.equal(images.condition, torch.from_numpy(condition).to(kind))


GIVEN = np.arange(24.0).reshape(12, 2)


@pytest.mark.parametrize(
    "given",
    [GIVEN.astype(">f8"), GIVEN.astype(">i4"), GIVEN.astype("f2"), GIVEN[::-1][::-1], GIVEN > 3],
)
def test_a_condition_of_any_number_is_taken(tmp_path, given):
    np.savez(tmp_path / "given.npz", images=NOISE, condition=given)
    found = data.load_all(tmp_path / "given.npz").condition
    assert np.array_equal(found.numpy(), given.astype(np.float32))


@pytest.mark.parametrize(
    "given",
    [
        np.where(GIVEN == 7, np.nan, GIVEN),
        np.where(GIVEN == 7, -np.inf, GIVEN),
        GIVEN[:, :, None, None] * np.full((5, 7), 1e300),
        GIVEN.astype(str),
        GIVEN + 0j,
        GIVEN.astype("M8[s]"),
        np.zeros((12, 2), [("a", "f4")]),
    ],
)
def test_a_condition_that_is_no_finite_number_is_refused_and_named(tmp_path, given):
    np.savez(tmp_path / "given.npz", images=NOISE, condition=given)
    with pytest.raises(DataError, match=r"given\.npz: .*condition"):
        data.load_all(tmp_path / "given.npz")


def test_values_taken_as_in_training_that_may_be_levels_already_are_said(tmp_path, caplog):
    images = data.load_all(stored(tmp_path, NOISE % 4), levels=4, usual_levels=256)
    assert images.images.max() == 0
    assert "all values are below 4, and count as dark ones of 256" in caplog.text
    assert data.load_all(stored(tmp_path, NOISE % 4), levels=4, source_levels=4).levels == 4


def test_a_set_knows_the_levels_that_its_own_were_made_of(tmp_path):
    path = stored(tmp_path, NOISE)
    for options in ({}, {"levels": 4}, {"threshold": 0.3}, {"binarise": "dynamic"}):
        assert data.load_all(path, **options).source_levels == 256


@pytest.mark.parametrize("label", [70_000, 2**63 - 1])
def test_a_label_beyond_all_classes_is_named_as_it_is(tmp_path, label):
    path = tmp_path / "set.npz"
    np.savez(path, images=np.zeros((5, 4, 6), np.uint8), labels=np.full(5, label, np.uint64))
    with pytest.raises(DataError, match=f"labels count up to 65535, got {label}"):
        data.load_all(path)


@pytest.mark.parametrize(
    ("shape", "remedy", "become"),
    [
        ((5, 7), "of one image: images[None]", (1, 5, 7)),
        ((5, 7, 3), "of one image in colour: images[None]", (1, 5, 7, 3)),
        ((2, 9, 5, 7, 3), "of films: images.reshape(-1, *images.shape[2:])", (18, 5, 7, 3)),
    ],
)
def test_what_is_no_set_of_images_is_told_how_it_becomes_one(tmp_path, shape, remedy, become):
    images = np.zeros(shape, np.uint8)
    with pytest.raises(DataError) as caught:
        data.load_all(stored(tmp_path, images))
    assert caught.value.hint.endswith(remedy)
    assert len(data.load_all(stored(tmp_path, images.reshape(become)))) == become[0]


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        (NOISE / 255, "[0,1] if that is their range"),
        (NOISE / 127.5 - 1, "[-1,1] if that is their range"),
        (NOISE - 0.25 * (NOISE > 0), "[0,255] if that is their range"),
        (NOISE.astype(float), "levels with .astype(int); or say how"),
        ((NOISE > 99).astype(float), "levels with .astype(int) and source_levels=2; or say how"),
        (NOISE - 0.5, "or edges"),
        (NOISE * 1e-17, "or edges"),
    ],
    ids=["0 to 1", "-1 to 1", "0 to 255", "whole", "two levels", "others", "fluxes"],
)
def test_real_numbers_are_refused_with_the_remedy_that_they_look_like_and_never_cast(
    tmp_path, values, remedy
):
    with pytest.raises(DataError) as caught:
        data.load_all(stored(tmp_path, values))
    assert remedy in caught.value.hint
    assert "quantise=" in caught.value.hint
    assert "uint8" not in caught.value.hint


def test_an_archive_that_is_cut_off_is_damaged_and_not_something_else(tmp_path):
    np.savez(tmp_path / "a.npz", images=NOISE)
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-50])
    with pytest.raises(DataError, match=r"b\.npz is damaged: it begins as an archive"):
        data.load_all(tmp_path / "b.npz")


def test_levels_that_were_stored_as_real_numbers_come_back_as_the_same_levels(tmp_path):
    images = data.load_all(stored(tmp_path, NOISE.astype(float)), quantise=[0, 255])
    assert np.array_equal(images.images[:][:, 0].numpy(), NOISE)
