"""Small trainings for the tests."""

from pathlib import Path
from typing import Any

import torch

from pixelcnn import data, networks, outputs
from pixelcnn.data import ImageSet
from pixelcnn.model import PixelModel
from pixelcnn.training import History, fit
from pixelcnn.training.checkpoints import existing, read

QUICK: dict[str, Any] = {
    "batch_size": 16,
    "precision": "32",
    "learning_rate": 3e-3,
    "weight_average": 0.9,
    "sample_count": 0,
    "log_every": 2,
    "seed": 1,
}
"""Options of a training that takes a second."""


def digits(train: int = 60, val: int = 12) -> tuple[ImageSet, ImageSet]:
    """A few of the embedded digits, to train on and to validate."""
    splits = data.load("digits")
    return splits.train.limit(train), splits.val.limit(val)


def model(dropout: float = 0.2, **arguments: Any) -> PixelModel:
    """A tiny model of the digits, always the same."""
    torch.manual_seed(7)
    network = networks.GatedPixelCNN(
        1, 17, width=6, depth=2, first_kernel=3, dropout=dropout, **arguments
    )
    return PixelModel(network, outputs.Categorical(levels=17), (1, 8, 8))


def train(run: Path | None, *, resume: bool = False, **options: Any) -> tuple[PixelModel, History]:
    """Trains the tiny model on a few digits, four steps an epoch."""
    net = model()
    return net, fit(net, *digits(), run, resume=resume, verbose=False, **(QUICK | options))


def state(run: Path) -> dict[str, Any]:
    """Everything in the last checkpoint that decides how a training goes on."""
    found = read(existing(run / "checkpoints")[0])
    return {
        key: found[key] for key in ("global_step", "state_dict", "optimizer_states", "callbacks")
    }


def same(one: Any, other: Any) -> bool:
    """Whether two nested states are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
