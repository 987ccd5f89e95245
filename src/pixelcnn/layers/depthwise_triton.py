"""Depthwise convolutions on NVIDIA GPUs, in Triton.

A kernel of one feature each is a matter of memory, and these read it once or little more. Images lie in
PyTorch's channels-last layout. Sums are float32, in an order that depends on the shapes alone, so the same
images give the same bits. PyTorch's own code is the specification, and computes float64.
"""

import importlib.util
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

COLUMNS, CHANNELS = 32, 64
"""Positions of a row, and features, that a program computes, at most."""

LEARNT = 32
"""Features whose kernels' gradient a program sums, at most."""

SHARES = 32
"""Into how many parts the rows of all images are split for that sum, at most."""


def convolve(x: Tensor, weight: Tensor, origin: tuple[int, int]) -> Tensor:
    """A depthwise convolution whose kernels end at the row of the position, zeros standing around the image.

    Args:
        x: ``(n, f, h, w)`` on a CUDA device, of at most 32 bits.
        weight: kernels ``(f, 1, rows, columns)`` of the same type there.
        origin: row and column of the kernel element on the position itself.

    Returns:
        The shape and type of ``x``, channels last. Its gradients can be taken once.
    """
    y: Tensor = _Convolution.apply(x, weight, origin)
    return y


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, origin: tuple[int, int]) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.origin = origin
        return _convolved(x, weight, origin, turned=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        reads, learns, _ = ctx.needs_input_grad
        of_x = _convolved(grad, weight, ctx.origin, turned=True) if reads else None
        return of_x, _of_kernels(x, grad, weight, ctx.origin) if learns else None, None


def _convolved(x: Tensor, weight: Tensor, origin: tuple[int, int], *, turned: bool) -> Tensor:
    """The convolution; turned, with kernels that go from where they write to where they read."""
    n, features, height, width = x.shape
    rows, columns = weight.shape[2:]
    y = torch.empty_like(x, memory_format=torch.channels_last)
    if not y.numel():
        return y
    taps = weight.flatten(1).t().contiguous()
    block = min(COLUMNS, triton.next_power_of_2(width))
    grid = (n * height, triton.cdiv(width, block), triton.cdiv(features, CHANNELS))
    with torch.cuda.device_of(x):
        _sum_taps[grid](
            x, taps, y, height, width, features, *origin,
            rows=rows, kernel=columns, turned=turned, columns=block, channels=CHANNELS,
        )  # fmt: skip
    return y


def _of_kernels(x: Tensor, grad: Tensor, weight: Tensor, origin: tuple[int, int]) -> Tensor:
    """The gradient of the kernels, from those of the outputs."""
    n, features, height, width = x.shape
    rows, columns = weight.shape[2:]
    if not x.numel():
        return torch.zeros_like(weight)
    lines = n * height
    each = triton.cdiv(lines, SHARES)
    shares = triton.cdiv(lines, each)
    sums = x.new_empty((shares, rows, columns, features), dtype=torch.float32)
    block = min(COLUMNS, triton.next_power_of_2(width))
    with torch.cuda.device_of(x):
        _sum_products[shares, rows, triton.cdiv(features, LEARNT)](
            x, grad, sums, lines, each, height, width, features, *origin,
            rows=rows, kernel=columns, lanes=triton.next_power_of_2(columns),
            columns=block, channels=LEARNT, num_warps=8,
        )  # fmt: skip
    return sums.sum(0).movedim(2, 0)[:, None].to(weight.dtype)


if (
    importlib.util.find_spec("triton") is not None
):  # as with PyTorch for CUDA on Linux; nothing runs without it
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def _sum_taps(
        source: "Any", taps: "Any", target: "Any",
        height: "Any", width: "Any", features: "Any", up: "Any", side: "Any",
        rows: tl.constexpr, kernel: tl.constexpr, turned: tl.constexpr,
        columns: tl.constexpr, channels: tl.constexpr,
    ) -> None:  # fmt: skip
        row = tl.program_id(0).to(tl.int64)
        line = (row % height).to(tl.int32)
        column = tl.program_id(1) * columns + tl.arange(0, columns)
        feature = tl.program_id(2) * channels + tl.arange(0, channels)
        there = feature < features
        total = tl.zeros((columns, channels), dtype=tl.float32)
        for i in tl.static_range(rows):
            down = up - i if turned else i - up
            inside = (line + down >= 0) & (line + down < height)
            start = source + (row + down) * width * features
            for j in tl.static_range(kernel):
                at = column + (side - j if turned else j - side)
                seen = inside & (at >= 0) & (at < width)
                values = tl.load(
                    start + at[:, None] * features + feature[None, :],
                    mask=seen[:, None] & there[None, :],
                    other=0.0,
                )
                tap = tl.load(taps + (i * kernel + j) * features + feature, mask=there, other=0.0)
                total += values.to(tl.float32) * tap.to(tl.float32)[None, :]
        place = target + row * width * features + column[:, None] * features + feature[None, :]
        here = (column < width)[:, None] & there[None, :]
        tl.store(place, total.to(target.dtype.element_ty), mask=here)

    @triton.jit  # type: ignore[untyped-decorator]
    def _sum_products(
        source: "Any", grad: "Any", sums: "Any", lines: "Any", each: "Any",
        height: "Any", width: "Any", features: "Any", up: "Any", side: "Any",
        rows: tl.constexpr, kernel: tl.constexpr, lanes: tl.constexpr,
        columns: tl.constexpr, channels: tl.constexpr,
    ) -> None:  # fmt: skip
        share, i = tl.program_id(0), tl.program_id(1)
        feature = tl.program_id(2) * channels + tl.arange(0, channels)
        there = feature < features
        tap = tl.arange(0, lanes)
        total = tl.zeros((lanes, columns, channels), dtype=tl.float32)
        for step in range(each):
            row = share * each + step
            line = row % height + i - up
            inside = (row < lines) & (line >= 0) & (line < height)
            for first in range(0, width, columns):
                column = first + tl.arange(0, columns)
                output = grad + row.to(tl.int64) * width * features
                given = tl.load(
                    output + column[:, None] * features + feature[None, :],
                    mask=((column < width) & inside)[:, None] & there[None, :],
                    other=0.0,
                )
                at = column[None, :] + tap[:, None] - side
                seen = inside & (at >= 0) & (at < width) & (tap < kernel)[:, None]
                read = source + (row + i - up).to(tl.int64) * width * features
                values = tl.load(
                    read + at[:, :, None] * features + feature[None, None, :],
                    mask=seen[:, :, None] & there[None, None, :],
                    other=0.0,
                )
                total += values.to(tl.float32) * given.to(tl.float32)[None, :, :]
        place = ((share * rows + i) * kernel + tap)[:, None] * features + feature[None, :]
        tl.store(sums + place, tl.sum(total, 1), mask=(tap < kernel)[:, None] & there[None, :])
