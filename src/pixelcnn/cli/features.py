"""Vectors and maps on the command line: ``--condition`` as words, ranges or files."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelcnn.annotations import shown
from pixelcnn.cli import words
from pixelcnn.errors import ConfigError
from pixelcnn.folders import at_home
from pixelcnn.registry import closest
from pixelcnn.text import place, printable

if TYPE_CHECKING:
    from torch import Tensor

    from pixelcnn.data import ImageSet
    from pixelcnn.model import PixelModel

STEPS, MOST_STEPS = 9, 1_000
"""Values of a range that says no number of them, and most that one may have."""
EACH, EACH_OF_A_RANGE, ALONE = 1, 4, 16
"""Images of each condition of a file, of each value of a range, and of a single condition."""
MOST_SHOWN = 8
"""Features that an example spells out."""
WORDS = "NAME=VALUE, NAME=FROM:TO or NAME=FROM:TO:STEPS, with commas in between"


@dataclasses.dataclass(frozen=True)
class Conditions:
    """What the images of a drawing are given.

    Attributes:
        condition: for :func:`pixelcnn.sample`, for all images or for each.
        count: images.
        columns: of a grid; None for about a square.
        said: the same in words.
        facts: the same under the keys of ``--json``.
    """

    condition: "Tensor | None"
    count: int
    columns: int | None = None
    said: str = ""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def given(model: "PixelModel", condition: str | None, count: int | None) -> Conditions:
    """What to draw from a model of vectors or maps.

    Args:
        model: its record knows names and ranges.
        condition: what ``--condition`` says.
        count: images of each condition, if that was said.

    Raises:
        ConfigError: no condition, or one that the model does not take.
        DataError: a file that cannot be used.
    """
    if condition is None:
        raise needed(model)
    if is_file(condition):
        return _from_file(model, condition, count or EACH)
    values = parsed(model, condition)
    ranges = [at for at, each in enumerate(values) if len(each) > 1]
    if len(ranges) > 2:
        raise ConfigError(f"--condition: {len(ranges)} ranges, a picture has rows and columns")
    return _table(model, values, ranges, count)


def _table(
    model: "PixelModel", values: list[list[float]], ranges: list[int], count: int | None
) -> Conditions:
    """One condition, or a table whose columns walk one range, and its rows another."""
    import torch

    names = names_of(model)
    each = count or (EACH_OF_A_RANGE if len(ranges) == 1 else EACH if ranges else ALONE)
    fixed = {names[at]: v[0] for at, v in enumerate(values) if at not in ranges}
    facts: dict[str, Any] = {"condition": fixed}
    said = [f"{name} {value:g}" for name, value in fixed.items()]
    for at, side in zip(ranges, ("columns", "rows"), strict=False):
        facts[side] = {"name": names[at], "values": values[at]}
        low, high = values[at][0], values[at][-1]
        said.append(f"{side} {names[at]} {low:g} to {high:g} in {len(values[at])} steps")
    if not ranges:
        vector = torch.tensor([v[0] for v in values], dtype=torch.float64)
        return Conditions(vector, each, None, ", ".join(said), facts)
    across, down = values[ranges[0]], [values[at] for at in ranges[1:]]
    rows = []
    for *below, _, beside in itertools.product(*down, range(each), across):
        walked = dict(zip(ranges, (beside, *below), strict=True))
        rows.append([walked.get(at, value[0]) for at, value in enumerate(values)])
    table = torch.tensor(rows, dtype=torch.float64)
    return Conditions(table, len(rows), len(across), ", ".join(said), facts)


def _from_file(model: "PixelModel", condition: str, each: int) -> Conditions:
    """So many images of each vector or map of a file."""
    values = read(model, condition)
    name = printable(Path(condition).name)
    said = f"{len(values)} conditions of {name}" + (f", {each} images of each" if each > 1 else "")
    return Conditions(
        values.repeat_interleave(each, 0),
        len(values) * each,
        each if each > 1 and len(values) > 1 else None,
        said,
        {"condition": {"file": name, "conditions": len(values), "images_of_each": each}},
    )


def read(model: "PixelModel", condition: str) -> "Tensor":
    """The vectors or maps of a file, in the order of the model's features."""
    from pixelcnn.conditioning import in_order
    from pixelcnn.data.conditions import fitted_maps, read_features

    _check_kind(model)
    fit = (model.record.get("data") or {}).get("fit")
    found = read_features(at_home(condition), model.shape[1:], fit)
    where, kind = printable(Path(condition).name), model.network.condition
    if (found.values.ndim == 4) != (kind == "map"):
        other = "maps" if kind == "vector" else "vectors"
        raise ConfigError(f"this model is given {kind}s, {where} holds {other}")
    values = found.values
    if kind == "map":
        values = fitted_maps(values, model.shape, fit, where)
    if (known := _named(model)) and found.names:
        return in_order(values, found.names, known, where)
    if values.shape[1] != model.network.condition_size:
        raise ConfigError(
            f"this model is given {model.network.condition_size} features, {where} has"
            f" {values.shape[1]}",
            hint=_known(model),
        )
    return values


