"""How images are to be read, and what to make of their values: what readers are told of the options."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeGuard

from pixelcnn.annotations import Range, Unfit, fitting, shown
from pixelcnn.data.bins import RULES, Bins
from pixelcnn.data.frame import Frame
from pixelcnn.data.options import Options
from pixelcnn.data.picture import SUFFIXES
from pixelcnn.errors import ConfigError
from pixelcnn.folders import at_home
from pixelcnn.shapes import MAX_SIDE, ImageShape, image_shape

Side = Annotated[int, Range(1, MAX_SIDE)]
FULL_RANGE = (256, 65_536)
"""Levels of image files whose values fill the range of their format."""
STORED_LAYOUTS = ("nhw", "nhwc", "nchw", "hwn", "hwcn")
"""Axes that an array of images may have; the last two in the order of MATLAB."""
LABELS = ("labels", "y", "label", "class", "target")
"""What labels are called, in the order in which they are meant."""
WITHOUT = "`pixelcnn train --set data.labels=false` (in Python labels=False)"
"""How to leave labels out: for hints."""
FLAGS = ("size", "fit", "layout", "skip_bad", "grey", "rgb", "key", "label_column")
"""Options that the command line has under their own names."""


def typed(option: str) -> str:
    """How an option of this package's ``load`` is given, on the command line and in Python: for hints.

    Example:
        >>> print(typed("skip_bad"), "or", typed("test"))
        --skip-bad (in Python skip_bad=) or `pixelcnn train --set data.test=` (in Python test=)
    """
    own = f"--{option.replace('_', '-')}"
    flag = own if option in FLAGS else f"`pixelcnn train --set data.{option}=`"
    return f"{flag} (in Python {option}=)"


def plain_layout(layout: str) -> str:
    """The axes of an array as letters, however they are written.

    Example:
        >>> plain_layout("N, H, W")
        'nhw'
    """
    return layout.replace(" ", "").replace(",", "").lower()


QUANTISED = (
    f"say how they become levels with {typed('quantise')}: range, quantiles, two numbers or edges"
)
"""What to do about measured values."""


def as_size(size: Any) -> tuple[int, int] | None:
    """Height and width from ``None``, a number (a square), a pair, or text like ``28`` or ``28x20``.

    Raises:
        ConfigError: none of these.

    Example:
        >>> as_size(28), as_size("28x20"), as_size([8, 9])
        ((28, 28), (28, 20), (8, 9))
    """
    if size is None:
        return None
    sides: list[Any] = list(size) if isinstance(size, Sequence) else [size]
    if isinstance(size, str):
        parts = [part.strip() for part in size.lower().split("x")]
        sides = [int(p) if p.isascii() and p.isdecimal() and len(p) < 10 else p for p in parts]
    try:
        height, width = (fitting(side, Side) for side in sides * (1 + (len(sides) == 1)))
    except (Unfit, ValueError):
        text = f"{shown(size)} is not a size; write 32 or 32x48, at most {MAX_SIDE}"
        raise ConfigError(text) from None
    return height, width


CONDITION_TABLES, CONDITION_ARRAYS = (".csv", ".tsv", ".txt"), (".npy", ".npz")
"""Files of conditions, by suffix; pictures may be maps, too."""


def is_condition_file(condition: object) -> TypeGuard[str]:
    """Whether ``condition=`` is a file or a folder, not names: by its suffix, its end, or being a folder.

    Example:
        >>> is_condition_file("params.csv"), is_condition_file("maps/"), is_condition_file("sim/mass,sim/age")
        (True, True, False)
    """
    if not isinstance(condition, str):
        return False
    if Path(condition).suffix.lower() in (*CONDITION_TABLES, *CONDITION_ARRAYS, *SUFFIXES):
        return True
    return condition.endswith(("/", os.sep)) or os.path.isdir(at_home(condition))


def condition_names(condition: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names of columns or arrays that ``condition=`` lists; none where it is a file.

    Example:
        >>> condition_names("mass, age"), condition_names(["mass"]), condition_names("maps/")
        (('mass', 'age'), ('mass',), ())
    """
    if condition is None or is_condition_file(condition):
        return ()
    listed = condition.split(",") if isinstance(condition, str) else condition
    return tuple(name.strip() for name in listed if name.strip())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What every reader of own data is told: checked :class:`Options`, and what follows from them.

    Raises:
        ConfigError: options that contradict each other, an unknown layout, or patches without a size.

    Example:
        >>> Reading(layout="n h w c").layout, Reading(threshold=0.33).binarise
        ('nhwc', 'threshold')
    """

    size: tuple[int, int] | None = None
    """Height and width to bring all images to; ``None`` leaves them as they are."""
    fit: str | None = None
    """How, see :class:`Options`; ``None`` is ``resize`` for image files and ``crop`` for arrays."""
    layout: str | None = None
    skip_bad: bool = False
    shape: ImageShape | None = None
    """What the model takes: it settles the axes of an array and the channels of image files."""
    channels: int | None = None
    """Channels that image files are brought to; by default those of ``shape``."""
    levels: int | None = None
    """Levels of the result; ``None`` keeps those of the source."""
    threshold: float | None = None
    """From this share of the range on a value becomes 1."""
    binarise: str | None = None
    """``threshold`` (at 0.5 unless said), ``dynamic``, or ``None``."""
    source_levels: int | None = None
    """Levels of the stored values, where they are known. For image files 256 and 65,536 mean that the
    values fill the range of their format; with any other number they are levels as they stand there."""
    usual_levels: int | None = None
    quantise: Any = None
    """How measured values become levels: a rule, or bins; with ``source_levels`` they are levels already."""
    picture_levels: int | None = None
    labels: bool = True
    classes: tuple[str, ...] = ()
    """Known already, so that a single folder of that name is one of them."""
    rgb: bool = False
    grey: bool = False
    workers: int | None = None
    download: bool = True
    label_column: str | None = None
    key: str | None = None
    condition: tuple[str, ...] = ()
    """Names of columns or arrays that images are given besides themselves."""
    condition_file: str | None = None
    """A file of its own for them."""
    measured: bool = dataclasses.field(init=False)
    """Whether values are read as they are, to be quantised later."""
    stored: bool = dataclasses.field(init=False)
    """Whether the values of image files are levels as they stand there."""
    wide: bool = dataclasses.field(init=False)
    """Whether image files are read with 65,536 levels, not 256."""
    frame: Frame | None = dataclasses.field(init=False)
    """What is kept of an image file; ``None`` if all of it."""

    @classmethod
    def of(cls, options: Options) -> "Reading":
        """What the readers are told of a caller's options."""
        apart = {"size", "shape", "condition", "condition_file"}
        known = {each.name for each in dataclasses.fields(cls)} - apart
        shape, condition = options.get("shape"), options.get("condition")
        if options.get("grey") and options.get("rgb"):
            raise ConfigError("images are made grey or RGB, not both", hint="drop one of them")
        if shape is not None and options.get("grey") and len(shape) == 3:
            shape = (3, *shape[1:])  # what a model for grey images is given may be in colour
        found = cls(
            size=as_size(options.get("size")),
            condition=condition_names(condition),
            condition_file=condition if is_condition_file(condition) else None,
            shape=None if shape is None else image_shape(tuple(shape)),
            **{key: value for key, value in options.items() if key in known},  # type: ignore[arg-type]
        )
        if isinstance(found.quantise, str) and found.source_levels is not None:
            raise ConfigError(
                "source_levels says that values are levels, quantise that they are measured",
                hint="drop one of them",
            )
        return found

    def __post_init__(self) -> None:
        self._check_coding()
        if self.fit == "patches" and self.size is None:
            raise ConfigError("patches have a size", hint=f"say which: {typed('size')}")
        if self.layout is not None:
            layout = plain_layout(self.layout)
            if layout not in STORED_LAYOUTS:
                raise ConfigError(
                    f"no layout {self.layout!r}",
                    hint=f"one of: {', '.join(map(' '.join, STORED_LAYOUTS))}",
                )
            object.__setattr__(self, "layout", layout)
        if self.label_column is not None:
            object.__setattr__(self, "label_column", self.label_column.strip().lower())
        if self.channels is None and self.shape is not None and not self.grey:
            object.__setattr__(self, "channels", self.shape.channels)
        known, full = self.source_levels, self.source_levels in FULL_RANGE
        framed = None if self.fit == "patches" else self.size
        settled = {
            "measured": self.quantise is not None and known is None,
            "stored": known is not None and not full,
            "wide": ((known if full else self.wanted) or 0) > 256,
            "frame": None if framed is None else Frame(framed, self.fit or "resize"),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    def _check_coding(self) -> None:
        """Checks and completes what is said of the levels of the result."""
        said = "threshold" if self.binarise is None else "binarise"
        if self.threshold is not None:
            if self.threshold in {0, 1}:
                raise ConfigError(f"threshold must lie between 0 and 1, got {self.threshold}")
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
        if self.binarise is not None and self.quantise is not None:
            raise ConfigError(
                f"{self.binarise} binarisation is of integer levels, not of measured values",
                hint="drop quantise or the binarisation; quantise=[LOW, T, HIGH] is a threshold T",
            )
        if self.quantise is not None and self.quantise not in RULES:
            object.__setattr__(self, "quantise", Bins.of(self.quantise, self.levels))

    @property
    def wanted(self) -> int | None:
        """Levels of the result; ``None`` if they are kept."""
        return 2 if self.binarise else self.levels

    @property
    def of_pictures(self) -> "Reading":
        """The same for image files."""
        known = self.source_levels or self.picture_levels
        return dataclasses.replace(self, source_levels=known, fit=self.fit or "resize")
