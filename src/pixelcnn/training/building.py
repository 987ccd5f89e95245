"""From the tables of a recipe to a model: whatever the data decide, follows the data."""

from typing import Any

import torch

from pixelcnn.config import from_config
from pixelcnn.data import ImageSet
from pixelcnn.errors import ConfigError
from pixelcnn.model import PixelModel
from pixelcnn.networks import NETWORKS
from pixelcnn.outputs import OUTPUTS, Output

DERIVED = ("channels", "out", "order", "condition_size")
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
    channels = train.shape.channels
    arguments = network | {
        "channels": channels,
        "out": distribution.parameters_per_pixel(channels),
        "order": "pixel" if distribution.couples_channels else "channel",
    }
    if network.get("condition") == "label":
        if train.label_count == 0:
            raise ConfigError(
                f"this recipe is class-conditional, but {train.name} has no labels",
                hint="use labelled data, or --set network.condition=none",
            )
        arguments["condition_size"] = train.label_count
    for key in WIDTHS if arguments["order"] == "channel" else ():
        value = network.get(key)
        if isinstance(value, int) and value < channels:
            notes.append(f"{channels} channels: {key} {channels} instead of {value}")
            arguments[key] = channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PixelModel(from_config(NETWORKS, arguments), distribution, train.shape), notes


def choose_output(output: Table, levels: int, notes: list[str]) -> Output:
    """The recipe's output for so many levels, or a categorical one where it has only two."""
    if output["name"] == "bernoulli" and levels != 2:
        notes.append(f"{levels} levels: a categorical output instead of a Bernoulli")
        output = {"name": "categorical"}
    return from_config(OUTPUTS, output | {"levels": levels})
