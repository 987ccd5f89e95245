"""Any integers are images: of every type, byte order and stride, wherever Python takes images."""

import functools
import re
import types
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import pixelcnn as px
from pixelcnn import data, networks, outputs
from pixelcnn.data.tensors import as_tensor
from pixelcnn.errors import DataError

BITS = np.random.default_rng(0).integers(0, 2, (4, 1, 5, 7)).astype(np.uint8)
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", ">i2", ">u8")
RECORDS = np.zeros(BITS.shape, [("skipped", "u1"), ("level", "<i2")])
RECORDS["level"] = BITS
VIEWS = {
    "flipped": np.ascontiguousarray(BITS[:, :, ::-1])[:, :, ::-1],
    "reversed": np.ascontiguousarray(BITS[::-1])[::-1],
    "every second": np.repeat(BITS, 2, axis=3)[..., ::2],
    "Fortran order": np.asfortranarray(BITS),
    "one field of records": RECORDS["level"],
    "booleans": BITS.astype(bool),
    "a tensor": torch.from_numpy(BITS),
    "a list": BITS.tolist(),
    "a buffer": memoryview(BITS),
    "what has NumPy's interface alone": types.SimpleNamespace(
        __array_interface__=BITS.__array_interface__, owner=BITS
    ),
}
EVERY = {name: BITS.astype(name) for name in TYPES} | VIEWS


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = networks.PixelCNN(1, 1, width=6, depth=1, condition="label", condition_size=3)
    return px.PixelModel(network, outputs.Bernoulli(), (1, 5, 7)).eval()


@pytest.mark.parametrize("name", EVERY)
def test_every_integer_array_is_images(model, name):
    images, labels = EVERY[name], np.array([0, 2, 1, 1], ">u4")[::-1]
    known = np.zeros((1, 1, 5, 7), bool)
    assert torch.equal(data.ImageSet(images, 2, labels).images, torch.from_numpy(BITS))
    assert torch.equal(px.score(model, images, labels), px.score(model, BITS, [1, 1, 2, 0]))
    assert px.complete(model, images, known[..., ::-1], condition=labels).shape == BITS.shape


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_integers_from_2_to_the_63_on_are_refused_not_negative(kind):
    values, bins = np.array([1, 2**63 - 1, 2**63], np.uint64), data.Bins((0, 2, 9))
    with pytest.raises(DataError, match=r"measured values are numbers.*from 2\*\*63 on"):
        bins.levels_of(kind(values))
    assert bins.levels_of(kind(values[:2])).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["float", "cat", None, object()])
def test_what_is_no_integer_is_refused_in_one_line(model, name):
    images = BITS.astype(float) if name == "float" else name
    known = np.ones((1, 1, 5, 7), bool)
    for call in (
        lambda: data.ImageSet(images, 2),
        lambda: px.score(model, images, 0),
        lambda: px.complete(model, images, known, condition=0),
        lambda: px.complete(model, BITS, images, condition=0),
    ):
        with pytest.raises(px.PixelCNNError):
            call()


MASKED = {
    "score": px.score,
    "score a list": lambda model, images: px.score(model, list(images)),
    "evaluate": px.evaluate,
    "complete": lambda model, images: px.complete(model, images, "top"),
    "log_prob": lambda model, images: model.log_prob(images),
    "fit": px.fit,
    "a set": lambda _, images: data.ImageSet(images, 2),
    "load": lambda _, images: data.load_all(images),
}


@pytest.mark.parametrize("call", MASKED)
def test_what_lies_under_a_mask_is_not_taken_for_levels(model, call):
    whole = np.ma.masked_array(BITS, np.zeros(BITS.shape, bool))
    assert torch.equal(px.score(model, whole, 0), px.score(model, BITS, 0))
    with pytest.raises(px.PixelCNNError, match="masked") as caught:
        MASKED[call](model, np.ma.masked_equal(BITS, 1))
    assert "filled" in caught.value.hint


