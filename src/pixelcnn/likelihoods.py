"""The likelihood of a data set as a figure: mean, error, units, and what it was measured on."""

import dataclasses
import math
from typing import Any

from torch import Tensor

from pixelcnn.charts import table
from pixelcnn.json_text import plain
from pixelcnn.record import UNSAID, agree, coding


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """Negative log-likelihood of a data set, and all that is needed to compare it.

    Attributes:
        nats: mean per image.
        stderr: standard error of that mean, in nats; NaN of one image.
        images: how many.
        dimensions: sub-pixels per image.
        data: name of the data set.
        split: the part of it.
        levels: of its pixels.
        binarisation: how levels came about.
        quantisation: likewise, of more than two levels.
        augmentation: of the training images, such as ``flip, shift 2 (tagged)``; ``none`` without. What is
            scored are images as they are, and ``tagged`` networks are told so.
        training_coding: how the levels of the training images came about, in words; None if unknown.
        content_hash: SHA-256 of the levels that were scored.
        weights: ``"averaged"`` or ``"raw"``.
        parameters: of the model.
        nats_density: of measured values: mean minus log-density per image, in nats and in the units of the
            values, which is ``nats`` and the mean logarithm of the bins' widths; None for other images.
        stderr_density: its standard error, which has the spread of the bins' widths as well.
    """

    nats: float
    stderr: float
    images: int
    dimensions: int
    data: str
    split: str
    levels: int
    binarisation: str
    quantisation: str
    augmentation: str = "none"
    training_coding: str | None
    content_hash: str
    weights: str
    parameters: int
    nats_density: float | None = None
    stderr_density: float | None = None

    @property
    def as_trained(self) -> bool | None:
        """Whether levels came about as in training: else the numbers do not compare. None if unknown."""
        own = coding(self.binarisation, self.quantisation)
        trained = None if self.binarisation == UNSAID else self.training_coding
        return None if trained is None else agree(own, trained)

    @property
    def bits_per_dim(self) -> float:
        """The mean in bits per sub-pixel."""
        return bits_per_dim(self.nats, self.dimensions)

    @property
    def bits_per_dim_stderr(self) -> float:
        """The standard error of the mean in bits per sub-pixel."""
        return bits_per_dim(self.stderr, self.dimensions)

    def as_json(self) -> dict[str, Any]:
        """The evaluation record under its public keys, in JSON types: None for an error of one image."""
        own = dataclasses.asdict(self)
        found = {
            "nats_per_image": own.pop("nats"),
            "stderr": own.pop("stderr"),
            "nats_per_image_density": own.pop("nats_density"),
            "nats_per_image_density_stderr": own.pop("stderr_density"),
            "bits_per_dim": self.bits_per_dim,
            "bits_per_dim_stderr": self.bits_per_dim_stderr,
        }
        return plain(found | own | {"as_trained": self.as_trained})

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = self.as_json().items()
        return table((name, f"{v:.4f}" if isinstance(v, float) else v) for name, v in rows)


def bits_per_dim(nats: float, dimensions: int) -> float:
    """Nats per image as bits per sub-pixel.

    Example:
        >>> round(bits_per_dim(65.15, 784), 4)
        0.1199
    """
    return nats / (dimensions * math.log(2))


def standard_error(nats: Tensor) -> float:
    """Standard error of the mean of scores ``(n,)``; NaN of fewer than two.

    Example:
        >>> standard_error(torch.tensor([1.0, 3.0], dtype=torch.float64))
        1.0
    """
    spread = float(nats.std(unbiased=True)) if len(nats) > 1 else math.nan
    return spread / math.sqrt(max(len(nats), 1))
