"""The caller's model, laid out for a training and given back as it was; and memory that runs out."""

import contextlib
from collections.abc import Iterator

import torch

from pixelcnn.errors import ResourceError
from pixelcnn.layers import set_dropout_generator
from pixelcnn.memory import ran_out
from pixelcnn.model import PixelModel
from pixelcnn.training.batches import draws_globally


def lay_out(model: PixelModel, device: str, precision: str, *, channels_last: bool) -> None:
    """Puts a model where it trains, its weights in the type and order in memory that the training uses."""
    model.to(device)
    if precision == "64":
        model.double()
    if channels_last:
        for parameter in model.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    if not model.training:
        model.train()


@contextlib.contextmanager
def preserved(model: PixelModel, device: str) -> Iterator[None]:
    """Gives back the model where it was, in its mode, contiguous and without gradients.

    Gradients are computed meanwhile, whether or not the caller has switched them off. Its type is that of
    the training: what was trained in float64 stays so. Where dropout of PyTorch's own draws from its global
    random state, that is given back, too.

    Args:
        model: the model.
        device: on which it trains.
    """
    home, modes = model.device, [(module, module.training) for module in model.modules()]
    gpus = [torch.device(device)] if device.startswith("cuda") else []
    kept = torch.random.fork_rng(devices=gpus, enabled=draws_globally(model))
    with torch.inference_mode(False), torch.enable_grad(), kept:
        try:
            yield
        finally:
            model.to(home)
            set_dropout_generator(model, None)
            for module, training in modes:
                module.training = training
            for parameter in model.parameters():
                parameter.grad = None
                parameter.data = parameter.data.contiguous()


@contextlib.contextmanager
def memory(size: int, part: int) -> Iterator[None]:
    """Says in one line that memory ran out.

    Args:
        size: images a step.
        part: of them at once; 0 for all.

    Raises:
        ResourceError: instead of what torch or the system raise for want of memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        at_once = min(size, part or size)
        option = f"micro_batch_size={at_once // 2}"
        hint = f"--set training.{option} (in Python {option}) takes the same steps in parts"
        if at_once == size:
            hint = f"try --batch-size {size // 2}; {hint}"
        raise ResourceError(
            f"out of memory at batch size {size}"
            + (f", {at_once} at once" if at_once < size else ""),
            hint=hint if at_once > 1 else "a narrower network or smaller images need less",
        ) from error
