"""Registries and configurations teach when something is wrong."""

import json

import pytest

from pixelcnn import networks, outputs
from pixelcnn.config import from_config, to_config
from pixelcnn.errors import ConfigError, UnknownName
from pixelcnn.networks import NETWORKS
from pixelcnn.outputs import OUTPUTS


def test_a_configuration_builds_the_same_thing_again():
    network = networks.GatedPixelCNN(
        channels=3, out=6, width=9, depth=2, condition="label", condition_size=4
    )
    config = json.loads(json.dumps(to_config(NETWORKS, network)))
    assert to_config(NETWORKS, from_config(NETWORKS, config)) == config
    assert from_config(
        OUTPUTS, to_config(OUTPUTS, outputs.Categorical(levels=7))
    ) == outputs.Categorical(levels=7)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "pixelcn", "channels": 1, "out": 1}, "Did you mean 'pixelcnn'"),
        ({"name": "pixelcnn", "channels": 1, "out": 1, "widht": 8}, "Did you mean 'width'"),
        ({"name": "pixelcnn", "channels": 1}, "needs out"),
        ({"name": "pixelcnn", "channels": 1, "out": 1, "width": 10**9}, "out of range"),
        (
            {"name": "pixelcnn", "channels": 1, "out": 1, "depth": -1},
            "depth must be an integer from 0",
        ),
        ({"name": "pixelcnn", "channels": 1, "out": 1, "width": {}}, "cannot use a dict"),
        ({"name": "pixelcnn", "channels": 3, "out": 4}, "cannot be shared by 3 channels"),
        ({"name": "pixelcnn", "channels": 3, "out": 3, "width": 2}, "without a feature map"),
        ({"name": "pixelcnn", "channels": 1, "out": 1, "activation": "tanhh"}, "must be one of"),
        ({"channels": 1}, "no network called None"),
    ],
)
def test_a_bad_configuration_is_named(config, message):
    with pytest.raises(ConfigError, match=message):
        from_config(NETWORKS, config)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownName) as caught:
        OUTPUTS["gaussian"]
    assert "bernoulli" in caught.value.hint
