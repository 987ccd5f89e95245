"""Images of another size than the model's are scored as they are, where the network takes them."""

import logging

import numpy as np
import pytest
import torch

import pixelcnn as px
from pixelcnn.errors import ModelError
from pixelcnn.networks import NETWORKS
from pixelcnn.outputs import Bernoulli
from tiny import small

OTHER = (1, 7, 11)
IMAGES = torch.randint(2, (3, *OTHER), generator=torch.Generator().manual_seed(0))


def model(name, shape=(1, 5, 7)):
    torch.manual_seed(0)
    return px.PixelModel(small(NETWORKS[name], channels=1, out=1), Bernoulli(), shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_score_is_that_of_a_model_for_this_size(name):
    here, there = model(name), model(name, OTHER)
    assert torch.equal(px.score(here, IMAGES), px.score(there, IMAGES))
    found = px.evaluate(here, IMAGES.numpy())
    assert found.nats == px.evaluate(there, IMAGES.numpy()).nats
    assert found.dimensions == 77
    assert here.shape == (1, 5, 7)


def test_a_compiled_model_keeps_its_size():
    here = model("pixelcnn")
    compiled = torch.compile(here, backend="eager")
    assert torch.equal(px.score(compiled, IMAGES), px.score(here, IMAGES))
    assert compiled.shape == here.shape == (1, 5, 7)


def test_another_size_is_said(caplog):
    with caplog.at_level(logging.WARNING, "pixelcnn"):
        px.score(model("pixelcnn"), IMAGES[..., :5, :7])
        assert not caplog.records
        px.score(model("pixelcnn"), IMAGES)
    assert "1x7x11 are scored as they are, by a model for 1x5x7" in caplog.text


def test_fewer_of_larger_images_are_scored_at_a_time():
    done = []
    px.score(model("pixelcnn"), IMAGES, batch_size=4, callback=lambda *now: done.append(now))
    assert done == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("made", (2, 1, 12, 11)), ("pixelcnn", (2, 3, 5, 7)), ("pixelcnn", (2, 1, 0, 7))],
)
def test_what_the_network_does_not_take_is_refused(name, shape):
    with pytest.raises(ModelError, match="for 1x5x7 images"):
        px.score(model(name), np.zeros(shape, np.uint8))
