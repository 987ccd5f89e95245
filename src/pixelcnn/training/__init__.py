"""Training: options, recipes, and the run itself; accelerate is imported only when a training starts."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelcnn.training.callbacks import Callback, TrainingState
    from pixelcnn.training.fitting import fit
    from pixelcnn.training.history import History
    from pixelcnn.training.options import TrainingOptions
    from pixelcnn.training.recipe import Recipe
    from pixelcnn.training.signals import Interrupted
    from pixelcnn.training.train import prepare, train_recipe

_NAMES = {
    "Callback": "callbacks",
    "History": "history",
    "Interrupted": "signals",
    "Recipe": "recipe",
    "TrainingOptions": "options",
    "TrainingState": "callbacks",
    "fit": "fitting",
    "prepare": "train",
    "train_recipe": "train",
}

__all__ = [
    "Callback",
    "History",
    "Interrupted",
    "Recipe",
    "TrainingOptions",
    "TrainingState",
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
