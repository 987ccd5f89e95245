"""The models that come with the package: they load in every later version, and are what their cards say."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

import pixelcnn as px
from engines.walks import needs_native
from pixelcnn import checkpoint, engines
from pixelcnn.codec.integers import integers
from training.trainings import train

MODELS = sorted(checkpoint.shipped())
CARDS = Path(__file__).parents[1] / "docs" / "models"
LIMIT = 8 * 2**20
"""Bytes of all models together."""


def card(name, folder=CARDS):
    return (folder / f"{name}.md").read_text(encoding="utf-8")


def stated(text, check):
    """The figure that a card's table gives for a check."""
    return float(re.search(rf"^\| .*{check}.* \| (\S+) \|$", text, re.MULTILINE)[1])


def test_every_model_that_ever_came_along_still_does():
    assert {
        "cifar-10",
        "digits",
        "fashion",
        "mnist",
        "mnist-grey",
        "mnist-labels",
        "mnist-wide",
    } <= set(MODELS)


def test_every_model_has_a_card_and_every_card_a_model():
    assert sorted(path.stem for path in CARDS.glob("*.md")) == MODELS
    assert all(f"![Samples with seed 0]({name}.png)" in card(name) for name in MODELS)
    assert all((CARDS / f"{name}.png").is_file() for name in MODELS)


def test_all_models_together_are_a_small_download():
    assert sum(path.stat().st_size for path in checkpoint.shipped().values()) <= LIMIT


def pattern_of(model):
    """An image that needs no data, and the first class where the model counts classes."""
    levels = torch.arange(model.shape.dimensions) * 7 // 3 % 5 % model.levels
    labels = torch.zeros(1, dtype=torch.int64) if model.network.condition else None
    return levels.reshape(1, *model.shape), labels


def pattern_score(model):
    """Nats of that image."""
    return float(px.score(model, *pattern_of(model)))


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_gives_the_numbers_it_always_gave(name):
    assert pattern_score(px.load(name)) == pytest.approx(stated(card(name), "pattern"), rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_card_says_what_the_file_holds(name):
    model, text = px.load(name), card(name)
    assert f"{model.parameters_count:,} parameters" in text
    assert checkpoint.describe(name)["fingerprint"][:16] in text
    for heading in ("Data", "Measured", "Made with", "Licence"):
        assert f"\n## {heading}\n" in text


@needs_native
@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_draws_natively_and_codes(name):
    model = px.load(name)
    assert engines.choose(model).name == "native"
    sums = {"single": "integer", "long": "long"}[model.record["integer_precision"]]
    assert integers(model, model.shape)[0].native == sums
    assert model.record["integer_loss"] < 0.002
    image, label = pattern_of(model)
    blob = px.compress(model, image, label, verify=False)
    assert torch.equal(torch.as_tensor(px.decompress(model, blob)), image)


@pytest.mark.usefixtures("data_root")
@pytest.mark.parametrize("name", MODELS)
def test_a_card_states_the_likelihood_of_test_images(name):
    text, model = card(name), px.load(name)
    nats, error = map(float, re.search(r"(\d+\.\d+) ± (\d+\.\d+) nats", text).groups())
    found = px.evaluate(model, model.record["data"]["name"], split="test", limit=200)
    assert found.nats == pytest.approx(stated(text, "--limit 200"), abs=2e-3)
    # Of 200 images among those that were measured: five standard errors, a false alarm in two million.
    assert abs(found.nats - nats) < 5 * found.stderr + error


@pytest.mark.slow
def test_a_run_becomes_a_model_with_a_card_of_what_was_measured(tmp_path, monkeypatch, capsys):
    train(tmp_path / "run", epochs=1)
    spec = importlib.util.spec_from_file_location("ship", CARDS / "ship.py")
    ship = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ship)
    monkeypatch.setattr(ship, "MODELS", tmp_path)
    monkeypatch.setattr(ship, "CARDS", tmp_path)
    ship.main(["tiny", str(tmp_path / "run")])
    model, text = px.load(tmp_path / "tiny.safetensors"), card("tiny", tmp_path)
    assert model.dtype == torch.float32 and model.record["weights"] == "averaged"
    assert model.record["activation_ranges"] and model.record["validation_quantiles"]
    assert pattern_score(model) == pytest.approx(stated(text, "pattern"), abs=1e-3)
    test = px.data.load("digits").test
    assert px.evaluate(model, test, limit=200).nats == pytest.approx(
        stated(text, "--limit 200"), abs=1e-3
    )
    raw = torch.cat(
        [tensor.flatten() for tensor in px.load(tmp_path / "run").state_dict().values()]
    )
    kept = torch.cat([tensor.flatten() for tensor in model.state_dict().values()])
    assert torch.equal(kept, raw.half().float())
    assert (tmp_path / "tiny.png").stat().st_size > 100
    assert "averaged weights kept in float16" in text and "of 8,388,608" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_keeps_its_promises(name):
    px.verify.check_model(px.load(name)).raise_if_failed()
