"""The layers of a model as a table, as readers of Keras know it."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pixelcnn.layers import masked_weights
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view

CONTAINERS = (nn.ModuleList, nn.Sequential)


class Layer(NamedTuple):
    """One row.

    Attributes:
        name: where it is in the network.
        kind: its class.
        shape: of its output, features first; of several outputs the last.
        parameters: as stored.
        live: those that no mask switches off.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    live: int


def layers(model: PixelModel) -> list[Layer]:
    """The layers of a model's network in the order in which they run, for one image.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=8, depth=1)
        >>> rows = layers(PixelModel(network, outputs.Bernoulli(), shape=(1, 5, 7)))
        >>> rows[0].name, rows[0].shape, sum(row.parameters for row in rows) == model_size(network)
        ('input', (8, 5, 7), True)
    """
    rows: list[Layer] = []
    handles = []
    for name, module in parts(model.network):

        def note(called: nn.Module, _: Any, output: Any, name: str = name) -> None:
            rows.append(row(name, called, output))

        handles.append(module.register_forward_hook(note))
    try:
        with torch.inference_mode():
            evaluation_view(model)(
                torch.zeros(1, *model.shape, dtype=torch.int64), blank_condition(model)
            )
    finally:
        for handle in handles:
            handle.remove()
    return rows


def parts(module: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """The modules directly inside a module; lists and sequences are opened."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in module.named_children():
        if isinstance(child, CONTAINERS):
            found += parts(child, f"{prefix}{name}.")
        else:
            found.append((prefix + name, child))
    return found


def row(name: str, module: nn.Module, output: Any) -> Layer:
    """What there is to say about a module that has just run."""
    last: Tensor = output[-1] if isinstance(output, tuple) else output
    stored = model_size(module)
    live = stored - masked_weights(module)
    return Layer(name, type(module).__name__, tuple(last.shape[1:]), stored, live)


def model_size(module: nn.Module) -> int:
    """Stored parameters."""
    return sum(p.numel() for p in module.parameters())


def blank_condition(model: PixelModel) -> Tensor | None:
    """A condition of zeros for one image."""
    network = model.network
    if network.condition is None:
        return None
    kind = torch.int64 if network.condition == "label" else model.dtype
    return torch.zeros(1, *network.condition_shape(*model.shape[1:]), dtype=kind)
