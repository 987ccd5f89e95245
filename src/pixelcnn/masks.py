"""Which part of the past a kernel may see: pure functions, no layers.

Two things restrict a weight. In space, it must lie before the kernel's origin in raster order. At the
origin itself, the input's colour must come before the output's: every feature map carries a colour, the
image channel whose prediction it may serve, and sees only what that channel may see.
"""

from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor

Features = tuple[int, ...]
"""The colour of each feature map: an image channel, or ``PAST`` if it has seen nothing of its own pixel."""

Offsets = frozenset[tuple[int, int]]
"""Positions relative to the current one, as (rows down, columns right)."""

PAST = -1


def interleaved(width: int, colours: int) -> Features:
    """Feature maps that take the colours in turn: R G B R G B ...

    Example:
        >>> interleaved(7, 3)
        (0, 1, 2, 0, 1, 2, 0)
    """
    return tuple(i % colours for i in range(width))


def contiguous(width: int, colours: int) -> Features:
    """Feature maps grouped by colour: R R G G B B, sizes as equal as they can be.

    Example:
        >>> contiguous(6, 3), contiguous(7, 3)
        ((0, 0, 1, 1, 2, 2), (0, 0, 0, 1, 1, 2, 2))
    """
    return tuple(i * colours // width for i in range(width))


LAYOUTS = {"interleaved": interleaved, "contiguous": contiguous}


def raster_mask(kernel: tuple[int, int], *, sees_itself: bool) -> Tensor:
    """Positions of an odd kernel that come before its centre in raster order, bool ``(kh, kw)``.

    ``sees_itself=False`` is "mask A" of van den Oord et al. (2016a, fig. 2), ``True`` is "mask B".

    Example:
        >>> raster_mask((3, 3), sees_itself=False).int().tolist()
        [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
        >>> raster_mask((3, 3), sees_itself=True).int().tolist()
        [[1, 1, 1], [1, 1, 0], [0, 0, 0]]
    """
    height, width = kernel
    centre = (height // 2) * width + width // 2
    before = torch.arange(height * width, device="cpu") < centre + int(sees_itself)
    return before.reshape(height, width)


def colour_mask(outputs: Features, inputs: Features, *, sees_itself: bool) -> Tensor:
    """Which inputs an output may see at its own position, bool ``(outputs, inputs)``.

    An output sees the inputs of earlier colours, and of its own colour where ``sees_itself``.
    This is the centre tap of masks A and B for colour images (2016a, fig. 2 right).

    Example:
        >>> colour_mask(interleaved(3, 3), interleaved(4, 3), sees_itself=False).int().tolist()
        [[0, 0, 0, 0], [1, 0, 0, 1], [1, 1, 0, 1]]
    """
    of_output = torch.tensor(outputs)[:, None]
    of_input = torch.tensor(inputs)[None, :]
    return of_input <= of_output if sees_itself else of_input < of_output


def live_links(outputs: Features, inputs: Features, *, sees_itself: bool) -> int:
    """How many links :func:`colour_mask` leaves alive, counted by colour.

    Example:
        >>> live_links(interleaved(7, 3), interleaved(4, 3), sees_itself=True)
        20
    """
    of_output, of_input = Counter(outputs), Counter(inputs)
    return sum(
        many * few
        for colour, many in of_output.items()
        for earlier, few in of_input.items()
        if earlier < colour or (sees_itself and earlier == colour)
    )


def kernel_mask(
    outputs: Features, inputs: Features, past: Tensor, origin: tuple[int, int], *, sees_itself: bool
) -> Tensor:
    """The mask of a whole kernel, bool ``(outputs, inputs, kh, kw)``.

    Args:
        outputs: colours of the output features.
        inputs: colours of the input features.
        past: positions of the kernel that may be seen, bool ``(kh, kw)``.
        origin: the kernel element that lies on the position itself; outside the kernel if none does.
        sees_itself: whether a colour sees its own colour at the origin.

    Example:
        >>> past = raster_mask((1, 3), sees_itself=True)
        >>> kernel_mask((0, 1), (0, 1), past, (0, 1), sees_itself=False)[:, :, 0, 1].int().tolist()
        [[0, 0], [1, 0]]
    """
    mask = torch.zeros(len(outputs), len(inputs), *past.shape, dtype=torch.bool)
    mask |= past.to(mask.device)
    row, column = origin
    if 0 <= row < past.shape[0] and 0 <= column < past.shape[1]:
        mask[:, :, row, column] &= colour_mask(outputs, inputs, sees_itself=sees_itself)
    return mask


def offsets(past: Tensor, origin: tuple[int, int]) -> Offsets:
    """Live positions of a kernel relative to its origin.

    Example:
        >>> sorted(offsets(raster_mask((3, 3), sees_itself=False), (1, 1)))
        [(-1, -1), (-1, 0), (-1, 1), (0, -1)]
    """
    return frozenset((r - origin[0], c - origin[1]) for r, c in past.nonzero().tolist())


def compose(first: Iterable[tuple[int, int]], then: Iterable[tuple[int, int]]) -> Offsets:
    """What two layers in a row see: every sum of one offset of each.

    Example:
        >>> sorted(compose({(0, -1)}, {(0, 0), (0, -1)}))
        [(0, -2), (0, -1)]
    """
    then = tuple(then)
    return frozenset((r + dr, c + dc) for r, c in first for dr, dc in then)


def raster_past(channels: int, height: int, width: int) -> Tensor:
    """All that comes before each sub-pixel in coding order, bool ``(c, h, w, c, h, w)``: target, source.

    Example:
        >>> raster_past(1, 1, 3)[0, 0, :, 0, 0, :].int().tolist()
        [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    """
    order = (
        torch.arange(height * width * channels).reshape(height, width, channels).permute(2, 0, 1)
    )
    return order[:, :, :, None, None, None] > order


def past_within(
    seen: Offsets, channels: int, height: int, width: int, *, by_channel: bool
) -> Tensor:
    """The past a network claims when it sees the pixels at the offsets ``seen``, as :func:`raster_past`.

    Args:
        seen: offsets of earlier pixels, all of whose channels are seen.
        channels: image channels.
        height: rows.
        width: columns.
        by_channel: whether channel c also sees its own pixel's channels before c.

    Example:
        >>> past_within(frozenset({(0, -1)}), 1, 1, 3, by_channel=True)[0, 0, :, 0, 0].int().tolist()
        [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    """
    shape = (channels, height, width)
    claimed = torch.zeros(*shape, *shape, dtype=torch.bool)
    for down, right in seen:
        if abs(down) >= height or abs(right) >= width:
            continue  # outside the image from every position
        rows = torch.arange(max(0, -down), min(height, height - down))[:, None]
        columns = torch.arange(max(0, -right), min(width, width - right))
        claimed[:, rows, columns, :, rows + down, columns + right] = True
    if by_channel:
        rows, columns = torch.arange(height)[:, None], torch.arange(width)
        for channel in range(1, channels):
            for earlier in range(channel):
                claimed[channel, rows, columns, earlier, rows, columns] = True
    return claimed
