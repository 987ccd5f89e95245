"""From a network's ``forward`` to its program.

``forward`` runs once with torch.fx's proxies, our layers as leaves; what it does is taken from an allowlist
(:mod:`pixelcnn.engines.allowlist`). Anything else would be silently wrong when only a part of the image is
computed, so it is refused by name.
"""

import operator
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

from pixelcnn.engines.origin import hook_of
from pixelcnn.engines.sizes import Size, named
from pixelcnn.engines.translation import Translation, lowers
from pixelcnn.modes import evaluation_view
from pixelcnn.networks import Network
from pixelcnn.program import Program, Unlowerable

METHODS_OF_LAYERS = ("forward", "lower")
OVERWRITING = (
    *("iadd", "isub", "imul", "itruediv", "ipow", "ifloordiv", "imod", "imatmul"),
    *("iand", "ior", "ixor", "ilshift", "irshift"),
)


MOST_NODES = 100_000
"""Of the graph of a forward, which a loop may make very long."""
ABOUT = ("shape", "ndim", "dtype", "device", "is_cuda")
"""Attributes of tensors that are known where they are asked for."""


class _Proxy(fx.Proxy):
    """A proxy that knows its shape, and to which ``+=`` and its like are not ``+`` and an assignment."""

    tracer: "_Tracer"

    def __getattr__(self, name: str) -> Any:
        known = self.tracer.about(self.node) if name in ABOUT else {}
        return known[name] if name in known else super().__getattr__(name)

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.tracer.parts(self))


def _overwrite(function: Any, proxy: fx.Proxy, other: Any) -> fx.Proxy:
    return proxy.tracer.create_proxy("call_function", function, (proxy, other), {})


for _name in OVERWRITING:
    _function = getattr(operator, _name)
    setattr(_Proxy, f"__{_name}__", lambda proxy, x, f=_function: _overwrite(f, proxy, x))


class _Everywhere(TorchFunctionMode):
    """Makes new tensors of one image and position, where they are to have as many as the input."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not any(issubclass(kind, fx.Proxy) for kind in types):
            # A tensor that may have as many already is taken whole: ``background[:, :, :h]``.
            size = None if func is Tensor.__getitem__ else 1
            args = fx.node.map_aggregate(args, lambda a: size if isinstance(named(a), Size) else a)
            if func is Tensor.expand:
                func, args = torch.broadcast_to, (args[0], _expanded(args[0], args[1:]))
        return func(*args, **(kwargs or {}))


def _expanded(x: Tensor, sizes: Any) -> tuple[int, ...]:
    """The sizes that a tensor is expanded to, its own where one was asked for that is not known."""
    sizes = sizes[0] if isinstance(sizes[0], Sequence) else sizes
    own = (*[1] * (len(sizes) - x.ndim), *x.shape)
    return tuple(have if want in (1, -1) else want for want, have in zip(sizes, own, strict=True))


class _Tracer(fx.proxy.GraphAppendingTracer):
    """Writes down what a network does with proxies.

    ``fx.Tracer`` would replace ``nn.Module.__call__`` for the whole process while it traces, and so disturb
    whatever other threads compute; here the leaves are views whose own ``forward`` is replaced.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(fx.Graph())
        _check_calls(network)
        self.view = evaluation_view(network)
        self.translation = Translation(network)
        tensors = (*self.view.named_parameters(), *self.view.named_buffers())
        self.names = {id(tensor): name for name, tensor in tensors}
        for name, module in list(self.view.named_modules()):
            weights = "parametrizations" in name.split(".")  # which computes numbers, no values
            if name and not weights and _is_leaf(module):
                _check_lower(name, module)
                module.__dict__.update(forward=partial(self._call_leaf, name))

    def run(self) -> fx.Graph:
        """The graph of the network's ``forward``."""
        names = ("x",) if self.view.condition is None else ("x", "condition")
        given: Any = [self.create_proxy("placeholder", name, (), {}) for name in names]
        # As engines call it; it may overwrite weights that are trained.
        with torch.no_grad(), _Everywhere():
            self.graph.output(self.create_arg(self.view.forward(*given)))
        return self.graph

    def about(self, node: fx.Node) -> dict[str, Any]:
        """What is known of the tensor that a node stands for."""
        self.translation.follow(self.graph)
        return self.translation.about(node)

    def parts(self, proxy: fx.Proxy) -> Sequence[Any]:
        """What there is of several values, as a split gives them."""
        self.translation.follow(self.graph)
        return self.translation.parts(proxy.node)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        return (operator.getitem(obj, number) for number in range(len(self.parts(obj))))

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, Tensor):
            node = self.graph.create_node("get_attr", self.names.get(id(a), "tensor"))
            node.meta["tensor"] = a.detach()
            return node
        return a if isinstance(a, Size) else super().create_arg(a)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        if len(self.graph.nodes) > MOST_NODES:
            raise Unlowerable(f"forward takes more than {MOST_NODES:,} steps")
        return super().create_node(*args, **kwargs)

    def _call_leaf(self, name: str, *args: Any, **kwargs: Any) -> Any:
        proxies = [x for x in (*args, *kwargs.values()) if isinstance(x, fx.Proxy | list | tuple)]
        if args and not proxies:  # such as an embedding of rows
            module = self.view.get_submodule(name)
            return type(module).forward(module, *args, **kwargs)
        return self.create_proxy("call_module", name, args, kwargs)


