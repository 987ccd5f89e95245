"""The one sequential generator: it visits sub-pixels in coding order, and whoever drives it chooses levels.

Sampling and completing answer it wherever no engine draws on its own; a loop of one's own may do so, too.
"""

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pixelcnn import engines
from pixelcnn.config import check_integer
from pixelcnn.data.tensors import numbers_of
from pixelcnn.devices import exact_convolutions, float64_device, require_model
from pixelcnn.engines import Engine, Walker
from pixelcnn.engines.full import NO_NUMBER, name_of
from pixelcnn.errors import DataError, ModelError
from pixelcnn.model import PixelModel
from pixelcnn.shapes import check_levels, coding_order
from pixelcnn.surroundings import independent


class Front(NamedTuple):
    """Positions whose levels can be chosen now, independently of each other.

    Attributes:
        positions: channel, row and column of each, int64 ``(k, 3)``, on the CPU.
        pmf: probabilities of their levels, float64 ``(n, k, levels)``, on the model's device or, where that
            has no float64, on the CPU.
    """

    positions: Tensor
    pmf: Tensor

    def of(self, images: Any) -> Any:
        """The entries ``(n, k)`` of an array ``(n, c, h, w)`` at this front's positions."""
        if len(self.positions) == 1:  # a view costs a fraction of what looking up indices does
            channel, row, column = self.positions[0].tolist()
            return images[:, channel, row, column, None]
        channel, row, column = self.positions.T
        return images[:, channel, row, column]


Walk = Generator[Front, Tensor, Tensor]


@independent
def walk(model: PixelModel, n: int, condition: Any = None, engine: str | Engine = "auto") -> Walk:
    """Visits every sub-pixel of n images: yields a :class:`Front`, expects its levels ``(n, k)``.

    Args:
        model: computes in evaluation mode, whatever mode it is in.
        n: number of images, at least one.
        condition: see :meth:`PixelModel.check_condition`.
        engine: see :func:`pixelcnn.engines.choose`.

    Returns:
        The chosen levels, int64 ``(n, c, h, w)``.

    Raises:
        ModelError: no model, or weights, or the parameters of a position, that are no numbers.
        DataError: what is sent are no levels of the front.
    """
    require_model(model)
    n = check_integer("n", n, 1, 2**31)
    condition = model.check_condition(condition, n)
    return (yield from visit(model, n, engines.start(model, n, condition, engine)))


def visit(model: PixelModel, n: int, walker: Walker) -> Walk:
    """The walk of a walker of n images; see :func:`walk`."""
    levels = torch.zeros(n, *model.shape, dtype=torch.int64, device=model.device)
    exact = float64_device(model.device)
    for position in coding_order(model.shape):
        channel, row, column = position
        with exact_convolutions(model.device):
            parameters = walker.parameters(levels, position).to(exact)
        pmf = model.output.pmf(parameters, levels[:, :channel, row, column].to(exact))
        if pmf.isnan().any():
            raise ModelError(
                f"the parameters that {name_of(model.network)} gives at {position} are not numbers",
                hint=NO_NUMBER,
            )
        chosen = yield Front(torch.tensor([position]), pmf[:, None])
        levels[:, channel, row, column] = answer(model, chosen, n)[:, 0]
    return levels


def answer(model: PixelModel, chosen: Any, n: int) -> Tensor:
    """The levels ``(n, 1)`` that were chosen for a front, checked.

    Raises:
        DataError: they are no integers, of another shape, or no levels of the model.
    """
    levels = numbers_of(chosen, "the levels of a front are integers (n, k)")
    if levels.is_floating_point() or levels.is_complex() or tuple(levels.shape) != (n, 1):
        kind = str(levels.dtype).removeprefix("torch.")
        raise DataError(
            f"the levels of a front are integers {(n, 1)}, got {kind} {tuple(levels.shape)}"
        )
    check_levels(levels, model.levels)
    return levels


def drive(steps: Walk, choose: Callable[[Front], Tensor]) -> Tensor:
    """Answers every front of a walk.

    Args:
        steps: a fresh walk.
        choose: the levels ``(n, k)`` of a front.

    Returns:
        The finished images, int64 ``(n, c, h, w)``.
    """
    front = next(steps)
    while True:
        levels = choose(front)
        try:
            front = steps.send(levels)
        except StopIteration as end:
            return end.value
