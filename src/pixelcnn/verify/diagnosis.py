"""Which layer a leak goes through, in words.

A leak is a pair (target, source). To find the layer to blame, layers are closed: a closed layer computes
the same values, but passes no gradient from one of its outputs to an input that comes later in raster
order. If the leak lives on while every layer but one is closed, that one lets it through. A layer that
may look ahead (the vertical stack of a gated network looks right) is so blamed only where it does harm.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pixelcnn.layers import CausalConv2d, UpConv2d
from pixelcnn.networks import Network
from pixelcnn.shapes import Position
from pixelcnn.text import counted
from pixelcnn.verify.causality import draw, example, gradients
from pixelcnn.verify.features import as_features
from pixelcnn.verify.probing import Probe

Function = Callable[..., Tensor]


class Leaf(NamedTuple):
    """A layer without parts, what it was given once, and where in the image its positions lie.

    Attributes:
        name: in the network.
        module: the layer.
        input: ``(1, f, h, w)``.
        rest: further arguments, of which only the sizes matter.
        read: raster numbers of the image positions that those of the input lie on.
        written: the same for the output.
    """

    name: str
    module: nn.Module
    input: Tensor
    rest: tuple[Tensor, ...]
    read: Tensor
    written: Tensor

    def __str__(self) -> str:
        return f"`{self.name}` ({type(self.module).__name__})"


class Case(NamedTuple):
    """A leak in a network, at one image ``(c, h, w)``."""

    probe: Probe
    x: Tensor
    target: Position
    source: Position

    def alive(self) -> bool:
        """Whether the leak shows in the gradient."""
        _, height, width = self.x.shape
        group = min(self.target.channel, self.probe.groups - 1)
        number = (group * height + self.target.row) * width + self.target.column
        return bool(gradients(self.probe, self.x, torch.tensor([number]))[0][self.source] != 0)


def explain(network: Network, leaks: Tensor, *, training: bool = False) -> str:
    """How a network sees its future, with the layer at fault where one can be named.

    Args:
        network: left as it is.
        leaks: bool ``(c, h, w, c, h, w)``, at least one of them true: target, source.
        training: the mode in which it leaks.
    """
    (target, source), (_, height, width) = example(leaks), leaks.shape[:3]
    probe, x, _ = draw(network, height, width, seed=0, positive=True, training=training)
    why = diagnose(Case(probe, x, target, source), leaks)
    fact = f"output {target} changes with input {source}, {relation(target, source)}"
    return f"{why}: {fact} ({int(leaks.sum())} such pairs)"


def relation(target: Position, source: Position) -> str:
    """How the source lies to the target.

    Example:
        >>> relation(Position(0, 2, 3), Position(0, 3, 1))
        'which lies in a later row'
    """
    if source.row > target.row:
        return "which lies in a later row"
    if source.column > target.column:
        return "which lies to its right"
    return "its own value" if source == target else "a channel that is not coded before it"


def diagnose(case: Case, leaks: Tensor) -> str:
    """Why an output sees what it may not."""
    if not case.alive():
        return "a path without gradient sees the future (an integer look-up?)"
    leaves, image = trace(case)
    first = [leaf for leaf in leaves if reads_image(leaf, image, case.target)]
    ahead = [leaf for leaf in leaves if looks_ahead(leaf).any()]
    # It may take two layers for the last source, either of which lets the first one through.
    row, column, channel = leaks[case.target].movedim(0, -1).nonzero()[0].tolist()
    cases = case, case._replace(source=Position(channel, row, column))
    if suspect := next(filter(None, (culprit(c, ahead, strictly=False) for c in cases)), None):
        return look_ahead(suspect, case.x.shape[2], any(leaf is suspect for leaf in first))
    if case.source[1:] != case.target[1:]:
        return outside(leaks)
    if suspect := attends_to_itself(case, leaves):
        return (
            f"the attention {suspect} reads its own position,"
            " of an image that has not been shifted it may read earlier positions only"
        )
    return own_pixel(case, first, leaks)


def outside(leaks: Tensor) -> str:
    """What a leak is like that no layer is at fault for."""
    seen = leaks.any(3).any(0).flatten(2).flatten(0, 1)
    # The last positions may reach nothing, as where a mask comes before the mean.
    if seen[torch.ones_like(seen).triu(1) & seen.any(0)].all():
        return (
            "something outside the layers joins each position with the whole image,"
            " as a mean over space, global pooling or attention without a mask does"
        )
    return (
        "something outside the layers sees the future, such as a convolution that is called as a function"
        " with a wrong mask, a shift, or a roll"
    )


def look_ahead(leaf: Leaf, width: int, first: bool) -> str:
    """What a layer at fault reads, of an image with so many columns."""
    if reach(leaf).all():
        return f"{leaf} takes a statistic over space, it joins each position with the whole image"
    down, right = furthest(leaf, width)
    kind = "convolution" if isinstance(leaf.module, nn.Conv2d | CausalConv2d) else "layer"
    sees = f"{'the first' if first else 'a later'} {kind} sees the future, {leaf} reads"
    if down > 0:
        return f"{sees} {counted(down, 'row')} below its position"
    return (
        f"{sees} {counted(right, 'column')} to the right of its position: its mask is off by one, or it is a"
        " vertical stack whose rows are not shifted down by one before the row's own stack reads them"
    )


def attends_to_itself(case: Case, leaves: Sequence[Leaf]) -> Leaf | None:
    """A layer that reads all of the past and its own position, through which alone the leak comes."""
    for leaf in leaves:
        if (reach(leaf) | (leaf.read > leaf.written[:, None])).all():
            with patched(leaf.module, closed(case, leaf, strictly=True)):
                if not case.alive():
                    return leaf
    return None


def own_pixel(case: Case, first: Sequence[Leaf], leaks: Tensor) -> str:
    """Why a sub-pixel sees itself, or a channel of its pixel that is not coded before it."""
    with ExitStack() as stack:
        for leaf in first:
            cut = leaf.module.register_forward_hook(lambda module, given, found: found.detach())
            stack.callback(cut.remove)
        if case.alive() and not first:
            return (
                "something outside the layers sees its own position, such as a first convolution called as a"
                " function with an open centre, or a sequence that is not shifted"
            )
        if case.alive():
            return "the input bypasses the first layer, as with a residual connection around it"
    itself = leaks.flatten(0, 2).flatten(1).diagonal()
    if case.probe.groups > 1 and not itself.all():
        return "the colours of a layer are mixed up, a channel sees itself or a later one"
    suspect = culprit(case, first, strictly=True)
    name = f"layer {suspect}" if suspect else "layer"
    return f"the first {name} sees its own position, mask A must close the centre of its kernel"


def trace(case: Case) -> tuple[list[Leaf], Tensor]:
    """Layers without parts between grids of the image, in the order they run, and the image they ran on."""
    found, network = dict[str, Leaf](), case.probe.network

    def remember(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            alone = len(inputs) == 1 or (len(inputs) > 1 and isinstance(module, UpConv2d))
            if not alone or not all(isinstance(each, Tensor) for each in (inputs[0], output)):
                return
            read, written = (places(t.shape[2:], case.x.shape[1:]) for t in (inputs[0], output))
            if read is not None and written is not None:
                found.setdefault(name, Leaf(name, module, inputs[0], inputs[1:], read, written))

        return hook

    with ExitStack() as stack:
        given, image = stack.enter_context(as_features(network, case.x[None]))
        for name, module in network.named_modules():
            if not [*module.children()] and module is not network.embed:
                stack.callback(module.register_forward_hook(remember(name)).remove)
        case.probe(given)
    return list(found.values()), image


def places(grid: torch.Size, image: torch.Size) -> Tensor | None:
    """Raster numbers of the image positions that those of a grid lie on, ``(h * w,)``.

    A grid is the image itself or has every second, fourth, ... of its rows and columns; else None.

    Example:
        >>> places(torch.Size([2, 2]), torch.Size([3, 4]))
        tensor([ 0,  2,  8, 10])
    """
    rows, columns = torch.arange(image[0]), torch.arange(image[1])
    while (len(rows), len(columns)) != tuple(grid):
        if len(rows) == len(columns) == 1:
            return None
        rows, columns = rows[::2], columns[::2]
    return (rows[:, None] * image[1] + columns).flatten()


def reach(leaf: Leaf) -> Tensor:
    """Which positions of its input a layer's output depends on, bool ``(outputs, inputs)``."""
    copies = leaf.input.detach().repeat(len(leaf.written), 1, 1, 1).requires_grad_()
    gradient = torch.zeros_like(copies)
    with torch.enable_grad():
        outputs = leaf.module(copies.clone(), *leaf.rest).flatten(2)  # a layer may overwrite it
        mix = torch.rand(outputs.shape[1], generator=torch.Generator().manual_seed(0)).to(outputs)
        total = (outputs.diagonal(dim1=0, dim2=2) * (0.5 + mix[:, None])).sum()
        if total.requires_grad:  # a layer may be a step, or give the same for any input
            (gradient,) = torch.autograd.grad(total, copies, materialize_grads=True)
    return (gradient != 0).any(1).flatten(1)


