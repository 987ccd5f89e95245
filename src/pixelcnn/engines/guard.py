"""Whether a program, and the engine that runs it, give the numbers of ``forward``.

A program is compared at the model's own size in float64, with random weights, so that zeros hide nothing, and
with its own: four passes of two images in all, since what a network makes of a batch of one may be another
thing. An engine is compared in its own precision: a native one before it draws anything, which takes as long
as drawing an image; a slower one while it draws, at some positions, which costs one pass of an image.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from pixelcnn.devices import copied, exact_convolutions
from pixelcnn.engines.full import FAULTS, whole_pass
from pixelcnn.engines.parallel import compute
from pixelcnn.engines.trace import graph_of, lower
from pixelcnn.errors import ModelError
from pixelcnn.extent import MOST_POSITIONS, cropped
from pixelcnn.layers import features_last
from pixelcnn.memory import ran_out
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.program import Program, Unlowerable
from pixelcnn.shapes import ImageShape, Position, coding_order
from pixelcnn.text import one_line

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-3}
"""Allowed difference of a parameter, relative to its largest; of types with fewer digits :data:`ROUGH`."""
ROUGH = 0.1
MOST_STEPS = 4_096
"""Sub-pixels that an engine walks to be compared; of larger images it walks a part."""


PAIR, PAIRS = ((0, 0),), ((-1, -1), (0, -1))
"""Labels of two images, which are not those of all classes: what is made of a batch may be no table."""


class WrongProgram(Unlowerable):
    """A program, or an engine that runs it, gives other numbers than ``forward``."""


class Walker(Protocol):
    """Gives the parameters of positions visited in coding order."""

    def parameters(self, levels: Tensor, position: Position) -> Tensor:
        """Parameters of one pixel, ``(n, out)``, given the levels ``(n, c, h, w)`` before ``position``."""
        ...


@runtime_checkable
class Drawer(Walker, Protocol):
    """A walker that draws levels on its own, without a return to Python for each."""

    model: PixelModel

    @property
    def stride(self) -> int:
        """Rows that :meth:`fill` draws at a time."""
        return self.model.shape.height

    def fill(self, given: Tensor, known: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        """The images with their unknown levels drawn; arguments and errors are those of :meth:`rows`."""
        drawn = self.rows(given, known, uniforms, temperature, self.stride)
        return deque(drawn, maxlen=1).pop()[1]

    def rows(
        self, given: Tensor, known: Tensor, uniforms: Tensor, temperature: float, step: int = 1
    ) -> Iterator[tuple[int, Tensor]]:
        """Draws the unknown levels of all images from the first row on, whatever was computed before.

        Args:
            given: levels ``(n, c, h, w)``; left as they are.
            known: bool, the same shape: which of them stay.
            uniforms: float64, the same shape.
            temperature: see :func:`pixelcnn.inversion.temper`.
            step: rows drawn at a time.

        Yields:
            Rows done, and the images so far, int64 on the CPU; what is yet to be drawn may be anything.

        Raises:
            ModelError: the parameters of a level are no distribution's, since they are not finite; where the
                level is known, engines and outputs that make no distribution of it take no notice.
        """
        ...


def program_difference(model: PixelModel, *, drawn: bool) -> str:
    """How the program of a model's network differs from its ``forward``; empty if it does not.

    Args:
        model: left as it is; the comparison runs on a copy in float64 on the CPU.
        drawn: with weights drawn at random in place of its own.
    """
    try:
        twin = cropped(copied(evaluation_view(model)).cpu().double(), MOST_POSITIONS)
    except ModelError as error:
        return str(error)
    if drawn:
        _draw_weights(twin)
    program = lower(twin.network, graph_of(twin.network))
    pairs = PAIR if drawn or model.network.condition != "label" else PAIRS
    found = (_program_difference(twin, program, pair) for pair in pairs)
    return next(filter(None, found), "")


def _program_difference(twin: PixelModel, program: Program, classes: Sequence[int]) -> str:
    levels, condition = _some_images(twin, *classes)
    try:
        with torch.no_grad():
            expected = whole_pass(twin, levels, condition)
    except ModelError as error:  # of a forward that names its type of number
        return f"its forward pass cannot be compared in float64: {error}"
    try:
        found = compute(program, features_last(twin.encode(levels)), condition)
    except FAULTS as error:  # of a layer whose `lower` makes numbers of one type, say
        if ran_out(error):
            raise
        return f"its program cannot be computed in float64: {one_line(str(error))}"
    return _difference("its program and its forward pass", found, expected, TOLERANCES[twin.dtype])


def engine_difference(model: PixelModel, start: Callable[..., Walker]) -> str:
    """How an engine's numbers differ from those of ``forward``; empty if they do not.

    Args:
        model: in evaluation mode.
        start: a walker of some images, ``start(model, n=2, condition=None)``.
    """
    model = cropped(model, MOST_STEPS // model.shape.channels)
    classes = (0, -1) if model.network.condition == "label" else (0,)
    levels, condition = _some_images(model, *classes)
    walker = start(model, n=len(levels), condition=condition)
    numbers = {at: walker.parameters(levels, at).clone() for at in coding_order(model.shape)}
    try:
        return _compared(model, levels, condition, numbers)
    except ModelError as error:  # it takes square images only, say, and this is a part of one
        return f"its part cannot be compared: {error}"


@torch.no_grad()
def _compared(
    model: PixelModel,
    levels: Tensor,
    condition: Tensor | None,
    numbers: Mapping[Position, Tensor],
) -> str:
    """How an engine's parameters ``(n, out)`` at some positions differ from those of ``forward``."""
    with exact_convolutions(model.device):
        expected = whole_pass(model, levels, condition)
    found = expected.clone()
    for position, new in numbers.items():
        mine = _own_part(model, position)
        found[:, mine, position.row, position.column] = new[:, mine].to(found)
    tolerance = TOLERANCES.get(model.dtype, ROUGH)
    return _difference("the engine and its forward pass", found, expected, tolerance)


