"""The scripts in ``examples/`` run, say what they found, and leave what they promise."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import pixelcnn as px
from pixelcnn import data
from pixelcnn.networks import NETWORKS, PixelCNN
from pixelcnn.outputs import Categorical

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a script in an empty folder; what it registers is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(NETWORKS, "_items", dict(NETWORKS._items))

    def script(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return script


@pytest.fixture(scope="module")
def digits_model(tmp_path_factory) -> str:
    """A small model of digits, trained for a second or two."""
    train, val, _ = data.load("digits")
    model = px.PixelModel(PixelCNN(1, 17, width=8, depth=1), Categorical(levels=17), train.shape)
    px.fit(model, train, val, epochs=8, batch_size=64, learning_rate=1e-2, verbose=False)
    path = tmp_path_factory.mktemp("model") / "digits.safetensors"
    px.save(model, path)
    return str(path)


def test_own_array_makes_trains_and_draws(run):
    said = run("own_array.py", "--epochs", "1")
    assert "477 images of 1x11x13 with 8 levels train" in said
    assert px.load("own_array.safetensors").levels == 8
    assert Path("own_array.png").exists()


def test_own_array_takes_a_colour_array(run):
    images = np.random.default_rng(0).integers(0, 256, (40, 5, 7, 3), dtype=np.uint8)
    np.save("photos.npy", images)
    run("own_array.py", "photos.npy", "--epochs", "1", "--levels", "4")
    assert px.load("own_array.safetensors").shape == (3, 5, 7)


def test_complete_with_mask_says_which_masks_are_exact(run, digits_model):
    said = run("complete_with_mask.py", digits_model).splitlines()
    assert said[0] == "upper half: 32 of 64 pixels given, exact samples"
    assert [line.endswith("an approximation") for line in said[1:3]] == [True, True]
    assert Path("completions.png").exists()


def test_anomaly_scores_finds_noise_by_nats(run, digits_model):
    rows = {
        line[:18].strip(): line.split()
        for line in run("anomaly_scores.py", digits_model).splitlines()
    }
    assert float(rows["pixels shuffled"][-2].strip("%")) > 90
    assert float(rows["empty"][-1].strip("%")) > float(rows["empty"][-2].strip("%"))


def test_own_network_is_kept_and_the_broken_one_named(run):
    said = run("own_network.py")
    assert "BROKEN" not in said
    assert "takes a statistic over space" in said
    assert px.load("cross.safetensors").config()["network"]["name"] == "cross"


def test_vq_prior_learns_codes_better_than_their_number(run):
    said = run("vq_prior.py", "--epochs", "2").splitlines()
    nats, nothing = (float(said[2].split()[i]) for i in (0, -1))
    assert nats < 0.8 * nothing
    assert px.load("vq_prior.safetensors").network.embedding == 16
    assert Path("vq_prior.png").exists()


def test_every_example_is_tested_and_documented():
    tests = Path(__file__).read_text(encoding="utf-8")
    tour = (EXAMPLES.parent / "docs" / "python.md").read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tests
        assert f"`{path.name}`" in tour
