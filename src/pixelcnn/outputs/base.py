"""What every output promises."""

import abc
from typing import ClassVar

from torch import Tensor

from pixelcnn.config import check_fields
from pixelcnn.errors import ConfigError
from pixelcnn.registry import Registry


class Output(abc.ABC):
    """A family of distributions over integer levels, one for each sub-pixel.

    Subclasses are frozen dataclasses whose fields are the configuration; they are checked against their
    annotations.

    Attributes:
        levels: levels lie in ``[0, levels)``.
        couples_channels: whether the output itself lets a channel depend on the pixel's earlier ones. If
            not, a network of several channels must do so (``order="channel"``).
    """

    levels: int
    couples_channels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(self)
        try:
            hash(self)  # by which is known what was checked with it
        except TypeError as error:
            raise ConfigError(
                f"an output is a frozen dataclass of plain values, {type(self).__name__} is none",
                hint="@dataclass(frozen=True, kw_only=True)",
            ) from error

    @abc.abstractmethod
    def parameters_per_pixel(self, channels: int) -> int:
        """Numbers a network must give for each pixel."""

    @abc.abstractmethod
    def log_prob(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """Log-probability of every sub-pixel in nats, ``(n, c, h, w)``, in float32 at least.

        Args:
            parameters: ``(n, parameters_per_pixel(c), h, w)``, colour-major.
            levels: integers ``(n, c, h, w)``.
        """

    @abc.abstractmethod
    def pmf(self, parameters: Tensor, before: Tensor) -> Tensor:
        """Probabilities of one channel's levels, float64 ``(..., levels)``.

        Args:
            parameters: of one pixel, ``(..., parameters_per_pixel(c))``.
            before: levels of the pixel's earlier channels, ``(..., k)``; the distribution is channel k's.
        """


def at_least_single(parameters: Tensor) -> Tensor:
    """Parameters in float32 where they come in half precision, which has too few digits for logarithms.

    Example:
        >>> import torch
        >>> at_least_single(torch.zeros(2, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return parameters.float() if parameters.dtype.itemsize < 4 else parameters


OUTPUTS: Registry[Output] = Registry("output")
"""Every output by its public name."""
