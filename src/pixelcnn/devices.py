"""Where to compute: devices by name, and models on them."""

import contextlib
import copy
import itertools
import re
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from pixelcnn.annotations import shown
from pixelcnn.errors import ConfigError, ModelError

Device = str | torch.device
"""A device by name, see :func:`resolve_device`, or as torch has it."""

NAMES = re.compile(r"auto|(?P<only>cpu|mps)(:0)?|cuda(:(?P<index>0|[1-9][0-9]{0,3}))?")

WITHOUT_FLOAT64 = frozenset({"mps"})
"""Types of devices that cannot compute in float64."""

_Module = TypeVar("_Module", bound=nn.Module)


def resolve_device(device: Device) -> str:
    """A device that is there, by name.

    ``auto`` is the GPU where CUDA finds one, else the processor. On Apple silicon that is the processor, too:
    probabilities are computed in float64, which its GPU does not have.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` (any index) or ``mps``.

    Raises:
        ConfigError: no such device, here or anywhere.

    Example:
        >>> resolve_device("cpu")
        'cpu'
    """
    name = str(device)
    named = NAMES.fullmatch(name)
    if named is None:
        raise ConfigError(
            f"no device called {shown(name)}",
            hint="devices: auto, cpu, cuda, cuda:0, cuda:1 …, mps",
        )
    name = named["only"] or name  # a tensor on Apple's GPU says that it is on mps:0
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if count else "cpu"
    if name.startswith("cuda") and not count:
        raise _not_here(name, "PyTorch finds no CUDA GPU")
    if named["index"] and int(named["index"]) >= count:
        raise _not_here(name, f"there {'is' if count == 1 else 'are'} {count}, counted from cuda:0")
    if name == "mps" and not torch.backends.mps.is_available():
        raise _not_here(name, "PyTorch finds no Apple GPU")
    return name


def _not_here(name: str, why: str) -> ConfigError:
    return ConfigError(
        f"device {name!r} is not available here: {why}", hint="use auto or cpu for the device"
    )


def require_model(model: object) -> None:
    """A model is a module that holds numbers: not the name of one, its file, its network, nor a wrapper.

    Raises:
        ModelError: it is something else, or on the device ``meta``.

    Example:
        >>> try:
        ...     require_model(nn.Identity())
        ... except ModelError as error:
        ...     print(error)
        model must be a PixelModel, got Identity
    """
    if not isinstance(model, nn.Module) or not hasattr(model, "log_prob_map"):
        raise no_model(model)
    require_numbers(model)


def no_model(given: object) -> ModelError:
    """What is said of something that is no model: how to come by one."""
    hint = (
        "pixelcnn.load gives the model of a name, a file or a run folder, "
        "PixelModel(network, output, shape) that of a network"
    )
    if hasattr(getattr(given, "module", None), "log_prob_map"):
        hint = "its .module is one"
    return ModelError(f"model must be a PixelModel, got {type(given).__name__}", hint=hint)


def require_numbers(module: nn.Module) -> None:
    """A model, or a part of one, has weights to compute with.

    Raises:
        ModelError: it is on the device ``meta``, at least in part, or lazy.

    Example:
        >>> require_numbers(nn.Linear(2, 3))
    """
    if any(map(is_lazy, itertools.chain(module.parameters(), module.buffers()))):
        raise ModelError(
            "this model has lazy layers, whose shapes are not known yet",
            hint="call its forward once with an image, or write layers with all their arguments",
        )
    if any(tensor.is_meta for tensor in itertools.chain(module.parameters(), module.buffers())):
        raise ModelError(
            "this model is on the device meta, which gives it shapes and no numbers",
            hint="build it outside of torch.device('meta'), or read it with pixelcnn.load",
        )


def kinds_of(module: nn.Module) -> list[str]:
    """Types of the weights of a module, by name.

    Example:
        >>> kinds_of(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()))
        ['float32', 'float64']
    """
    found = {each.dtype for each in module.parameters() if each.is_floating_point()}
    return sorted(str(dtype).removeprefix("torch.") for dtype in found)


def placed(model: _Module, device: Device | None) -> _Module:
    """The model where it is to compute: itself if that is where it is, else a copy there.

    Args:
        model: stays where it is.
        device: see :func:`resolve_device`; None for the model's own.

    Raises:
        ConfigError: see :func:`resolve_device`; or a device that cannot compute in the model's type.
    """
    require_model(model)
    if device is None:
        return model
    there = torch.device(resolve_device(device))
    here = next(model.parameters(), torch.empty(0, device="cpu")).device
    if there.type == here.type and there.index in (None, here.index):
        return model
    return move(copied(model), str(there))


