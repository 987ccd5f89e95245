"""The weights of a network and of its sums, computed alike on every machine where they are normed.

PyTorch computes a normed weight anew for each pass, by a sum of floats, which depends on the machine. Here
the norm is the root of the sum of squares rounded once, whatever their order; the rest are single operations
of float64. So it may differ from PyTorch's in the last bit, but not from one machine to another.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations

from pixelcnn.devices import copied
from pixelcnn.networks import Network
from pixelcnn.program import Dense, Node, Sum, Unlowerable

WEIGHT_NORM: type[nn.Module] = parametrizations._WeightNorm


def settled(network: Network) -> Network:
    """The network, or where it computes weights from others a copy that holds them as they are.

    Args:
        network: left as it is; a copy has weights of float64 in place of normed ones.

    Raises:
        Unlowerable: a weight is computed in another way than by
            :func:`torch.nn.utils.parametrizations.weight_norm`.
    """
    if not any(map(is_parametrized, network.modules())):
        return network
    other = copied(network)
    for name, layer in list(other.named_modules()):
        if is_parametrized(layer):
            try:
                _settle(layer)
            except Unlowerable as error:
                raise Unlowerable(f"layer {name!r}: {error}") from error
    return other


def _settle(layer: nn.Module) -> None:
    """Makes a layer of a copy one that holds its weights, without a touch to the class that it shares."""
    layer.__class__ = type_before_parametrizations(layer)
    parts: Any = layer._modules.pop("parametrizations")
    for key, rules in parts.items():
        if [type(rule) for rule in rules] != [WEIGHT_NORM]:
            kinds = ", ".join(type(rule).__name__ for rule in rules)
            raise Unlowerable(
                f"its {key} is computed anew for each pass ({kinds});"
                " torch.nn.utils.parametrize.remove_parametrizations keeps it as it is"
            )
        weight = normed(rules.original0, rules.original1, rules[0].dim)
        layer.register_parameter(key, nn.Parameter(weight))


def normed(length: Tensor, direction: Tensor, dim: int) -> Tensor:
    """``length * direction / |direction|`` in float64.

    Args:
        length: of each slice, as it is stretched over ``direction``.
        direction: any tensor.
        dim: along which the slices lie; -1 if all of it is one.

    Example:
        >>> normed(torch.tensor([[10.0]]), torch.tensor([[3.0, 4.0]]), 0)
        tensor([[6., 8.]], dtype=torch.float64)
    """
    length, direction = (value.detach().cpu().double() for value in (length, direction))
    slices = direction.reshape(1, -1) if dim == -1 else direction.movedim(dim, 0).flatten(1)
    # The squares of float32 are exact in float64, and fsum rounds their sum once.
    norms = [math.sqrt(math.fsum(row.square().tolist())) for row in slices]
    if not all(norms):
        raise Unlowerable("a normed weight has the norm zero")
    shape = [1] * direction.dim()
    if dim != -1:
        shape[dim] = len(norms)
    return direction / torch.tensor(norms, dtype=torch.float64).reshape(shape) * length


def rounded(
    node: Sum | Dense, bits: int, least: Tensor | float = 0.0
) -> tuple[list[Tensor], Tensor]:
    """All weights of a sum as whole numbers of so many bits, sign included, and the step of each output.

    Args:
        node: the sum.
        bits: of the largest weight of an output, unless its step would be smaller than the least.
        least: step of each output.
    """
    held: Sequence[Any] = [node] if isinstance(node, Dense) else node.taps
    weights = [each.weight.detach().double().cpu() * each.live.cpu() for each in held]
    depthwise = weights[0].dim() == 1
    largest = [w.abs() if depthwise else w.abs().amax(1) for w in weights]
    step = torch.stack(largest).amax(0) / (2 ** (bits - 1) - 1)
    step = torch.where(step > 0, step, torch.ones_like(step)).maximum(torch.as_tensor(least))
    return [torch.round(w / (step if depthwise else step[:, None])) for w in weights], step


def sizes(weights: Sequence[Tensor]) -> Tensor:
    """Of each output the sum of its weights' sizes."""
    return torch.stack([w.abs() if w.dim() == 1 else w.abs().sum(1) for w in weights]).sum(0)


def with_weights(node: Sum | Dense, weights: list[Tensor], bias: Tensor, source: int) -> Node:
    """A sum of another source, with other weights."""
    if isinstance(node, Dense):
        weight, live = weights[0], node.live.cpu()
        return replace(node, sources=(source,), weight=weight, live=live, bias=bias)
    taps = tuple(
        tap._replace(weight=w, live=tap.live.cpu())
        for tap, w in zip(node.taps, weights, strict=True)
    )
    return replace(node, sources=(source,), taps=taps, bias=bias)
