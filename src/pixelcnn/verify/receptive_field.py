"""What one output sees of the image, in numbers and as a picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.config import checked
from pixelcnn.errors import ConfigError
from pixelcnn.networks import Network
from pixelcnn.shapes import image_shape
from pixelcnn.surroundings import independent
from pixelcnn.text import counted
from pixelcnn.verify.causality import draw, gradients
from pixelcnn.verify.probing import require_network

if TYPE_CHECKING:
    from PIL import Image

DRAWS = 3
"""Random networks tried: the first has positive weights, which leave no path dead."""


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels that the outputs at one pixel depend on.

    Attributes:
        seen: bool ``(h, w)``; a pixel is seen if any of its channels is.
        row: of the pixel whose outputs these are.
        column: of that pixel.
        itself: whether one of them sees what it stands for, or a later channel of the pixel, as none may.

    Example:
        >>> from pixelcnn.networks import PixelCNN
        >>> field = receptive_field(PixelCNN(1, 1, width=4, depth=2, first_kernel=3), 9, 9)
        >>> field.pixels, field.past, field.blind, field.box
        (21, 40, 3, (3, 3, 3))
    """

    seen: Tensor
    row: int
    column: int
    itself: bool = False

    @property
    def raster(self) -> Tensor:
        """All pixels before this one, bool ``(h, w)``."""
        height, width = self.seen.shape
        order = torch.arange(height * width, device=self.seen.device).reshape(height, width)
        return order < self.row * width + self.column

    @property
    def pixels(self) -> int:
        """Earlier pixels that are seen."""
        return int((self.seen & self.raster).sum())

    @property
    def past(self) -> int:
        """Earlier pixels in all."""
        return int(self.raster.sum())

    @property
    def coverage(self) -> float:
        """Part of the past that is seen, 0 to 1; 1 at the first pixel, which has none."""
        return self.pixels / self.past if self.past else 1.0

    @property
    def box(self) -> tuple[int, int, int]:
        """Furthest reach into the past: rows up, columns left, columns right."""
        rows, columns = (self.seen & self.raster).nonzero().T
        if len(rows) == 0:
            return 0, 0, 0
        left, right = self.column - int(columns.min()), int(columns.max()) - self.column
        return self.row - int(rows.min()), max(left, 0), max(right, 0)

    @property
    def blind_spot(self) -> Tensor:
        """Earlier pixels within reach (inside the box) that are not seen, bool ``(h, w)``."""
        up, left, right = self.box
        inside = torch.zeros_like(self.seen)
        inside[self.row - up : self.row + 1, self.column - left : self.column + right + 1] = True
        return inside & self.raster & ~self.seen

    @property
    def blind(self) -> int:
        """Pixels in the blind spot."""
        return int(self.blind_spot.sum())

    @property
    def leak(self) -> Tensor:
        """Pixels that are seen and must not be: later ones, and the pixel :attr:`itself`, bool ``(h, w)``."""
        later = ~self.raster
        later[self.row, self.column] = self.itself
        return self.seen & later

    @property
    def future(self) -> int:
        """Pixels in the :attr:`leak`: none, unless the network is broken."""
        return int(self.leak.sum())

    def as_json(self) -> dict[str, Any]:
        """The numbers in JSON types."""
        up, left, right = self.box
        return {
            "row": self.row,
            "column": self.column,
            "pixels": self.pixels,
            "past": self.past,
            "coverage": self.coverage,
            "blind_spot": self.blind,
            "leak": self.future,
            "up": up,
            "left": left,
            "right": right,
        }

    def __str__(self) -> str:
        up, left, right = self.box
        return (
            f"{self.pixels} of {self.past} earlier pixels ({self.coverage:.0%}), reach {up} up,"
            f" {left} left, {right} right, blind spot {self.blind} pixels"
        ) + (f", LEAK of {counted(self.future, 'pixel')}" if self.future else "")

    def text(self) -> str:
        """The field as lines of text: ``#`` seen, ``o`` blind spot, ``@`` the pixel, ``.`` the rest.

        What must not be seen, and is, is ``!``, the pixel itself too.

        Example:
            >>> from pixelcnn.networks import PixelCNN
            >>> print(receptive_field(PixelCNN(1, 1, width=4, depth=2, first_kernel=3), 7, 9).text())
            . # # # # # # # .
            . # # # # # # o .
            . # # # # # o o .
            . # # # @ . . . .
            . . . . . . . . .
            . . . . . . . . .
            . . . . . . . . .
        """
        marks = np.full(self.seen.shape, ".")
        for mask, mark, _ in self._looks():
            marks[mask.cpu()] = mark
        return "\n".join(map(" ".join, marks))

    def _looks(self) -> Iterator[tuple[Tensor, str, tuple[int, int, int]]]:
        """Mask, mark and colour of each kind of pixels; later ones lie over those before."""
        here = torch.zeros_like(self.seen)
        here[self.row, self.column] = True
        yield self.raster, ".", (222, 224, 228)
        yield self.seen, "#", (66, 133, 244)
        yield self.blind_spot, "o", (214, 72, 62)
        yield here, "@", (0, 0, 0)
        yield self.leak, "!", (255, 140, 0)

    @independent
    def picture(self, scale: int | None = None) -> "Image.Image":
        """The field as a picture: seen blue, blind spot red, the pixel black, the rest of the past grey.

        What must not be seen, and is, is orange, the pixel itself too.

        Args:
            scale: pixels of the picture for each pixel of the image; by default about 280 in all.
        """
        from PIL import Image

        height, width = self.seen.shape
        colours = torch.full((height, width, 3), 255, dtype=torch.uint8)
        for mask, _, colour in self._looks():
            colours[mask] = torch.tensor(colour, dtype=torch.uint8)
        factor = scale or max(1, 280 // max(height, width))
        large = colours.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
        if factor >= 4:  # lines between the pixels
            large[factor - 1 :: factor] = 255
            large[:, factor - 1 :: factor] = 255
        return Image.fromarray(large.numpy())


@independent
@torch.inference_mode(False)  # what is made in it takes no gradients
def receptive_field(
    network: Network, height: int, width: int, at: tuple[int, int] | None = None
) -> ReceptiveField:
    """Measures what the outputs at a pixel depend on, by gradient, with random parameters.

    The network's own parameters do not matter: this is about its architecture.

    Args:
        network: left as it is.
        height: rows of the image.
        width: columns of the image.
        at: row and column of the pixel; the centre by default.

    Raises:
        ConfigError: no size of an image, no pixel, or one outside the image.
        ModelError: no network.
        ConformanceError: gradients that are not finite.
    """
    network = require_network(network)
    image_shape((network.channels, height, width))
    middle = (height // 2, width // 2)
    row, column = middle if at is None else checked("at", at, tuple[int, int])
    if not (0 <= row < height and 0 <= column < width):
        raise ConfigError(f"no pixel (h {row}, w {column}) in an image of {height}x{width}")
    seen, itself = torch.zeros(height, width, dtype=torch.bool), False
    for count in range(DRAWS):
        probe, x, _ = draw(network, height, width, seed=count, positive=count == 0)
        numbers = (torch.arange(probe.groups) * height + row) * width + column
        found = gradients(probe, x, numbers) != 0
        seen |= found.any(0).any(0)
        itself |= bool(found[:, :, row, column].triu().any())  # of a channel, itself and later ones
    return ReceptiveField(seen, row, column, itself)
