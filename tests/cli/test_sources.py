"""Any source of images wherever Python takes images, and the command line beside it."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import pixelcnn as px
from pixelcnn import checkpoint, data, sources
from pixelcnn.errors import ConfigError, DataError, ModelError
from pixelcnn.shapes import ImageShape
from pixelcnn.training.record import nameless

SHAPE = (1, 6, 5)
VALUES = np.random.default_rng(0).integers(0, 256, (23, 6, 5), np.uint8)
LEVELS = torch.from_numpy(VALUES.astype(np.int64) * 4 // 256)[:, None].to(torch.uint8)


@pytest.fixture(scope="module")
def model(tiny):
    """A model of 4 levels that were made of 256."""
    made = tiny(SHAPE, levels=4)
    record = {"data": {"name": "photos", "levels": 4}, "source_levels": 256}
    made.record = record | {"binarisation": "none", "quantisation": "256 -> 4 equal bins"}
    return made


@pytest.fixture(scope="module")
def nats(model):
    return px.score(model, LEVELS)


@pytest.fixture(scope="module")
def place(tmp_path_factory, model):
    """The same images in every kind of file."""
    root = tmp_path_factory.mktemp("sources")
    checkpoint.save(model, root / "m.safetensors")
    np.save(root / "a.npy", VALUES)
    np.savez(root / "a.npz", images=VALUES)
    np.savetxt(root / "a.csv", VALUES.reshape(-1, 30), "%d", ",")
    (root / "photos").mkdir()
    for index, image in enumerate(VALUES):
        Image.fromarray(image).save(root / "photos" / f"{index:02}.png")
    data.prepare(root / "photos", root / "packed")
    return root


class Pairs(torch.utils.data.Dataset):
    """A dataset of pictures with labels, as torchvision has them."""

    classes = ("even", "odd")

    def __len__(self):
        return len(VALUES)

    def __getitem__(self, index):
        return Image.fromarray(VALUES[index]), index % 2


STORED = {
    "a picture of Pillow each": lambda: [Image.fromarray(image) for image in VALUES],
    "a dataset of PyTorch": Pairs,
    "a part of one": lambda: torch.utils.data.Subset(Pairs(), range(len(VALUES))),
    "a dataset of tensors": lambda: torch.utils.data.TensorDataset(torch.from_numpy(VALUES)),
    "a loader": lambda: torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(VALUES), torch.arange(23)), batch_size=7
    ),
    "pairs": lambda: [(image, index) for index, image in enumerate(VALUES)],
}
"""Objects that hold stored values."""
HELD = {
    "n c h w": lambda: LEVELS,
    "n h w": LEVELS[:, 0].numpy,
    "n h w c": lambda: LEVELS.permute(0, 2, 3, 1).numpy(),
    "another type, order and stride": lambda: np.asfortranarray(LEVELS.numpy()[::-1].astype(">i8"))[::-1],
    "a list": LEVELS.tolist,
    "a list of arrays": lambda: list(LEVELS.numpy()),
    "a list of tensors": lambda: list(LEVELS),
    "a set": lambda: data.ImageSet(LEVELS, 4),
}  # fmt: skip
"""Objects that hold levels."""


@pytest.mark.parametrize("kind", STORED)
def test_stored_values_become_levels_as_those_of_training(model, nats, kind):
    assert torch.allclose(px.score(model, STORED[kind]()), nats)
    found = px.evaluate(model, STORED[kind]())
    assert (found.images, found.split, found.as_trained) == (23, "all", True)
    assert found.nats == pytest.approx(float(nats.mean()))


@pytest.mark.parametrize("kind", HELD)
def test_levels_in_hand_are_levels(model, nats, kind):
    assert torch.allclose(px.score(model, HELD[kind]()), nats)
    assert px.evaluate(model, HELD[kind]()).nats == pytest.approx(float(nats.mean()))
    assert px.complete(model, HELD[kind](), "top").shape == (23, *SHAPE)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.csv", "photos", "packed", "photos/00.png"])
def test_python_and_the_command_line_agree(run, place, model, name):
    path, file = str(place / name), str(place / "m.safetensors")
    rows = run("score", file, path, "--json").json["rows"]
    assert px.score(model, path).tolist() == pytest.approx([row["nats"] for row in rows])
    if name != "photos/00.png":
        part = run("evaluate", file, "--data", path, "--json")
        assert "--split all takes all" in part.stderr
        assert px.evaluate(model, path).as_json() == part.json
    found = run("evaluate", file, "--data", path, "--split", "all", "--json").json
    ours = px.evaluate(model, path, split="all").as_json()
    for key in ("nats_per_image", "images", "content_hash", "as_trained", "data", "quantisation"):
        assert ours[key] == found[key]
    run("complete", file, path, "-n", 1, "--out", "done.npz")
    with np.load("done.npz") as found:
        assert np.array_equal(px.complete(model, path, "top").numpy(), found["images"])


@pytest.mark.parametrize(
    ("image", "shape"),
    [((6, 5), SHAPE), ((1, 6, 5), SHAPE), ((6, 5, 1), SHAPE), ((6, 5, 3), (3, 6, 5))],
)
def test_a_single_image_is_one(tiny, image, shape):
    made = tiny(shape, levels=4)
    values = torch.arange(int(np.prod(image))).reshape(image) % 4
    (found,) = px.score(made, values)
    plain = values.permute(2, 0, 1) if image[-1] in {1, 3} else values.reshape(SHAPE)
    assert torch.allclose(found, px.score(made, plain[None])[0])


def test_axes_that_fit_in_two_ways_are_asked_for():
    cube, shape = torch.arange(27).reshape(3, 3, 3), ImageShape(3, 3, 3)
    with pytest.raises(DataError, match="may be c h w or h w c"):
        sources.arranged(cube, shape)
    assert torch.equal(sources.arranged(cube, shape, "h w c"), cube.permute(2, 0, 1)[None])
    four = torch.arange(81).reshape(3, 3, 3, 3)
    assert sources.arranged(four, shape) is four  # n c h w, as everywhere


def test_scoring_levels_copies_nothing(model):
    images, _, read = sources.levels_of(model, LEVELS)
    assert images.data_ptr() == LEVELS.data_ptr()
    assert read is None


@pytest.mark.filterwarnings("error")
def test_arrays_in_files_stay_there(model, nats, tmp_path):
    np.save(tmp_path / "levels.npy", LEVELS[:, 0].numpy())
    mapped = np.load(tmp_path / "levels.npy", mmap_mode="r")
    assert torch.allclose(px.score(model, mapped), nats)
    images = sources.set_of(model, mapped).images
    assert type(images).__name__ == "LazyImages"
    assert torch.equal(images[:], LEVELS)


def test_values_of_an_array_are_stored_ones_where_that_is_said(model, nats):
    assert torch.allclose(px.score(model, VALUES, source_levels=256), nats)
    with pytest.raises(DataError, match=r"0\.\.3"):
        px.score(model, VALUES)


def test_the_coding_is_that_of_the_record(tiny, model):
    binary = tiny(SHAPE, levels=2)
    binary.record = {"data": {"name": "photos", "threshold": 0.9}, "binarisation": "threshold 0.9"}
    expected = torch.from_numpy(VALUES >= 0.9 * 256)[:, None]
    pictures = [Image.fromarray(image) for image in VALUES]
    assert torch.equal(sources.set_of(binary, pictures).images.bool(), expected)
    other = sources.set_of(binary, pictures, options={"threshold": 0.1})
    assert other.binarisation == "threshold 0.1"


def test_how_an_array_became_levels_is_not_guessed(model, caplog):
    assert px.evaluate(model, LEVELS).as_trained is None
    assert not caplog.records
    assert px.evaluate(model, data.ImageSet(LEVELS, 4)).as_trained is False
    assert "levels as given, but the model was trained with 256 -> 4" in caplog.text


def test_a_set_of_other_levels_says_how_to_load_it(model):
    with pytest.raises(ModelError, match="for 4 levels, two has 2"):
        px.score(model, data.ImageSet(torch.zeros(2, *SHAPE, dtype=torch.uint8), 2, name="two"))


@pytest.mark.parametrize("source", [None, 7, {"images": VALUES}, object()])
def test_what_holds_no_images_is_refused(model, source):
    for call in (px.score, px.evaluate, lambda m, s: px.complete(m, s, "top"), px.fit):
        with pytest.raises(ConfigError, match=r"no images can be taken"):
            call(model, source)


@pytest.mark.parametrize("options", [{"source_level": 4}, {"sizes": 3}])
def test_an_unknown_option_is_named(model, options):
    with pytest.raises(ConfigError, match="no option called"):
        px.score(model, LEVELS, **options)


def test_a_mask_may_be_a_word_a_picture_or_an_array(model, tmp_path):
    half = np.arange(30).reshape(6, 5) < 15
    picture = Image.fromarray((half * 255).astype(np.uint8))
    picture.save(tmp_path / "half.png")
    masks = ("top", picture, tmp_path / "half.png", half, torch.from_numpy(half)[None, None])
    found = [px.complete(model, LEVELS[:2], mask) for mask in masks]
    assert all(torch.equal(each, found[0]) for each in found)
    with pytest.raises(ConfigError, match="nor a file"):
        px.complete(model, LEVELS, "bottom")


def test_labels_come_with_the_source(tiny):
    made = tiny(SHAPE, levels=4, condition="label", condition_size=2)
    made.record = {"source_levels": 256, "classes": ["odd", "even"]}
    found = px.score(made, Pairs())
    labels = [1 - index % 2 for index in range(len(VALUES))]  # counted as the model does
    assert torch.allclose(found, px.score(made, LEVELS, labels))


def test_fit_takes_any_source(tiny, place, model):
    def counts(train, val=None):
        return tuple(map(len, sources.training_sets(model, train, val)))

    assert counts(LEVELS.numpy(), LEVELS[:3]) == (23, 3)
    assert sum(counts(LEVELS)) == 23  # a tenth of it validates
    parts = data.load(place / "photos")  # another tenth is kept for the test
    assert counts(str(place / "photos")) == (len(parts.train), len(parts.val))
    assert counts(place / "photos", Pairs()) == (23, 23)
    made = tiny(SHAPE, levels=4)
    px.fit(made, LEVELS.numpy(), epochs=1, verbose=False)
    assert made.record["data"] == {"name": "array"}
    assert sum(made.record["images"].values()) == 23


def test_arrays_with_labels_in_parts_are_tested_and_validated_on_their_own(model, nats):
    cuts, labels = (slice(13), slice(13, 18), slice(18, 23)), np.zeros(23, int)
    train, val, test = ((VALUES[cut], labels[cut]) for cut in cuts)
    found = px.evaluate(model, (train, test))
    assert (found.images, found.split) == (5, "test")
    assert found.nats == pytest.approx(float(nats[18:].mean()))
    assert px.evaluate(model, (train, test), split="all").images == 18
    assert tuple(map(len, sources.training_sets(model, (train, val, test)))) == (13, 5)
    assert sum(map(len, sources.training_sets(model, (train, test)))) == 13


def test_images_without_a_name_train_in_a_run_folder_that_asks_for_data(tiny, tmp_path, run):
    unnamed, folder = data.ImageSet(LEVELS, levels=4), tmp_path / "run"
    for resume in (False, True):
        px.fit(
            tiny(SHAPE, levels=4), unnamed, unnamed, folder, resume=resume, epochs=1, verbose=False
        )
    assert run("evaluate", folder, code=2).hint == "give --data"
    np.save(tmp_path / "levels.npy", LEVELS.numpy())
    given = run("evaluate", folder, "--data", tmp_path / "levels.npy", "--split", "all", "--json")
    assert given.json["images"] == len(LEVELS)


def test_a_set_that_comes_in_parts_is_trained_on_its_own(tiny):
    made, splits = tiny(), data.load("digits")
    for source in ("digits", splits):
        train, val = sources.training_sets(made, source, splits.test)
        assert (len(train), len(val)) == (1297, 300)


def test_own_data_called_like_a_named_set_are_not_taken_for_it(tiny, place, tmp_path):
    shutil.copytree(place / "photos", tmp_path / "digits")
    data.prepare(tmp_path / "digits", tmp_path / "packed")
    for name in ("digits", "packed"):
        assert data.load(tmp_path / name).test.name == "./digits"
    made = tiny(SHAPE, levels=4)
    made.record = {"data": {"name": nameless(str(tmp_path / "digits"))}}
    assert made.record["data"]["name"] == "./digits"
    checkpoint.save(made, tmp_path / "m.safetensors")
    assert checkpoint.load(tmp_path / "m.safetensors").record["data"]["name"] == "./digits"


def test_sources_leave_the_random_state_alone(model):
    state = torch.random.get_rng_state()
    px.score(model, STORED["a loader"]())
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_dynamic_set_is_drawn_once(tiny, model):
    binary = tiny(SHAPE, levels=2)
    grey = dataclasses.replace(data.ImageSet(VALUES[:, None], 256), levels=2, grey_levels=256)
    assert torch.equal(px.score(binary, grey), px.score(binary, grey.frozen()))


def test_a_run_on_an_array_is_measured_on_what_is_given(run, tiny):
    px.fit(tiny(SHAPE, levels=4), LEVELS[:15], LEVELS[15:], "r", epochs=1, verbose=False)
    outcome = run("evaluate", "r", code=2)
    assert outcome.error == "this model was trained on array, which is no named data set"
    assert "--data" in outcome.hint
    assert "measuring" not in outcome.stderr
