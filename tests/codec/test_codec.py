"""What was compressed comes back, costs what the model says, and is the same whatever computes it."""

import io
import math

import numpy as np
import pytest
import torch

import pixelcnn as px
from engines.walks import images_of
from pixelcnn import data, memory, networks, outputs
from pixelcnn.codec import archive, container
from pixelcnn.codec.coding import Integers, decode, encode
from pixelcnn.codec.entries import ARRAY, Form
from pixelcnn.codec.fixed import PRECISIONS, SINGLE, Precision
from pixelcnn.codec.integers import PRECISION, fingerprint
from pixelcnn.codec.integers import integers as _integers
from pixelcnn.codec.twin import Twin
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.engines.programs import program_of
from pixelcnn.errors import DataError, ModelError, ResourceError
from pixelcnn.networks import NETWORKS
from pixelcnn.shapes import coding_order
from tiny import label, tiny_models

WITHOUT = ("snail",)
"""Networks that have no integer form yet."""
SHAPE = (1, 5, 7)


def small_model(levels=2, channels=1, **arguments):
    """A small model of some levels."""
    output = outputs.Bernoulli() if levels == 2 else outputs.Categorical(levels=levels)
    out = output.parameters_per_pixel(channels)
    torch.manual_seed(0)
    network = networks.PixelCNN(
        channels, out, width=6, depth=1, first_kernel=3, kernel=3, **arguments
    )
    return px.PixelModel(network, output, (channels, *SHAPE[1:]))


def labels_of(model, n=4):
    return torch.arange(n) % 2 if model.network.condition == "label" else None


def cases():
    """Every model with an integer form; slow are all but one of each network."""
    seen = set()
    for model in (model for channels in (3, 1) for model in tiny_models(channels)):
        name = NETWORKS.name_of(type(model.network))
        if name not in WITHOUT:
            fast = name not in seen and name != "pixelcnnpp"
            seen.add(name)
            yield pytest.param(model, id=label(model), marks=[] if fast else [pytest.mark.slow])


def calibrated(model, n=4):
    model = model.float().eval()
    px.calibrate(model, images_of(model, n), labels_of(model, n))
    return model


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("model", list(cases()))
def test_every_engine_gives_the_same_whole_numbers(model, precision):
    model = calibrated(model)
    model.record[PRECISION] = precision
    levels, labels = images_of(model), labels_of(model)
    integers, _ = _integers(model, model.shape)
    whole = integers.parameters(levels, labels, batch_size=3)
    walkers = [CachedEngine(integers, integers.twin.program, 4, labels)]
    if integers.native:
        walkers.append(integers.start_native(4, labels))
    steps = model.shape.channels if model.network.order == "channel" else 1
    for position in coding_order(model.shape):
        channel, row, column = position
        mine = (
            slice(None)
            if steps == 1
            else slice(*(channel + np.array([0, 1])) * model.network.out // steps)
        )
        for walker in walkers:
            found = walker.parameters(levels, position)[:, mine]
            assert found.int().equal(whole[:, mine, row, column])
    packed = px.compress(model, levels.numpy(), labels)
    assert np.array_equal(px.decompress(model, packed), levels.numpy())


@pytest.fixture(scope="module")
def shipped():
    """The shipped model, calibrated, and images of its own drawing."""
    model = px.load("mnist")
    images = px.sample(model, 24, seed=0)
    px.calibrate(model, images[:8])
    return model, images[8:]


def test_a_file_costs_what_the_model_says(shipped):
    model, images = shipped
    size = float(px.score(model, images).sum()) / math.log(2) / 8
    assert size < len(px.compress(model, images)) <= size * 1.01 + 100


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.dtype(">u2"), np.bool_])
def test_an_array_comes_back_with_its_type(dtype):
    model = calibrated(small_model(2))
    images = images_of(model).numpy().astype(dtype)
    found = px.decompress(model, px.compress(model, images))
    assert found.dtype == np.dtype(dtype) and np.array_equal(found, images)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_a_type_that_only_pytorch_has_is_refused(dtype):
    model = small_model(2)
    with pytest.raises(DataError, match=f"images are integer levels, got {dtype}"):
        px.compress(model, torch.empty(2, *model.shape, dtype=dtype))


def test_a_list_of_sizes_comes_back_as_a_list():
    model = calibrated(small_model(4))
    drawn = np.random.default_rng(0)
    sizes = [(1, 1), (1, 7), (7, 1), (5, 7), (5, 7), (2, 3)]
    images = [drawn.integers(0, 4, (1, *size)) for size in sizes]
    found = px.decompress(model, px.compress(model, images))
    assert [one.tolist() for one in found] == [one.tolist() for one in images]


def test_several_arrays_come_back_as_a_list():
    """No call writes such a file, but a stranger may."""
    model = calibrated(small_model(2))
    images = images_of(model)
    entry = archive.entry_of(model, Form(ARRAY, 1), model.shape, len(images))
    one = archive.Input(entry, lambda start, stop: images[start:stop])
    found = px.decompress(model, b"".join(archive.pack(model, [one, one])))
    assert np.array_equal(np.stack(found), torch.cat([images, images]))


@pytest.mark.parametrize("listed", [False, True])
def test_images_that_do_not_fit_into_memory_are_refused(listed, monkeypatch):
    model = calibrated(small_model(2))
    images = images_of(model).numpy()
    packed = px.compress(model, list(images) if listed else images)
    monkeypatch.setattr(memory, "available", lambda: images.nbytes - 1)
    with pytest.raises(ResourceError, match=f"the images need {images.nbytes:,} bytes"):
        px.decompress(model, packed)


