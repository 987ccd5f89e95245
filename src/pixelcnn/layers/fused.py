"""A gated residual block in one pass over the images, in C++, for trainings on the CPU.

Products multiply float32, or bfloat16 under PyTorch's autocast to that, where the processor has
instructions for it; all else is float32 either way. The layers' own PyTorch code is the specification. It
computes the block wherever this module does not apply, and :func:`gated_residual` then says so by None.
"""

import ctypes
import functools
import itertools
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from pixelcnn import compiling
from pixelcnn.errors import ResourceError
from pixelcnn.layers.causal import MaskedConv2d
from pixelcnn.layers.depthwise import DepthwiseConv2d
from pixelcnn.layers.dropout import Dropout
from pixelcnn.layers.gated import LinearGate
from pixelcnn.masks import PAST, Features
from pixelcnn.surroundings import transformed

COLUMNS = (3, 5, 7, 9, 11)
"""Columns of the depthwise kernels that the source is written for."""

LEAST_WIDTH = 7
"""Columns of an image: as many neighbouring positions are computed together."""

LEAST_PANEL = 8
"""The number of features is a multiple of this on the processor with the shortest registers."""

TYPES = (torch.float32, torch.bfloat16)
"""Of what goes in."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Where PyTorch keeps what a user has hung on a layer."""

FUNCTIONS = ("pixelcnn_fused_panel", "pixelcnn_fused_half", "pixelcnn_fused_block")
"""What the library has."""


def gated_residual(
    x: Tensor,
    space: DepthwiseConv2d,
    widen: MaskedConv2d,
    gate: LinearGate,
    dropout: Dropout,
    mix: MaskedConv2d,
    bias: Tensor | None = None,
) -> Tensor | None:
    """``x + mix(a * sigmoid(b))``, where ``a`` and ``b`` are the halves of ``widen(space(x)) + bias``.

    Gradients are those of PyTorch's code up to rounding, and can be taken once. The same number of
    threads (:func:`torch.get_num_threads`) gives the same bits; another number adds the gradients of the
    weights in another order.

    Args:
        x: ``(n, features, h, w)``, best in PyTorch's channels-last layout, which the result has.
        space: without bias.
        widen: 1x1, to twice the features that ``mix`` reads.
        gate: between them.
        dropout: before ``mix``.
        mix: 1x1, back to the features of ``x``.
        bias: of each image, from its condition: ``(n, twice the features that mix reads, 1, 1)``.

    Returns:
        ``(n, features, h, w)`` in float32; None where the layers have to compute it: no gradient is
        wanted; not on the CPU; weights of another type, or autocast to what the processor does not
        multiply; dropout at work; compiling, tracing or ``torch.func``; sizes that the source is not
        written for, such as a bias of every position, or features of finished rows behind others;
        hooks of a layer, or of all modules; a layer of another class; no compiler; or
        ``PIXELCNN_FUSED=0`` in the environment.

    Raises:
        ResourceError: not enough memory.

    Example:
        >>> from pixelcnn.masks import PAST
        >>> features = (PAST,) * 4 + (0,) * 4
        >>> space = DepthwiseConv2d(features, (2, 3), bias=False)
        >>> widen = MaskedConv2d(features, features * 2, (1, 1), sees_itself=True)
        >>> mix = MaskedConv2d(features, features, (1, 1), sees_itself=True)
        >>> x = torch.zeros(1, 8, 5, 7)
        >>> gated_residual(x, space, widen, LinearGate(), Dropout(0.0), mix) is None  # wants no gradient
        True
    """
    if torch.compiler.is_compiling() or type(x) is not Tensor or transformed():
        return None
    if not (_differentiated(x) and _as_written(space, widen, gate, dropout, mix)):
        return None
    if not _fits(x, space, widen, mix) or (dropout.training and dropout.p > 0):
        return None
    assert widen.bias is not None
    biases = widen.bias.expand(len(x), -1)
    if bias is not None:
        if bias.dtype not in TYPES or bias.shape != (*biases.shape, 1, 1):
            return None
        biases = biases + bias.flatten(1)
    library = _library()
    if library is None:
        return None
    panel = library.pixelcnn_fused_panel()
    middle = len(mix.inputs)
    if x.shape[1] % panel or middle % panel:
        return None
    half = torch.is_autocast_enabled("cpu")
    past = (_leading_past(space.features), _leading_past(mix.inputs))
    if half and not (library.pixelcnn_fused_half() and past[0] % 2 == past[1] % 2 == 0):
        return None
    return _GatedResidual.apply(
        x.float(),
        space.effective_weight(),
        widen.effective_weight(),
        biases,
        mix.effective_weight(),
        mix.bias,
        past,
        half,
    )


