"""From the graph of a network's ``forward`` to its program, a node at a time."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from pixelcnn.engines import attention
from pixelcnn.engines.allowlist import (
    ANY_SIZE,
    FUNCTIONS,
    METHODS,
    MODULES,
    OF_SCORES,
    OF_SPREAD,
    Entry,
)
from pixelcnn.engines.attention import Scores
from pixelcnn.engines.convolution import Framed, shape_of
from pixelcnn.engines.layout import Spread, pointwise
from pixelcnn.engines.lowering import Value, divide, multiply
from pixelcnn.engines.sizes import IMAGES, LAST, SECOND, Size, named
from pixelcnn.modes import evaluation_view
from pixelcnn.networks import Network
from pixelcnn.program import Program, Slice, Unlowerable

UNREAD = (operator.getitem,)
"""What looks at a value without reading it: a part of it is read where it is used."""


OF_IMAGE = {Value, Framed, Spread, Scores}
"""What a network makes of the image."""


OF_WEIGHTS = {multiply: attention.multiply, divide: attention.divide}
"""What functions are of what attention weighs by."""


class OfLabel(NamedTuple):
    """What a network makes of the label alone: ``(1 + classes, ...)``, as of a batch of all classes.

    The last class stands first as well, so that what mixes the labels of a batch is no table of classes.
    """

    table: Tensor


def lowers(module: nn.Module) -> bool:
    """Whether it is a layer that states itself as primitives."""
    return callable(getattr(type(module), "lower", None))


class Translation:
    """Turns an fx graph into a program, a node at a time."""

    @torch.no_grad()
    def __init__(self, network: Network) -> None:
        self.network = network
        self.modules = dict(evaluation_view(network).named_modules())
        for module in self.modules.values():
            for hook in module._forward_pre_hooks.values():  # of weight_norm; there are no others
                hook(module, ())
        like = next(network.parameters(), torch.zeros(()))
        self.program = Program(like=like.detach())
        self.values: dict[fx.Node, Any] = {}
        self.given: fx.Node | None = None
        self.overwritten: list[tuple[int, range]] = []
        classes = max(network.condition_size, 1)
        self.label = OfLabel(torch.arange(-1, classes, device=like.device) % classes)

    def run(self, graph: fx.Graph) -> Program:
        self.follow(graph)
        last = self.values[graph.output_node()]
        if not isinstance(last, Value) or last.places != SECOND:
            raise Unlowerable("forward does not return one value (n, out, h, w)")
        self._check_read("the output", last)
        if last.number != len(self.program.nodes) - 1:
            self.program.slice(last.number, 0, self.program.width(last.number))
        return self.program

    def follow(self, graph: fx.Graph) -> None:
        """Translates the nodes that have come to a graph since it was called last."""
        for node in list(graph.nodes)[len(self.values) :]:
            self.values[node] = getattr(self, f"_{node.op}")(node)

    def about(self, node: fx.Node) -> dict[str, Any]:
        """What is known of a node's tensor; nothing where it is none, or a condition without a table."""
        value, like = self.values[node], self.program.like
        if isinstance(value, OfLabel):
            shape, like = (Size(IMAGES), *value.table.shape[1:]), value.table
        elif type(value) in OF_IMAGE:
            shape = shape_of(self.program, value)
        else:
            return {}
        about = {"dtype": like.dtype, "device": like.device, "is_cuda": like.is_cuda}
        return {"shape": shape, "ndim": len(shape), **about}

    def parts(self, node: fx.Node) -> tuple[Any, ...]:
        """Of several values, each.

        Raises:
            Unlowerable: it is one.
        """
        value = self.values[node]
        if not isinstance(value, tuple) or isinstance(value, Value | OfLabel):
            raise Unlowerable("a value cannot be iterated over, nor its images counted")
        return value

    def _output(self, node: fx.Node) -> Any:
        return self._resolve(node.args[0])

    def _resolve(self, argument: Any) -> Any:
        """An argument with values in place of the graph's nodes."""
        if isinstance(argument, fx.Node):
            return self.values[argument]
        if isinstance(argument, list | tuple):
            return tuple(self._resolve(part) for part in argument)
        if isinstance(argument, slice):
            return slice(*map(self._resolve, (argument.start, argument.stop, argument.step)))
        return named(argument)

    def _resolve_all(self, kwargs: Any) -> dict[str, Any]:
        return {key: self._resolve(value) for key, value in kwargs.items()}

    def _get_attr(self, node: fx.Node) -> Tensor:
        tensor: Tensor = node.meta["tensor"]
        return tensor

    def _placeholder(self, node: fx.Node) -> Value | OfLabel | None:
        if node.target == "x":
            return Value(self.program.input(self.network.channels))
        if self.network.condition == "label":
            return self.label
        self.given = node  # it is read by layers that know its kind
        return None

    def _tabulate(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What a function makes of the label, for each class."""
        given = [_for_all_classes(value, len(self.label.table)) for value in args]
        named = {k: _for_all_classes(v, len(self.label.table)) for k, v in kwargs.items()}
        return fx.node.map_aggregate(
            function(*given, **named), lambda x: OfLabel(x) if isinstance(x, Tensor) else x
        )

    def _everywhere(self, value: Any, like: Any) -> Any:
        """What was made of the label as a value beside others, the same at all positions."""
        if isinstance(value, tuple) and not isinstance(value, Value | OfLabel):
            return tuple(self._everywhere(part, like) for part in value)
        if not isinstance(value, OfLabel):
            return value
        table = value.table.movedim(-1, 1) if like.places == LAST else value.table
        if like.places not in (SECOND, LAST) or table.ndim != 4 or table.shape[2:] != (1, 1):
            raise Unlowerable(f"{tuple(table.shape)} of the label beside features (n, f, h, w)")
        if len(table) != len(self.label.table):
            raise Unlowerable("what is made of the label is not one of each image")
        width = self.program.width(like.number) if table.shape[1] == 1 else table.shape[1]
        weight = table[1:].flatten(1).expand(-1, width).to(self.program.like)
        return Value(self.program.condition("label", weight.contiguous()), like.places)

    def _call_module(self, node: fx.Node) -> Value:
        module, name = self.modules[str(node.target)], str(node.target)
        args, kwargs = self._resolve(node.args), self._resolve_all(node.kwargs)
        self._check_read(f"layer {name!r}", *args, *kwargs.values())
        if not lowers(module) and _of_label(args):
            return self._tabulate(module, args, kwargs)
        if lowers(module):
            return self._lower(name, module, args, kwargs)
        self._check_given(node, f"layer {name!r}")
        kind = next((kind for kind in type(module).__mro__ if kind in MODULES), None)
        if kind is None or type(module).forward is not kind.forward:
            raise Unlowerable(f"layer {name!r} is a {type(module).__name__}")
        takes = {Value: MODULES, Framed: ANY_SIZE, Spread: OF_SPREAD, Scores: OF_SCORES}
        if len(args) != 1 or kwargs or kind not in takes.get(type(args[0]), ()):
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
        for value in (*args, *kwargs.values()):
            if isinstance(value, Value) and value.places != SECOND:
                raise Unlowerable(f"layer {name!r} reads a tensor {shape_of(self.program, value)}")
        if any(isinstance(v, OfLabel) and v is not self.label for v in (*args, *kwargs.values())):
            raise Unlowerable(f"layer {name!r} is given another value than the label")
        numbers = [self._number(value) for value in args]
        named = {key: self._number(value) for key, value in kwargs.items()}
        number = module.lower(self.program, *numbers, **named)
        if type(number) is not int or not 0 <= number < len(self.program.nodes):
            raise Unlowerable(
                f"layer {name!r} lowers to {number!r}, which is no node of the program"
            )
        return Value(number)

    def _number(self, value: Any) -> Any:
        """Of a node; of the label none, since our layers read it themselves."""
        if isinstance(value, Value):
            return value.number
        return None if value is self.label else value

    def _call_function(self, node: fx.Node) -> Any:
        if node.target is getattr:
            raise Unlowerable(f"attribute {node.args[1]!r} is not a primitive")
        return self._call(node, FUNCTIONS, getattr(node.target, "__name__", str(node.target)))

    def _call_method(self, node: fx.Node) -> Any:
        return self._call(node, METHODS, f"method {node.target!r}")

    def _call(self, node: fx.Node, table: Any, name: str) -> Any:
        self._check_given(node, name)
        args, kwargs = self._resolve(node.args), self._resolve_all(node.kwargs)
        kinds = {type(value) for value in _flat((*args, *kwargs.values()))}
        if not kinds & OF_IMAGE:  # of the label, or of sizes
            function, label = _callable(node.target), OfLabel in kinds
            return self._tabulate(function, args, kwargs) if label else function(*args, **kwargs)
        if node.target not in table:
            raise Unlowerable(f"{name} is not a primitive")
        entry = table[node.target]
        in_place = kwargs.pop("inplace", False) or entry.in_place
        kwargs.pop("requires_grad", None)  # of a new tensor, for whatever it is good there
        given = entry.bind(name, args, kwargs)
        if like := next((value for value in _flat(given) if isinstance(value, Value)), None):
            given = [self._everywhere(value, like) for value in given]
        if node.target not in UNREAD:
            self._check_read(name, *given)
        if not entry.any_size and any(isinstance(value, Framed) for value in given):
            raise Unlowerable(f"{name} of a value that is larger or smaller than the image")
        value = self._build(entry, given)
        if in_place:
            self._overwrite(given[0], value)
        return value

    def _build(self, entry: Entry, given: list[Any]) -> Any:
        """What an entry makes of its arguments."""
        kinds = {type(value) for value in given}
        if Scores in kinds and entry.build in OF_WEIGHTS:
            return OF_WEIGHTS[entry.build](self.program, *given)
        if Spread in kinds and entry.pointwise:
            return pointwise(self.program, entry.build, given)
        return entry.build(self.program, *given)

    def _check_given(self, node: fx.Node, name: str) -> None:
        """Of a condition that is no label there is no table."""
        if self.given in node.all_input_nodes:
            kind = self.network.condition
            raise Unlowerable(f"{name} reads the condition, a {kind}; layers with a `lower` can")

    def _place(self, value: Value | Framed) -> tuple[int, range]:
        """Whose memory a value lies in, and which of its features."""
        number, start = value.number, 0
        while isinstance(node := self.program.nodes[number], Slice):
            number, start = node.sources[0], start + node.start
        return number, range(start, start + self.program.width(value.number))

    def _overwrite(self, source: Value, result: Value) -> None:
        """Whatever is called as a value was is its result; parts and wholes of it can no longer be read."""
        if result.number != source.number or isinstance(source, Scores):
            if not isinstance(source, Scores):
                self.overwritten.append(self._place(source))
            same = [node for node, value in self.values.items() if _same(value, source)]
            if not any(node.target == "contiguous" for node in same):  # which may have been copies
                self.values.update(dict.fromkeys(same, result))

    def _check_read(self, name: str, *values: Any) -> None:
        """What has been overwritten cannot be read again, under whatever name."""
        for value in values:
            if isinstance(value, tuple) and not isinstance(value, Value):
                self._check_read(name, *value)
            if type(value) not in OF_IMAGE:
                continue
            number, features = self._place(value)
            for other, gone in self.overwritten:
                if other == number and set(features) & set(gone):
                    raise Unlowerable(f"{name} reads a value that was overwritten in place")


def _same(value: Any, other: Value) -> bool:
    """Whether two nodes of the graph are one tensor."""
    return value is other or (isinstance(value, Value) and value == other)


def _flat(values: Any) -> list[Any]:
    """Values, and what they hold."""
    found: list[Any] = []
    for value in values:
        inside = isinstance(value, tuple) and not isinstance(value, Value | OfLabel)
        found += _flat(value) if inside else [value]
    return found


def _of_label(values: Any) -> bool:
    """Whether something is made of the label, and nothing of the image."""
    kinds = {type(value) for value in _flat(values)}
    return OfLabel in kinds and not kinds & OF_IMAGE


def _callable(target: Any) -> Callable[..., Any]:
    """A function, or a method by its name."""
    if isinstance(target, str):
        return lambda value, *args, **kwargs: getattr(value, target)(*args, **kwargs)
    function: Callable[..., Any] = target
    return function


def _for_all_classes(value: Any, classes: int) -> Any:
    """A batch of all classes, on one position, as an argument."""
    if isinstance(value, OfLabel):
        return value.table
    if isinstance(value, Size):
        return classes if value.place == IMAGES else 1
    if isinstance(value, tuple):
        return tuple(_for_all_classes(part, classes) for part in value)
    return value
