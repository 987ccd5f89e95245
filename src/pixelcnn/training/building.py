"""From the tables of a recipe to a model: whatever the data decide, follows the data."""

from typing import Any

import torch

from pixelcnn import config
from pixelcnn.data import ImageSet
from pixelcnn.errors import ConfigError
from pixelcnn.model import PixelModel
from pixelcnn.networks import NETWORKS
from pixelcnn.outputs import OUTPUTS, Output

DERIVED = ("channels", "out", "order", "condition_size", "rows", "columns", "codes")
"""Arguments of a network that follow from the data and the output."""

WIDTHS = ("width", "bottleneck", "head_width")
"""Arguments that count features, of which every channel needs one."""

Table = dict[str, Any]


def build(
    network: Table, output: Table, train: ImageSet, seed: int
) -> tuple[PixelModel, list[str]]:
    """A new model for some images; arguments and errors as :meth:`Recipe.build`."""
    notes: list[str] = []
    distribution = choose_output(output, train.levels, notes)
    channels, known = train.shape.channels, config.arguments(NETWORKS[network["name"]])
    arguments = network | {
        "channels": channels,
        "out": distribution.parameters_per_pixel(channels),
        "order": "pixel" if distribution.couples_channels else "channel",
    }
    if network.get("embedding"):
        arguments["codes"] = train.levels
    for key, side in (("rows", train.shape.height), ("columns", train.shape.width)):
        if key in known:
            arguments[key] = side
    if network.get("condition") is not None:
        arguments["condition_size"] = condition_size(network["condition"], train)
    for key in WIDTHS if arguments["order"] == "channel" else ():
        value = network.get(key)
        if isinstance(value, int) and value < channels:
            notes.append(f"{channels} channels: {key} {channels} instead of {value}")
            arguments[key] = channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PixelModel(config.from_config(NETWORKS, arguments), distribution, train.shape), notes


def condition_size(kind: str, train: ImageSet) -> int:
    """Classes, or features of the vectors or maps, of some images.

    Raises:
        ConfigError: the images have nothing of this kind.
    """
    given = train.given(kind)
    if given is None:
        raise ConfigError(
            f"this recipe is conditional, but {train.name} has no {kind}s",
            hint=f"use data with {kind}s, or --set network.condition=none",
        )
    return train.label_count if kind == "label" else given.shape[1]


def choose_output(output: Table, levels: int, notes: list[str]) -> Output:
    """The recipe's output for so many levels, or a categorical one where it has only two."""
    if output["name"] == "bernoulli" and levels != 2:
        notes.append(f"{levels} levels: a categorical output instead of a Bernoulli")
        output = {"name": "categorical"}
    return config.from_config(OUTPUTS, output | {"levels": levels})
