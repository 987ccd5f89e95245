"""Stored values as a model's levels, where each of them can be had back."""

from dataclasses import dataclass, field

import numpy as np

from pixelcnn.data.quantise import equal_bins, threshold_table
from pixelcnn.errors import ModelError
from pixelcnn.model import PixelModel

RANGE = (256, 65_536)
"""Values that a byte, and that two of them have."""
MIDDLE = 0.5


@dataclass
class Values:
    """The stored value of each level, of inputs that agree in them.

    Attributes:
        of_level: those that occur; empty where values are levels.
    """

    of_level: dict[int, int] = field(default_factory=dict)

    @property
    def table(self) -> tuple[int, ...]:
        """By level, up to the largest that occurs."""
        return tuple(
            self.of_level.get(level, 0) for level in range(max(self.of_level, default=-1) + 1)
        )

    def levels(self, values: np.ndarray) -> np.ndarray:
        """Levels in place of values, int64; -1 for values that were not seen before."""
        if not self.of_level:
            return values.astype(np.int64)
        table = np.full(RANGE[1], -1, np.int64)
        table[list(self.of_level.values())] = list(self.of_level)
        return table[values.astype(np.int64)]


class Stored:
    """Which values stand for which levels, over many inputs.

    Values below the number of levels are levels. Others become what the model's training images became: by
    its threshold, or by equal bins of all values that a byte, or two of them, have.

    Args:
        model: whose levels they become.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> model = PixelModel(networks.PixelCNN(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7))
        >>> Stored(model).values(np.array([0, 255]), "mask.png").table
        (0, 255)
    """

    def __init__(self, model: PixelModel) -> None:
        self.levels = model.levels
        coding = model.record.get("data", {})
        self.threshold = coding.get("threshold") or MIDDLE
        self._known: list[Values] = [Values()]

    def values(self, occurring: np.ndarray, where: str) -> Values:
        """What the values of an input mean, shared with others that agree.

        Args:
            occurring: all of its values, each once.
            where: its name.

        Raises:
            ModelError: they cannot be told apart by levels, or are none.
        """
        low, high = (int(occurring.min()), int(occurring.max())) if len(occurring) else (0, 0)
        if low < 0 or high >= RANGE[1]:
            raise ModelError(
                f"{where}: its values run from {low} to {high}, which no levels stand for"
            )
        if high < self.levels:
            return self._known[0]
        source = RANGE[high >= RANGE[0]]
        rule = (
            threshold_table(source, self.threshold)
            if self.levels == 2
            else equal_bins(source, self.levels)
        )
        levels = rule[occurring]
        if len(same := np.flatnonzero(np.diff(levels) == 0)):
            one, other = occurring[same[0] : same[0] + 2]
            raise ModelError(
                f"{where} has the values {one} and {other}, which are the same one of this model's"
                f" {self.levels:,} levels",
                hint="one of as many levels is lossless; this one takes arrays as 'pixelcnn sample' writes",
            )
        found = dict(zip(levels.tolist(), occurring.tolist(), strict=True))
        for known in self._known[1:]:
            if all(known.of_level.get(level, value) == value for level, value in found.items()):
                known.of_level |= found
                return known
        self._known.append(Values(found))
        return self._known[-1]
