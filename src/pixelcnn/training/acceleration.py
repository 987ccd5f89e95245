"""accelerate, which spreads a training over processes and clips its gradients, for one training at a time."""

import contextlib
import threading
import warnings
from collections.abc import Iterator

from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import DistributedType, GradientAccumulationPlugin

ADVICE = ("Grad strides do not match", ".*broadcast_buffers")
"""What processes of torchrun are warned about: the layout of 1x1 kernels, which is as good as the one that
was expected, and a keyword that newer versions of PyTorch call by another name."""

_accelerators, _stored, _lock = 0, list[tuple[dict, dict]](), threading.Lock()


@contextlib.contextmanager
def accelerated(device: str) -> Iterator[Accelerator]:
    """An accelerator for one training, which places nothing and rounds nothing by itself.

    accelerate keeps its state in the process. While trainings run, in one thread or several, it is theirs;
    after the last one it is what it was before, so that a caller's own accelerator goes on.

    Args:
        device: of this process.
    """
    global _accelerators  # noqa: PLW0603
    states = (
        AcceleratorState._shared_state,
        PartialState._shared_state,
        GradientState._shared_state,
    )
    with _lock:
        if _accelerators == 0:
            _stored[:] = [(state, dict(state)) for state in states]
            for state in states:
                state.clear()
        _accelerators += 1
    try:
        with _lock:
            ours = Accelerator(
                device_placement=False,
                mixed_precision="no",
                cpu=not device.startswith("cuda"),
                gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
                kwargs_handlers=[
                    # Masks are buffers, which are the same everywhere and need not travel.
                    DistributedDataParallelKwargs(
                        broadcast_buffers=False, gradient_as_bucket_view=True
                    )
                ],
            )
        with contextlib.ExitStack() as stack:
            if ours.distributed_type is not DistributedType.NO:  # torchrun may start only one
                stack.enter_context(warnings.catch_warnings())
                for advice in ADVICE:
                    warnings.filterwarnings("ignore", message=advice)
            yield ours
    finally:
        with _lock:
            _accelerators -= 1
            if _accelerators == 0:
                for state, before in _stored:
                    state.clear()
                    state.update(before)
