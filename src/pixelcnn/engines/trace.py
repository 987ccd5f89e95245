"""From a network's ``forward`` to its program.

``forward`` runs once with torch.fx's proxies, our layers as leaves; what it does is taken from an allowlist.
Anything else would be silently wrong when only a part of the image is computed, so it is refused by name.
"""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from pixelcnn.modes import evaluation_view
from pixelcnn.networks import Network
from pixelcnn.program import Program, Unlowerable

FUNCTIONS: dict[Any, str] = {
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    operator.sub: "sub",
    torch.sub: "sub",
    operator.mul: "mul",
    operator.imul: "mul",
    torch.mul: "mul",
    torch.relu: "relu",
    functional.relu: "relu",
    torch.tanh: "tanh",
    torch.sigmoid: "sigmoid",
    functional.silu: "silu",
    functional.elu: "elu",
}
METHODS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "relu": "relu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
}


class _Tracer(fx.proxy.GraphAppendingTracer):
    """Writes down what a network does with proxies.

    ``fx.Tracer`` would replace ``nn.Module.__call__`` for the whole process while it traces, and so disturb
    whatever other threads compute; here the leaves are views whose own ``forward`` is replaced.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(fx.Graph())
        self.view = evaluation_view(network)
        for name, module in list(self.view.named_modules()):
            if name and _is_leaf(module):
                recorded = partial(self._call_leaf, name)
                module.__dict__.update(forward=recorded, _forward_hooks={}, _forward_pre_hooks={})

    def run(self) -> fx.Graph:
        """The graph of the network's ``forward``."""
        names = ("x",) if self.view.condition is None else ("x", "condition")
        given: Any = [self.create_proxy("placeholder", name, (), {}) for name in names]
        self.graph.output(self.create_arg(self.view.forward(*given)))
        return self.graph

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, Tensor):
            tensors = (*self.view.named_parameters(), *self.view.named_buffers())
            name = next((name for name, tensor in tensors if tensor is a), "")
            what = f"parameter or buffer {name!r}" if name else "a tensor of its own"
            raise Unlowerable(f"{what} is used outside a layer")
        return super().create_arg(a)

    def _call_leaf(self, name: str, *args: Any, **kwargs: Any) -> fx.Proxy:
        return self.create_proxy("call_module", name, args, kwargs)


def _is_leaf(module: nn.Module) -> bool:
    """Modules that say what they are: our layers, and torch's own."""
    torchs = type(module).__module__.startswith("torch.nn")
    return hasattr(module, "lower") or (torchs and not isinstance(module, nn.Sequential))


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


def graph_of(network: Network) -> fx.Graph:
    """What a network's ``forward`` does, in evaluation mode."""
    try:
        return _Tracer(network).run()
    except Unlowerable:
        raise
    except Exception as error:
        what = " ".join(str(error).split())[:150] or type(error).__name__
        raise Unlowerable(f"forward cannot be followed: {what}") from error


def lower(network: Network, graph: fx.Graph) -> Program:
    """The program of a graph."""
    try:
        return _Lowering(network).run(graph)
    except Unlowerable:
        raise
    except Exception as error:
        what = " ".join(str(error).split())[:150]
        raise Unlowerable(f"forward cannot be lowered: {type(error).__name__}: {what}") from error


