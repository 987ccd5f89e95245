"""Evaluation mode without switching anything: the caller's modules keep their own modes."""

import copy
from types import MethodType
from typing import TypeVar

import torch
from torch import nn

_Module = TypeVar("_Module", bound=nn.Module)

COMPILED = "_orig_mod"
"""Under which name ``torch.compile`` keeps what it has compiled."""


def evaluation_view(module: _Module) -> _Module:
    """A module that shares everything with another one, but that it and its parts are in evaluation mode.

    Parameters, buffers and hooks are the same objects, so a view costs next to nothing; it is made for a
    call and dropped after it. ``module.eval()`` instead would reach into the caller's model: parts that are
    kept frozen would lose their mode afterwards, and another thread's call would end in the middle of ours.

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
    if module not in made:
        made[module] = _twin(module, made)
    return made[module]  # type: ignore[return-value]


def _twin(module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    if isinstance(module, torch.jit.ScriptModule):  # its mode lies outside of Python
        return copy.deepcopy(module).eval()
    compiled = module._modules.get(COMPILED)
    if compiled is not None:
        return _view(compiled, made) if any(m.training for m in module.modules()) else module
    twin = type(module).__new__(type(module))
    twin.__dict__.update(module.__dict__)
    for name, value in vars(module).items():  # a forward that was put on this module alone
        if isinstance(value, MethodType) and value.__self__ is module:
            twin.__dict__[name] = MethodType(value.__func__, twin)
    twin.__dict__.pop("_compiled_call_impl", None)  # of module.compile(): it calls the original
    parts = {n: None if m is None else _view(m, made) for n, m in module._modules.items()}
    twin.__dict__.update(_modules=parts, training=False)
    return twin
