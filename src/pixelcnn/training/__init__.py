"""Training: options, recipes, and the run itself; Lightning is imported only when a training starts."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelcnn.training.fitting import fit
    from pixelcnn.training.options import TrainingOptions
    from pixelcnn.training.recipe import Recipe
    from pixelcnn.training.session import History
    from pixelcnn.training.signals import Interrupted
    from pixelcnn.training.train import prepare, train_recipe

_NAMES = {
    "History": "session",
    "Interrupted": "signals",
    "Recipe": "recipe",
    "TrainingOptions": "options",
    "fit": "fitting",
    "prepare": "train",
    "train_recipe": "train",
}

__all__ = [
    "History",
    "Interrupted",
    "Recipe",
    "TrainingOptions",
    "fit",
    "prepare",
    "train_recipe",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
