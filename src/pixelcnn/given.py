"""What a model is given besides the image: labels, vectors or maps, checked and standardised."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pixelcnn.annotations import shown
from pixelcnn.data.tensors import as_tensor, names_in
from pixelcnn.errors import ConfigError
from pixelcnn.networks import Network
from pixelcnn.registry import closest
from pixelcnn.shapes import ImageShape
from pixelcnn.statistics import SHOWN, Statistics, is_single, order_of
from pixelcnn.text import counted, printable

log = logging.getLogger("pixelcnn")


class Conditioned(nn.Module):
    """A module whose state dict tells, beside the weights, in which units they are given a condition.

    Weights alone would be given numbers as they are, and be wrong without a word. The statistics stand where
    PyTorch keeps versions, so the names of the tensors are those of the weights. What has no such place, as
    a plain dictionary of tensors, leaves the statistics as they are.
    """

    network: Network
    statistics: Statistics | None = None

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if hasattr(destination, "_metadata"):
            known = self.statistics and self.statistics.as_config()
            destination._metadata[prefix[:-1]]["condition"] = known

    def _load_from_state_dict(
        self, state: Any, prefix: str, metadata: dict[str, Any], *others: Any
    ) -> None:
        super()._load_from_state_dict(state, prefix, metadata, *others)
        if "condition" in metadata:
            known, size = metadata["condition"], self.network.condition_size
            try:
                self.statistics = known and Statistics.from_config(known, size)
            except ConfigError as error:
                others[-1].append(str(error))  # beside PyTorch's own complaints


def standardised(
    condition: Tensor, network: Network, known: Statistics | None, dtype: torch.dtype
) -> Tensor:
    """Vectors or maps as a network is given them, in its type of number; labels as they are.

    The one place where a condition is scaled.
    """
    if network.condition == "label":
        return condition
    return condition.to(dtype) if known is None else known.standardised(condition, dtype)


def checked(
    condition: Any,
    n: int,
    network: Network,
    shape: ImageShape,
    known: Statistics | None,
    dtype: torch.dtype,
) -> Tensor:
    """Vectors ``(n, d)`` or maps ``(n, d, h, w)`` for n images, standardised, in memory of their own.

    Args:
        condition: in the units of the training data, see :func:`features`.
        n: number of images.
        network: takes them.
        shape: of the images.
        known: of the features; None for a model that takes numbers as they are.
        dtype: of the result.

    Raises:
        ConfigError: not finite numbers, or of another shape; it names the features.
    """
    found = features(condition, n, network, shape, known)
    ready = standardised(found, network, known, dtype)
    if not bool(ready.isfinite().all()):
        reason = not_finite(found, known)
        raise ConfigError(f"a {network.condition} is made of finite numbers, but {reason}")
    if known is not None:
        known.say_if_far(found)
    ready = found.clone() if ready is found else ready
    return ready.expand(n, *ready.shape) if is_single(ready) else ready


def missing(kind: str, size: int, known: Statistics | None) -> ConfigError:
    """What is said where a model is given nothing, though it needs something."""
    names = f": {known.described()}" if known is not None else ""
    what = f"label of {size} classes" if kind == "label" else f"{kind} of size {size}"
    return ConfigError(
        f"this model is conditional: it needs a {what} per image{names}",
        hint=f"pass {'labels' if kind == 'label' else f'{kind}s'} as condition=, one for all or one for each",
    )


def labels(condition: Any, n: int, classes: int, seen: Sequence[int]) -> Tensor:
    """Labels of n images, int64 ``(n,)``, in memory of their own.

    Args:
        condition: one, or n of them.
        n: number of images.
        classes: that the model counts.
        seen: those of them that images were trained on; others are warned of.

    Raises:
        ConfigError: no integers, another number of them, or out of range.
    """
    tensor = _tensor(condition, "label")
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ConfigError(
            f"labels are integers from 0 to {classes - 1}, got {shown(condition)}",
            hint="labels.astype(int) of numbers, labels.argmax(1) of rows with a 1 at the class",
        )
    tensor = tensor.expand(n) if tensor.ndim == 0 else tensor
    if tuple(tensor.shape) != (n,):
        raise ConfigError(
            f"a label condition for {counted(n, 'image')} is {(n,)}, got {tuple(tensor.shape)}"
        )
    tensor = tensor.to(torch.int64, copy=True)
    if n and not 0 <= int(tensor.min()) <= int(tensor.max()) < classes:
        raise ConfigError(
            f"labels must lie in 0..{classes - 1}, got {int(tensor.min())}..{int(tensor.max())}"
        )
    if len(seen) < classes:
        unseen = sorted({*tensor.tolist()} - {*seen})
        if unseen:
            log.warning("no image of class %s was trained on", ", ".join(map(str, unseen[:SHOWN])))
    return tensor


def features(
    condition: Any, n: int, network: Network, shape: ImageShape, known: Statistics | None
) -> Tensor:
    """Vectors or maps of n images in their own units, on whatever device they are; one alone has no axis n.

    Args:
        condition: numbers; or a number, a vector or maps for each name, as of a mapping or a data frame.
        n: number of images.
        network: takes vectors or maps.
        shape: of the images.
        known: of the features; None for a model that has not been trained.

    Raises:
        ConfigError: no numbers, or of another shape; it names the features.
    """
    kind, tail = str(network.condition), network.condition_shape(*shape[1:])
    names = names_in(condition)
    if isinstance(condition, Mapping) or (known is not None and known.names and names):
        condition = _together(condition, names, kind, shape, known)
    tensor = _tensor(condition, kind)
    if tensor.is_complex():
        raise ConfigError(f"a {kind} condition is made of finite numbers, got complex ones")
    if tuple(tensor.shape) not in {tail, (n, *tail)}:
        those = f": {known.described()}" if known is not None else ""
        raise ConfigError(
            f"a {kind} condition for {counted(n, 'image')} is {(n, *tail)}, or {tail} for all, got"
            f" {tuple(tensor.shape)}{those}"
        )
    return tensor


def _together(
    condition: Any, names: Sequence[str], kind: str, shape: ImageShape, known: Statistics | None
) -> Tensor:
    """The values of each name as one tensor, in the order of the model."""
    if known is None or not known.names:
        raise ConfigError(
            f"the features of this model's {kind} have no names, got {', '.join(map(str, condition))}",
            hint="pass their values in order",
        )
    unknown = [name for name in names if name not in known.names]
    if unknown:
        raise ConfigError(
            f"this model is given nothing called {printable(unknown[0])}."
            f"{closest(unknown[0], list(known.names))}",
            hint=f"it is given {known.described()}",
        )
    order_of(names, known.names, "the condition")
    values = [_tensor(condition[name], kind).cpu().double() for name in known.names]
    if kind == "map":
        values = [v[..., None, None] if v.ndim < 2 else v for v in values]
    try:
        whole = torch.broadcast_tensors(
            *values, *([torch.empty(shape[1:])] if kind == "map" else [])
        )
    except RuntimeError as error:
        shapes = ", ".join(
            f"{n} {tuple(v.shape)}" for n, v in zip(known.names, values, strict=True)
        )
        raise ConfigError(f"the condition's features do not fit each other: {shapes}") from error
    return torch.stack(whole[: len(values)], -1 if kind == "vector" else -3)


def _tensor(values: Any, kind: str) -> Tensor:
    try:
        return as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"a {kind} condition is made of numbers, got {shown(values)}",
            hint="number the classes from 0: model.record.get('classes') has their names in order"
            if kind == "label"
            else "",
        ) from error


def not_finite(condition: Tensor, known: Statistics | None) -> str:
    """Which number of vectors or maps cannot be computed with, in words."""
    rows = condition[None] if is_single(condition) else condition
    bad = rows.double().reshape(*rows.shape[:2], -1).isfinite().all(-1).logical_not().nonzero()
    if not len(bad):
        return "this one is too far from those of training"
    image, feature = bad[0].tolist()
    name = known.name(feature) if known is not None else f"feature {feature + 1}"
    return f"{name} of image {image} is not"
