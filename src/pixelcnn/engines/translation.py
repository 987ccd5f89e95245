"""From the graph of a network's ``forward`` to its program, a node at a time."""

import operator
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn

from pixelcnn.engines import attention
from pixelcnn.engines.allowlist import (
    ANY_SIZE,
    FUNCTIONS,
    METHODS,
    MODULES,
    OF_FRAMED,
    OF_SCORES,
    OF_SPREAD,
    POINTWISE,
    Entry,
)
from pixelcnn.engines.attention import Scores
from pixelcnn.engines.features import cat
from pixelcnn.engines.frames import Framed, put_off, shape_of
from pixelcnn.engines.labels import OfLabel, beside, members, tabulate
from pixelcnn.engines.layout import VECTOR, everywhere, pointwise
from pixelcnn.engines.levels import OF_LEVELS
from pixelcnn.engines.lowering import divide, multiply
from pixelcnn.engines.overwriting import Held, Memory
from pixelcnn.engines.sizes import FEATURES, IMAGES, SECOND, Size, Spread, Value, named
from pixelcnn.engines.units import without_unread
from pixelcnn.modes import evaluation_view
from pixelcnn.networks import Network
from pixelcnn.program import Dense, Program, Unlowerable

UNREAD = (operator.getitem,)
"""What looks at a value without reading it: a part of it is read where it is used."""


OF_IMAGE = {Value, Framed, Spread, Scores}
"""What a network makes of the image."""


OF_WEIGHTS = {multiply: attention.multiply, divide: attention.divide}
"""What functions are of what attention weighs by."""


CONDITION = object()
"""The condition itself, a vector or a map: layers with a ``lower`` read it themselves."""


