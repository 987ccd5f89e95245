"""Registered classes, and those that take their place."""

import subprocess
import sys

import pytest

import pixelcnn as px
from pixelcnn.errors import ConfigError, ModelError, UnknownName
from pixelcnn.networks import NETWORKS, PixelCNN
from pixelcnn.outputs import OUTPUTS, Bernoulli
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


@pytest.mark.parametrize("registry", [NETWORKS, OUTPUTS])
def test_a_class_without_a_name_is_told_where_it_gets_one(registry):
    with pytest.raises(UnknownName) as caught:
        registry.name_of(dict)
    assert f"@{registry.kind.upper()}S.register('my-{registry.kind}')" in caught.value.hint


OURS = """
import sys
from pixelcnn import PixelModel, networks, outputs, save
from pixelcnn.__main__ import main

@networks.NETWORKS.register("ours")
class Ours(networks.PixelCNN):
    pass

if __name__ == "__main__":
    save(PixelModel(Ours(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7)), sys.argv[2])
    main()
"""


def test_a_script_that_registers_a_network_has_the_command_line_with_it(tmp_path):
    (tmp_path / "ours.py").write_text(OURS)
    given = [sys.executable, "ours.py", "info", "model.safetensors"]
    done = subprocess.run(given, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "ours" in done.stdout
    with pytest.raises(ModelError, match="no network called 'ours'") as caught:
        px.load(tmp_path / "model.safetensors")
    assert "have been imported" in caught.value.hint
