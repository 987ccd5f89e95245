"""Muon: steps of one length in all directions, for the matrices inside a network."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from pixelcnn.layers.causal import CausalConv2d
from pixelcnn.layers.dense import MaskedLinear

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration: steepest at zero, so that five of them are enough."""

ITERATIONS = 5
TINY = 1e-7

LEAST = 16
"""Features on either side of a matrix; what maps fewer is no matrix of a network's inside."""


class Muon(torch.optim.AdamW):
    """Momentum whose steps are orthogonalised, for some groups of parameters, and AdamW for the others.

    A step of such a kernel, as a matrix ``(outputs, everything else)``, is the nearest semi-orthogonal
    matrix to its Nesterov momentum, times the rate and ``sqrt(max(1, outputs / inputs))``: directions that
    gradients rarely show are learned as fast as the others. PyTorch's ``torch.optim.Muon`` takes matrices
    only, one by one and always in bfloat16; here kernels of one shape go through the iteration together, in
    their own precision, or in bfloat16 on a GPU. What a mask hides has no gradient, hence no momentum, and
    is left alone, although the nearest orthogonal matrix would not be zero there.

    Every process of a training computes the same steps from the same summed gradients.

    Reference: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024.

    Args:
        groups: of parameters; those with ``"matrices": True`` are stepped by Muon.
        lr: the rate of groups that name none.
        betas: AdamW's.
        eps: AdamW's.
        momentum: of the matrices.
        fused: see :class:`torch.optim.AdamW`.

    Example:
        >>> layer = nn.Linear(16, 16, bias=False)
        >>> before = layer.weight.detach().clone()
        >>> optimizer = Muon([{"params": [layer.weight], "matrices": True, "weight_decay": 0.0}], lr=0.1)
        >>> layer(torch.randn(32, 16)).square().sum().backward()
        >>> optimizer.step()
        >>> lengths = torch.linalg.svdvals(before - layer.weight.detach())
        >>> bool((lengths > 0.05).all() and (lengths < 0.13).all())
        True
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        momentum: float = 0.95,
        fused: bool | None = None,
    ) -> None:
        given = [{"matrices": False, "momentum": momentum} | group for group in groups]
        super().__init__(given, lr, betas, eps, fused=fused)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of all parameters that have a gradient."""
        matrices = [group for group in self.param_groups if group["matrices"]]
        taken = [(weight, weight.grad) for group in matrices for weight in group["params"]]
        for group in matrices:
            self._step_matrices(group)
        for weight, _ in taken:
            weight.grad = None  # AdamW passes over it
        loss: float | None = super().step(closure)
        for weight, grad in taken:
            weight.grad = grad
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        for weight in weights:
            if not self.state[weight]:  # called as AdamW, which reads a stored state, expects it
                self.state[weight]["step"] = weight.new_zeros((), dtype=torch.float32)
                self.state[weight]["exp_avg"] = torch.zeros_like(weight)
        gradients = [weight.grad for weight in weights]
        momenta = [self.state[weight]["exp_avg"] for weight in weights]
        torch._foreach_add_([self.state[weight]["step"] for weight in weights], 1)
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        shapes = dict.fromkeys(tuple(weight.shape) for weight in weights)
        for shape in shapes:
            same = [i for i, weight in enumerate(weights) if tuple(weight.shape) == shape]
            steps = orthogonal_steps(torch.stack([ahead[i] for i in same]))
            torch._foreach_add_([weights[i] for i in same], steps.unbind(), alpha=-group["lr"])


def orthogonal_steps(kernels: Tensor) -> Tensor:
    """The directions in which kernels are stepped, zero where they are.

    Args:
        kernels: ``(n, outputs, ...)``, all that follows the outputs being inputs.

    Returns:
        The same shape.
    """
    n, outputs = kernels.shape[:2]
    matrices = kernels.reshape(n, outputs, -1)
    length = max(1, outputs / matrices.shape[2]) ** 0.5
    steps = orthogonalised(matrices).mul_(length).mul_(matrices != 0)
    return steps.view(kernels.shape)


def orthogonalised(matrices: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices ``(n, rows, columns)``, with singular values of 0.7 to 1.2.

    Reference: the Newton-Schulz iteration of Jordan et al., 2024.

    Example:
        >>> torch.linalg.svdvals(orthogonalised(torch.randn(2, 16, 24))).shape
        torch.Size([2, 16])
    """
    a, b, c = COEFFICIENTS
    kind = torch.bfloat16 if matrices.is_cuda else matrices.dtype
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).to(kind)
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=TINY)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


def inner_matrices(model: nn.Module) -> list[Tensor]:
    """Kernels and matrices that map features to features, of which Muon is worth the steps.

    Kernels of one feature each, embeddings, what reads an image, and the last layer are not among them.

    Example:
        >>> from pixelcnn.networks import Compact
        >>> net = Compact(1, 1, width=16, depth=1)
        >>> [tuple(weight.shape) for weight in inner_matrices(net)]
        [(32, 16, 1, 1), (16, 16, 1, 1), (16, 16, 1, 1)]
    """
    kinds = (CausalConv2d, MaskedLinear, nn.Conv2d, nn.Linear)
    layers = [module for module in model.modules() if isinstance(module, kinds)][:-1]
    inner = (_stored(layer) for layer in layers if getattr(layer, "inner", True))
    weights = dict.fromkeys(inner)  # one that two layers share is stepped once
    return [weight for weight in weights if _is_matrix(weight)]


def _stored(module: nn.Module) -> Tensor:
    """A layer's kernel; under weight norm, which stores its length apart, the direction."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    if not is_parametrized(module, "weight"):
        return weight
    stored = module.get_submodule("parametrizations.weight").parameters()
    return next((part for part in stored if part.shape == weight.shape), weight)


def _is_matrix(weight: Tensor) -> bool:
    learns = weight.requires_grad and weight.is_leaf
    return learns and min(weight.shape[:2]) >= LEAST