RAGGED = np.empty(2, object)
RAGGED[:] = [BITS[0], BITS[0, :, :4]]


HOPELESS = {
    "objects": BITS.astype(object),
    "objects of two shapes": RAGGED,
    "lists of two lengths": [[1, 2], [3]],
    "floats": BITS.astype(np.float32) / 2,
}
HINTS = {
    ("objects", "log_prob"): "values.astype",
    ("objects", "compress"): "values.astype",
    ("lists of two lengths", "a set"): "one shape",
    ("floats", "compress"): "quantise first",
}


@pytest.mark.parametrize("name", HOPELESS)
def test_whatever_holds_no_levels_is_refused_with_what_to_do(name):
    model = px.create_model("pixelcnn", data.ImageSet(BITS, 2), width=6, depth=1)
    for call, function in (MASKED | {"compress": px.compress}).items():
        with pytest.raises(px.PixelCNNError) as caught:
            function(model, HOPELESS[name])
        assert re.search(HINTS.get((name, call), "."), caught.value.hint), call


@pytest.mark.parametrize("call", ["log_prob", "a set", "compress"])
def test_rows_of_pixels_are_told_how_they_become_images(call, model):
    calls = MASKED | {"compress": px.compress}
    with pytest.raises(px.PixelCNNError) as caught:
        calls[call](model, np.zeros((4, 36), np.uint8))
    assert re.search(r"images.reshape\(-1, 1, \d, \d\)|n c h w|channels", caught.value.hint)


@pytest.mark.parametrize("verb", ["score", "evaluate", "complete"])
def test_rows_of_pixels_are_images_of_the_models_shape(model, verb):
    given = {"condition": 0} | ({"known": "top", "seed": 0} if verb == "complete" else {})
    call = functools.partial(getattr(px, verb), model, **given)
    rows, whole = call(BITS.reshape(4, -1)), call(BITS)
    assert rows == whole if verb == "evaluate" else torch.equal(rows, whole)


@pytest.mark.parametrize("kind", ["pictures", "arrays"])
def test_lists_of_pictures_and_of_arrays_are_images(model, kind):
    arrays = [each[0] for each in BITS]
    images = [Image.fromarray(each * 255) for each in arrays] if kind == "pictures" else arrays
    own = {"levels": 2} if kind == "pictures" else {"source_levels": 2}
    assert torch.equal(data.load_all(images, **own).images, torch.from_numpy(BITS))
    assert torch.equal(px.score(model, images, [0] * 4), px.score(model, BITS, [0] * 4))
    assert px.complete(model, images, "top", condition=0).shape == BITS.shape
    new = px.create_model("pixelcnn", data.ImageSet(BITS, 2), width=6, depth=1)
    assert px.fit(new, images, images, epochs=1, verbose=False).steps == 1


def test_a_single_number_is_no_image(model):
    with pytest.raises(px.PixelCNNError, match="no image"):
        px.score(model, np.int64(1))


def test_memory_that_cannot_be_written_to_is_read_without_a_warning(model):
    kept = BITS.copy()
    kept.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(model.log_prob(kept, 0), model.log_prob(BITS, 0))
        assert torch.equal(px.score(model, kept, 0), px.score(model, BITS, 0))
        assert len(data.ImageSet(kept, 2)) == len(data.load_all(kept)) == 4
        assert px.complete(model, kept, "top", condition=0).shape == BITS.shape


def test_memory_is_shared_where_it_can_be():
    whole = BITS.copy()
    as_tensor(whole)[0, 0, 0, 0] = 7
    assert whole[0, 0, 0, 0] == 7


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32])
def test_counts_of_numpy_are_integers(model, kind):
    assert type(data.ImageSet(BITS, kind(2)).levels) is int
    drawn = px.sample(model, kind(2), seed=kind(1), first=kind(3), condition=kind(2))
    again = px.sample(model, 2, seed=1, first=3, condition=2, temperature=np.float32(1))
    assert torch.equal(drawn, again)
    known = np.zeros((1, 1, 5, 7), bool)
    done = px.complete(model, BITS, known, n=kind(2), batch_size=kind(3), condition=0)
    assert len(done) == 8
    assert len(px.score(model, BITS, 0, batch_size=kind(3))) == 4


