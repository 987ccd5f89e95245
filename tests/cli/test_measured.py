"""Models of measured values on the command line: floats in, floats out, and densities."""

import re

import numpy as np
import pytest

from pixelcnn import checkpoint, physical
from pixelcnn.data import Bins

BINS = Bins(tuple(np.geomspace(0.01, 50, 18)), real=True)
MAPS = np.random.default_rng(0).lognormal(size=(12, 8, 8)).astype(np.float32)


@pytest.fixture(scope="session")
def measured(tmp_path_factory, tiny):
    """A file of a model of measured values."""
    model = tiny()
    model.record |= {
        "data": {"name": "maps.npy", "levels": 17, "quantise": "quantiles"},
        "bins": BINS.as_record(),
        "binarisation": "none",
        "quantisation": BINS.describe(),
        "source_levels": 17,
    }
    path = tmp_path_factory.mktemp("model") / "measured.safetensors"
    checkpoint.save(model, path)
    return path


@pytest.fixture
def maps(here):
    np.save("maps.npy", MAPS)
    return "maps.npy"


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_samples_are_values_and_are_scored_as_the_levels_they_stand_for(run, measured, suffix):
    outcome = run("sample", measured, "-n", 3, "--out", f"values.{suffix}", "--json")
    assert (outcome.json["as"], outcome.json["levels"]) == ("values", 17)
    assert f"note: values, the centres of {BINS.describe()}" in outcome.stderr
    run("sample", measured, "-n", 3, "--as", "levels", "--out", "levels.npz")
    values = np.load(f"values.{suffix}")
    values = values if suffix == "npy" else values["images"]
    levels = np.load("levels.npz")["images"]
    assert values.dtype == np.float32
    assert np.array_equal(BINS.levels_of(values), levels)
    assert np.array_equal(physical.values(checkpoint.load(measured), levels), values)
    scores = [run("score", measured, name).stdout for name in (f"values.{suffix}", "levels.npz")]
    assert scores[0] == scores[1]


def test_levels_in_an_array_and_pictures_are_told_from_values_by_the_user(run, measured):
    run("sample", measured, "-n", 2, "--out", "drawn")
    run("sample", measured, "-n", 2, "--as", "levels", "--out", "levels.npy")
    pictures = run("score", measured, "drawn", "--source-levels", 256).rows
    levels = run("score", measured, "levels.npy", "--source-levels", 17).rows
    assert [row["nats"] for row in pictures] == [row["nats"] for row in levels]
    assert "integers" in run("score", measured, "levels.npy").stderr


def test_an_image_has_the_same_score_in_any_file(run, measured, maps):
    whole = run("score", measured, maps).rows
    np.save("one.npy", MAPS[3:4])
    np.savez("loud.npz", images=np.concatenate([MAPS[3:4], 1000 * MAPS]))
    for name in ("one.npy", "loud.npz"):
        row = run("score", measured, name).rows[0]
        assert {**row, "name": "3"} == whole[3]


def test_densities_stand_beside_the_nats(run, measured, maps):
    found = run("score", measured, maps, "--json").json
    rows = found["rows"]
    mean = np.mean([row["nats_density"] for row in rows])
    assert found["nats_per_image_density"] == pytest.approx(mean)
    whole = run("evaluate", measured, "--data", maps, "--split", "all", "--json").json
    assert whole["nats_per_image_density"] == pytest.approx(mean)
    error = np.std([row["nats_density"] for row in rows], ddof=1) / len(rows) ** 0.5
    for one in (found, whole):
        assert one["nats_per_image_density_stderr"] == pytest.approx(error)
    assert whole["as_trained"] is True
    assert run("score", measured, maps).rows[0]["nats_density"]
    assert re.search(
        r"density +\S+ ± \S+ nats",
        run("evaluate", measured, "--data", maps, "--split", "all").stdout,
    )


def test_other_models_have_no_densities(run, model):
    np.save("levels.npy", np.zeros((2, 8, 8), np.uint8))
    assert "density" not in run("score", model, "levels.npy").stdout
    assert run("score", model, "levels.npy", "--json").json["nats_per_image_density"] is None


def test_completions_are_values_too(run, measured, maps):
    run("complete", measured, maps, "-n", 2, "--out", "done.npz")
    done = np.load("done.npz")["images"]
    assert done.dtype == np.float32
    given = BINS.levels_of(MAPS.repeat(2, 0))[:, :4]
    assert np.array_equal(BINS.levels_of(done)[:, 0, :4], given)
    found = run("complete", measured, maps, "-n", 1, "--as", "levels", "--out", "l.npy", "--json")
    assert found.json["as"] == "levels"


@pytest.mark.parametrize(
    ("out", "word"), [("x.png", "values"), ("x.gif", "values"), ("x.npy", "floats")]
)
def test_pictures_show_levels(run, measured, out, word):
    assert "--as" in run("sample", measured, "--as", word, "--out", out, code=2).error


def test_levels_of_integers_have_no_values(run, model):
    assert "no values" in run("sample", model, "--as", "values", "--out", "x.npy", code=2).error


def test_a_model_of_integers_refuses_real_numbers(run, model, maps):
    outcome = run("score", model, maps, code=3)
    assert "maps.npy holds float32 numbers" in outcome.error
    assert "data.quantise" in outcome.hint


@pytest.mark.slow
def test_from_floats_to_floats(run, maps):
    np.save("many.npy", np.random.default_rng(1).lognormal(size=(60, 8, 8)))
    run(
        "train", "digits", "--data", "many.npy", "--set", "data.quantise=quantiles", "--set",
        "data.levels=8", "--set", "network.width=8", "--epochs", 1, "--run", "out",
    )  # fmt: skip
    recorded = checkpoint.load("out/best.safetensors").record
    assert recorded["data"]["quantise"] == "quantiles"
    found = run("evaluate", "out", "--json").json
    assert (found["as_trained"], found["levels"]) == (True, 8)
    assert run("evaluate", "out", "--split", "all", "--json").json["images"] == 60
    run("sample", "out", "-n", 4, "--out", "drawn.npy")
    run("score", "out", "drawn.npy")
    run("score", "out", maps)


def test_info_says_what_the_levels_stand_for(run, measured, model):
    assert f"values           {BINS.describe()}" in run("info", measured).stdout
    assert Bins.of_record(run("info", measured, "--json").json) == BINS
    assert run("info", model, "--json").json["bins"] is None
