"""How own data are to be read."""

import dataclasses
from typing import Annotated

from pixelcnn.annotations import Range
from pixelcnn.config import check_choice, check_fields
from pixelcnn.data.geometry import FITS
from pixelcnn.errors import ConfigError
from pixelcnn.shapes import MAX_LEVELS, ImageShape

FULL_RANGE = (256, 65_536)
"""Levels of image files whose values fill the range of their format."""
LAYOUTS = ("nhw", "nhwc", "nchw")
FLAGS = ("size", "fit", "layout", "skip_bad")
"""Options that the command line has under their own names."""


def typed(option: str) -> str:
    """How an option of this package's ``load`` is given, on the command line and in Python: for hints.

    Example:
        >>> print(typed("skip_bad"), "or", typed("test"))
        --skip-bad (in Python skip_bad=) or --set data.test= (in Python test=)
    """
    flag = option.replace("_", "-") if option in FLAGS else f"set data.{option}="
    return f"--{flag} (in Python {option}=)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """Options of every reader of own data.

    Raises:
        ConfigError: an option that cannot be used.

    Example:
        >>> Reading(layout="n h w c").layout
        'nhwc'
    """

    size: tuple[int, int] | None = None
    """Height and width to bring all images to; ``None`` leaves them as they are."""
    fit: str = "crop"
    """``crop`` about the centre (smaller images are refused), ``pad`` (crops what is larger and pads
    what is smaller with level 0), or ``resize`` (image files only: scaled, then cropped)."""
    layout: str | None = None
    """Axes of an array, where they are not clear."""
    skip_bad: bool = False
    """Leave out what cannot be read instead of refusing all."""
    shape: ImageShape | None = None
    """What the model takes: it settles the axes of an array and the channels of image files."""
    channels: int | None = None
    """Channels that image files are brought to; by default those of ``shape``."""
    levels: int | None = None
    """Levels that the values will be quantised to."""
    source_levels: Annotated[int, Range(2, MAX_LEVELS)] | None = None
    """Levels of the stored values, where they are known. For image files 256 and 65,536 mean that the
    values fill the range of their format; with any other number they are levels as they stand there."""
    usual_levels: Annotated[int, Range(2, MAX_LEVELS)] | None = None
    """Levels of stored values that do not say so themselves, as those of an array or a table."""
    labels: bool = True
    """Whether labels are wanted."""
    label_column: str | None = None
    """Of a table: ``first``, ``last``, ``none``, or its name in the header."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("fit", self.fit, FITS)
        if self.layout is not None:
            layout = self.layout.replace(" ", "").replace(",", "").lower()
            if layout not in LAYOUTS:
                raise ConfigError(
                    f"no layout {self.layout!r}", hint="one of: n h w, n h w c, n c h w"
                )
            object.__setattr__(self, "layout", layout)
        if self.label_column is not None:
            object.__setattr__(self, "label_column", self.label_column.strip().lower())
        if self.channels is None and self.shape is not None:
            object.__setattr__(self, "channels", self.shape.channels)

    @property
    def stored(self) -> bool:
        """Whether the values of image files are levels as they stand there."""
        return self.source_levels not in {None, *FULL_RANGE}

    @property
    def wide(self) -> bool:
        """Whether image files are read with 65,536 levels, not 256."""
        if self.source_levels in FULL_RANGE:
            return self.source_levels > 256
        return self.levels is not None and self.levels > 256
