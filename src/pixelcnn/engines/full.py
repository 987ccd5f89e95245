"""The specification: one whole forward pass for every position. Obviously right, and slow."""

import torch
from torch import Tensor, nn

from pixelcnn.devices import kinds_of
from pixelcnn.errors import ModelError
from pixelcnn.memory import ran_out
from pixelcnn.model import PixelModel
from pixelcnn.modes import within
from pixelcnn.shapes import Position
from pixelcnn.text import MOST_SAID, one_line

FAULTS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What a mistake in a ``forward`` raises; an exception of its author's own may be meant for its caller."""

NO_NUMBER = (
    "all weights are finite: look for a division, a logarithm, a root or an overflow in its forward"
)


def name_of(network: nn.Module) -> str:
    """The class of a network, whatever ``torch.compile`` made of it."""
    return type(within(network)).__name__


def whole_pass(model: PixelModel, levels: Tensor, condition: Tensor | None) -> Tensor:
    """What ``forward`` gives for whole images; its network may be anybody's, and have mistakes.

    Args:
        model: in evaluation mode.
        levels: that it has checked.
        condition: of the images, as the network is given it.

    Raises:
        ModelError: the network fails, or gives no parameters; names it, and keeps the cause.
    """
    try:
        return model(levels, condition)
    except FAULTS as error:
        if ran_out(error):
            raise
        kind = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
        why = f"{kind}{one_line(str(error))}"[:MOST_SAID]
        hint = "forward maps (n, channels, h, w), and a condition, to (n, out, h, w)"
        if len(kinds := kinds_of(model)) > 1:
            hint = f"its weights are {' and '.join(kinds)}: model.float() makes them one type"
        raise ModelError(
            f"{name_of(model.network)} cannot compute images of {model.shape}: {why}", hint=hint
        ) from error


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
        found = whole_pass(self.model, levels, self.condition)
        return found[:, :, position.row, position.column]
