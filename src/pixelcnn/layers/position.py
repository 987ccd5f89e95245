"""Where a position lies, as features."""

import torch
from torch import Tensor, nn

from pixelcnn.config import check_integer
from pixelcnn.errors import ConfigError
from pixelcnn.program import Program
from pixelcnn.shapes import MAX_SIDE


class PositionEmbedding(nn.Module):
    """Adds a learned vector of each position's row and one of its column.

    Convolutions know offsets; this is how a network learns that digits stand in the middle, or attention
    knows places at all. It says nothing of the image, so it may be added anywhere. A network that has one
    sets ``largest = (rows, columns)``, see :class:`~pixelcnn.networks.Network`.

    Reference: Parmar et al., Image Transformer, 2018, section 3.1.

    Args:
        rows: height of the largest image.
        columns: width of the largest image.
        features: of the value that it is added to.

    Shapes: ``(n, features, h, w)`` to the same, ``h <= rows`` and ``w <= columns``.

    Raises:
        ConfigError: in ``forward``, a larger image, or another number of features.

    Example:
        >>> layer = PositionEmbedding(5, 7, features=4)
        >>> y = layer(torch.zeros(2, 4, 3, 7))
        >>> torch.equal(y[0, :, 2, 6], layer.rows[2] + layer.columns[6])
        True
    """

    def __init__(self, rows: int, columns: int, features: int) -> None:
        super().__init__()
        check_integer("rows", rows, 1, MAX_SIDE)
        check_integer("columns", columns, 1, MAX_SIDE)
        check_integer("features", features, 1, 16_384)
        self.rows = nn.Parameter(torch.randn(rows, features) * 0.1)
        self.columns = nn.Parameter(torch.randn(columns, features) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        features, height, width = x.shape[1:]
        if height > len(self.rows) or width > len(self.columns):
            raise ConfigError(
                f"positions of {len(self.rows)}x{len(self.columns)} cannot be added to {height}x{width}",
                hint="rows and columns are those of the largest image",
            )
        if features != self.rows.shape[1]:
            raise ConfigError(
                f"positions of {self.rows.shape[1]} features cannot be added to {features} features"
            )
        place = self.rows[:height, None] + self.columns[:width]
        return x + place.movedim(-1, 0).to(x.dtype)

    def lower(self, program: Program, x: int) -> int:
        """The position primitive, added."""
        place = program.position(self.rows.detach(), self.columns.detach(), like=x)
        return program.elementwise("add", x, place)

    def extra_repr(self) -> str:
        return f"{len(self.rows)}, {len(self.columns)}, features={self.rows.shape[1]}"
