"""Exact likelihoods of images and data sets."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.checkpoint import load
from pixelcnn.conditioning import condition_of
from pixelcnn.config import check_integer
from pixelcnn.data import ImageSet, tags
from pixelcnn.data.items import IMAGES, chosen, stacked
from pixelcnn.data.opening import brief
from pixelcnn.data.reading import LABELS
from pixelcnn.data.tensors import numbers_of
from pixelcnn.devices import Device, exact_convolutions, float64_device, placed, require_model
from pixelcnn.engines.full import NO_NUMBER, name_of, whole_pass
from pixelcnn.engines.origin import check_weights
from pixelcnn.engines.programs import tell_of_future
from pixelcnn.errors import DataError, ModelError
from pixelcnn.extent import require_batch
from pixelcnn.files import AnyPath
from pixelcnn.image_codecs import png_nats
from pixelcnn.likelihoods import Score, bits_per_dim, standard_error
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.physical import density
from pixelcnn.record import UNSAID, agree, coding
from pixelcnn.sources import beside, levels_of, of_shape, set_of
from pixelcnn.surroundings import independent

__all__ = [
    "Score",
    "Scorer",
    "bits_per_dim",
    "condition_of",
    "density",
    "evaluate",
    "percentiles",
    "png_nats",
    "score",
    "standard_error",
    "training_coding",
]

BATCH_SIZE = 64
log = logging.getLogger("pixelcnn")


@independent
def score(
    model: PixelModel,
    images: Any,
    condition: Any = None,
    *,
    batch_size: int = BATCH_SIZE,
    device: Device | None = None,
    callback: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Tensor:
    """Negative log-likelihood of each image in nats, float64 ``(n,)``, on the CPU.

    Args:
        model: computes in evaluation mode, whatever mode it is in.
        images: an array or a tensor of integer levels: ``(n, c, h, w)``, or another order of axes that the
            model's shape settles. Or any other source of :func:`pixelcnn.data.load`, of which all images
            are taken, and become levels as the training images did: see :mod:`pixelcnn.sources`.
        condition: see :meth:`PixelModel.check_condition`; by default what the source says of each image.
        batch_size: images scored at a time.
        device: where to compute, see :func:`pixelcnn.devices.resolve_device`; None for where the model is.
            Elsewhere a copy of the model computes.
        callback: called with images done and images in all.
        **options: of :class:`pixelcnn.data.Options`, for data that are to be read otherwise than in training.

    Raises:
        DataError, ModelError, ConfigError: see :meth:`PixelModel.log_prob_map`, :func:`pixelcnn.data.load`.
        ModelError: weights that are not numbers, or a likelihood that is none.
        ConfigError: a batch size out of range, or a device that is not there.
        ResourceError: a batch does not fit into memory.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> model = PixelModel(networks.PixelCNN(1, 1, width=8, depth=1), outputs.Bernoulli(), (1, 5, 7))
        >>> score(model, torch.zeros(3, 1, 5, 7, dtype=torch.uint8)).dtype
        torch.float64
    """
    batch_size = check_integer("batch_size", batch_size, 1, 2**31)
    images, condition, read = levels_of(model, images, condition, options)
    if read is not None:
        training_coding(model, read)
    model.shape.require(images.shape)  # all of them: what is said is the caller's own shape
    model = evaluation_view(placed(model, device))
    condition = model.check_condition(condition, len(images))
    require_batch(model, images, batch_size)
    nats = torch.empty(len(images), dtype=torch.float64)
    exact = float64_device(model.device)
    with torch.inference_mode(), exact_convolutions(model.device):
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            some = None if condition is None else condition[part]
            levels = model.check(images[part])
            found = model.output.log_prob(whole_pass(model, levels, some), levels)
            nats[part] = -found.to(exact).double().sum((1, 2, 3)).cpu()
            if callback is not None:
                callback(min(start + batch_size, len(images)), len(images))
    if nats.isnan().any():
        check_weights(model)
        first, network = int(nats.isnan().nonzero()[0]), name_of(model.network)
        raise ModelError(
            f"the likelihood of image {first} is not a number, as {network} computes it",
            hint=NO_NUMBER,
        )
    return nats


@independent
def evaluate(
    model: PixelModel,
    data: Any,
    *,
    split: str | None = None,
    condition: Any = None,
    limit: int | None = None,
    batch_size: int = BATCH_SIZE,
    device: Device | None = None,
    callback: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Score:
    """Mean negative log-likelihood of a data set, with its standard error and what it was measured on.

    Args:
        model: the model.
        data: a set, or any other source of images, see :func:`score`. Dynamically binarised sets are drawn
            once, with seed 0.
        split: ``train``, ``val``, ``test`` or ``all``; by default ``test`` of a named set, of a path and of
            what comes in parts, and all of anything else.
        condition: see :func:`score`; not with ``limit``.
        limit: score so many images only, evenly spread over the set.
        batch_size: images scored at a time.
        device: see :func:`score`.
        callback: called with images done and images in all.
        **options: see :func:`score`.

    Raises:
        DataError: an empty set, or levels that the model does not have.
        ModelError: images of another shape than the model's.
        ConfigError: a device that is not there.
    """
    data = set_of(model, data, split, beside(condition, data, options)).frozen().limit(limit)
    if len(data) == 0:
        raise DataError(f"{data.name} ({data.split}) holds no image")
    of_shape(model, data)
    given = condition_of(model, data) if condition is None else condition
    nats = score(model, data.images, given, batch_size=batch_size, device=device, callback=callback)
    tell_of_future(model)
    densities = density(model, data, nats)
    return Score(
        nats=float(nats.mean()),
        stderr=standard_error(nats),
        images=len(nats),
        dimensions=model.shape.dimensions,
        data=data.name,
        split=data.split,
        levels=data.levels,
        binarisation=data.binarisation,
        quantisation=data.quantisation,
        augmentation=str(model.record.get("augmentation", "none")),
        training_coding=training_coding(model, data),
        content_hash=data.content_hash,
        weights=str(model.record.get("weights", "raw")),
        parameters=model.parameters_count,
        nats_density=None if densities is None else float(densities.mean()),
        stderr_density=None if densities is None else standard_error(densities),
    )


class Scorer:
    """Scores the batches of somebody else's engine: a callable that can be pickled.

    As for ``map_batches`` of Ray Data (dictionaries of arrays), ``map(scorer, batched=True)`` of Hugging Face
    datasets, and data frames of pandas, such as Spark's ``mapInPandas`` hands out.

    Args:
        model: a model, or what :func:`pixelcnn.load` takes: then that alone is pickled, and every process
            loads the model once.
        image: column of the images; by default one called ``image``, ``images``, ``img`` or the like.
        condition: column of what each image is given with; by default one called ``label`` or the like, if
            the model is conditional on labels.
        column: that is added, nats per image.
        **options: of :func:`score`.

    A batch has no names of classes: integers count as the model's classes do.

    Raises:
        DataError: see :func:`score`; or a batch without the column; when called.

    Example:
        >>> scorer = Scorer("digits")
        >>> scorer({"image": torch.zeros(2, 8, 8, dtype=torch.uint8).numpy(), "name": ["a", "b"]}).keys()
        dict_keys(['image', 'name', 'nats'])
    """

    def __init__(
        self,
        model: PixelModel | AnyPath,
        *,
        image: str | None = None,
        condition: str | None = None,
        column: str = "nats",
        **options: Any,
    ) -> None:
        self.source, self.image, self.condition, self.column = model, image, condition, column
        self.options = options
        self._model = model if isinstance(model, PixelModel) else None

    def __getstate__(self) -> dict[str, Any]:
        kept = self.source if isinstance(self.source, PixelModel) else None
        return self.__dict__ | {"_model": kept}

    def __call__(self, batch: Any) -> Any:
        """A dictionary or a data frame with a column more; of any other mapping that column alone."""
        if self._model is None:
            place = self.options.get("device") or "cpu"  # else each batch would take a copy there
            self._model = load(self.source, device=place)  # type: ignore[arg-type]
        given = None
        if self.condition or tags.of(self._model).kind == "label":
            given = stacked(batch[self._named(batch, self.condition, LABELS)])
        images = stacked(batch[self._named(batch, self.image, IMAGES)])
        found = {self.column: score(self._model, images, given, **self.options).numpy()}
        if hasattr(batch, "assign"):
            return batch.assign(**found)
        return batch | found if isinstance(batch, dict) else found

    def _named(self, batch: Any, said: str | None, usual: tuple[str, ...]) -> Any:
        name = chosen(batch, said, usual)
        if name is None:
            held = brief(", ".join(map(str, batch)))
            raise DataError(f"no column {said or ' or '.join(usual)} in a batch of {held}")
        return name


def training_coding(model: PixelModel, data: ImageSet) -> str | None:
    """How the levels of the training images came about, saying so if those of a data set did otherwise."""
    record = model.record
    if "binarisation" not in record:
        return None
    ways = record["binarisation"], record.get("quantisation", "none")
    return tell_coding(data, *ways, "the model was trained with")


def tell_coding(data: ImageSet, binarisation: str, quantisation: str, where: str) -> str:
    """How the levels of training images came about, saying so if those of a set did otherwise."""
    own, other = coding(data.binarisation, data.quantisation), coding(binarisation, quantisation)
    if not agree(own, other) and data.binarisation != UNSAID:
        message = "%s: %s, but %s %s, so its likelihoods do not compare"
        log.warning(message, data.name, own, where, other)
    return other


def percentiles(model: PixelModel, nats: Any) -> Tensor:
    """Where scores lie among the stored validation scores, 0 (likely) to 100 (unlikely), float64 ``(n,)``.

    Args:
        model: trained with validation images.
        nats: of each image, as :func:`score` gives them, in a tensor, an array or a list.

    Raises:
        ModelError: no model, or one that holds no validation scores.
        DataError: no numbers.
    """
    require_model(model)
    quantiles = model.record.get("validation_quantiles")
    if not quantiles:
        raise ModelError("this model holds no validation scores", hint="train with validation data")
    # In the digits that are stored. Equal scores, of which a small set may have many, count half.
    stored, share = np.array(quantiles), np.linspace(0, 100, len(quantiles))
    scores = numbers_of(nats, "scores are nats (n,)").detach().cpu().double()
    found = scores.numpy().round(4)
    below = 100 - np.interp(-found, -stored[::-1], share)
    return torch.from_numpy((below + np.interp(found, stored, share)) / 2)