def looks_ahead(leaf: Leaf) -> Tensor:
    """Which of them lie after the output's own position, bool ``(outputs, inputs)``."""
    return reach(leaf) & (leaf.read > leaf.written[:, None])


def furthest(leaf: Leaf, width: int) -> tuple[int, int]:
    """The most rows of the image down, and columns right in the same row, that a layer looks ahead."""
    target, source = looks_ahead(leaf).nonzero().T
    target, source = leaf.written[target], leaf.read[source]
    down = source // width - target // width
    right = (source % width - target % width)[down == 0]
    return int(down.max()), int(right.max()) if len(right) else 0


def reads_image(leaf: Leaf, image: Tensor, at: Position) -> bool:
    """Whether a layer's input at a position depends on the image at that position alone."""
    number = at.row * image.shape[3] + at.column
    here = leaf.input.flatten(2)[:, :, leaf.read == number].sum()
    if not here.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(here, image, retain_graph=True)
    seen = (gradient[0] != 0).any(0)
    return bool(seen[at.row, at.column]) and int(seen.sum()) == 1


def culprit(case: Case, leaves: Sequence[Leaf], *, strictly: bool) -> Leaf | None:
    """The first of some layers that lets the leak through while all others are closed."""
    for suspect in leaves:
        with ExitStack() as stack:
            for leaf in (leaf for leaf in leaves if leaf is not suspect):
                stack.enter_context(patched(leaf.module, closed(case, leaf, strictly)))
            if case.alive():
                return suspect
    return None


