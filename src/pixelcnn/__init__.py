"""Exact-likelihood image models of the PixelCNN family.

Public names are resolved on first use, so that ``import pixelcnn`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelcnn import data, engines, errors, layers, masks, networks, outputs, verify, walk
    from pixelcnn.building import create_model
    from pixelcnn.checkpoint import load, save
    from pixelcnn.codec import calibrate, compress, decompress
    from pixelcnn.errors import PixelCNNError
    from pixelcnn.model import PixelModel
    from pixelcnn.physical import values
    from pixelcnn.sampling import batches, complete, sample, stream
    from pixelcnn.scoring import Score, Scorer, evaluate, score
    from pixelcnn.training import TrainingOptions, fit

__version__ = "0.1.0"

_HOMES = {
    "PixelCNNError": "errors",
    "PixelModel": "model",
    "Score": "scoring",
    "Scorer": "scoring",
    "TrainingOptions": "training",
    "batches": "sampling",
    "calibrate": "codec",
    "complete": "sampling",
    "compress": "codec",
    "create_model": "building",
    "decompress": "codec",
    "evaluate": "scoring",
    "fit": "training",
    "load": "checkpoint",
    "sample": "sampling",
    "save": "checkpoint",
    "score": "scoring",
    "stream": "sampling",
    "values": "physical",
}
"""Modules of the public names that are none themselves."""

__all__ = [
    "PixelCNNError",
    "PixelModel",
    "Score",
    "Scorer",
    "TrainingOptions",
    "batches",
    "calibrate",
    "complete",
    "compress",
    "create_model",
    "data",
    "decompress",
    "engines",
    "errors",
    "evaluate",
    "fit",
    "layers",
    "load",
    "masks",
    "networks",
    "outputs",
    "sample",
    "save",
    "score",
    "stream",
    "values",
    "verify",
    "walk",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'pixelcnn' has no attribute {name!r}")
    if name not in _HOMES:
        return importlib.import_module(f"pixelcnn.{name}")
    value = getattr(importlib.import_module(f"pixelcnn.{_HOMES[name]}"), name)
    globals()[name] = value  # where it is found without this function
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
