"""Attention over the raster past."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelcnn.config import check_integer
from pixelcnn.layers.layout import features_last
from pixelcnn.program import Program
from pixelcnn.program.features import behind
from pixelcnn.shapes import MAX_SIDE


class RasterAttention(nn.Module):
    """Every position looks up strictly earlier positions of the image, in raster order, and a start token.

    For each head, over the positions q before p in raster order and the learned start token::

        out(p) = sum over q of softmax over q of (query(p) . key(q) / sqrt(key_width)) * value(q)

    The start token gives the first position something to look up, so no sum is empty; and no position
    looks up itself, so queries, keys and values may come from the image as it is. What is looked up has
    seen earlier pixels only, whatever the colours of keys and values; queries bring in their own.

    Reference: Chen et al., PixelSNAIL, 2018; their code multiplies the first position's result by zero,
    which is a start token whose value is zero.

    Args:
        heads: how many look-ups a position makes.
        key_width: features of a query, and of a key, a head.
        value_width: features of a value, a head.

    Shapes: ``(n, heads (2 key_width + value_width), h, w)``, the queries of all heads, then the keys, then
        the values, to ``(n, heads value_width, h, w)``.

    Example:
        >>> layer = RasterAttention(heads=1, key_width=2, value_width=1)
        >>> x = torch.cat([torch.zeros(1, 4, 1, 3), torch.tensor([4.0, 8.0, 16.0]).reshape(1, 1, 1, 3)], 1)
        >>> layer(x).flatten().tolist()
        [0.0, 2.0, 4.0]
    """

    def __init__(self, heads: int, key_width: int, value_width: int) -> None:
        super().__init__()
        for name, number in (
            ("heads", heads),
            ("key_width", key_width),
            ("value_width", value_width),
        ):
            check_integer(name, number, 1, 16_384)
        self.heads, self.key_width, self.value_width = heads, key_width, value_width
        self.start_key = nn.Parameter(torch.zeros(heads, key_width))
        self.start_value = nn.Parameter(torch.zeros(heads, value_width))

    @property
    def widths(self) -> tuple[int, int, int]:
        """Features of all queries, keys and values."""
        keys = self.heads * self.key_width
        return keys, keys, self.heads * self.value_width

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part.flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3)
            for part in x.split(self.widths, 1)
        )
        # Behind a start token everything stands one place later: what lies on the diagonal of the
        # attention matrix is the position before.
        key, value = behind(self.start_key, key), behind(self.start_value, value)
        # Zeros at their ends change no product; fast kernels want all three equally wide.
        width = max(self.key_width, self.value_width)
        query, key, value = (
            functional.pad(part, (0, width - part.shape[-1])) for part in (query, key, value)
        )
        found = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=self.key_width**-0.5
        )
        found = found[..., : self.value_width]
        return found.transpose(1, 2).flatten(2).unflatten(1, x.shape[2:]).movedim(-1, 1)

    def lower(self, program: Program, x: int) -> int:
        """The attend primitive."""
        queries, keys, _ = self.widths
        parts = (0, queries, queries + keys, program.width(x))
        query, key, value = (program.slice(x, *part) for part in pairwise(parts))
        start = torch.cat([self.start_key.flatten(), self.start_value.flatten()]).detach()
        return program.attend(query, key, value, self.heads, start)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, key={self.key_width}, value={self.value_width}"


class Coordinates(nn.Module):
    """Adds the number of each position's row and column as two more features, in units of 32.

    They are what attention knows places by: a convolution knows offsets, a look-up does not. They say
    nothing of the image, and are the same whatever its size: counts from the upper left corner, from 1 on.

    Reference: Chen et al., PixelSNAIL, 2018 ("background" in the authors' code, from -1/2 to 1/2).

    Shapes: ``(n, f, h, w)`` to ``(n, f + 2, h, w)``.

    Example:
        >>> Coordinates()(torch.zeros(1, 1, 1, 4))[0, 2].tolist()
        [[0.03125, 0.0625, 0.09375, 0.125]]
    """

    step: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.full((2,), 1 / 32), persistent=False)

    def tables(self, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """What each row and each column adds, ``(rows, 2)`` and ``(columns, 2)``."""
        above, left = (
            torch.arange(1, count + 1, device=self.step.device) * step
            for count, step in zip((rows, columns), self.step.unbind(), strict=True)
        )
        return functional.pad(above[:, None], (0, 1)), functional.pad(left[:, None], (1, 0))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        above, left = self.tables(height, width)
        place = (above[:, None] + left).movedim(-1, 0).to(x.dtype)
        return torch.cat([x, features_last(place.expand(x.shape[0], -1, -1, -1))], 1)

    def lower(self, program: Program, x: int) -> int:
        """The position primitive."""
        return program.cat(x, program.position(*self.tables(MAX_SIDE, MAX_SIDE), like=x))
