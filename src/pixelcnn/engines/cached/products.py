"""Taps as matrix products, bound to the places of what they read and write."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from pixelcnn.engines.cached.store import Store
from pixelcnn.program import Depthwise, Sum, Tap

Operation = Callable[[], object]
"""Computes something and writes it to where it belongs."""


class Segment(NamedTuple):
    """The features that a product reads at one offset."""

    down: int
    right: int
    features: slice


class Kernel(NamedTuple):
    """One matrix product: what it reads, side by side, and its weight ``(inputs, outputs)``.

    A depthwise kernel has one row of weights for each segment.
    """

    segments: tuple[Segment, ...]
    weight: Tensor
    depthwise: bool


def kernel_of(node: Sum, reads: Sequence[tuple[Tap, Tensor]], outputs: slice) -> Kernel:
    """The product that gives some outputs of a node from the live part of what its taps may read.

    Args:
        node: ``taps`` or ``depthwise``.
        reads: taps, and which features of the source each may read, bool ``(in,)``.
        outputs: a run of the node's features.
    """
    if isinstance(node, Depthwise):
        rows = [
            (Segment(tap.down, tap.right, outputs), (tap.weight * live)[outputs])
            for tap, mask in reads
            for live in [tap.live & mask.to(tap.live.device)]
            if live[outputs].any()
        ]
        weight = torch.stack([row for _, row in rows]) if rows else torch.zeros(0)
        return Kernel(tuple(segment for segment, _ in rows), weight, True)
    segments, blocks = [], [node.taps[0].weight[outputs][:, :0].T]
    for tap, mask in reads:
        live = (tap.live & mask.to(tap.live.device))[outputs]
        used = live.any(0).nonzero()[:, 0]
        if len(used):
            features = slice(int(used[0]), int(used[-1]) + 1)
            segments.append(Segment(tap.down, tap.right, features))
            blocks.append((tap.weight[outputs] * live)[:, features].T)
    return Kernel(tuple(segments), torch.cat(blocks).contiguous(), False)


def bind(
    store: Store, kernel: Kernel, sources: Sequence[Tensor], base: Tensor | None, out: Tensor
) -> list[Operation]:
    """A product between places.

    Args:
        store: lends room for what is gathered.
        kernel: the product.
        sources: what each segment reads, ``(..., n, features)``.
        base: bias of the outputs; None where ``out`` already holds what is added to.
        out: where the result goes, ``(..., n, outputs)``.
    """
    if kernel.depthwise:
        products = zip(sources, kernel.weight, strict=True)
        begin = [] if base is None else [partial(out.copy_, base)]
        return [*begin, *(partial(out.addcmul_, source, row) for source, row in products)]
    if not sources:
        return [] if base is None else [partial(out.copy_, base)]
    operations: list[Operation] = []
    gathered = sources[0]
    if len(sources) > 1:
        gathered = store.scratch(*out.shape[:-1], kernel.weight.shape[0])
        operations.append(partial(torch.cat, list(sources), -1, out=gathered))
    # Matrices without gaps are multiplied in place; adding the bias afterwards is faster than addmm's copy.
    direct = gathered.dim() == 2 or gathered.is_contiguous()
    rows = gathered.view(-1, gathered.shape[-1]) if direct else None
    if rows is not None and (out.dim() == 2 or out.is_contiguous()):
        place = out.view(-1, out.shape[-1])
        if base is None:
            return [*operations, partial(place.addmm_, rows, kernel.weight)]
        product = partial(torch.mm, rows, kernel.weight, out=place)
        return [*operations, product, partial(place.add_, base)]

    def apply() -> None:
        product = torch.matmul(gathered, kernel.weight)
        if base is None:
            out.add_(product)
        else:
            torch.add(product, base, out=out)

    return [*operations, apply]


def runs_of(mask: Tensor) -> list[slice]:
    """The features that a mask names, as evenly spaced runs, so that each is a view of a value.

    Example:
        >>> import torch
        >>> runs_of(torch.tensor([True, False, True, False, True, True]))
        [slice(0, 5, 2), slice(5, 6, 1)]
    """
    numbers = mask.nonzero()[:, 0].tolist()
    runs: list[slice] = []
    while numbers:
        step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
        count = 1
        while count < len(numbers) and numbers[count] == numbers[0] + count * step:
            count += 1
        if count == 2 and step > 1:  # two of them are a chance, not a pattern
            count = step = 1
        runs.append(slice(numbers[0], numbers[count - 1] + 1, step))
        numbers = numbers[count:]
    return runs