class _Lowering:
    """Turns an fx graph into a program, a node at a time."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.modules = dict(network.named_modules())
        self.program = Program()
        self.values: dict[fx.Node, Any] = {}

    def run(self, graph: fx.Graph) -> Program:
        for node in graph.nodes:
            if node.op == "output":
                last = self._value(node.args[0])
                if last != len(self.program.nodes) - 1:
                    self.program.slice(last, 0, self.program.width(last))
                return self.program
            self.values[node] = getattr(self, f"_{node.op}")(node)
        raise Unlowerable("forward returns nothing")

    def _value(self, argument: Any) -> int:
        value = self.values.get(argument) if isinstance(argument, fx.Node) else None
        if not isinstance(value, int):
            raise Unlowerable(f"{argument!r} is not a value of the network")
        return value

    def _placeholder(self, node: fx.Node) -> int | None:
        if node.target == "x":
            return self.program.input(self.network.channels)
        return None

    def _call_module(self, node: fx.Node) -> int:
        module = self.modules[str(node.target)]
        if hasattr(module, "lower"):
            sources = [
                self.values[argument] for argument in node.args if isinstance(argument, fx.Node)
            ]
            number: int = module.lower(self.program, *sources)
            return number
        lower = MODULES.get(type(module))
        if lower is None:
            raise Unlowerable(f"layer {node.target!r} is a {type(module).__name__}")
        return lower(self.program, self._value(node.args[0]), module)

    def _call_function(self, node: fx.Node) -> Any:
        name = getattr(node.target, "__name__", str(node.target))
        if node.target is operator.getitem:
            parts, index = self.values[node.args[0]], node.args[1]  # type: ignore[index]
            if isinstance(parts, tuple) and isinstance(index, int):
                return parts[index]
        elif node.target is torch.cat:
            return self._cat(node)
        elif node.target in (torch.chunk, torch.split):
            return self._split(node, name)
        elif node.target in FUNCTIONS:
            return self._elementwise(node, FUNCTIONS[node.target])
        raise Unlowerable(f"{name} is not a primitive")

    def _call_method(self, node: fx.Node) -> Any:
        if node.target in ("chunk", "split"):
            return self._split(node, str(node.target))
        if node.target in METHODS:
            return self._elementwise(node, METHODS[str(node.target)])
        raise Unlowerable(f"method {node.target!r} is not a primitive")

    def _elementwise(self, node: fx.Node, op: str) -> int:
        if node.kwargs.get("inplace", False) is not False or set(node.kwargs) - {"inplace"}:
            raise Unlowerable(f"{op} with options {sorted(node.kwargs)}")
        numbers = [a for a in node.args if isinstance(a, int | float)]
        if not numbers:
            return self.program.elementwise(op, *(self._value(a) for a in node.args))
        source = self._value(next(a for a in node.args if isinstance(a, fx.Node)))
        constant = torch.tensor(float(numbers[0]), dtype=torch.float64)
        if op == "sub" and isinstance(node.args[0], fx.Node):
            op, constant = "add", -constant
        if op not in ("add", "mul"):
            raise Unlowerable(f"{op} of {node.args}")
        return self.program.elementwise(
            "shift" if op == "add" else "scale", source, parameter=constant
        )

    def _cat(self, node: fx.Node) -> int:
        dimension = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        if dimension != 1:
            raise Unlowerable(f"cat along dimension {dimension}; only features (1) can be")
        return self.program.cat(*(self._value(a) for a in node.args[0]))  # type: ignore[union-attr]

    def _split(self, node: fx.Node, name: str) -> tuple[int, ...]:
        size: Any = node.args[1]
        dimension = node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0)
        if dimension != 1:
            raise Unlowerable(f"{name} along dimension {dimension}; only features (1) can be")
        source = self._value(node.args[0])
        width = self.program.width(source)
        if name == "chunk":
            size = -(-width // size)
        sizes = list(size) if isinstance(size, list | tuple) else [size] * -(-width // size)
        parts, start = [], 0
        for part in sizes:
            stop = min(start + part, width)
            parts.append(self.program.slice(source, start, stop))
            start = stop
        return tuple(parts)


def _prelu(program: Program, x: int, module: nn.PReLU) -> int:
    slope = module.weight.detach()
    return program.elementwise("prelu", x, parameter=slope.expand(program.width(x)))


def _identity(program: Program, x: int, module: nn.Module) -> int:
    return x


def _function(op: str) -> Callable[[Program, int, Any], int]:
    return lambda program, x, module: program.elementwise(op, x)


MODULES: dict[type[nn.Module], Callable[[Program, int, Any], int]] = {
    nn.ReLU: _function("relu"),
    nn.Tanh: _function("tanh"),
    nn.Sigmoid: _function("sigmoid"),
    nn.SiLU: _function("silu"),
    nn.ELU: _function("elu"),
    nn.PReLU: _prelu,
    nn.Dropout: _identity,
    nn.Identity: _identity,
}