def copied(module: _Module) -> _Module:
    """A module with tensors of its own, which may be changed.

    :func:`copy.deepcopy` refuses what a forward pass with gradients leaves behind: attention that is kept
    to look at, weights that ``torch.nn.utils.weight_norm`` computed. A copy has them without their history.

    Args:
        module: left as it is.

    Raises:
        ModelError: it holds something that cannot be copied, such as a lock.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> layer.last = layer(torch.ones(1, 2))
        >>> copied(layer).last.requires_grad
        False
    """
    try:
        with torch.no_grad(), _Detaching():  # what is compiled is copied by tracked operations
            return copy.deepcopy(module)
    except (RuntimeError, TypeError) as error:
        what = f"{type(module).__name__} cannot be copied: {' '.join(str(error).split())}"
        raise ModelError(what) from error


class _Detaching(TorchFunctionMode):
    """Copies results of computations as numbers."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            return args[0].detach().clone()
        return func(*args, **(kwargs or {}))


class Doubled(TorchFunctionMode):
    """Gives float64 to whoever asks for float32.

    Example:
        >>> with Doubled():
        ...     torch.ones(1, dtype=torch.float32).float().dtype
        torch.float64
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is Tensor.float:
            return args[0].double()
        args, kwargs = fx.node.map_aggregate(
            (args, kwargs or {}), lambda a: torch.float64 if a is torch.float32 else a
        )
        return func(*args, **kwargs)


def move(model: _Module, device: Device) -> _Module:
    """Moves a model, in place.

    Raises:
        ConfigError: see :func:`resolve_device`; or a device that cannot compute in the model's type.
    """
    there = torch.device(resolve_device(device))
    tensors = (*model.parameters(), *model.buffers())
    if there.type in WITHOUT_FLOAT64 and any(t.dtype == torch.float64 for t in tensors):
        raise ConfigError(
            f"device {str(there)!r} has no float64, which this model is in",
            hint="use the device cpu, or model.float()",
        )
    return model.to(there)


def float64_device(device: torch.device) -> torch.device:
    """Where the float64 parts of a computation take place: there, or on the processor.

    Example:
        >>> float64_device(torch.device("mps"))
        device(type='cpu')
    """
    return torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device


EXACT = {
    "deterministic": True,
    "benchmark": False,
    "allow_tf32": False,
    "precision": "highest",
    "fp32_precision": "ieee",
}
"""How cuDNN convolves, and matrices are multiplied, in :func:`exact_convolutions`."""

_within, _before, _lock = 0, list[tuple[Any, str, object]](), threading.Lock()


@contextlib.contextmanager
def exact_convolutions(device: Device) -> Iterator[None]:
    """Has a GPU convolve the same way each time, and in the precision of the numbers, in a ``with`` block.

    By default cuDNN rounds the factors of a float32 convolution to 10 bits, and may add up in another order
    each time; products of matrices, which engines have in place of convolutions, are rounded so where a
    caller has asked for it. These are settings of the process. The last thread that leaves a block puts
    them back.

    Args:
        device: where to convolve; nothing is changed for any but CUDA's.
    """
    global _within  # noqa: PLW0603
    if torch.device(device).type != "cuda":
        yield
        return
    with _lock:
        if _within == 0:
            _before[:] = _settings()
            for owner, name, _ in _before:
                setattr(owner, name, EXACT[name])
        _within += 1
    try:
        yield
    finally:
        with _lock:
            _within -= 1
            if _within == 0:
                for owner, name, value in _before:
                    setattr(owner, name, value)


def _settings() -> list[tuple[Any, str, object]]:
    """Whose, which and what the settings are, in the order in which they are made."""
    backends: Any = torch.backends
    cudnn = backends.cudnn
    found = [(cudnn, name, getattr(cudnn, name)) for name in ("deterministic", "benchmark")]
    for owner, name in ((cudnn, "allow_tf32"), (_Products(), "precision")):
        # The older settings make those that follow, and are refused where the newer ones say something else.
        with contextlib.suppress(RuntimeError):
            found.append((owner, name, getattr(owner, name)))
    newer = (cudnn.conv, cudnn.rnn, backends.cuda.matmul, backends.mkldnn.matmul)
    return found + [(each, "fp32_precision", each.fp32_precision) for each in newer]


class _Products:
    """PyTorch's older setting of how matrices are multiplied, as an attribute."""

    precision = property(
        lambda _: torch.get_float32_matmul_precision(),
        lambda _, value: torch.set_float32_matmul_precision(value),
    )
