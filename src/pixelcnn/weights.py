"""Whether the tensors of a file, or for one, are the weights of a model."""

import hashlib
import json
import math
from collections.abc import Container, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pixelcnn.errors import ModelError
from pixelcnn.model_file import FLOATS, Layout
from pixelcnn.modes import INTERNAL, is_plain

RAW = "raw."
"""Before the names of weights as they were before averaging."""


HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
"""Types in which the weights of a model that computes in float32 can be kept."""


HIDDEN = "lies in a list or dictionary, where PyTorch sees no weights"


class Unlike(Exception):
    """Tensors are not those of a model."""


def compare(own: Mapping[str, Tensor], found: Mapping[str, Layout]) -> None:
    """Compares the tensors of a file with those of a model.

    Raises:
        Unlike: the first name, shape or type that is another.
    """
    twice = any(name.startswith(RAW) for name in found)
    wanted = {prefix + name: own[name] for prefix in ("", RAW)[: 1 + twice] for name in own}
    for name in [*wanted, *found]:
        if name not in wanted or name not in found:
            raise Unlike(f"`{name}` is {'missing' if name in wanted else 'none of its tensors'}")
    first = next((each.dtype for each in found.values() if each.dtype.is_floating_point), None)
    for name, tensor in wanted.items():
        layout = found[name]
        if is_lazy(tensor):
            raise Unlike(f"`{name}` is of a lazy layer, which has no shape when it is built")
        if layout.shape != tuple(tensor.shape):
            raise Unlike(f"`{name}` is {layout.shape}, not {tuple(tensor.shape)}")
        dtype = first if tensor.is_floating_point() else tensor.dtype
        if layout.dtype != dtype:
            raise Unlike(f"`{name}` holds {_plain(layout.dtype)} numbers, not {_plain(dtype)}")


def compare_parts(model: nn.Module, other: nn.Module) -> None:
    """Compares what layers two models are made of: some have no tensors that would tell them apart.

    Raises:
        Unlike: the first layer of another kind.

    Example:
        >>> compare_parts(nn.Sequential(nn.ReLU()), nn.Sequential(nn.Tanh()))
        Traceback (most recent call last):
        pixelcnn.weights.Unlike: `0` is Tanh, not ReLU
    """
    mine, others = _kinds(model), _kinds(other)
    for name in mine | others:
        here, there = mine.get(name), others.get(name)
        if here != there:
            raise Unlike(f"`{name}` is {there and there[1]}, not {here and here[1]}")
    others_hidden = hidden(other)
    for name, tensor in hidden(model).items():
        if name not in others_hidden or not torch.equal(tensor.cpu(), others_hidden[name]):
            raise Unlike(f"`{name}` {HIDDEN}, and another one is built")


def hidden(model: nn.Module) -> dict[str, Tensor]:
    """Weights in lists and dictionaries of modules, where PyTorch does not look for them.

    Example:
        >>> layer = nn.Identity()
        >>> layer.steps = [nn.Linear(2, 2, bias=False)]
        >>> list(hidden(layer))
        ['steps[0].weight']
    """
    known = set(map(id, model.parameters()))
    found: dict[str, Tensor] = {}
    for name, part in model.named_modules():
        for key, value in vars(part).items():
            if key not in INTERNAL and isinstance(value, list | tuple | dict):
                _collect(f"{name}.{key}".lstrip("."), value, found)
    return {name: tensor for name, tensor in found.items() if id(tensor) not in known}


def _collect(name: str, value: Any, found: dict[str, Tensor]) -> None:
    """Adds the weights in a value of any kind."""
    if isinstance(value, nn.Parameter):
        found[name] = value
    elif isinstance(value, nn.Module):
        found.update((f"{name}.{key}", each) for key, each in value.named_parameters())
    elif isinstance(value, dict):
        for key, each in value.items():
            _collect(f"{name}[{key!r}]", each, found)
    elif isinstance(value, list | tuple) and not is_plain(value):
        for number, each in enumerate(value):
            _collect(f"{name}[{number}]", each, found)


def _kinds(model: nn.Module) -> dict[str, tuple[str, str]]:
    """Where the class of each part is defined; a parametrized one, or another notebook's, is made anew."""
    return {
        name: (type(part).__module__, type(part).__qualname__)
        for name, part in model.named_modules(remove_duplicate=False)
    }


def fingerprint(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a configuration and weights, hexadecimal."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].cpu().contiguous()
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors none of which lies in another's memory, as that of layers that share their weights does.

    Example:
        >>> tensor = torch.zeros(2)
        >>> one, two = apart({"one": tensor, "two": tensor}).values()
        >>> one is tensor, two is tensor
        (True, False)
    """
    found: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in places else tensor
        places.add(place)
    return found


def check_types(tensors: Mapping[str, Tensor], allowed: Iterable[torch.dtype]) -> None:
    """Tensors are of a type that is allowed.

    Raises:
        ModelError: names the first that is not.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in allowed:
            raise ModelError(
                f"`{name}` holds {_plain(tensor.dtype)} numbers, which no weights are",
                hint=f"weights are {', '.join(map(_plain, FLOATS.values()))}",
            )


def check_finite(tensors: Mapping[str, Tensor], buffers: Container[str] = ()) -> None:
    """Tensors hold finite numbers; buffers, by which attention may be masked, any numbers.

    Args:
        tensors: by name.
        buffers: names of those that are no parameters.

    Raises:
        ModelError: names the first that does not.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or math.isfinite(float(tensor.sum())):
            continue  # what is not finite spreads to the sum, which takes less time
        fits = ~tensor.isnan() if name.removeprefix(RAW) in buffers else tensor.isfinite()
        if not bool(fits.all()):
            raise ModelError(
                f"`{name}` holds a value that is not a finite number",
                hint="a training that diverged leaves such weights; use those of an earlier one",
            )


def rounded(tensors: Mapping[str, Tensor], dtype: str) -> dict[str, Tensor]:
    """Tensors with floating-point numbers rounded to nearest.

    Args:
        tensors: of a model.
        dtype: one of :data:`HALVES`.

    Raises:
        ModelError: a number that is too large for it.

    Example:
        >>> rounded({"bias": torch.tensor([1 / 3])}, "bfloat16")["bias"].item()
        0.333984375
    """
    found = {
        name: tensor.to(HALVES[dtype]) if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    for name, tensor in tensors.items():
        if not found[name].isfinite().equal(tensor.isfinite()):
            largest = float(tensor[tensor.isfinite()].abs().max())
            raise ModelError(
                f"`{name}` holds {largest:.6g}, which {dtype} cannot hold",
                hint="bfloat16 reaches as far as float32" if dtype == "float16" else "",
            )
    return found


def widened(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose floating-point numbers are float32, which holds those of half precision exactly.

    Example:
        >>> widened({"bias": torch.tensor([0.5], dtype=torch.float16)})["bias"].dtype
        torch.float32
    """
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def _plain(dtype: torch.dtype | None) -> str:
    return str(dtype).removeprefix("torch.")
