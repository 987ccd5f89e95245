"""The models that come with the package: they load in every later version, and are what their cards say."""

import re
from pathlib import Path

import pytest
import torch

import pixelcnn as px
from pixelcnn import checkpoint, data

MODELS = sorted(checkpoint.shipped())
NATS = {"mnist": 1291.77}
"""Of a pattern of levels, as the version that trained the model computed them."""


def card(name):
    return Path(checkpoint.shipped()[name]).with_suffix(".md").read_text(encoding="utf-8")


def test_every_model_that_ever_came_along_still_does():
    assert set(NATS) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_gives_the_numbers_it_always_gave(name):
    model = px.load(name)
    pattern = (torch.arange(model.shape.dimensions) * 7 // 3 % 5 % model.levels).reshape(
        1, *model.shape
    )
    assert float(px.score(model, pattern)) == pytest.approx(NATS[name], rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_card_says_what_the_file_holds(name):
    model, text = px.load(name), card(name)
    assert f"{model.parameters_count:,} parameters" in text
    assert checkpoint.describe(name)["fingerprint"][:16] in text
    for heading in ("Data", "Measured", "Made with", "Licence"):
        assert f"\n## {heading}\n" in text


@pytest.mark.usefixtures("data_root")
@pytest.mark.parametrize("name", MODELS)
def test_a_card_states_the_likelihood_of_test_images(name):
    nats, error = map(float, re.search(r"(\d+\.\d+) ± (\d+\.\d+) nats", card(name)).groups())
    model = px.load(name)
    test = data.load(model.record["data"]["name"]).test.limit(400)
    found = px.evaluate(model, test)
    # Of 400 images among those that were measured: five standard errors, a false alarm in two million.
    assert abs(found.nats - nats) < 5 * found.stderr + error


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_keeps_its_promises(name):
    px.verify.check_model(px.load(name)).raise_if_failed()
