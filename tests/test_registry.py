"""Registered classes, and those that take their place."""

import pytest

import pixelcnn as px
from pixelcnn.errors import ConfigError
from pixelcnn.networks import NETWORKS, PixelCNN
from pixelcnn.outputs import Bernoulli
from pixelcnn.registry import Registry


def cell(version):
    """What a notebook's cell defines each time it runs."""
    return type("Mine", (PixelCNN,), {"version": version, "__module__": "__main__"})


def test_a_class_that_is_defined_again_takes_its_place():
    shapes = Registry("shape")
    first = shapes.register("mine")(cell(1))
    second = shapes.register("mine")(cell(2))
    assert shapes["mine"] is second
    assert shapes.name_of(first) == shapes.name_of(second) == "mine"


def test_a_model_of_a_class_that_was_defined_again_is_saved(tmp_path):
    try:
        first = NETWORKS.register("mine")(cell(1))
        model = px.PixelModel(first(1, 1, width=4, depth=1), Bernoulli(), (1, 5, 7))
        NETWORKS.register("mine")(cell(2))
        px.save(model, tmp_path / "m.safetensors")
        assert px.load(tmp_path / "m.safetensors").network.version == 2
    finally:
        NETWORKS._items.pop("mine", None)


def test_another_class_is_refused_a_name_that_is_taken():
    shapes = Registry("shape")
    shapes.register("mine")(cell(1))
    with pytest.raises(ConfigError, match="shape 'mine' is registered twice") as caught:
        shapes.register("mine")(PixelCNN)
    assert "__main__.Mine" in caught.value.hint
