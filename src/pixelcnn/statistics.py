"""What the features of a model's vectors or maps were in training.

Features come in units of their own, such as masses of 1e15 or ages of 0.1. A network learns from numbers of
size one. So a model keeps the mean and the standard deviation of each feature, and standardises with them.
"""

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pixelcnn.annotations import Unfit, fitting
from pixelcnn.devices import WITHOUT_FLOAT64
from pixelcnn.errors import ConfigError, DataError
from pixelcnn.registry import closest
from pixelcnn.surroundings import independent
from pixelcnn.text import printable

log = logging.getLogger("pixelcnn")

PIECE = 2**22
"""Numbers that are turned into float64 together."""
FAR = 0.5
"""Widths of the training range that a value lies beyond it before something is said."""
MOST_FEATURES, LONGEST_NAME = 65_536, 200
SHOWN = 8
"""Features that one message names."""


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What the features of a vector or map were in the training images, one number each.

    Raises:
        ConfigError: numbers that are not finite, a deviation of 0, a range upside down, or another number
            of one than of the others; names that occur twice.

    Example:
        >>> found = Statistics.of(torch.tensor([[1e4, 1.0], [3e4, 1.0]]), ("mass", "age"))
        >>> found.mean, found.std
        ((20000.0, 1.0), (10000.0, 1.0))
        >>> found.standardised(torch.tensor([[4e4, 2.0]])).tolist()
        [[2.0, 1.0]]
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Standard deviation; 1 for a feature that never changed."""
    low: tuple[float, ...]
    """The smallest value."""
    high: tuple[float, ...]
    """The largest value."""
    names: tuple[str, ...] = ()
    """Of the features, if they have any."""

    def __post_init__(self) -> None:
        for field in ("mean", "std", "low", "high"):
            object.__setattr__(self, field, _numbers(f"condition.{field}", getattr(self, field)))
        object.__setattr__(self, "names", _names(self.names))
        lengths = {len(getattr(self, field)) for field in ("mean", "std", "low", "high")}
        if lengths != {len(self.mean)} or len(self.names) not in (0, len(self.mean)):
            raise ConfigError("condition: as many means as deviations, smallest, largest and names")
        if min(self.std) <= 0 or any(a > b for a, b in zip(self.low, self.high, strict=True)):
            raise ConfigError(
                "condition: deviations are above 0, and no smallest above the largest"
            )

    @classmethod
    @independent
    def of(cls, condition: Tensor, names: Sequence[str] = ()) -> "Statistics":
        """Those of vectors ``(n, d)`` or maps ``(n, d, h, w)``, of the latter over all positions.

        Raises:
            DataError: one of the numbers is not finite.
        """
        low = torch.stack([c.amin(0) for c in _pieces(condition)]).amin(0)
        high = torch.stack([c.amax(0) for c in _pieces(condition)]).amax(0)
        if not (low.isfinite().all() and high.isfinite().all()):
            raise DataError("the condition holds NaN or infinity")
        # Half a range, never inf.
        width = (high / 2 - low / 2).clamp_min(torch.finfo(torch.float64).tiny)
        count = condition.numel() // condition.shape[1]
        middle = low / 2 + high / 2
        mean = sum(((c - middle) / width).sum(0) for c in _pieces(condition)) / count
        square = (
            sum((((c - middle) / width - mean) ** 2).sum(0) for c in _pieces(condition)) / count
        )
        std = torch.as_tensor(square).sqrt() * width
        std = torch.where((low == high) | (std == 0), torch.ones_like(std), std)
        mean = middle + torch.as_tensor(mean) * width
        means, stds, lows, highs = (tuple(each.tolist()) for each in (mean, std, low, high))
        return cls(means, stds, lows, highs, tuple(names))

    def standardised(self, condition: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Vectors ``(..., d)`` or maps ``(..., d, h, w)`` in their own units as numbers of size one.

        Args:
            condition: of any type of number, with the features in axis 1, or 0 of a single one.
            dtype: of the result.
        """
        if condition.device.type in WITHOUT_FLOAT64:
            condition = condition.cpu()
        single = is_single(condition)
        rows = condition[None] if single else condition
        mean, std = (self._beside(numbers, rows) for numbers in (self.mean, self.std))
        result = torch.empty(rows.shape, dtype=dtype, device=rows.device)
        for piece in _slices(rows):
            result[piece] = (rows[piece].double() - mean) / std
        return result[0] if single else result

    def physical(self, standardised: Tensor) -> Tensor:
        """The way back, in float64: standardised vectors ``(n, d)`` or maps in their own units."""
        mean, std = (self._beside(numbers, standardised) for numbers in (self.mean, self.std))
        return standardised.double() * std + mean

    def clipped(self, condition: Tensor) -> Tensor:
        """Vectors ``(n, d)`` or maps in their own units, each value brought into its training range."""
        low, high = (self._beside(numbers, condition) for numbers in (self.low, self.high))
        return condition.clamp(low, high)

    def say_if_far(self, condition: Tensor) -> None:
        """One warning where values lie far outside the training range: the network is guessing there."""
        rows = condition[None] if is_single(condition) else condition
        if not rows.numel():
            return
        low = torch.stack([c.amin(0) for c in _pieces(rows)]).amin(0).tolist()
        high = torch.stack([c.amax(0) for c in _pieces(rows)]).amax(0).tolist()
        far = [
            f"{self.name(at)} is {lowest if lowest < least - margin else highest:g}, in training"
            f" {self.range(at)}"
            for at, (lowest, highest, least, most) in enumerate(
                zip(low, high, self.low, self.high, strict=True)
            )
            if (margin := FAR * (most - least) + 1e-6 * max(abs(least), abs(most))) >= 0
            and (lowest < least - margin or highest > most + margin)
        ]
        if far:
            more = f", and {len(far) - SHOWN} more" if len(far) > SHOWN else ""
            log.warning(
                "far outside what the model was trained on: %s%s", "; ".join(far[:SHOWN]), more
            )

    def name(self, at: int) -> str:
        """What a feature is called, or its number from 1 on."""
        return printable(self.names[at]) if self.names else f"feature {at + 1}"

    def range(self, at: int) -> str:
        """The smallest and the largest value of a feature."""
        return f"{self.low[at]:g} to {self.high[at]:g}"

    def described(self) -> str:
        """Names and ranges of all features, in one line."""
        each = [f"{self.name(at)} ({self.range(at)})" for at in range(min(len(self.mean), SHOWN))]
        return ", ".join(each) + (", …" if len(self.mean) > SHOWN else "")

    def as_config(self) -> dict[str, list[Any]]:
        """In JSON types."""
        return {key: list(value) for key, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_config(cls, config: Any, size: int) -> "Statistics":
        """What :meth:`as_config` gave.

        Args:
            config: comes from anybody.
            size: number of features.

        Raises:
            ConfigError: it is none, or not of so many features.
        """
        fields = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(config, Mapping) or set(config) != fields:
            raise ConfigError(f"condition must be an object of {', '.join(sorted(fields))}")
        found = cls(**config)
        if len(found.mean) != size:
            raise ConfigError(f"condition: {len(found.mean)} means for {size} features")
        return found

    def _beside(self, numbers: tuple[float, ...], rows: Tensor) -> Tensor:
        tensor = torch.tensor(numbers, dtype=torch.float64, device=rows.device)
        return tensor.reshape(-1, *[1] * (rows.ndim - 2))


def is_single(condition: Tensor) -> bool:
    """Whether this is one vector or map, without an axis of images."""
    return condition.ndim in (1, 3)


def order_of(names: Sequence[str], wanted: Sequence[str], what: str) -> list[int]:
    """Where the wanted names stand among others.

    Raises:
        ConfigError: one of them is missing.

    Example:
        >>> order_of(["age", "mass"], ["mass", "age"], "b.csv")
        [1, 0]
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        near = closest(missing[0], list(names))
        raise ConfigError(
            f"{what} lacks {', '.join(map(printable, missing[:SHOWN]))}.{near}".rstrip("."),
            hint=f"the model is given {', '.join(map(printable, wanted[:SHOWN]))}",
        )
    return [list(names).index(name) for name in wanted]


def _slices(rows: Tensor) -> list[slice]:
    """Rows whose numbers are turned into float64 together."""
    step = max(1, PIECE // max(1, rows[:1].numel()))
    return [slice(start, start + step) for start in range(0, len(rows), step)]


def _pieces(rows: Tensor) -> Iterator[Tensor]:
    """Some rows after the other, of maps all positions: float64 ``(k, d)``."""
    for piece in _slices(rows):
        yield rows[piece].double().movedim(1, -1).reshape(-1, rows.shape[1])


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    try:
        found: tuple[float, ...] = fitting(values, tuple[float, ...])
    except Unfit:
        found = ()
    if not 1 <= len(found) <= MOST_FEATURES:
        raise ConfigError(f"{name} must be a list of 1 to {MOST_FEATURES} finite numbers")
    return found


def _names(values: Any) -> tuple[str, ...]:
    texts = isinstance(values, list | tuple) and all(
        isinstance(value, str) and len(value) <= LONGEST_NAME for value in values
    )
    if not texts or len(set(values)) != len(values):
        raise ConfigError("condition.names must be different texts")
    return tuple(values)