def test_noise_costs_hardly_more_than_itself(shipped):
    noise = np.random.default_rng(0).integers(0, 2, (3, 1, 28, 28), np.uint8)
    assert len(px.compress(shipped[0], noise)) <= len(np.packbits(noise)) + 64


def test_another_model_is_refused_by_name():
    one, other = calibrated(small_model(2)), calibrated(small_model(2))
    with torch.no_grad():
        next(other.parameters()).mul_(-3)
    packed = px.compress(one, images_of(one))
    with pytest.raises(ModelError, match=r"[0-9a-f]{16}, this one is [0-9a-f]{16}"):
        px.decompress(other, packed)


def test_a_model_that_was_never_calibrated_says_how():
    with pytest.raises(ModelError, match="how large its values become") as caught:
        px.compress(small_model(2), np.zeros((1, 1, 5, 7), int))
    assert "--resume" in caught.value.hint and "calibrate" in caught.value.hint


def test_a_model_that_diverged_is_told_so():
    model = small_model(2)
    next(model.parameters()).data.fill_(torch.nan)
    with pytest.raises(ModelError, match="it has diverged"):
        px.calibrate(model, np.zeros((1, 1, 5, 7), int))


def test_a_model_without_an_integer_form_is_not_told_to_be_calibrated():
    model = small_model(2)
    model.network.head[-1] = torch.nn.Conv2d(model.network.width, model.network.out, 3, padding=1)
    with pytest.raises(ModelError, match="no integer form"):
        px.compress(model, np.zeros((1, 1, 5, 7), int))


def test_nor_is_one_whose_network_has_a_program():
    images = data.load("digits", levels=2).train.limit(2)
    model = px.create_model("snail", images, width=8)
    with pytest.raises(ModelError, match="attend has no integer form"):
        px.compress(model, images.images)


def test_ranges_survive_a_file(tmp_path):
    model = calibrated(small_model(2))
    px.save(model, tmp_path / "m.safetensors")
    packed = px.compress(model, images_of(model))
    again = px.load(tmp_path / "m.safetensors")
    assert np.array_equal(px.decompress(again, packed), images_of(model).numpy())


def test_a_class_is_part_of_the_file():
    model = calibrated(small_model(2, condition="label", condition_size=3))
    images = images_of(model)
    packed = px.compress(model, images, torch.tensor([2, 0, 1, 2]))
    (entry,) = container.Reader(io.BytesIO(packed)).entries
    assert list(entry.labels) == [2, 0, 1, 2]
    assert np.array_equal(px.decompress(model, packed), images.numpy())


def test_damage_is_always_noticed():
    model = calibrated(small_model(2))
    packed = px.compress(model, images_of(model))
    for place in range(len(packed)):
        changed = bytearray(packed)
        changed[place] ^= 1 << place % 8
        for damaged in (bytes(changed), packed[:place]):
            with pytest.raises(DataError):
                px.decompress(model, damaged)
    with pytest.raises(DataError, match="something follows"):
        px.decompress(model, packed + b"\0")


def resealed(packed, change):
    """A file with changed blocks, whose checksums are right again."""
    reader = container.Reader(io.BytesIO(packed))
    blocks = [change(block) for _, _, block in reader.blocks()]
    labelled = reader.entries.labelled
    return b"".join(container.write(reader.fingerprint, list(reader.entries), labelled, blocks))


@pytest.mark.parametrize(
    ("data", "said"), [(b"", "the data is no .pxc file"), ("a.pxc", "data must be bytes, got str")]
)
def test_what_is_no_file_is_told_in_a_sentence(data, said):
    with pytest.raises(px.PixelCNNError, match=said):
        px.decompress(small_model(2), data)


def test_pixels_that_decode_to_others_are_noticed():
    model = calibrated(small_model(5))
    packed = px.compress(model, images_of(model))
    assert resealed(packed, lambda block: block) == packed
    other = resealed(packed, lambda block: block._replace(digest=bytes(8)))
    with pytest.raises(DataError, match="the decoded pixels are others"):
        px.decompress(model, other)


def test_sums_that_float32_does_not_hold_go_to_float64():
    model = calibrated(small_model(5))
    program = program_of(model)
    wide = Twin(program, 5, model.record["activation_ranges"], Precision(16, 16, 16))
    assert max(wide.limits) >= SINGLE
    integers = Integers(model, wide, model.shape)
    assert integers.native in ("long", "double", None)
    levels = images_of(model)
    assert decode(integers, encode(integers, levels), 4).equal(levels)


def test_a_fingerprint_is_of_every_number():
    model = calibrated(small_model(2))
    ranges = model.record["activation_ranges"]
    names = {
        fingerprint(Twin(program_of(model), 2, values, Precision()), model)
        for values in (ranges, [value * 1.5 for value in ranges])
    }
    assert len(names) == 2


def test_a_set_is_its_levels_with_its_labels():
    model = calibrated(small_model(condition="label", condition_size=2))
    levels = images_of(model)
    images = data.ImageSet(levels, levels=model.levels, labels=labels_of(model))
    assert px.compress(model, images) == px.compress(model, images.images, images.labels)
    assert np.array_equal(px.decompress(model, px.compress(model, images)), levels.numpy())


@pytest.mark.filterwarnings("error")
def test_an_array_that_cannot_be_written_to_is_read_without_a_warning():
    model = calibrated(small_model())
    levels = images_of(model).numpy()
    levels.setflags(write=False)
    assert np.array_equal(px.decompress(model, px.compress(model, levels)), levels)


@pytest.mark.parametrize("source", ["photos", [["photos"]], None])
def test_what_is_no_levels_is_told_how_to_become_some(source):
    model = calibrated(small_model())
    with pytest.raises(px.PixelCNNError) as caught:
        px.compress(model, source)
    assert caught.value.hint