def taken_as(model: "PixelModel", images: "ImageSet", condition: str) -> "ImageSet":
    """Images that are all given what ``--condition`` says, or what a file has for each.

    Raises:
        ConfigError: a condition that the model does not take.
        DataError: a file that cannot be used.
    """
    import torch

    from pixelcnn.data.conditions import given_by

    _check_kind(model)
    if is_file(condition):
        fit = (model.record.get("data") or {}).get("fit")
        return given_by(images, condition, model.shape[1:], fit, one_for_all=True)
    values = parsed(model, condition)
    if any(len(each) > 1 for each in values):
        raise ConfigError(f"--condition {condition}: ranges are for sample", hint="say one value")
    vector = torch.tensor([each[0] for each in values], dtype=torch.float64)
    every = vector.expand(len(images), len(vector))
    return dataclasses.replace(images, condition=every, condition_names=_named(model))


def parsed(model: "PixelModel", condition: str) -> list[list[float]]:
    """The values of each feature, in the order of the model: one, or those of a range.

    Raises:
        ConfigError: none of :data:`WORDS`, or other features than the model's.
    """
    _check_kind(model)
    if model.network.condition == "map":
        raise ConfigError(
            f"this model is given maps, and {shown(condition)} is no file",
            hint="--condition takes an .npy or .npz file, a picture, or a folder of pictures",
        )
    items = [item.strip().rpartition("=") for item in condition.split(",")]
    names, size = names_of(model), model.network.condition_size
    named = [name.strip() for name, equals, _ in items if equals]
    if not named:
        if len(items) != size:
            raise ConfigError(f"--condition: {len(items)} values for {size}", hint=_known(model))
        return [values(text) for _, _, text in items]
    if not _named(model):
        raise ConfigError(
            "the features of this model have no names", hint=f"give its {size} values in order"
        )
    found: dict[str, list[float]] = {}
    for name, _, text in items:
        feature = names[_feature(name.strip(), names, model)]
        if feature in found:
            raise ConfigError(f"--condition: {printable(feature)} twice")
        found[feature] = values(text)
    missing = [name for name in names if name not in found]
    if missing:
        raise ConfigError(
            f"--condition: nothing is said of {', '.join(map(printable, missing))}",
            hint=_known(model),
        )
    return [found[name] for name in names]


def _feature(name: str, names: Sequence[str], model: "PixelModel") -> int:
    """Where a feature of a model stands."""
    if (found := place(name, names)) is not None:
        return found
    if not name:
        raise ConfigError("--condition: some values have a name and others none", hint=WORDS)
    raise ConfigError(
        f"this model is given nothing called {shown(name)}.{closest(name, list(names))}",
        hint=_known(model),
    )


def values(text: str) -> list[float]:
    """One number, or those of a range.

    Example:
        >>> values("2.5"), values("1:5:3"), len(values("0:1"))
        ([2.5], [1.0, 3.0, 5.0], 9)

    Raises:
        ConfigError: neither.
    """
    first, *rest = text.strip().split(":")
    numbers = [_number(each) for each in (first, *rest[:1])]
    steps = words.number(rest[1].strip()) if len(rest) > 1 else STEPS
    if len(rest) > 2 or None in numbers or not 2 <= steps <= MOST_STEPS:
        raise ConfigError(
            f"--condition: {shown(text)} is neither a number nor a range", hint=f"write {WORDS}"
        )
    low, high = (float(number or 0) for number in (numbers[0], numbers[-1]))
    if not rest:
        return [low]
    return [low + (high - low) * step / (steps - 1) for step in range(steps)]


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def is_file(condition: str) -> bool:
    """Whether ``--condition`` names a file or a folder."""
    from pixelcnn.data.reading import is_condition_file

    return "=" not in condition and is_condition_file(condition)


def names_of(model: "PixelModel") -> list[str]:
    """What the features are called, or their numbers from 1 on."""
    return list(_named(model)) or [str(at + 1) for at in range(model.network.condition_size)]


def _named(model: "PixelModel") -> tuple[str, ...]:
    return () if model.statistics is None else model.statistics.names


def needed(model: "PixelModel") -> ConfigError:
    """What is wrong where nothing is said of what a model is given."""
    kind = model.network.condition
    if kind == "map":
        return ConfigError(
            f"this model is given a map of {model.network.condition_size} features",
            hint="say which with --condition: an .npy file, a picture, or a folder of pictures",
        )
    return ConfigError(
        "this model is given a vector: say which with --condition", hint=_known(model)
    )


def _known(model: "PixelModel") -> str:
    """What a model is given: an example to type, and ranges."""
    known, size = model.statistics, model.network.condition_size
    if known is None:
        return f"{size} numbers, as --condition {','.join(['0'] * min(size, 3))}"
    if size > MOST_SHOWN:
        return f"{size} numbers, from an .npy or .csv file"
    names = [f"{name}=" for name in known.names] or [""] * size
    typical = [f"{float(f'{mean:.3g}'):g}" for mean in known.mean]
    example = ",".join(map("".join, zip(names, typical, strict=True)))
    return f"such as --condition {printable(example)}; in training {known.described()}"


def _check_kind(model: "PixelModel") -> None:
    """Raises :class:`ConfigError` for a model without vectors or maps."""
    from pixelcnn.data import tags

    kind = tags.of(model).kind
    if kind is None:
        raise ConfigError("this model is not conditional, so there is no --condition")
    if kind == "label":
        raise ConfigError("this model is given a class", hint="say which with --label")
