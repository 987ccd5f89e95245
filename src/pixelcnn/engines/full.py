"""The specification: one whole forward pass for every position. Obviously right, and slow."""

import torch
from torch import Tensor

from pixelcnn.model import PixelModel
from pixelcnn.shapes import Position


class FullEngine:
    """Calls ``model.forward`` for every position.

    Args:
        model: in evaluation mode.
        condition: checked by the model.
    """

    def __init__(self, model: PixelModel, condition: Tensor | None) -> None:
        self.model, self.condition = model, condition

    @torch.no_grad()
    def parameters(self, levels: Tensor, position: Position) -> Tensor:
        """Parameters of one pixel, ``(n, out)``, given the levels ``(n, c, h, w)`` before ``position``."""
        return self.model(levels, self.condition)[:, :, position.row, position.column]
