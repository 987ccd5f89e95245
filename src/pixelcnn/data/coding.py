"""What to make of the values of a source, as a caller asks for it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pixelcnn.annotations import shown
from pixelcnn.config import check_choice, check_integer
from pixelcnn.data.bins import RULES, Bins, found_bins
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.raw import are_real
from pixelcnn.errors import ConfigError
from pixelcnn.shapes import MAX_LEVELS

BINARISE = ("threshold", "dynamic")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coding:
    """What to make of the values of a source.

    Raises:
        ConfigError: options that contradict each other.

    Example:
        >>> Coding(threshold=0.33).binarise
        'threshold'
    """

    levels: int | None = None
    """Levels of the result; ``None`` keeps those of the source."""
    threshold: float | None = None
    """From this share of the range on a value becomes 1."""
    binarise: str | None = None
    """``threshold`` (at 0.5 unless said), ``dynamic``, or ``None``."""
    quantise: Any = None
    """How measured values become levels: a rule, :class:`Bins`, or ``None`` for integer levels."""
    source_levels: int | None = None
    """Levels of the stored values, where they are levels already."""
    labels: bool = True
    """Whether labels are kept."""
    rgb: bool = False
    """Whether grey images get three equal channels."""
    grey: bool = False
    """Whether images in colour become grey."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Coding":
        """What a caller's options say of it, see :class:`pixelcnn.data.reading.Options`."""
        known = {each.name for each in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in options.items() if key in known})

    def __post_init__(self) -> None:
        said = "threshold" if self.binarise is None else "binarise"
        if self.levels is not None:
            check_integer("levels", self.levels, 2, MAX_LEVELS)
        if self.binarise is not None:
            check_choice("binarise", self.binarise, BINARISE)
        if self.threshold is not None:
            if not isinstance(self.threshold, int | float) or not 0 < self.threshold < 1:
                raise ConfigError(
                    f"threshold must lie between 0 and 1, got {shown(self.threshold)}"
                )
            if self.binarise == "dynamic":
                raise ConfigError(
                    "dynamic binarisation has no threshold",
                    hint="drop one of them: in a recipe by --set data.binarise=none",
                )
            object.__setattr__(self, "binarise", "threshold")
        elif self.binarise == "threshold":
            object.__setattr__(self, "threshold", 0.5)
        if self.binarise is not None and self.levels not in {None, 2}:
            raise ConfigError(
                f"{self.binarise} binarisation makes 2 levels, but levels = {self.levels}",
                hint=f"drop levels, or the binarisation: in a recipe by --set data.{said}=none",
            )
        if self.quantise is not None:
            self._check_quantise()

    def _check_quantise(self) -> None:
        if self.binarise is not None:
            raise ConfigError(
                f"{self.binarise} binarisation is of integer levels, not of measured values",
                hint="drop quantise or the binarisation; quantise=[LOW, T, HIGH] is a threshold T",
            )
        if self.quantise not in RULES:
            object.__setattr__(self, "quantise", Bins.of(self.quantise, self.levels))
        elif self.source_levels is not None:
            raise ConfigError(
                "source_levels says that values are levels, quantise that they are measured",
                hint="drop one of them",
            )

    def settled(self, train: ImageSet | None) -> "Coding":
        """The same with bins in place of a rule.

        Args:
            train: images that a rule is applied to; None where there are none to choose.

        Raises:
            ConfigError: a rule without training images.
            DataError: values that no bins divide.
        """
        bins = self.quantise
        if bins is None or (isinstance(bins, Bins) and bins.real is not None):
            return self
        if isinstance(bins, str) and train is None:
            raise ConfigError(
                f"{bins!r} are bins of training images, and here are none",
                hint="give a range, edges, or those of a model: quantise=data.Bins.of_record(model.record)",
            )
        if train is None:
            return self
        if isinstance(bins, str):
            bins = found_bins(bins, train.images, self.levels, f"{train.name} ({train.split})")
        real = are_real(train.images)
        return dataclasses.replace(
            self, levels=bins.levels, quantise=dataclasses.replace(bins, real=real)
        )

    @property
    def wanted(self) -> int | None:
        """Levels of the result; ``None`` if they are kept."""
        return 2 if self.binarise else self.levels
