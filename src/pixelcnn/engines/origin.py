"""What a program was made of: the weights by content, and everything of a network that is not a weight.

Version counters see neither fused optimisers, nor ``p.data.copy_()``, nor NumPy views; so bytes are compared.
"""

import contextlib
import hashlib
import types
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, jit, nn
from torch.nn.utils.weight_norm import WeightNorm

from pixelcnn.devices import require_numbers
from pixelcnn.modes import COMPILED, INTERNAL, PLAIN, is_plain
from pixelcnn.weights import check_finite

DEPTH = 3
"""How far attributes are followed into objects and containers."""
FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, type, partial)
"""Said by identity alone, as PyTorch's operators are, which keep what they find out; not other callables."""


@dataclass(frozen=True)
class Origin:
    """What a program was made of: equal for equal networks.

    Attributes:
        structure: the graph, the modules with their attributes, and the functions of their classes.
        weights: all parameters and buffers, those that are not stored too.
        tensors: those that ``forward`` gives to functions, such as weights times masks.
    """

    structure: object
    weights: bytes
    tensors: bytes


def origin_of(network: nn.Module, graph: fx.Graph) -> Origin:
    """What the program of a network depends on.

    Args:
        network: in any mode, on any device.
        graph: what its ``forward`` does.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> before = origin_of(layer, fx.Graph())
        >>> layer.weight.detach().numpy()[0, 0] += 1  # which no version counter sees
        >>> after = origin_of(layer, fx.Graph())
        >>> before.structure == after.structure, before.weights == after.weights
        (True, False)
    """
    require_numbers(network)
    held = dict(tensors_of(network))
    structure, weights = (tuple(held), _structure(network, graph)), _digest(held.values())
    return Origin(
        structure, weights, _digest(n.meta["tensor"] for n in graph.nodes if n.op == "get_attr")
    )


def digest_of_weights(network: nn.Module) -> bytes:
    """Of all parameters and buffers of a network, as in its :class:`Origin`."""
    return _digest([tensor for _, tensor in tensors_of(network)])


def check_weights(module: nn.Module) -> None:
    """Refuses weights that are not numbers.

    Raises:
        ModelError: a NaN, or an infinite parameter; names the tensor.
    """
    require_numbers(module)
    check_finite(dict(tensors_of(module)), dict(module.named_buffers()))


def hook_of(module: nn.Module, called: str = "the model") -> str:
    """What stands between a module's ``forward`` and its callers, in words; empty if nothing does.

    Args:
        module: the module.
        called: what it is called; its parts are layers.
    """
    everywhere = torch.nn.modules.module
    if everywhere._global_forward_hooks or everywhere._global_forward_pre_hooks:
        return "PyTorch has a forward hook for all modules"
    for name, part in module.named_modules():
        what = f"layer {name!r}" if name else called
        if isinstance(part, jit.ScriptModule) or COMPILED in part._modules:
            return f"{what} is compiled"
        before = (
            hook for hook in part._forward_pre_hooks.values() if not isinstance(hook, WeightNorm)
        )
        if part._forward_hooks or any(before):
            return f"{what} has a forward hook"
        if "forward" in vars(part):
            return f"{what} has a forward of its own"
    return ""


def tensors_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by name, outside of autograd."""
    for named in (module.named_parameters(), module.named_buffers()):
        for name, tensor in named:
            yield name, tensor.detach()


def _digest(tensors: Iterable[Tensor]) -> bytes:
    """Of shapes, types, places and contents."""
    digest = hashlib.sha256()
    for tensor in tensors:
        kind = (tuple(tensor.shape), tensor.dtype, tensor.device)
        digest.update(repr(kind).encode())
        content = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(content.view(torch.uint8).numpy().data)
    return digest.digest()


def _structure(network: nn.Module, graph: fx.Graph) -> object:
    said = _Said()
    modules = [
        (name, said.kind(type(module)), said.members(module, 0))
        for name, module in network.named_modules()
    ]
    return str(graph), modules


class _Said:
    """Says values in words, digests and functions by identity: alike for values that are alike.

    Objects and classes are said once, however often they are come to.
    """

    def __init__(self) -> None:
        self.visited: set[int] = set()

    def value(self, value: Any, depth: int = 0) -> object:
        """A value of any kind, followed as deep as :data:`DEPTH` says."""
        if isinstance(value, PLAIN) or is_plain(value):
            return repr(value)
        called: object = type(value).__qualname__
        if isinstance(value, Tensor):
            return called, _digest([value])
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).digest()
        if callable(value) and not isinstance(value, nn.Module):
            called = called, self.function(value)
            if isinstance(value, FUNCTIONS) or type(value).__module__ == "torch._ops":
                return called
        if depth >= DEPTH:
            return called
        if isinstance(value, dict):
            value = [entry for pair in value.items() for entry in pair]
        if isinstance(value, set | frozenset):
            value = sorted(value, key=repr)
        if isinstance(value, list | tuple):
            return called, [self.value(entry, depth + 1) for entry in value]
        if not hasattr(value, "__dict__") or id(value) in self.visited:
            return called
        self.visited.add(id(value))
        hidden: tuple[object, ...] = ()
        if isinstance(value, nn.Module):  # kept where PyTorch does not look for it
            hidden = ([*tensors_of(value)], [*value._modules.values()])
        about = self.kind(type(value)), self.members(value, depth + 1)
        return called, about, self.value(hidden, depth + 1)

    def members(self, value: object, depth: int) -> list[object]:
        """The attributes of an object, but those that every module has."""
        members = [item for item in list(vars(value).items()) if item[0] not in INTERNAL]
        return [(name, self.value(member, depth + 1)) for name, member in members]

    def kind(self, kind: type) -> list[object]:
        """What the classes of an object say, up to PyTorch's module."""
        found: list[object] = []
        for each in kind.__mro__:
            if each in (nn.Module, object) or id(each) in self.visited:
                continue
            self.visited.add(id(each))
            found.append(f"{each.__module__}.{each.__qualname__}")
            for name, member in list(vars(each).items()):
                if not (name.startswith("__") and name.endswith("__")):
                    member = getattr(member, "__func__", getattr(member, "fget", member))
                    found.append((name, self.value(member, DEPTH)))
        return found

    def function(self, function: Any) -> list[object]:
        """A function, by identity, and the numbers and functions that it takes from around it."""
        function = getattr(function, "__func__", function)
        try:
            found: list[object] = [weakref.ref(function)]
        except TypeError:  # of C
            return [id(function)]
        if isinstance(function, types.FunctionType):
            around = [function.__globals__.get(name) for name in function.__code__.co_names]
            for cell in function.__closure__ or ():
                with contextlib.suppress(ValueError):  # of a variable that has no value yet
                    around.append(cell.cell_contents)
            found += [repr(value) for value in around if isinstance(value, PLAIN)]
            found += [weakref.ref(f) for f in around if isinstance(f, types.FunctionType)]
        return found
