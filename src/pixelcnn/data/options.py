"""What a caller may say of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from pixelcnn.annotations import Range
from pixelcnn.data.bins import Bins
from pixelcnn.shapes import MAX_LEVELS

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
