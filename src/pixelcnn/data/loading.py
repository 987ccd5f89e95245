"""``load`` and ``load_all``: from any source to images as integer levels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Unpack

from pixelcnn.config import gated
from pixelcnn.data.geometry import fitted
from pixelcnn.data.image_set import ImageSet, Splits
from pixelcnn.data.options import Options
from pixelcnn.data.quantise import coded, settled
from pixelcnn.data.reading import Reading, typed
from pixelcnn.data.sets import DATASETS, named_splits, named_whole
from pixelcnn.data.sources import RESTRICTED, parts_of, splits_from, whole_of
from pixelcnn.data.splits import Parts
from pixelcnn.errors import ConfigError
from pixelcnn.folders import at_home
from pixelcnn.surroundings import independent


@independent
@gated
def load(
    data: Any = "digits",
    *,
    split: Literal["standard", "tutorial"] = "standard",
    test: Any = None,
    **options: Unpack[Options],
) -> Splits:
    """A data set in three parts: to train on, to choose by, to report on.

    Args:
        data: one of :data:`DATASETS`, else a path: a folder of images (with class folders as labels,
            or with folders ``train``, ``test`` and perhaps ``val``), an image file, a file of arrays
            (``.npy``, ``.npz``, ``.h5``, ``.zarr``, ``.fits``, IDX: ``images``, perhaps ``labels``), a
            Kaggle-style ``.csv``, or a prepared folder. Or what holds images: an array or a tensor,
            pictures of Pillow, an :class:`ImageSet`, a dataset of Hugging Face (also by name:
            ``"hf:OWNER/NAME"``), a dataset or a loader of PyTorch.
        split: ``standard``, or ``tutorial``: official training and test images in one piece, of which
            the last tenth validates. For comparison with the tutorials only, since it trains on test
            images.
        test: own data only: a second source with the test images.
        **options: see :class:`pixelcnn.data.Options`.

    Raises:
        ConfigError: options that contradict each other, or do not go with the data; an unknown name.
        DataError: data that are missing, damaged or do not fit.

    Example:
        >>> train, val, test = load("digits", levels=2)
        >>> len(train), len(val), len(test), train.binarisation
        (1297, 200, 300, 'threshold 0.5')
        >>> [len(part) for part in load(torch.arange(250).reshape(10, 5, 5), source_levels=250)]
        [7, 2, 1]
    """
    parts, reading = _split(data, split, test, options)
    train, val, rest = (coded(part, reading, again=number > 0) for number, part in enumerate(parts))
    return Splits(train, val.frozen(), rest.frozen())


@independent
@gated
def load_part(data: Any, part: str, test: Any = None, **options: Unpack[Options]) -> ImageSet:
    """One part of what :func:`load` gives, with its arguments and errors; of it alone levels are made.

    Example:
        >>> len(load_part("digits", "val"))
        200
    """
    parts, reading = _split(data, "standard", test, options)
    found = coded(getattr(parts, part), reading)
    return found if part == "train" else found.frozen()


def _split(data: Any, split: str, test: Any, options: Options) -> tuple[Splits, Reading]:
    """A source in three parts as they are stored, and what is to be made of their values."""
    reading = Reading.of(options)
    if _named(data):
        _own_only(str(data), options | {"test": test})
        whole = named_splits(str(data), split, *_origin(options))
        parts = Splits(*(fitted(part, reading.size, reading.fit) for part in whole))
    elif split != "standard":
        hint = f"leave out {typed('split')}"
        raise ConfigError("own data have no split but standard", hint=hint)
    else:
        parts = splits_from(data, reading, test)
    return parts, settled(reading, parts.train)


@independent
@gated
def load_all(data: Any, **options: Unpack[Options]) -> ImageSet:
    """Images in one piece and in their order: to score, complete or compress.

    Args:
        data: as for :func:`load`, or several image files.
        **options: see :class:`pixelcnn.data.Options`. Dynamic binarisation is drawn once, with seed 0.

    Raises:
        ConfigError: options that contradict each other, or do not go with the data; an unknown name.
        DataError: data that are missing, damaged or do not fit.

    Example:
        >>> load_all("digits").split
        'all'
    """
    reading = settled(Reading.of(options), None)
    if _named(data):
        _own_only(str(data), options)
        images = fitted(named_whole(str(data), *_origin(options)), reading.size, reading.fit)
    else:
        images = whole_of(data, reading)
    return coded(images, reading).frozen()


@independent
@gated
def parts_in(data: Any, **options: Unpack[Options]) -> Parts:
    """A source in the parts that it comes in: ``all``, or some of ``train``, ``val`` and ``test``.

    Arguments and errors as :func:`load`.
    """
    if _named(data):
        return load(data, **options)._asdict()
    reading = Reading.of(options)
    found = parts_of(data, reading)
    first = next((name for name in ("train", "all") if name in found), None)
    reading = settled(reading, None if first is None else found[first])
    return {name: coded(part, reading, again=name != first) for name, part in found.items()}


def _named(data: Any) -> bool:
    """Whether a source is a named set; of an array nobody may ask whether it is in a list."""
    return isinstance(data, str) and data in DATASETS


OWN = ("test", "source_levels", *RESTRICTED)
"""Options that named sets have no use for."""


def _own_only(name: str, options: Mapping[str, object]) -> None:
    """Raises :class:`ConfigError` for an option that a named set has no use for."""
    for option in OWN:
        if not any(options.get(option) is none for none in (None, False)):
            raise ConfigError(
                f"{option} goes with own data, not with {name}", hint=f"leave out {typed(option)}"
            )


def _origin(options: Options) -> tuple[Path | None, bool]:
    """Where named sets are looked for, and whether those that are missing are fetched."""
    root = options.get("root")
    return None if root is None else at_home(root), options.get("download", True)
