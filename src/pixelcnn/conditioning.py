"""What the images of a data set are given to a model with."""

import torch
from torch import Tensor

from pixelcnn.data import ImageSet
from pixelcnn.errors import ModelError
from pixelcnn.model import PixelModel


def condition_of(model: PixelModel, data: ImageSet) -> Tensor | None:
    """What the images of a data set are given to a model with: labels, vectors or maps; None if nothing.

    Labels with names count as the model's classes do, whatever other classes its training data had.

    Raises:
        ModelError: the data have not what the model needs, or a class that it does not know.
    """
    kind, size = model.network.condition, model.network.condition_size
    if kind is None:
        return None
    found = data.given(kind)
    if found is None:
        raise ModelError(
            f"this model needs a {kind} for each image, {data.name} has none",
            hint="--label says one for all"
            if kind == "label"
            else f"store the {kind}s as 'condition' in an .npz file (in Python ImageSet(condition=))",
        )
    if kind != "label" and found.shape[1] != size:
        raise ModelError(
            f"this model needs {kind}s of size {size}, {data.name} has {found.shape[1]}"
        )
    return renumbered(found, data.classes, model) if kind == "label" else found


def renumbered(labels: Tensor, classes: tuple[str, ...], model: PixelModel) -> Tensor:
    """Labels by their names, as a model counts its classes.

    Raises:
        ModelError: a class that it does not know.
    """
    known = list(model.record.get("classes") or [])
    if known and classes and list(classes) != known:
        unknown = [name for name in classes if name not in known]
        if unknown:
            raise ModelError(f"this model knows no class {unknown[0]!r}, only {', '.join(known)}")
        return torch.tensor([known.index(name) for name in classes])[labels]
    if len(labels) and int(labels.max()) >= model.network.condition_size:
        raise ModelError(
            f"this model knows {model.network.condition_size} classes, a label is {int(labels.max())}"
        )
    return labels