def _is_leaf(module: nn.Module) -> bool:
    """Modules that say what they are: our layers, and torch's own."""
    kinds = (kind for kind in type(module).__mro__ if kind.__module__ != parametrize.__name__)
    torchs = next(kinds).__module__.startswith("torch.nn")
    return lowers(module) or (torchs and not isinstance(module, nn.Sequential))


def _check_calls(network: Network) -> None:
    """A module does what its class says only as long as nobody has changed how it is called."""
    if hook := hook_of(network, "the network"):
        raise Unlowerable(hook)


def _check_lower(name: str, module: nn.Module) -> None:
    """A layer's ``lower`` speaks for the ``forward`` that it was written with."""
    kinds = [kind for kind in type(module).__mro__ if kind is not nn.Module]
    forwards, says = (
        [i for i, kind in enumerate(kinds) if m in vars(kind)] for m in METHODS_OF_LAYERS
    )
    if says and forwards and forwards[0] < says[0] <= forwards[-1]:
        raise Unlowerable(f"layer {name!r} inherits `lower`, but has another forward")


def graph_of(network: Network) -> fx.Graph:
    """What a network's ``forward`` does, in evaluation mode.

    Raises:
        Unlowerable: it cannot be followed; the message says why.
    """
    try:
        return _Tracer(network).run()
    except (Unlowerable, MemoryError):
        raise
    except Exception as error:  # whatever a stranger's forward makes of proxies
        what = " ".join(str(error).split())[:150] or type(error).__name__
        raise Unlowerable(f"forward cannot be followed: {what}") from error


@torch.no_grad()
def lower(network: Network, graph: fx.Graph) -> Program:
    """The program of a graph; its tensors are outside of autograd, so that programs can be copied.

    Raises:
        Unlowerable: it does something outside the allowlist; the message names it.
    """
    try:
        return Translation(network).run(graph)
    except (Unlowerable, MemoryError):
        raise
    except Exception as error:  # of a stranger's layer, or of arguments that nobody has thought of
        what = " ".join(str(error).split())[:150]
        raise Unlowerable(f"forward cannot be lowered: {type(error).__name__}: {what}") from error


def trace(network: Network) -> Program:
    """The program of a network in evaluation mode.

    Raises:
        Unlowerable: the network does something outside the allowlist; the message names it.

    Example:
        >>> from pixelcnn.networks import PixelCNN
        >>> print(trace(PixelCNN(channels=1, out=1, width=2, depth=0, first_kernel=3, head_depth=0)))
        %0 = input() -> 1
        %1 = taps(%0) -> 2  (-1,-1) (-1,0) (-1,1) (0,-1)
        %2 = relu(%1) -> 2
        %3 = taps(%2) -> 1  (0,0)
    """
    return lower(network, graph_of(network))
