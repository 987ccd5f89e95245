"""From a network's ``forward`` to its program.

``forward`` runs once with torch.fx's proxies, our layers as leaves; what it does is taken from an allowlist
(:mod:`pixelcnn.engines.allowlist`). Anything else would be silently wrong when only a part of the image is
computed, so it is refused by name.
"""

import operator
from functools import partial
from typing import Any

from torch import Tensor, fx, jit, nn

from pixelcnn.engines.allowlist import FUNCTIONS, METHODS, MODULES
from pixelcnn.engines.lowering import Value
from pixelcnn.engines.origin import hook_of
from pixelcnn.modes import COMPILED, evaluation_view
from pixelcnn.networks import Network
from pixelcnn.program import Program, Slice, Unlowerable

METHODS_OF_LAYERS = ("forward", "lower")
OVERWRITING = (
    *("iadd", "isub", "imul", "itruediv", "ipow", "ifloordiv", "imod", "imatmul"),
    *("iand", "ior", "ixor", "ilshift", "irshift"),
)


class _Proxy(fx.Proxy):
    """A proxy to which ``+=`` and its like are what they are, not ``+`` and an assignment."""


def _overwrite(function: Any, proxy: fx.Proxy, other: Any) -> fx.Proxy:
    return proxy.tracer.create_proxy("call_function", function, (proxy, other), {})


for _name in OVERWRITING:
    _function = getattr(operator, _name)
    setattr(_Proxy, f"__{_name}__", lambda proxy, x, f=_function: _overwrite(f, proxy, x))


class _Tracer(fx.proxy.GraphAppendingTracer):
    """Writes down what a network does with proxies.

    ``fx.Tracer`` would replace ``nn.Module.__call__`` for the whole process while it traces, and so disturb
    whatever other threads compute; here the leaves are views whose own ``forward`` is replaced.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(fx.Graph())
        _check_calls(network)
        self.view = evaluation_view(network)
        for name, module in list(self.view.named_modules()):
            if name and _is_leaf(module):
                _check_lower(name, module)
                module.__dict__.update(forward=partial(self._call_leaf, name))

    def run(self) -> fx.Graph:
        """The graph of the network's ``forward``."""
        names = ("x",) if self.view.condition is None else ("x", "condition")
        given: Any = [self.create_proxy("placeholder", name, (), {}) for name in names]
        self.graph.output(self.create_arg(self.view.forward(*given)))
        return self.graph

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, Tensor):
            tensors = (*self.view.named_parameters(), *self.view.named_buffers())
            name = next((name for name, tensor in tensors if tensor is a), "")
            what = f"parameter or buffer {name!r}" if name else "a tensor of its own"
            raise Unlowerable(f"{what} is used outside a layer")
        return super().create_arg(a)

    def _call_leaf(self, name: str, *args: Any, **kwargs: Any) -> fx.Proxy:
        return self.create_proxy("call_module", name, args, kwargs)


def _lowers(module: nn.Module) -> bool:
    """Whether it is a layer that states itself as primitives."""
    return callable(getattr(type(module), "lower", None))


def _is_leaf(module: nn.Module) -> bool:
    """Modules that say what they are: our layers, and torch's own."""
    torchs = type(module).__module__.startswith("torch.nn")
    return _lowers(module) or (torchs and not isinstance(module, nn.Sequential))


def _check_calls(network: Network) -> None:
    """A module does what its class says only as long as nobody has changed how it is called."""
    called = "the network"
    for name, module in network.named_modules():
        if isinstance(module, jit.ScriptModule) or COMPILED in module._modules:
            raise Unlowerable(f"{f'layer {name!r}' if name else called} is compiled")
    if hook := hook_of(network, called):
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


def lower(network: Network, graph: fx.Graph) -> Program:
    """The program of a graph.

    Raises:
        Unlowerable: it does something outside the allowlist; the message names it.
    """
    try:
        return _Lowering(network).run(graph)
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


