"""Primitives that read several features of a position, or all positions before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.program.node import ROW_START, Node, Reader, Unlowerable

ALL = slice(None)
"""A run of all features."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Slice(Node):
    """Some of the features of a value.

    Attributes:
        start: the first of them.
    """

    start: int

    op = "slice"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        return read[0][self.start : self.start + self.width]

    def compute(self, read: Reader) -> Tensor:
        return read.own(self.sources[0])[..., self.start : self.start + self.width]

    seen = compute

    @property
    def notes(self) -> str:
        return f"[{self.start}:{self.start + self.width}]"


class Cat(Node):
    """The features of several values, one after the other."""

    op = "cat"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        return torch.cat(list(read))

    def compute(self, read: Reader) -> Tensor:
        values = [read.own(source) for source in self.sources]
        shape = torch.broadcast_shapes(*(value.shape[:-1] for value in values))
        return torch.cat([value.expand(*shape, -1) for value in values], -1)

    seen = compute


@dataclass(frozen=True, eq=False, kw_only=True)
class Norm(Node):
    """Features divided by the root mean square of their group at the position, times a gain.

    Attributes:
        gain: ``(width,)``.
        groups: the group of each feature.
        epsilon: added to the mean square.
        centred: whether the mean of the group is taken off first.
        bias: added at last, ``(width,)``; None for nothing.
    """

    gain: Tensor
    groups: tuple[int, ...]
    epsilon: float
    centred: bool = False
    bias: Tensor | None = None

    op = "norm"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        groups = torch.tensor(self.groups)
        latest = torch.full((int(groups.max()) + 1,), ROW_START)
        return latest.scatter_reduce(0, groups, read[0], "amax")[groups]

    def compute(self, read: Reader) -> Tensor:
        return self.of(read.own(self.sources[0]))

    def of(self, x: Tensor, run: slice = ALL) -> Tensor:
        """A run of the features of the norm of values ``(..., width)``."""
        if self.centred:
            x = x - self._each(self._means(x))
        # Squares of half precision would outgrow it.
        squares = x.to(torch.promote_types(x.dtype, torch.float32)).square()
        scale = self._each((self._means(squares) + self.epsilon).rsqrt(), run)
        y = x[..., run] * scale.to(x.dtype) * self.gain[run]
        return y if self.bias is None else y + self.bias[run]

    def seen(self, read: Reader) -> Tensor:
        x, group = read.own(self.sources[0]).float(), torch.tensor(self.groups)
        return x @ (group[:, None] == group).to(x) > 0

    @cached_property
    def _group(self) -> Tensor:
        """The group of each feature, where the gain is."""
        return torch.tensor(self.groups, device=self.gain.device)

    @cached_property
    def _members(self) -> list[Tensor]:
        """The features of each group."""
        return [(self._group == group).nonzero()[:, 0] for group in range(max(self.groups) + 1)]

    def _means(self, x: Tensor) -> Tensor:
        """The mean over each group, ``(..., groups)``."""
        if len(self._members) == 1:
            return x.mean(-1, keepdim=True)
        return torch.stack([x[..., members].mean(-1) for members in self._members], -1)

    def _each(self, found: Tensor, run: slice = ALL) -> Tensor:
        """What was found for each group, for the features of a run; of one group once for all."""
        return found if len(self._members) == 1 else found[..., self._group[run]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Attend(Node):
    """Attention of each position to all before it in raster order, and to a start token.

    Its sources are queries and keys, ``heads * d`` features, the heads one after the other, and values,
    ``heads * e`` features.

    Attributes:
        heads: how many.
        start: key and value of the start token, ``(heads * d + heads * e,)``.
    """

    heads: int
    start: Tensor

    op = "attend"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        """Keys and values of the row's left are known at step 0."""
        if max(int(part.max()) for part in read) > steps:
            raise Unlowerable("attention to what is known after its row only")
        return torch.full((self.width,), max(0, int(read[0].max())))

    def compute(self, read: Reader) -> Tensor:
        query, key, value = (self._by_head(read.own(source)) for source in self.sources)
        keys = key.shape[1] * key.shape[3]
        starts = self.start.split([keys, len(self.start) - keys])
        key, value = (
            behind(s.view(self.heads, -1), x) for s, x in zip(starts, (key, value), strict=True)
        )
        found = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return found.transpose(1, 2).flatten(2)

    def seen(self, read: Reader) -> Tensor:
        query, key, value = (self._by_head(read.own(source)) for source in self.sources)
        before = (key.any(-1, keepdim=True) | value).cumsum(2) > 0
        found = query.any(-1, keepdim=True) | behind(torch.zeros_like(before[0, :, 0]), before)
        return found.transpose(1, 2).flatten(2)

    def _by_head(self, x: Tensor) -> Tensor:
        """``(n, positions, heads * d)`` as ``(n, heads, positions, d)``."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    @property
    def notes(self) -> str:
        return f"{self.heads} heads" if self.heads > 1 else ""


def behind(start: Tensor, sequence: Tensor) -> Tensor:
    """A sequence moved one place on: a start token, then all but the last.

    Args:
        start: ``(heads, features)``.
        sequence: ``(n, heads, length, features)``.

    Example:
        >>> behind(torch.zeros(1, 1), torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)).flatten()
        tensor([0., 1., 2.])
    """
    token = start[None, :, None].expand(sequence.shape[0], -1, 1, -1).to(sequence.dtype)
    return torch.cat([token, sequence[:, :, :-1]], 2)
