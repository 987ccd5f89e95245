"""Bins: what makes levels of measured values, and gives levels their values back."""

import dataclasses
import functools
import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data.lazy import pieces
from pixelcnn.data.tensors import dtype_of, extent, numbers_of
from pixelcnn.errors import ConfigError, DataError
from pixelcnn.record import FARTHEST
from pixelcnn.shapes import MAX_LEVELS

log = logging.getLogger("pixelcnn")

RULES = ("range", "quantiles")
"""Ways to find bins by the values of the training images."""
LEVELS = 256
"""Bins of a range or of quantiles, where nobody says how many."""
SAMPLE = 2**22
"""Values that quantiles are taken of, at most."""


@dataclasses.dataclass(frozen=True, repr=False)
class Bins:
    """Neighbouring intervals of measured values, one a level.

    Level k stands for values from ``edges[k]`` up to, but without, ``edges[k + 1]``; the last one includes
    its end. Values outside belong to the outermost bins.

    Args:
        edges: finite and ascending, one more than there are levels.
        equal: the edges are as :meth:`between` gives them.
        real: whether they were made for real numbers, or for integers; None where nobody knows.

    Raises:
        ConfigError: edges that make no bins.

    Example:
        >>> bins = Bins((0.0, 0.5, 2.0))
        >>> bins.levels, bins.levels_of([-1.0, 0.4, 0.5, 2.0]).tolist(), bins.values_of([0, 1]).tolist()
        (2, [0, 0, 1, 1], [0.25, 1.25])
    """

    edges: tuple[float, ...]
    equal: bool = dataclasses.field(default=False, compare=False)
    real: bool | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", tuple(map(float, self.edges)))
        if not 3 <= len(self.edges) <= MAX_LEVELS + 1:
            raise ConfigError(
                f"{len(self.edges)} edges make {max(len(self.edges) - 1, 0)} bins, not 2 to {MAX_LEVELS}",
                hint="two numbers are a range, three and more the edges of bins",
            )
        if not all(abs(edge) <= FARTHEST for edge in self.edges):  # NaN fails it, too
            raise ConfigError(f"edges of bins are numbers within {FARTHEST:g} of 0")
        wrong = next((k for k in range(self.levels) if self.edges[k] >= self.edges[k + 1]), None)
        if wrong is not None:
            first, second = self.edges[wrong : wrong + 2]
            raise ConfigError(
                f"edges of bins ascend, but {number(second)} follows {number(first)}",
                hint="fewer levels, or a wider range" if self.equal else "",
            )

    @classmethod
    def between(cls, low: float, high: float, levels: int = LEVELS) -> "Bins":
        """Equal bins that divide a range.

        Raises:
            ConfigError: no range, or more bins than there are numbers in it.

        Example:
            >>> Bins.between(0, 1, 4).edges
            (0.0, 0.25, 0.5, 0.75, 1.0)
        """
        low, high = float(low), float(high)
        if not low < high:
            raise ConfigError(
                f"a range of values goes upwards, got {number(low)} to {number(high)}"
            )
        inner = low + (high - low) * (np.arange(1, levels) / levels)
        return cls((low, *inner.tolist(), high), equal=True)

    @classmethod
    def of(cls, quantise: Any, levels: int | None) -> "Bins":
        """The bins that an option says by itself: a range, edges, or bins.

        Args:
            quantise: two numbers, more of them, or :class:`Bins`.
            levels: how many; edges and bins say it themselves.

        Raises:
            ConfigError: edges that make no bins, or another number of them.
        """
        if not isinstance(quantise, Bins) and len(quantise) == 2:
            low, high = quantise
            return cls.between(low, high, levels or LEVELS)
        bins = quantise if isinstance(quantise, Bins) else cls(tuple(quantise))
        if levels not in {None, bins.levels}:
            raise ConfigError(
                f"{len(bins.edges)} edges make {bins.levels} levels, but levels = {levels}",
                hint="leave levels out: in a recipe by --set data.levels=none",
            )
        return bins

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Bins | None":
        """The bins that a model's levels were made with; None if they were integers from the start.

        Args:
            record: of a model, as :func:`pixelcnn.record.checked` gives it.

        Raises:
            ConfigError: edges that make no bins.
        """
        stored = record.get("bins")
        if stored is None:
            return None
        return dataclasses.replace(
            cls.of(stored["edges"], stored["levels"]), real=stored.get("real")
        )

    def as_record(self) -> dict[str, Any]:
        """What :meth:`of_record` makes the same bins of, in JSON types: of equal ones the outermost edges."""
        edges = [self.edges[0], self.edges[-1]] if self.equal else list(self.edges)
        kind = {} if self.real is None else {"real": self.real}
        return {"edges": edges, "levels": self.levels} | kind

    def __repr__(self) -> str:
        return f"<Bins {self.describe()}>"

    @property
    def levels(self) -> int:
        """Their number."""
        return len(self.edges) - 1

    def describe(self) -> str:
        """In words that are the same for the same bins and no others.

        Example:
            >>> Bins.between(0, 1, 8).describe(), Bins((0, 1, 3)).describe()
            ('8 equal bins from 0 to 1', '2 bins from 0 to 3 (60f25a76)')
        """
        ends = f"from {number(self.edges[0])} to {number(self.edges[-1])}"
        if self.equal:
            return f"{self.levels} equal bins {ends}"
        digest = hashlib.sha256(np.array(self.edges, "<f8").tobytes()).hexdigest()
        return f"{self.levels} bins {ends} ({digest[:8]})"

    @functools.cached_property
    def _inner(self) -> Tensor:
        return torch.tensor(self.edges[1:-1], dtype=torch.float64)

    @functools.cached_property
    def centres(self) -> Tensor:
        """A value in each bin, as good as its middle: float32 where that is fine enough, else float64."""
        edges = np.array(self.edges)
        low, high = edges[:-1], edges[1:]
        middle = low + (high - low) / 2
        middle = torch.from_numpy(np.where(middle < high, middle, low))
        short = middle.float()
        every = torch.arange(self.levels)
        return short if torch.equal(self.levels_of(short).long(), every) else middle

    @functools.cached_property
    def log_widths(self) -> Tensor:
        """Natural logarithm of the width of each bin, in the units of the values, float64 ``(levels,)``."""
        if self.equal:
            width = (self.edges[-1] - self.edges[0]) / self.levels
            return torch.full((self.levels,), math.log(width), dtype=torch.float64)
        return torch.from_numpy(np.log(np.diff(self.edges)))

    def levels_of(self, values: Any) -> Tensor:
        """The levels of values, of any shape: uint8 up to 256 levels, else int32.

        Raises:
            DataError: these are no numbers, or NaN is among them.
        """
        measured = numbers_of(values, "measured values are numbers")
        flat = measured.reshape(-1)
        found = torch.empty(flat.shape, dtype=dtype_of(self.levels))
        for piece in pieces(flat):
            some = flat[piece].double()
            if some.isnan().any():
                raise DataError("NaN lies in no bin", hint="leave it out, or say which value it is")
            found[piece] = torch.bucketize(some, self._inner, right=True)
        return found.view(measured.shape)

    def values_of(self, levels: Any) -> Tensor:
        """The values that levels stand for, of any shape: the centres of their bins.

        Raises:
            DataError: no integers, or levels that there are not.
        """
        found = numbers_of(levels, "levels are integers")
        if found.is_floating_point() or found.is_complex():
            raise DataError(f"levels are integers, got {str(found.dtype).removeprefix('torch.')}")
        if found.numel() and not 0 <= int(found.min()) <= int(found.max()) < self.levels:
            raise DataError(
                f"levels lie in 0..{self.levels - 1}, got {int(found.min())}..{int(found.max())}"
            )
        return self.centres[found.cpu().long()]

    def outside(self, values: Tensor) -> Tensor:
        """How many values of each image lie in no bin, int64 ``(n,)``, read piece by piece."""
        low, high = self.edges[0], self.edges[-1]
        parts = (values[piece].double() for piece in pieces(values))
        counts = [((part < low) | (part > high)).flatten(1).sum(1) for part in parts]
        return torch.cat(counts) if counts else torch.zeros(0, dtype=torch.int64)