class _Lowering:
    """Turns an fx graph into a program, a node at a time."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.modules = dict(network.named_modules())
        self.program = Program()
        self.values: dict[fx.Node, Any] = {}
        self.overwritten: list[tuple[int, range]] = []

    def run(self, graph: fx.Graph) -> Program:
        for node in graph.nodes:
            if node.op == "output":
                last = self._resolve(node.args[0])
                if not isinstance(last, Value) or last.last:
                    raise Unlowerable("forward does not return one value (n, out, h, w)")
                self._check_read("the output", last)
                if last.number != len(self.program.nodes) - 1:
                    self.program.slice(last.number, 0, self.program.width(last.number))
                return self.program
            self.values[node] = getattr(self, f"_{node.op}")(node)
        raise Unlowerable("forward returns nothing")

    def _resolve(self, argument: Any) -> Any:
        """An argument with values in place of the graph's nodes."""
        if isinstance(argument, fx.Node):
            return self.values[argument]
        if isinstance(argument, list | tuple):
            return tuple(self._resolve(part) for part in argument)
        return argument

    def _resolve_all(self, kwargs: Any) -> dict[str, Any]:
        return {key: self._resolve(value) for key, value in kwargs.items()}

    def _placeholder(self, node: fx.Node) -> Value | None:
        if node.target == "x":
            return Value(self.program.input(self.network.channels))
        return None  # the condition is read by layers that know its kind

    def _call_module(self, node: fx.Node) -> Value:
        module, name = self.modules[str(node.target)], str(node.target)
        args, kwargs = self._resolve(node.args), self._resolve_all(node.kwargs)
        self._check_read(f"layer {name!r}", *args, *kwargs.values())
        if _lowers(module):
            return self._lower(name, module, args, kwargs)
        kind = next((kind for kind in type(module).__mro__ if kind in MODULES), None)
        if kind is None or type(module).forward is not kind.forward:
            raise Unlowerable(f"layer {name!r} is a {type(module).__name__}")
        if len(args) != 1 or kwargs or not isinstance(args[0], Value):
            raise Unlowerable(f"layer {name!r} is given more than a value")
        try:
            value: Value = MODULES[kind](self.program, args[0], module)
        except Unlowerable as error:
            raise Unlowerable(f"layer {name!r} is a {kind.__name__}: {error}") from error
        if getattr(module, "inplace", False):
            self._overwrite(args[0], value)
        return value

    def _lower(self, name: str, module: Any, args: Any, kwargs: dict[str, Any]) -> Value:
        """One of our layers, which reads and gives features in the second dimension."""
        if any(isinstance(value, Value) and value.last for value in (*args, *kwargs.values())):
            raise Unlowerable(f"layer {name!r} reads features that stand last")
        numbers = [value.number if isinstance(value, Value) else value for value in args]
        named = {k: v.number if isinstance(v, Value) else v for k, v in kwargs.items()}
        number = module.lower(self.program, *numbers, **named)
        if type(number) is not int or not 0 <= number < len(self.program.nodes):
            raise Unlowerable(
                f"layer {name!r} lowers to {number!r}, which is no node of the program"
            )
        return Value(number)

    def _call_function(self, node: fx.Node) -> Any:
        return self._call(node, FUNCTIONS, getattr(node.target, "__name__", str(node.target)))

    def _call_method(self, node: fx.Node) -> Any:
        return self._call(node, METHODS, f"method {node.target!r}")

    def _call(self, node: fx.Node, table: Any, name: str) -> Any:
        if node.target not in table:
            raise Unlowerable(f"{name} is not a primitive")
        entry = table[node.target]
        args, kwargs = self._resolve(node.args), self._resolve_all(node.kwargs)
        in_place = kwargs.pop("inplace", False) or entry.in_place
        given = entry.bind(name, args, kwargs)
        if node.target is not operator.getitem:  # a part of a value is not read before it is used
            self._check_read(name, *given)
        value = entry.build(self.program, *given)
        if in_place:
            self._overwrite(given[0], value)
        return value

    def _place(self, value: Value) -> tuple[int, range]:
        """Whose memory a value lies in, and which of its features."""
        number, start = value.number, 0
        while isinstance(node := self.program.nodes[number], Slice):
            number, start = node.sources[0], start + node.start
        return number, range(start, start + self.program.width(value.number))

    def _overwrite(self, source: Value, result: Value) -> None:
        """From now on a value and all its views are what this program does not say."""
        if result.number != source.number:
            self.overwritten.append(self._place(source))

    def _check_read(self, name: str, *values: Any) -> None:
        """What has been overwritten cannot be read again, under whatever name."""
        for value in values:
            if isinstance(value, tuple) and not isinstance(value, Value):
                self._check_read(name, *value)
            if not isinstance(value, Value):
                continue
            number, features = self._place(value)
            for other, gone in self.overwritten:
                if other == number and set(features) & set(gone):
                    raise Unlowerable(f"{name} reads a value that was overwritten in place")
