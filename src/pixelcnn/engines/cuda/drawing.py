"""Levels that are drawn where the parameters are, from uniform numbers that lie there, too."""

import torch
from torch import Tensor

from pixelcnn.errors import ModelError
from pixelcnn.inversion import invert, temper
from pixelcnn.outputs import Output
from pixelcnn.shapes import ImageShape

UNKNOWN = -1
"""Stands for a level that is to be drawn."""


class Drawing:
    """Images that are being drawn, and what they are drawn from.

    Args:
        output: what parameters mean.
        shape: of an image.
        pixel: place of the current position's levels, int64 ``(n, channels)``.
    """

    def __init__(self, output: Output, shape: ImageShape, pixel: Tensor) -> None:
        self.output, self.shape, self.pixel = output, shape, pixel
        self.levels = pixel.new_zeros(shape.height * shape.width, *pixel.shape)
        self.uniforms = self.levels.double()
        self.total = self.uniforms.new_zeros(len(pixel))

    def begin(self, given: Tensor, known: Tensor, uniforms: Tensor) -> None:
        """Takes what images are drawn from, ``(n, c, h, w)`` each."""
        fixed = torch.where(known, given.long(), UNKNOWN)
        self.levels.copy_(fixed.permute(2, 3, 0, 1).flatten(0, 1))
        self.uniforms.copy_(uniforms.permute(2, 3, 0, 1).flatten(0, 1))
        self.total.zero_()

    def at(self, number: Tensor) -> tuple[Tensor, Tensor]:
        """Levels, or ``UNKNOWN``, and uniform numbers of a position, ``(n, channels)`` each."""
        return self.levels.index_select(0, number)[0], self.uniforms.index_select(0, number)[0]

    def draw(
        self, channel: int, parameters: Tensor, fixed: Tensor, u: Tensor, temperature: float
    ) -> None:
        """Draws the level of a channel, unless it is known, and makes it that of the current position.

        Args:
            channel: which one; those before it have their levels.
            parameters: of the pixel, ``(n, parameters)``.
            fixed: the channel's levels or ``UNKNOWN``, ``(n,)``.
            u: uniform numbers, ``(n,)``.
            temperature: see :func:`pixelcnn.inversion.temper`.
        """
        pmf = self.output.pmf(parameters.double(), self.pixel[:, :channel].double())
        self.total.add_(pmf[:, -1])
        drawn = invert(temper(pmf, temperature), u)
        torch.where(fixed < 0, drawn, fixed, out=self.pixel[:, channel])

    def keep(self, number: Tensor) -> None:
        """Puts the current position's levels into the images."""
        self.levels.index_copy_(0, number, self.pixel[None])

    def images(self) -> Tensor:
        """The images so far, int64 ``(n, c, h, w)`` on the CPU; what is yet to be drawn is zero.

        Waits for the device.

        Raises:
            ModelError: some probabilities were not numbers.
        """
        if not bool(self.total.isfinite().all()):
            raise ModelError("the parameters of some position are not numbers")
        _, height, width = self.shape
        levels = self.levels.unflatten(0, (height, width)).permute(2, 3, 0, 1)
        return levels.clamp(min=0).cpu()
