"""How images are to be read: what a caller says of it, and what the readers are told."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, TypeGuard

from pixelcnn.annotations import Range
from pixelcnn.config import check_integer
from pixelcnn.data.bins import Bins
from pixelcnn.data.frame import Frame
from pixelcnn.data.gate import brief
from pixelcnn.data.picture import SUFFIXES
from pixelcnn.errors import ConfigError
from pixelcnn.folders import at_home
from pixelcnn.shapes import MAX_LEVELS, MAX_SIDE, ImageShape, image_shape

FULL_RANGE = (256, 65_536)
"""Levels of image files whose values fill the range of their format."""
STORED_LAYOUTS = ("nhw", "nhwc", "nchw", "hwn", "hwcn")
"""Axes that an array of images may have; the last two in the order of MATLAB."""
LABELS = ("label", "labels", "class", "target", "y")
"""What a column of labels is called."""
WITHOUT = "`pixelcnn train --set data.labels=false` (in Python labels=False)"
"""How to leave labels out: for hints."""
FLAGS = ("size", "fit", "layout", "skip_bad", "grey", "rgb", "key", "label_column")
"""Options that the command line has under their own names."""


Levels = Annotated[int, Range(2, MAX_LEVELS)]
Quantise = Literal["range", "quantiles"] | Bins | Sequence[float]
Fit = Literal["resize", "nearest", "crop", "pad", "patches"]


class Options(TypedDict, total=False):
    """Keyword arguments of :func:`pixelcnn.data.load` and :func:`pixelcnn.data.load_all`."""

    levels: Levels | None
    """Quantise to this many in equal bins; ``None`` keeps those of the data."""
    quantise: Quantise | None
    """Make levels of measured values, real numbers or integers of any size: ``range``, ``levels`` equal bins
    (256 by default) from the smallest to the largest value of the training images; ``quantiles``, bins that
    hold equally many of their values; two numbers, equal bins of that range; more numbers, the edges of
    the bins; or :class:`pixelcnn.data.Bins`."""
    threshold: Annotated[float, Range(0, 1)] | None
    """Binarise: from this share of the range on, a value becomes 1."""
    binarise: Literal["threshold", "dynamic"] | None
    """``threshold`` (at 0.5 unless ``threshold`` says), or ``dynamic``: training images are drawn anew in
    each epoch with the grey value as the probability of a 1, others once, with seed 0."""
    rgb: bool
    """Give grey images three equal channels."""
    grey: bool
    """Make images in colour grey, by their brightness (ITU-R BT.601)."""
    size: int | str | Sequence[int] | None
    """A side, or (height, width), that images are brought to."""
    fit: Fit | None
    """How. Image files are scaled to the shorter side, and the centre is kept: with ``resize``, the default,
    over all pixels (Lanczos), with ``nearest`` without mixing any. Whatever it is, ``crop``, for arrays the
    default, takes the centre as it is and refuses smaller images, ``pad`` puts level 0 around what is
    smaller, and ``patches`` cuts each image into a grid of them, and in training takes others each epoch."""
    layout: str | None
    """Axes of an array or of colours in a table: ``n h w``, ``n h w c`` or ``n c h w``; of an array as MATLAB
    has them also ``h w n`` or ``h w c n``."""
    skip_bad: bool
    """Leave out files and rows that cannot be read."""
    shape: Sequence[int] | None
    """(channels, height, width) of a model: settles layouts, and the channels of image files."""
    source_levels: Levels | None
    """How many levels the stored values have. By default what an archive says itself, then what
    ``usual_levels`` says, then what the type of the values says."""
    usual_levels: Levels | None
    """As ``source_levels``, for arrays and tables that do not say it themselves."""
    picture_levels: Levels | None
    """As ``source_levels``, for image files alone: those of a model's training data."""
    workers: Annotated[int, Range(0, 256)] | None
    """Threads that decode image files; by default as many as there are processors, at most 8, and none
    beside this one for small folders; 0 for none beside this one."""
    label_column: str | None
    """Of a table: ``first``, ``last``, ``none`` or its name, where it cannot be seen."""
    key: str | None
    """Of a file of arrays: the one with the images, by its name (``group/images``), or of FITS the number of
    its unit; of a Hugging Face dataset the column;
    by default ``images``, ``x_train``, ``x``, ``data``, the only one or the only one of images."""
    condition: str | Sequence[str] | None
    """What images are given besides themselves: names of columns of a table, or of arrays in their file; or
    a file of its own with a row, an array or a picture for each, see
    :func:`pixelcnn.data.conditions.read_features`."""
    labels: bool
    """Keep labels."""
    classes: Sequence[str]
    """Names of classes that are known: a folder of one of them alone is a class, too."""
    root: str | Path | None
    """Where named sets are looked for before the user's cache; default ``$PIXELCNN_DATA``."""
    download: bool
    """Fetch named sets that are missing."""


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
    if isinstance(size, str):
        parts = size.lower().split("x")
        sides: list[Any] = [int(p) if p.strip().isdecimal() and len(p) < 10 else p for p in parts]
    else:
        sides = list(size) if isinstance(size, Sequence) else [size]
    if len(sides) == 1:
        sides *= 2
    if len(sides) != 2:
        raise ConfigError(f"size must be a side, or height x width, got {brief(repr(size))}")
    for side in sides:
        check_integer("size", side, 1, MAX_SIDE)
    return sides[0], sides[1]


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
        ConfigError: a layout that there is not, or patches without a size.

    Example:
        >>> Reading(layout="n h w c").layout
        'nhwc'
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
    """Levels that the values will be quantised to."""
    source_levels: int | None = None
    """Levels of the stored values, where they are known. For image files 256 and 65,536 mean that the
    values fill the range of their format; with any other number they are levels as they stand there."""
    usual_levels: int | None = None
    quantise: Quantise | None = None
    """How measured values will become levels. With ``source_levels`` the values are levels already."""
    picture_levels: int | None = None
    labels: bool = True
    classes: tuple[str, ...] = ()
    """Known already, so that a single folder of that name is one of them."""
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
    def of(cls, wanted: int | None, options: Options) -> "Reading":
        """What the readers are told of a caller's options.

        Args:
            wanted: levels that the values will be quantised to.
            options: as given.
        """
        apart = {"levels", "size", "shape", "condition", "condition_file"}
        known = {each.name for each in dataclasses.fields(cls)} - apart
        shape, condition = options.get("shape"), options.get("condition")
        if options.get("grey") and options.get("rgb"):
            raise ConfigError("images are made grey or RGB, not both", hint="drop one of them")
        if shape is not None and options.get("grey") and len(shape) == 3:
            shape = (3, *shape[1:])  # what a model for grey images is given may be in colour
        return cls(
            levels=wanted,
            size=as_size(options.get("size")),
            condition=condition_names(condition),
            condition_file=condition if is_condition_file(condition) else None,
            shape=None if shape is None else image_shape(tuple(shape)),
            **{key: value for key, value in options.items() if key in known},  # type: ignore[arg-type]
        )

    def __post_init__(self) -> None:
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
            "wide": ((known if full else self.levels) or 0) > 256,
            "frame": None if framed is None else Frame(framed, self.fit or "resize"),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    @property
    def of_pictures(self) -> "Reading":
        """The same for image files."""
        known = self.source_levels or self.picture_levels
        return dataclasses.replace(self, source_levels=known, fit=self.fit or "resize")