@contextmanager
def patched(module: nn.Module, forward: Function) -> Iterator[None]:
    """Another ``forward`` for a while."""
    module.forward = forward
    try:
        yield
    finally:
        del module.forward  # the method of the class shows again


def closed(case: Case, leaf: Leaf, strictly: bool) -> Function:
    """The same values for one image, but no gradient from an output to later positions.

    Args:
        case: gives the image, on any of whose grids the layer may be called again.
        leaf: maps ``(1, f, h, w)`` to ``(1, g, h', w')``.
        strictly: close the position itself too.
    """
    forward = leaf.module.forward

    def causal(x: Tensor, *rest: Tensor) -> Tensor:
        whole = forward(x.clone(), *rest)
        read, written = (places(each.shape[2:], case.x.shape[1:]) for each in (x, whole))
        if read is None or written is None:
            return whole
        past = read < written[:, None] if strictly else read <= written[:, None]
        # Copy i of the image gives output position i, and passes gradients to its past only.
        copies = torch.where(past.reshape(-1, 1, *x.shape[2:]), x, x.detach())
        each = 1 if isinstance(leaf.module, nn.BatchNorm2d) else len(copies)  # it would mix them
        outputs = torch.cat([forward(part, *rest) for part in copies.split(each)])
        return outputs.flatten(2).diagonal(dim1=0, dim2=2).reshape(1, -1, *whole.shape[2:])

    return causal