def _differentiated(x: Tensor) -> bool:
    """Whether a gradient is wanted on the CPU, of float32 or under autocast to bfloat16."""
    half = torch.is_autocast_enabled("cpu")
    return (
        torch.is_grad_enabled()
        and x.requires_grad
        and x.dtype in (TYPES if half else TYPES[:1])
        and x.device.type == "cpu"
        and not (half and torch.get_autocast_dtype("cpu") is not torch.bfloat16)
        and os.environ.get("PIXELCNN_FUSED") != "0"
    )


def _as_written(*layers: nn.Module) -> bool:
    """Whether the layers are those of this package, with nothing hung on them or put in their place."""
    kinds = (DepthwiseConv2d, MaskedConv2d, LinearGate, Dropout, MaskedConv2d)
    of_all_modules = (vars(nn.modules.module)[f"_global{hooks}"] for hooks in HOOKS)
    return not any(of_all_modules) and all(
        type(layer) is kind
        and "forward" not in layer.__dict__
        and not any(layer.__dict__[hooks] for hooks in HOOKS)
        and all(p.dtype is torch.float32 and p.device.type == "cpu" for p in layer.parameters())
        for layer, kind in zip(layers, kinds, strict=True)
    )


def _fits(x: Tensor, space: DepthwiseConv2d, widen: MaskedConv2d, mix: MaskedConv2d) -> bool:
    """Whether the layers make a block, of sizes that the source is written for."""
    features, middle = len(space.features), len(mix.inputs)
    return (
        x.ndim == 4
        and x.shape[1] == features
        and 0 not in x.shape
        and x.shape[3] >= LEAST_WIDTH
        and space.kernel[1] in COLUMNS
        and features % LEAST_PANEL == middle % LEAST_PANEL == 0
        and widen.weight.shape == (2 * middle, features, 1, 1)
        and mix.weight.shape == (features, middle, 1, 1)
        and widen.inputs == mix.outputs == space.features
        and all(PAST not in kinds[_leading_past(kinds) :] for kinds in (space.features, mix.inputs))
        and widen.outputs == mix.inputs * 2
        and widen.sees_itself
        and mix.sees_itself
        and space.bias is None
        and widen.bias is not None
        and mix.bias is not None
    )


def _leading_past(features: Features) -> int:
    """How many features from the first on have seen finished rows only."""
    return sum(1 for _ in itertools.takewhile(PAST.__eq__, features))


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled source, or None for good: a compiler that failed once is not tried at every step."""
    try:
        library = compiling.load(
            "block", compiling.sources_of("pixelcnn.layers", "fused.cpp"), FUNCTIONS
        )
    except compiling.NotBuilt:
        return None
    library.pixelcnn_fused_panel.restype = ctypes.c_int64
    library.pixelcnn_fused_half.restype = ctypes.c_int32
    return library


def _call(
    shape: Sequence[int],
    threads: int,
    half: bool,
    given: Sequence[Tensor | None],
    written: Sequence[Tensor | None],
) -> None:
    """Calls the source: the parts of its ``Shape``, ``Given`` and ``Written``, in their order."""
    library = _library()
    assert library is not None
    code = library.pixelcnn_fused_block(
        (ctypes.c_int64 * len(shape))(*shape),
        ctypes.c_int64(threads),
        ctypes.c_int32(half),
        *(
            (ctypes.c_void_p * len(part))(*(None if t is None else t.data_ptr() for t in part))
            for part in (given, written)
        ),
    )
    if code:
        raise ResourceError(
            f"not enough memory for a block of {shape[3]} features",
            hint="free some, or use fewer threads (OMP_NUM_THREADS)",
        )


class _GatedResidual(Function):
    """The block and its gradients, see :func:`gated_residual`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> Tensor:
        *weights, past, ctx.half = rest
        x = x.contiguous(memory_format=torch.channels_last)
        kernels, widen, widen_bias, mix, mix_bias = (weight.contiguous() for weight in weights)
        n, features, height, width = x.shape
        middle = mix.shape[1]
        out = torch.empty_like(x, memory_format=torch.channels_last)
        kept = x.new_empty(n * height * width * (features + 2 * middle))
        ctx.shape = (n, height, width, features, middle, *kernels.shape[2:], *past)
        ctx.threads = min(torch.get_num_threads(), n)
        given = x, None, kernels, widen, widen_bias, mix, mix_bias
        _call(ctx.shape, ctx.threads, ctx.half, given, (out, kept, *[None] * 6))
        ctx.save_for_backward(x, kernels, widen, widen_bias, mix, mix_bias, kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, kept = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        found = [torch.empty_like(tensor) for tensor in inputs]
        given = inputs[0], grad, *inputs[1:]
        _call(ctx.shape, ctx.threads, ctx.half, given, (None, kept, *found))
        wanted = zip(found, ctx.needs_input_grad, strict=False)
        return *(tensor if needed else None for tensor, needed in wanted), None, None
