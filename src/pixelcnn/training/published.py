"""What others reported for the same task: a recipe's ``[published]`` table."""

import dataclasses
import math
from typing import Annotated, Any, Literal

from pixelcnn.annotations import Range
from pixelcnn.config import check_fields, check_keys
from pixelcnn.errors import ConfigError

Unit = Literal["nats", "nats/dim", "bits/dim"]
"""Nats an image, or nats or bits a sub-pixel."""
Part = Literal["val", "test"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """A published figure; every field is a key of a recipe's ``[published]`` table.

    Raises:
        ConfigError: a value that cannot be used; names the field, the value and the remedy.

    Example:
        >>> figure = Published(figure=0.0831, unit="nats/dim", source="keras.io")
        >>> str(figure), round(figure.of(nats=65.15, dimensions=784), 4)
        ('0.0831 nats/dim', 0.0831)
    """

    figure: Annotated[float, Range(0, 1_000_000)]
    """As its source prints it."""
    unit: Unit = "nats"
    """``nats`` an image, ``nats/dim`` or ``bits/dim``: a sub-pixel."""
    split: Part = "test"
    """What it was measured on: ``test``, or ``val`` where the source reports on images that validate."""
    source: str
    """Who reports it, and for which network."""
    settings: tuple[str, ...] = ()
    """Values of the recipe that its setting needs, as ``data.split=tutorial``."""
    note: str | None = None
    """What keeps the figures from being compared as they stand."""

    def __post_init__(self) -> None:
        check_fields(self, "published.")

    def __str__(self) -> str:
        return f"{self.figure:g} {self.unit}"

    def of(self, nats: float, dimensions: int) -> float:
        """Nats an image, or an error of them, in the unit of the figure."""
        return in_unit(nats, dimensions, self.unit)

    @classmethod
    def from_table(cls, table: Any) -> "Published":
        """The figure of a recipe's ``[published]`` table.

        Raises:
            ConfigError: it is no table; an unknown or missing key, or a value that cannot be used.
        """
        if not isinstance(table, dict):
            raise ConfigError("published must be a table", hint="write [published]")
        known = [field.name for field in dataclasses.fields(cls)]
        check_keys("key of [published]", table, known)
        absent: dict[str, Any] = {"figure": None, "source": None}
        return cls(**(absent | table))


def in_unit(nats: float, dimensions: int, unit: Unit) -> float:
    """Nats of an image of so many sub-pixels in a unit.

    Example:
        >>> round(in_unit(65.15, 784, "bits/dim"), 4)
        0.1199
    """
    scale = {"nats": 1.0, "nats/dim": dimensions, "bits/dim": dimensions * math.log(2)}
    return nats / scale[unit]
