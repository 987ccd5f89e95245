"""PyTorch's own convolutions in primitives: with strides, with padding, and with what is cut off around them.

A convolution that is masked by multiplying its kernel, or shifted by rows of zeros at one side and rows that
are cut off at the other, is a sum over offsets like those of our layers. What is zero in the kernel is not
read.
"""

from typing import Any

import torch
from torch import Tensor, nn

from pixelcnn.engines.frames import NONE, Framed, framed_of, grown, moved_tap, pad, settle
from pixelcnn.engines.sizes import SECOND, Value
from pixelcnn.program import Program, Tap, Unlowerable


def convolve(
    program: Program,
    x: Any,
    weight: Any,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """A convolution; of its kernel what is not zero acts."""
    step = _step(stride)
    if not isinstance(weight, Tensor) or weight.ndim != 4:
        raise Unlowerable("a kernel that is no tensor (out, in, rows, columns)")
    weight, bias = weight.detach(), None if bias is None else bias.detach()
    apart, reach = _pair(dilation), [_pair(dilation)[i] * (weight.shape[2 + i] - 1) for i in (0, 1)]
    if padding == "same":
        sides = [(whole // 2, whole - whole // 2) for whole in reach]
    else:
        sides = [(each, each) for each in _pair(0 if padding == "valid" else padding)]
    for axis, (before, after) in enumerate(sides):
        x = grown(x, axis, before, after)
    framed = framed_of(x)
    if framed.taps is not None or framed.then:
        raise Unlowerable("a convolution of one that is not as large as the image")
    (above, below), (left, right) = framed.margins
    depthwise = groups == program.width(framed.number) == len(weight) and step == 1
    kernel = weight[:, 0] if depthwise else _whole(weight, groups)
    taps = _taps(kernel, apart, (above, left))
    taps = tuple(tap for tap in taps if bool(tap.live.any())) or taps[:1]
    more = (above + below - reach[0], left + right - reach[1])
    rows, columns = ((0, (each + step - 1) // step) for each in more)  # where it divides the grid
    framed = Framed(framed.number, (rows, columns), taps, bias, stride=step)
    return settle(program, framed)


def convolve_transposed(
    program: Program,
    x: Any,
    weight: Any,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """A convolution that writes where another one reads, onto a grid as much finer as it strides."""
    framed, up = framed_of(x), _step(stride)
    if framed.taps is not None or framed.margins != NONE or not isinstance(weight, Tensor):
        raise Unlowerable("it reads what is no value as large as the image")
    cut, apart, more = (_pair(each) for each in (padding, dilation, output_padding))
    kernel = weight.detach().unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    taps = _taps(_whole(kernel, groups), apart, cut, -1)
    if len({moved_tap(tap, 0, 0, up).phase for tap in taps}) < up**2:
        raise Unlowerable("it leaves positions unwritten")
    after = [apart[i] * (weight.shape[2 + i] - 1) + 1 + more[i] - up - 2 * cut[i] for i in (0, 1)]
    margins = ((0, after[0]), (0, after[1]))
    bias = None if bias is None else bias.detach()
    return settle(program, Framed(framed.number, margins, taps, bias, up=up))


def _taps(
    kernel: Tensor, apart: tuple[int, int], first: tuple[int, int], sign: int = 1
) -> tuple[Tap, ...]:
    """What a kernel ``(..., rows, columns)`` reads: ``sign (apart row - first)`` rows down, and so on."""
    return tuple(
        Tap(
            sign * (row * apart[0] - first[0]),
            sign * (column * apart[1] - first[1]),
            part,
            part != 0,
        )
        for row in range(kernel.shape[-2])
        for column in range(kernel.shape[-1])
        for part in (kernel[..., row, column],)
    )


def _step(stride: Any) -> int:
    """Of rows and columns alike."""
    rows, columns = _pair(stride)
    if rows != columns:
        raise Unlowerable(f"it strides over {rows} rows and {columns} columns")
    return rows


def _pair(value: Any) -> tuple[int, int]:
    """Of rows and of columns."""
    first, second = (value, value) if isinstance(value, int) else (*value, *value)[:2]
    return int(first), int(second)


def _whole(weight: Tensor, groups: int) -> Tensor:
    """The kernel of a convolution in groups as one of all features, with zeros between groups."""
    if groups == 1:
        return weight
    blocks = [torch.block_diag(*at.chunk(groups)) for at in weight.flatten(2).unbind(2)]
    return torch.stack(blocks, -1).unflatten(-1, weight.shape[2:])


def convolution(program: Program, x: Value, module: nn.Conv2d) -> Any:
    """A layer of PyTorch's."""
    if module.padding_mode != "zeros" and any(module._reversed_padding_repeated_twice):
        raise Unlowerable(f"it pads by {module.padding_mode}")
    given = module.stride, module.padding, module.dilation, module.groups
    return convolve(program, x, module.weight, module.bias, *given)


def transposed(program: Program, x: Value, module: nn.ConvTranspose2d) -> Any:
    """A layer of PyTorch's that is one transposed."""
    given = module.stride, module.padding, module.output_padding, module.groups, module.dilation
    return convolve_transposed(program, x, module.weight, module.bias, *given)


def padding(program: Program, x: Value, module: nn.ConstantPad2d) -> Any:
    """Zeros around an image."""
    return pad(program, x, module.padding, value=module.value)


def batch_norm(program: Program, x: Value, module: nn.BatchNorm2d) -> Value:
    """What a norm over batches is in evaluation mode: a factor and a bias for each feature."""
    mean, variance = module.running_mean, module.running_var
    if mean is None or variance is None:
        raise Unlowerable("it averages over the images of a batch")
    if x.places != SECOND or program.width(x.number) != module.num_features:
        raise Unlowerable("it has other features than what it is given")
    factor = (variance + module.eps).rsqrt()
    factor = factor if module.weight is None else factor * module.weight.detach()
    bias = -mean * factor
    bias = bias if module.bias is None else bias + module.bias.detach()
    tap = Tap(0, 0, factor, torch.ones_like(factor, dtype=torch.bool))
    return Value(program.depthwise(x.number, [tap], bias))
