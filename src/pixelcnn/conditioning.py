"""What the images of a data set are given to a model with."""

import logging
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from pixelcnn.data import ImageSet, tags
from pixelcnn.data.labels import tell_of_numbers
from pixelcnn.errors import ConfigError, ModelError
from pixelcnn.model import PixelModel
from pixelcnn.statistics import SHOWN, Statistics, order_of
from pixelcnn.text import printable

log = logging.getLogger("pixelcnn")

_told: WeakKeyDictionary[PixelModel, set[tuple[str, ...]]] = WeakKeyDictionary()
"""Names of classes that a model of numbers has been told of."""


def condition_of(model: PixelModel, data: ImageSet) -> Tensor | None:
    """What the images of a data set are given to a model with: labels, vectors or maps; None if nothing.

    Names decide, not their order: labels count as the model's classes do, and features come in its order.
    Vectors and maps are in units of their own, see :meth:`PixelModel.check_condition`. A network that is told
    of augmentation is told that there is none.

    Raises:
        ModelError: the data have not what the model needs, or a class that it does not know.
    """
    own = tags.of(model)
    kind, size = own.kind, own.size
    if kind is None:
        return own.whole(None, len(data))
    found = data.given(kind)
    if found is None:
        names = f": {model.statistics.described()}" if model.statistics is not None else ""
        raise ModelError(
            f"this model needs a {kind} for each image, {data.name or 'the set'} has none{names}",
            hint="--label says one for all (in Python condition=, or images and labels in a pair)"
            if kind == "label"
            else "--condition says one for all, or names a file with one for each (in Python condition=)",
        )
    if kind == "label":
        return renumbered(found, data.classes, model)
    if model.statistics is not None and model.statistics.names and data.condition_names:
        where = data.name or "the set of images"
        return in_order(found, data.condition_names, model.statistics.names, where)
    if found.shape[1] != size:
        raise ModelError(
            f"this model needs {kind}s of size {size}, {data.name} has {found.shape[1]}"
        )
    return found


def in_order(
    condition: Tensor, names: tuple[str, ...], wanted: tuple[str, ...], where: str
) -> Tensor:
    """The features of some data by their names; what is not wanted is left out, and that is said.

    Raises:
        ModelError: one is missing.
    """
    if names == wanted:
        return condition
    try:
        order = order_of(names, wanted, where)
    except ConfigError as error:
        raise ModelError(str(error), hint=error.hint) from error
    if others := [name for name in names if name not in wanted]:
        shown = ", ".join(map(printable, others[:SHOWN]))
        log.warning("%s: the model is not given %s", where, shown)
    return condition[:, order]


def check_names(train: ImageSet, val: ImageSet) -> None:
    """Raises :class:`ModelError` where validation images lack a feature that training images have."""
    if val.condition is not None and train.condition_names and val.condition_names:
        in_order(val.condition, val.condition_names, train.condition_names, val.name)


def statistics_for(model: PixelModel, train: ImageSet) -> Statistics | None:
    """Those that a model is to be trained with: its own if it was trained before, else of the images.

    None for a model of labels, or of nothing; and for one that was trained on numbers as they were.
    """
    kind = model.network.condition
    if kind in (None, "label") or model.statistics is not None or "steps" in model.record:
        return model.statistics
    found = train.given(str(kind))
    return None if found is None else Statistics.of(found, train.condition_names)


def renumbered(labels: Tensor, classes: tuple[str, ...], model: PixelModel) -> Tensor:
    """Labels by their names, as a model counts its classes.

    Raises:
        ModelError: a class that it does not know.
    """
    known = known_classes(model, classes)
    if known and classes and list(classes) != known:
        unknown = [name for name in classes if name not in known]
        if unknown:
            raise ModelError(f"this model knows no class {unknown[0]!r}, only {', '.join(known)}")
        return torch.tensor([known.index(name) for name in classes])[labels]
    told = _told.setdefault(model, set())
    if not known and "classes" in model.record and classes not in told:
        told.add(classes)
        tell_of_numbers(classes, (), "the model")
    classes_known = tags.of(model).size
    if len(labels) and int(labels.max()) >= classes_known:
        raise ModelError(
            f"this model knows {classes_known} classes, a label is {int(labels.max())}"
        )
    return labels


def known_classes(model: PixelModel, classes: Sequence[str]) -> list[str]:
    """What a model calls its classes; of one that was trained on numbers these, if one of ``classes`` is.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.GatedPixelCNN(1, 1, width=4, depth=1, condition="label", condition_size=3)
        >>> model = PixelModel(network, outputs.Bernoulli(), (1, 5, 7))
        >>> model.record["classes"] = []
        >>> known_classes(model, ("1", "2")), known_classes(model, ("cat", "dog"))
        (['0', '1', '2'], [])
    """
    known = list(model.record.get("classes") or [])
    if known or "classes" not in model.record:
        return known
    counted = [str(number) for number in range(tags.of(model).size)]
    return counted if {*classes} & {*counted} else []
