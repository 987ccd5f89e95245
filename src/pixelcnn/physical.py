"""What the levels of a model stand for, where bins made them of measured values."""

from typing import Any

from torch import Tensor

from pixelcnn.data import Bins, ImageSet
from pixelcnn.data.lazy import pieces
from pixelcnn.devices import require_model
from pixelcnn.errors import ConfigError, ModelError
from pixelcnn.model import PixelModel
from pixelcnn.surroundings import independent


def bins_of(model: PixelModel) -> Bins | None:
    """The bins that a model was trained with; None if its levels were integers from the start.

    Raises:
        ModelError: its record tells of no bins, or of others than it has levels.
    """
    try:
        bins = Bins.of_record(model.record)
    except ConfigError as error:
        raise ModelError(f"the record of this model holds no bins: {error}") from error
    if bins is not None and bins.levels != model.levels:
        raise ModelError(f"this model has {model.levels} levels, its record {bins.levels} bins")
    return bins


def coding(model: PixelModel) -> dict[str, Any]:
    """Arguments of :func:`pixelcnn.data.load` that bring measured values to the levels of a model."""
    bins = bins_of(model)
    return {} if bins is None else {"quantise": bins, "levels": bins.levels}


@independent
def values(model: PixelModel, levels: Any) -> Tensor:
    """The measured values that levels of a model stand for: the centres of their bins.

    Quantising them gives the levels back.

    Args:
        model: trained with the option ``quantise``.
        levels: integers of any shape, as :func:`pixelcnn.sample` draws them.

    Returns:
        float32 of the same shape, or float64 where bins are finer than float32 tells apart.

    Raises:
        ModelError: no model, or one whose levels stand for nothing else.
        DataError: levels that it does not have.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=8, depth=1)
        >>> model = PixelModel(network, outputs.Bernoulli(), shape=(1, 5, 7))
        >>> model.record["bins"] = Bins((-10.0, 0.0, 30.0)).as_record()
        >>> values(model, [0, 1]).tolist()
        [-5.0, 15.0]
    """
    require_model(model)
    bins = bins_of(model)
    if bins is None:
        raise ModelError(
            "the levels of this model were integers from the start",
            hint="a model trained with data.quantise has values for them",
        )
    return bins.values_of(levels)


def density(model: PixelModel, data: ImageSet, nats: Tensor) -> Tensor | None:
    """Minus log-density of images of measured values, in nats and in their units, float64 ``(n,)``.

    That is the score and the logarithms of the widths of the bins that the sub-pixels lie in. In units that
    make all values a times as large it is ``log a`` a sub-pixel more.

    Args:
        model: the model.
        data: the images; those without bins of their own lie in bins of the model.
        nats: their scores, see :func:`pixelcnn.score`.

    Returns:
        None for images whose levels were integers from the start.
    """
    bins = data.bins or bins_of(model)
    if bins is None:
        return None
    found = nats.clone()
    for piece in pieces(data.images):
        found[piece] += bins.log_widths[data.images[piece].cpu().long()].flatten(1).sum(1)
    return found