def found_bins(rule: str, values: Tensor, levels: int | None, where: str) -> Bins:
    """The bins that a rule makes of the values of training images.

    Quantiles have edges midway between neighbouring values, so equal values share a bin: where values repeat,
    fewer bins than asked for are left. They are taken of at most :data:`SAMPLE` values, evenly spread.

    Args:
        rule: one of :data:`RULES`.
        values: ``(n, ...)``; lazy ones are read piece by piece.
        levels: how many bins; :data:`LEVELS` by default.
        where: what the values are of, for messages.

    Raises:
        DataError: all values are the same, or lie closer than their type can tell apart.

    Example:
        >>> found_bins("quantiles", torch.tensor([1.0, 2.0, 4.0, 100.0]), 2, "four").edges
        (1.0, 3.0, 100.0)
    """
    wanted = levels or LEVELS
    low, high = extent(values)
    if not low < high:
        raise DataError(
            f"{where}: all values are {number(low)}, which {wanted} bins cannot divide",
            hint="give a range or edges: quantise=[LOW, HIGH] (training: --set data.quantise=[LOW,HIGH])",
        )
    try:
        if rule == "range":
            return Bins.between(low, high, wanted)
        edges = [low, *_between_neighbours(_spread(values), wanted), high]
        bins = Bins(tuple(sorted({*edges})))
    except ConfigError as error:
        raise DataError(f"{where}: {error}", hint=error.hint) from error
    if bins.levels < wanted:
        log.warning(
            "%s: %d bins of the %d asked for, since values repeat", where, bins.levels, wanted
        )
    return bins


def _spread(values: Tensor) -> np.ndarray:
    """At most :data:`SAMPLE` of the values, evenly strided, sorted: float64 ``(k,)``."""
    size = values[:1].numel()
    step = -(-len(values) * size // SAMPLE)
    while math.gcd(step, size) > 1 and step > 1:
        step += 1  # else some columns of all images would be left out
    found, filled = np.empty(-(-len(values) * size // step)), 0
    for piece in pieces(values):
        some = values[piece].flatten()[-piece.start * size % step :: step]
        found[filled : filled + len(some)] = some
        filled += len(some)
    return np.sort(found)


def _between_neighbours(values: np.ndarray, levels: int) -> Sequence[float]:
    """Edges midway between neighbours of sorted values, with equally many in each bin, or nearly so."""
    distinct, counts = np.unique(values, return_counts=True)
    ends = counts.cumsum()[:-1]  # how many values lie below each place where neighbours differ
    if not len(ends):  # the few values that differ from all others are not among these
        return []
    wanted = np.rint(np.arange(1, levels) * len(values) / levels)
    right = np.searchsorted(ends, wanted).clip(max=len(ends) - 1)
    left = (right - 1).clip(0)
    place = np.unique(np.where(wanted - ends[left] <= ends[right] - wanted, left, right))
    below, above = distinct[place], distinct[place + 1]
    middle = below + (above - below) / 2
    return np.where(middle > below, middle, above).tolist()


def number(value: float) -> str:
    """A number that is read back as the same, as short as it can be.

    Example:
        >>> number(1.0), number(0.1), number(1 / 3)
        ('1', '0.1', '0.3333333333333333')
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
