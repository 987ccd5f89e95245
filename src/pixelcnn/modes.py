"""Evaluation mode without switching anything: the caller's modules keep their own modes."""

import copy
import functools
from collections import OrderedDict, defaultdict
from types import MethodType
from typing import Any, TypeVar

import torch
from torch import nn

_Module = TypeVar("_Module", bound=nn.Module)

INTERNAL = frozenset(vars(nn.Module()))
"""Attributes of every module: its tensors and parts, its mode and its hooks."""
PLAIN = (bool, int, float, complex, str, bytes, type(None))
COMPILED = "_orig_mod"
"""Under which name ``torch.compile`` keeps what it has compiled."""


def evaluation_view(module: _Module) -> _Module:
    """A module that shares everything with another one, but that it and its parts are in evaluation mode.

    Parameters, buffers and hooks are the same objects, so a view costs next to nothing; it is made for a
    call and dropped after it. Its lists and dictionaries are its own, with views of the modules in them, so
    that what a ``forward`` keeps is dropped with it.
    ``module.eval()`` instead would reach into the caller's model: parts that are kept frozen would lose
    their mode afterwards, and another thread's call would end in the middle of ours.

    What ``torch.compile`` made is used as it is where all of it is in evaluation mode; else what it was
    made from.

    Args:
        module: in any mode; left as it is.

    Example:
        >>> layer = nn.Dropout()
        >>> view = evaluation_view(layer)
        >>> view.training, layer.training
        (False, True)
    """
    return _view(module, {})


def within(module: _Module) -> _Module:
    """What ``torch.compile`` made a whole module from; others as they are.

    Example:
        >>> layer = nn.Identity()
        >>> within(torch.compile(layer, backend="eager")) is within(layer) is layer
        True
    """
    found: _Module = module._modules.get(COMPILED, module)  # type: ignore[assignment]
    return found


def _view(module: _Module, made: dict[nn.Module, nn.Module]) -> _Module:
    return made[module] if module in made else _twin(module, made)  # type: ignore[return-value]


def _twin(module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    if isinstance(module, torch.jit.ScriptModule):  # its mode lies outside of Python
        return copy.deepcopy(module).eval()
    compiled = module._modules.get(COMPILED)
    if compiled is not None:
        return _view(compiled, made) if any(m.training for m in module.modules()) else module
    twin = made[module] = type(module).__new__(type(module))
    twin.__dict__.update(module.__dict__)
    members = {n: _reached(v, made) for n, v in vars(module).items() if n not in INTERNAL}
    twin.__dict__.update(members)
    twin.__dict__.pop("_compiled_call_impl", None)  # of module.compile(): it calls the original
    parts = {n: None if m is None else _view(m, made) for n, m in module._modules.items()}
    buffers = module._buffers.copy()  # a forward may keep what it makes in one
    twin.__dict__.update(_modules=parts, _buffers=buffers, training=False)
    return twin


def is_plain(value: Any) -> bool:
    """Whether a list or tuple holds plain values only, such as the colours of features."""
    return isinstance(value, list | tuple) and set(map(type, value)) <= set(PLAIN)


def _reached(value: Any, made: dict[nn.Module, nn.Module]) -> Any:
    """What a view has of an attribute: views of the modules that it leads to, and containers of its own."""
    if isinstance(value, nn.Module):
        return _view(value, made)
    if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
        return MethodType(value.__func__, _view(value.__self__, made))
    if type(value) is functools.partial:
        of, named = (_reached(each, made) for each in (value.args, value.keywords))
        return functools.partial(_reached(value.func, made), *of, **named)
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return value._make(_reached(each, made) for each in value)
    if type(value) in (list, tuple) and not is_plain(value):
        return type(value)(_reached(each, made) for each in value)
    if type(value) in (dict, OrderedDict, defaultdict):
        twin = value.copy()
        twin.update((key, _reached(each, made)) for key, each in value.items())
        return twin
    return list(value) if type(value) is list else value