WHAT = {
    Framed: "what is larger or smaller than the image",
    Spread: "features in several dimensions, or none",
    Tensor: "a tensor of its own",
}
"""What a layer may be given that it does not take."""


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
        self.program = Program(like=like.detach(), largest=network.largest)
        self.values: dict[fx.Node, Any] = {}
        self.last: fx.Node | None = None
        self.memory = Memory(self.program)
        classes = max(network.condition_size, 1)
        self.label = OfLabel(torch.arange(-1, classes, device=like.device) % classes)

    def run(self, graph: fx.Graph) -> Program:
        self.follow(graph)
        last = self.values[graph.output_node()]
        if not isinstance(last, Value) or last.places != SECOND:
            raise Unlowerable("forward does not return one value (n, out, h, w)")
        self.memory.check_read("the output", last)
        if last.number != len(self.program.nodes) - 1:
            self.program.slice(last.number, 0, self.program.width(last.number))
        # A dense layer whose units are wanted in another order is there twice.
        dense = any(isinstance(node, Dense) for node in self.program.nodes)
        return without_unread(self.program) if dense else self.program

    def follow(self, graph: fx.Graph) -> None:
        """Translates the nodes that have come to a graph since it was called last."""
        node = self.last.next if self.last else next(iter(graph.nodes))
        while node.op != "root":
            self.values[node], self.last = getattr(self, f"_{node.op}")(node), node
            node = node.next

    def about(self, node: fx.Node) -> dict[str, Any]:
        """What is known of a node's tensor; nothing where it is none, or a condition without a table."""
        value, like = self._resolve(node), self.program.like
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
            value = self.values[argument]
            return self.condition if value is CONDITION else value
        if isinstance(argument, list | tuple):
            return tuple(self._resolve(part) for part in argument)
        if isinstance(argument, slice):
            return slice(*map(self._resolve, (argument.start, argument.stop, argument.step)))
        return named(argument)

    def _resolve_all(self, kwargs: Any) -> dict[str, Any]:
        return {key: self._resolve(value) for key, value in kwargs.items()}

    def _get_attr(self, node: fx.Node) -> Tensor:
        return node.meta["tensor"]

    def _placeholder(self, node: fx.Node) -> object:
        if node.target == "x":
            return Value(self.program.input(self.network.channels))
        return self.label if self.network.condition == "label" else CONDITION

    @cached_property
    def condition(self) -> Value:
        """The condition as it is given: features of each image, or of each position."""
        kind, size = str(self.network.condition), self.network.condition_size
        number = self.program.condition(kind, torch.eye(size).to(self.program.like))
        return Value(number, SECOND if kind == "map" else (IMAGES, FEATURES))

    def _everywhere(self, value: Any, like: Value, widen: bool) -> Any:
        """What was made of the condition as a value beside others, the same at all positions."""
        if isinstance(value, tuple) and not isinstance(value, Value | OfLabel):
            return tuple(self._everywhere(part, like, widen) for part in value)
        if isinstance(value, OfLabel):
            return beside(self.program, value, like, self.label, widen)
        vector = isinstance(value, Spread) and value.places == VECTOR and like.places == SECOND
        return everywhere(self.program, value) if vector else value

    def _call_module(self, node: fx.Node) -> Value:
        module, name = self.modules[str(node.target)], str(node.target)
        if lowers(module):
            return self._lower(name, module, node)
        args, kwargs = self._resolve(node.args), self._resolve_all(node.kwargs)
        self.memory.check_read(f"layer {name!r}", *args, *kwargs.values())
        if _of_label(args):
            if getattr(module, "max_norm", None) is not None:
                raise Unlowerable(
                    f"layer {name!r} changes its table, of the labels that it is given"
                )
            return tabulate(module, args, kwargs, self.label)
        kind = next((kind for kind in type(module).__mro__ if kind in MODULES), None)
        if kind is None or type(module).forward is not kind.forward:
            raise Unlowerable(f"layer {name!r} is a {type(module).__name__}")
        takes = {Value: MODULES, Framed: OF_FRAMED, Spread: OF_SPREAD, Scores: OF_SCORES}
        if len(args) != 1 or kwargs or kind not in takes.get(type(args[0]), ()):
            given = (
                "more than a value"
                if len(args) != 1 or kwargs
                else WHAT.get(type(args[0]), args[0])
            )
            raise Unlowerable(f"layer {name!r} is a {kind.__name__}, and is given {given}")
        try:
            entry = Entry(MODULES[kind], any_size=kind in ANY_SIZE, pointwise=kind in POINTWISE)
            value: Value = self._build(entry, [args[0], module])
        except Unlowerable as error:
            raise Unlowerable(f"layer {name!r} is a {kind.__name__}: {error}") from error
        if getattr(module, "inplace", False):
            self._overwrite(args[0], value)
        return value

    def _lower(self, name: str, module: Any, node: fx.Node) -> Value:
        """One of our layers, which gives features in the second dimension, and reads the condition itself."""
        args = [self._number(name, value) for value in node.args]
        kwargs = {key: self._number(name, value) for key, value in node.kwargs.items()}
        number = module.lower(self.program, *args, **kwargs)
        if type(number) is not int or not 0 <= number < len(self.program.nodes):
            raise Unlowerable(
                f"layer {name!r} lowers to {number!r}, which is no node of the program"
            )
        return Value(number)

    def _number(self, name: str, argument: Any) -> Any:
        """Of a node; of the condition none."""
        held = self.values[argument] if isinstance(argument, fx.Node) else argument
        if held is CONDITION or held is self.label:
            return None
        value = self._resolve(argument)
        self.memory.check_read(f"layer {name!r}", value)
        if isinstance(value, OfLabel):
            raise Unlowerable(f"layer {name!r} is given another value than the label")
        if type(value) in OF_IMAGE and (not isinstance(value, Value) or value.places != SECOND):
            raise Unlowerable(f"layer {name!r} reads a tensor {shape_of(self.program, value)}")
        return value.number if isinstance(value, Value) else value

    def _call_function(self, node: fx.Node) -> Any:
        if node.target is getattr and type(self._resolve(node.args[0])) not in (OfLabel, Tensor):
            raise Unlowerable(f"attribute {node.args[1]!r} is not a primitive")
        return self._call(node, FUNCTIONS, getattr(node.target, "__name__", str(node.target)))

    def _call_method(self, node: fx.Node) -> Any:
        return self._call(node, METHODS, f"method {node.target!r}")

    def _call(self, node: fx.Node, table: Any, name: str) -> Any:
        args, kwargs = self._resolve(node.args), self._resolve_all(node.kwargs)
        kinds = {type(value) for value in members((*args, *kwargs.values()))}
        if not kinds & OF_IMAGE:  # of the label, or of sizes
            function = _callable(node.target)
            if OfLabel in kinds:
                return tabulate(function, args, kwargs, self.label)
            return function(*args, **kwargs)
        if node.target not in table:
            raise Unlowerable(f"{name} is not a primitive")
        entry = table[node.target]
        if entry.build in OF_LEVELS and not self.network.embedding:
            raise Unlowerable(f"{name} of levels that are scaled; codes= leaves them whole numbers")
        in_place = kwargs.pop("inplace", False) or entry.in_place
        kwargs.pop("requires_grad", None)  # of a new tensor, for whatever it is good there
        given = entry.bind(name, args, kwargs)
        if like := next((value for value in members(given) if isinstance(value, Value)), None):
            widen = entry.build is not cat
            given = [self._everywhere(value, like, widen) for value in given]
        if node.target not in UNREAD:
            self.memory.check_read(name, *given)
        framed = any(isinstance(value, Framed) for value in given)
        if framed and not entry.any_size and not entry.pointwise:
            raise Unlowerable(f"{name} of a value that is larger or smaller than the image")
        value = self._build(entry, given)
        if node.target in UNREAD and isinstance(value, Value):
            self.memory.share(value, given[0])
        if in_place:
            self._overwrite(given[0], value)
        return value

    def _build(self, entry: Entry, given: list[Any]) -> Any:
        """What an entry makes of its arguments."""
        kinds = {type(value) for value in given}
        if Scores in kinds and entry.build in OF_WEIGHTS:
            return OF_WEIGHTS[entry.build](self.program, *given)
        if Framed in kinds and not entry.any_size:
            return put_off(entry.build, given)
        if Spread in kinds and entry.pointwise:
            return pointwise(self.program, entry.build, given)
        return entry.build(self.program, *given)

    def _overwrite(self, source: Any, result: Any) -> None:
        """Whatever is called as a value was is its result; parts and wholes of it can no longer be read."""
        if _same(result, source):
            return
        if isinstance(source, Held):
            self.memory.overwrite(source)
        same = [node for node, value in self.values.items() if _same(value, source)]
        if not any(node.target == "contiguous" for node in same):  # which may have been copies
            self.values.update(dict.fromkeys(same, result))


def _same(value: object, other: object) -> bool:
    """Whether two nodes of the graph are one tensor."""
    return value is other or (isinstance(value, Value) and value == other)


def _of_label(values: Any) -> bool:
    """Whether something is made of the label, and nothing of the image."""
    kinds = {type(value) for value in members(values)}
    return OfLabel in kinds and not kinds & OF_IMAGE


def _callable(target: Any) -> Callable[..., Any]:
    """A function, or a method by its name."""
    if isinstance(target, str):
        return lambda value, *args, **kwargs: getattr(value, target)(*args, **kwargs)
    return target
