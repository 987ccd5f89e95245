"""``--condition``: words, ranges and files."""

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import checkpoint, sampling
from pixelcnn.cli.features import STEPS
from pixelcnn.statistics import Statistics

KNOWN = Statistics((1.5e4, 2.0), (3e3, 1.0), (1e4, 0.0), (2e4, 5.0), ("mass", "age"))


@pytest.fixture
def vectors(tiny, here):
    made = tiny(condition="vector", condition_size=2)
    made.statistics = KNOWN
    checkpoint.save(made, here / "vectors.safetensors")
    return "vectors.safetensors"


@pytest.fixture
def maps(tiny, here):
    checkpoint.save(tiny(condition="map", condition_size=1), here / "maps.safetensors")
    return "maps.safetensors"


@pytest.mark.parametrize("words", ["mass=1.2e4,age=3", "age=3, MASS=12000", "12000,3"])
def test_words_are_the_condition_of_the_library(run, vectors, words):
    run("sample", vectors, "-n", 3, "--condition", words, "--out", "a.npy")
    drawn = sampling.sample(checkpoint.load(vectors), 3, condition={"mass": 1.2e4, "age": 3})
    assert np.array_equal(np.load("a.npy"), drawn.numpy())


def test_a_range_is_walked_by_the_columns(run, vectors):
    found = run("sample", vectors, "-n", 2, "--condition", "mass=1e4:2e4:3,age=1", "--json").json
    assert found["shape"][0] == 6
    assert found["condition"] == {"age": 1.0}
    assert found["columns"] == {"name": "mass", "values": [1e4, 1.5e4, 2e4]}
    with Image.open("samples.png") as picture:
        assert 1.2 < picture.width / picture.height < 1.8
    said = run("sample", vectors, "--condition", "mass=1e4:2e4,age=1", "--out", "a.npz").stderr
    assert f"columns mass 10000 to 20000 in {STEPS} steps" in said
    with np.load("a.npz") as drawn:
        assert drawn["condition"].shape == (4 * STEPS, 2)
        assert drawn["condition"][:STEPS, 0].tolist() == np.linspace(1e4, 2e4, STEPS).tolist()
        assert drawn["condition_names"].tolist() == ["mass", "age"]
        again = sampling.sample(checkpoint.load(vectors), 4 * STEPS, condition=drawn["condition"])
        assert np.array_equal(drawn["images"], again.numpy())


def test_a_second_range_is_walked_by_the_rows(run, vectors):
    words = "age=0:4:3,mass=1e4:2e4:2"
    found = run("sample", vectors, "--condition", words, "--out", "a.npz", "--json").json
    assert (found["columns"]["name"], found["rows"]["name"]) == ("mass", "age")
    with np.load("a.npz") as drawn:
        assert drawn["condition"].tolist() == [[m, a] for a in (0, 2, 4) for m in (1e4, 2e4)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "say which with --condition"),
        (("--condition", "mass=1e4"), "nothing is said of age"),
        (("--condition", "mas=1e4,age=1"), "'mas'. Did you mean 'mass'?"),
        (("--condition", "mass=1e4,1"), "some values have a name"),
        (("--condition", "mass=1e4,mass=1"), "mass twice"),
        (("--condition", "1e4"), "1 values for 2"),
        (("--condition", "mass=x,age=1"), "'x' is neither"),
        (("--condition", "mass=nan,age=1"), "'nan' is neither"),
        (("--condition", "mass=1:2:1,age=1"), "'1:2:1' is neither"),
        (("--condition", "mass=1:2:3:4,age=1"), "'1:2:3:4' is neither"),
        (("--label", "1"), "not class-conditional"),
    ],
)
def test_what_is_wrong_with_a_condition_teaches(run, vectors, words, message):
    outcome = run("sample", vectors, *words, code=2)
    assert message in outcome.error


def test_hints_name_the_features_and_their_ranges(run, vectors):
    hint = run("sample", vectors, code=2).hint
    assert "--condition mass=15000,age=2" in hint
    assert "mass (10000 to 20000), age (0 to 5)" in hint


def test_a_file_has_one_condition_a_row(run, vectors, here):
    (here / "facts.csv").write_text("age,mass\n1,12000\n3,19000\n")
    run("sample", vectors, "-n", 2, "--condition", "facts.csv", "--out", "a.npz")
    with np.load("a.npz") as drawn:
        assert drawn["condition"].tolist() == [[12000, 1]] * 2 + [[19000, 3]] * 2
    np.save(here / "facts.npy", np.array([[12000.0, 1], [19000, 3]]))
    run("sample", vectors, "-n", 2, "--condition", "facts.npy", "--out", "b.npz")
    with np.load("a.npz") as a, np.load("b.npz") as b:
        assert np.array_equal(a["images"], b["images"])


