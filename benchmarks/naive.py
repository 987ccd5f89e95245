"""The naive sampler: plain convolutions with zeros where masks are, and a full pass for every sub-pixel.

What the tutorials do, with masks applied once, not in every pass: float32, NCHW (the features of a position
side by side would be 10 to 40 % faster).
"""

import copy

import torch
from torch import nn

from benchmarks.timing import Action, timed
from pixelcnn import PixelModel
from pixelcnn.layers import CausalConv2d, MaskedConv2d, ShiftedConv2d


def dense(layer: CausalConv2d) -> nn.Conv2d:
    """The same convolution as a centred ``nn.Conv2d`` with odd sides, zero where the past ends."""
    up = max(abs(down) for down, _ in layer.offsets)
    aside = max(abs(right) for _, right in layer.offsets)
    kernel = (2 * up + 1, 2 * aside + 1)
    plain = nn.Conv2d(
        len(layer.inputs),
        len(layer.outputs),
        kernel,
        padding=(up, aside),
        bias=layer.bias is not None,
        dtype=layer.weight.dtype,
    )
    plain.register_buffer("live", torch.zeros_like(plain.weight), persistent=False)
    with torch.no_grad():
        weight = layer.effective_weight()
        plain.weight.zero_()
        for down, right in layer.offsets:
            at = (..., layer.origin[0] + down, layer.origin[1] + right)
            plain.weight[:, :, up + down, aside + right] = weight[at]
            plain.live[:, :, up + down, aside + right] = layer.mask[at]
        if layer.bias is not None and plain.bias is not None:
            plain.bias.copy_(layer.bias)
    return plain


@torch.no_grad()
def masked(twin: nn.Module) -> None:
    """Puts back to zero what an optimiser has moved into the future, as tutorials do in every step."""
    for module in twin.modules():
        if type(module) is nn.Conv2d and hasattr(module, "live"):
            module.weight.mul_(module.live)


def naive(model: PixelModel) -> PixelModel:
    """A copy of a model whose masked and shifted layers are plain convolutions; strided ones stay."""
    twin = copy.deepcopy(model)
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, MaskedConv2d | ShiftedConv2d):
                setattr(parent, name, dense(child))
    return twin.eval()


def full_pass(model: PixelModel, n: int) -> Action:
    """Sampling with a full pass for every sub-pixel, extrapolated from one pass."""
    twin, levels = naive(model), torch.zeros(n, *model.shape, dtype=torch.int64)

    @torch.inference_mode()
    def run() -> object:
        return twin.network(twin.encode(levels))

    once = timed(run)
    return lambda: once() * model.shape.dimensions