class Watched:
    """A walker whose numbers at some positions are compared with ``forward`` when it comes to the last one.

    Args:
        walker: that is watched.
        model: in evaluation mode.
        condition: of its images.
        tell: called with how they differ, empty if they do not.
    """

    def __init__(
        self,
        walker: Walker,
        model: PixelModel,
        condition: Tensor | None,
        tell: Callable[[str], None],
    ) -> None:
        self.walker, self.model, self.tell = walker, model, tell
        self.condition = None if condition is None else condition[:1]
        self.wanted, self.seen = {*sampled(model.shape)}, dict[Position, Tensor]()
        self.last = Position(*(side - 1 for side in model.shape))

    def parameters(self, levels: Tensor, position: Position) -> Tensor:
        """See :class:`Walker`.

        Raises:
            WrongProgram: at the last position, the engine's numbers were not those of ``forward``.
        """
        found = self.walker.parameters(levels, position)
        if position in self.wanted:
            self.seen[position] = found[:1].clone()
            if position == self.last and len(levels):
                self._compare(levels[:1])
        return found

    def _compare(self, levels: Tensor) -> None:
        different = _compared(self.model, levels, self.condition, self.seen)
        self.tell(different)
        if different:
            raise WrongProgram(different, hint="engine='full' is slow, and right")


def _difference(what: str, found: Tensor, expected: Tensor, tolerance: float) -> str:
    """Where two arrays of parameters ``(n, out, h, w)`` differ most, in words."""
    if found.shape != expected.shape:
        return f"{what} give {tuple(found.shape)} and {tuple(expected.shape)} numbers"
    usual = expected.isfinite()
    error = (found - expected).abs().double()
    error = torch.where(usual, error.nan_to_num(torch.inf), (found.isfinite() != usual).double())
    # Of each parameter by itself: the largest may stand for what can never be, as float32's lowest number.
    scale = torch.where(usual, expected.abs(), 0).amax((0, 2, 3), keepdim=True).double()
    if bool((error <= tolerance * (1 + scale)).all()):
        return ""
    _, _, row, column = (int(i) for i in torch.unravel_index(error.argmax(), error.shape))
    return f"{what} differ by {float(error.max()):.2g} at (h {row}, w {column})"


def _some_images(model: PixelModel, *classes: int) -> tuple[Tensor, Tensor | None]:
    """Random levels of an image for each of some classes, of which -1 is the last, with a condition."""
    n, generator = len(classes), torch.Generator().manual_seed(0)
    levels = torch.randint(model.levels, (n, *model.shape), generator=generator)
    if model.network.condition is None:
        return levels.to(model.device), None
    if model.network.condition == "label":
        labels = torch.tensor(classes) % model.network.condition_size
        return levels.to(model.device), labels.to(model.device)
    shape = (n, *model.network.condition_shape(*model.shape[1:]))
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    return levels.to(model.device), values.to(model.device, model.dtype)


@torch.no_grad()
def _draw_weights(model: PixelModel) -> None:
    """Draws every floating-point parameter anew, and buffers that are zero, or of a number a feature."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        mask = bool(((tensor == 0) | (tensor == 1)).all()) and (
            "mask" in name or bool(tensor.any())
        )
        kept = mask or (tensor.dim() > 1 and bool(tensor.any()))  # such as coordinates
        if not tensor.is_floating_point() or (kept and not isinstance(tensor, torch.nn.Parameter)):
            continue
        tensor.copy_(random_weight(tensor, generator))


def random_weight(like: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers none of which is zero, float64: of both signs, but of biases, gains, slopes and variances."""
    spread = torch.rand(like.shape, generator=generator, dtype=torch.float64)
    if like.dim() < 2:
        return 0.1 + 0.4 * spread
    sign = 2.0 * torch.randint(2, like.shape, generator=generator) - 1
    return sign * (0.5 + spread) / like[0].numel() ** 0.5


def _own_part(model: PixelModel, position: Position) -> slice:
    """Which parameters of a pixel are those of a position."""
    if model.network.order == "pixel":
        return slice(0, model.network.out)
    p = model.network.out // model.shape.channels
    return slice(position.channel * p, (position.channel + 1) * p)


def sampled(shape: ImageShape) -> list[Position]:
    """Positions that are compared: along the edges, and some between them; first and last channel of each."""
    rows, columns = ({0, 1, side // 2, side - 2, side - 1} & set(range(side)) for side in shape[1:])
    places = {(row, column) for row in rows for column in columns}
    return [Position(c, row, column) for row, column in places for c in {0, shape.channels - 1}]