def test_completions_keep_what_they_were_given(run, vectors, tiny, here):
    checkpoint.save(tiny(condition="label", condition_size=10), here / "labels.safetensors")
    for model, given in ((vectors, ("--condition", "facts.csv")), ("labels.safetensors", ())):
        (here / "facts.csv").write_text("age,mass\n1,12000\n3,19000\n")
        run("sample", model, "-n", 1 if given else 2, *given, "--out", "a.npz")
        run("complete", model, "a.npz", "-n", 2, "--out", "b.npz")
        name = "condition" if given else "labels"
        with np.load("a.npz") as a, np.load("b.npz") as b:
            assert np.array_equal(b[name], a[name].repeat(2, 0))
        assert run("score", model, "b.npz", "--json").json["images"] == 4


def test_maps_are_pictures_or_arrays(run, maps, here):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(here / "map.png")
    np.save(here / "map.npy", pixels[None] / 255)
    for name in ("map.png", "map.npy"):
        run("sample", maps, "-n", 3, "--condition", name, "--out", f"{name}.npz")
    with np.load("map.png.npz") as a, np.load("map.npy.npz") as b:
        assert np.array_equal(a["images"], b["images"])
        assert a["condition"].shape == (3, 1, 8, 8)
    assert "given a map" in run("sample", maps, code=2).error
    assert "no file" in run("sample", maps, "--condition", "0.5", code=2).error
    np.save(here / "vectors.npy", np.zeros((3, 1)))
    assert "holds vectors" in run("sample", maps, "--condition", "vectors.npy", code=2).error


@pytest.mark.parametrize("command", ["score", "evaluate", "complete"])
def test_images_are_taken_as_what_a_condition_says(run, vectors, here, command):
    trained = checkpoint.load(vectors)
    trained.record = {"data": {"name": "given.npz", "condition": ["mass", "age"]}}
    checkpoint.save(trained, here / "columns.safetensors")
    images = torch.randint(17, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    np.savez(here / "plain.npz", images=images.numpy(), levels=17)
    given = np.array([[12000.0, 1]] * 2)
    np.savez(here / "given.npz", images=images.numpy(), levels=17, condition=given)
    np.save(here / "facts.npy", given)
    more = {"score": ("--json",), "evaluate": ("--split", "all", "--json"), "complete": ("-n", 1)}

    def found(name, *words, model=vectors):
        source = ("--data", name) if command == "evaluate" else (name,)
        out = ("--out", "a.npy") if command == "complete" else ()
        outcome = run(command, model, *source, *more[command], *out, *words)
        return np.load("a.npy").tolist() if out else outcome.json["nats_per_image"]

    expected = found("given.npz")
    assert found("plain.npz", "--condition", "mass=12000,age=1") == expected
    assert found("plain.npz", "--condition", "facts.npy") == expected
    recorded = "columns.safetensors"  # which would take them from arrays of these names
    assert found("plain.npz", "--condition", "mass=12000,age=1", model=recorded) == expected
    np.save(here / "one.npy", given[:1])
    assert found("plain.npz", "--condition", "one.npy") == expected
    assert found("given.npz", "--condition", "19000,1") != expected or command == "complete"
    source = ("--data", "plain.npz", "--split", "all") if command == "evaluate" else ("plain.npz",)
    assert "mass" in run(command, vectors, *source, code=4).error
    assert "ranges" in run(command, vectors, *source, "--condition", "1:2,1", code=2).error


def test_a_condition_for_a_model_without_one(run, model, labelled):
    assert "not conditional" in run("sample", model, "--condition", "1", code=2).error
    assert "--label" in run("sample", labelled, "--condition", "1", code=2).hint


def test_info_says_what_a_model_is_given(run, vectors, labelled):
    assert (
        "vector of 2 features: mass (10000 to 20000), age (0 to 5)" in run("info", vectors).stdout
    )
    feature = {"name": "mass", "mean": 1.5e4, "std": 3e3, "low": 1e4, "high": 2e4}
    assert run("info", vectors, "--json").json["condition_features"][0] == feature
    assert "label of 3 classes: cat, dog, owl" in run("info", labelled).stdout


def test_a_class_that_was_never_seen_is_refused(run, tiny, here):
    made = tiny(condition="label", condition_size=4)
    made.record["classes_seen"] = [1, 3]
    checkpoint.save(made, here / "gaps.safetensors")
    outcome = run("sample", "gaps.safetensors", "--label", "2", code=2)
    assert "no image of class '2'" in outcome.error
    assert "1, 3" in outcome.hint
    found = run("sample", "gaps.safetensors", "-n", 4, "--json")
    assert found.json["labels"] == [1, 3, 1, 3]
    assert "trained on" not in found.stderr
    assert "2 of them seen" in run("info", "gaps.safetensors").stdout


def test_tags_of_augmentation_are_no_classes_and_no_condition(run, tiny, here):
    for name, kinds in (("flips", []), ("pets", ["cat", "dog", "owl"])):
        made = tiny(condition="label", condition_size=2 * max(1, len(kinds)))
        made.record |= {"classes": kinds, "tags": {"transformations": ["flip"], "count": 2}}
        checkpoint.save(made, here / f"{name}.safetensors")
    assert "label of 3 classes: cat, dog, owl" in run("info", "pets.safetensors").stdout
    refused = run("sample", "flips.safetensors", "--condition", "1", code=2)
    assert "not conditional" in refused.error
    assert "gated-mnist-labels" in run("sample", "flips.safetensors", "--label", "1", code=2).hint