@pytest.mark.parametrize("levels", [np.True_, True, 2.0, "2", None, np.float64(2), 1, 65_537])
def test_what_is_no_number_of_levels_is_refused(levels):
    with pytest.raises(px.PixelCNNError, match="levels"):
        data.ImageSet(BITS, levels)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 1j])
@pytest.mark.parametrize("kind", ["vector", "map"])
def test_a_condition_is_finite(kind, value):
    network = networks.PixelCNN(1, 1, width=6, depth=1, condition=kind, condition_size=2)
    model = px.PixelModel(network, outputs.Bernoulli(), (1, 5, 7)).eval()
    condition = np.full((2,) if kind == "vector" else (2, 5, 7), value)
    for call in (
        lambda: px.sample(model, 2, condition=condition),
        lambda: px.score(model, BITS, condition),
    ):
        with pytest.raises(px.PixelCNNError, match="finite"):
            call()


@pytest.mark.parametrize("verb", ["score", "evaluate", "complete", "compress", "fit"])
@pytest.mark.parametrize(
    "kind",
    [
        torch.Tensor.to_sparse,
        lambda images: images.to("meta"),
        lambda images: torch.nested.nested_tensor(list(images)),
        lambda images: torch.quantize_per_tensor(images.float(), 1.0, 0, torch.quint8),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.filterwarnings("ignore:.*quantized tensor creation")
def test_a_tensor_that_is_not_dense_is_refused_and_the_remedy_named(verb, kind):
    model = px.PixelModel(networks.PixelCNN(1, 1, width=4), outputs.Bernoulli(), (1, 5, 7))
    images = kind(torch.zeros(3, 1, 5, 7, dtype=torch.uint8))
    with pytest.raises(DataError, match="no number at each place"):
        getattr(px, verb)(model, images, **({"known": "top"} if verb == "complete" else {}))


def test_several_labels_an_image_are_not_taken_for_one_hot_ones():
    images, rows = BITS, np.eye(3, dtype=int)[[0, 1, 2, 0]]
    for labels, hint in ((rows, "argmax"), (rows + np.roll(rows, 1, axis=1), "condition=")):
        with pytest.raises(DataError, match="labels are integers") as caught:
            data.ImageSet(images, labels=labels, levels=2)
        assert hint in caught.value.hint
        with pytest.raises(DataError, match="labels are integers"):
            data.load_all((images, labels))


def test_arrays_with_their_labels_are_parts_as_keras_has_them():
    images = np.random.default_rng(1).integers(0, 2, (10, 5, 7)).astype(np.uint8)
    train, val = (images[:4], np.arange(4)), (images[4:7], [0, 1, 0])
    test = images[7:], np.zeros((3, 1), np.uint8)
    for given in ((train, test), [train, val, test]):
        splits = data.load(given, source_levels=2)
        assert splits.test.labels.tolist() == [0, 0, 0]
        assert len(splits.train) == (4 if len(given) == 3 else 3)
    assert data.load_all(train, source_levels=2).labels.tolist() == [0, 1, 2, 3]
    words = data.load_all((images[:2], ["b", "a"]), source_levels=2)
    assert (words.labels.tolist(), words.classes) == ([1, 0], ("a", "b"))


def test_images_with_fewer_labels_are_told_how_to_go_on():
    with pytest.raises(DataError, match="different shapes") as caught:
        data.load((BITS, np.arange(3)))
    assert "data.ImageSet(images, labels=…)" in caught.value.hint
