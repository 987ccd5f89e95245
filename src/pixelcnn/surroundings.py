"""Settings of PyTorch that surround a call, and that none of its numbers may depend on.

A default device and an automatic cast are for code that says nothing of device and type. Here these follow
the model and the images alone. A default type is one of the process, and is left alone: what is computed says
its type, and a new model has the default one, as any module. ``PixelModel.log_prob`` is left to the caller's
casts, since it is what own loops train with; and a network built by hand is one of the caller's modules, too.
"""

import contextlib
import functools
import inspect
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")

CASTING = ("cpu", "cuda", "mps")
"""Types of devices on which PyTorch may cast automatically."""

_processes = {os.getpid()}
"""Those that compute here with as many threads as they were told, or have."""


def as_in_a_new_process() -> contextlib.AbstractContextManager[None]:
    """In a block and in this thread, new tensors are on the CPU unless they say otherwise; nothing is cast.

    Example:
        >>> with torch.device("meta"), as_in_a_new_process():
        ...     torch.zeros(1).device
        device(type='cpu')
    """
    _leave_threads_behind()
    casts = [kind for kind in CASTING if torch.is_autocast_enabled(kind)]
    elsewhere = torch.get_default_device().type != "cpu"
    if not casts and not elsewhere:  # nearly always, and this is called for every read of a file
        return contextlib.nullcontext()
    return _changed(casts, elsewhere)


def _leave_threads_behind() -> None:
    """Has a forked process compute on one thread: the others did not come along, and PyTorch waits for them.

    Once, so that who knows better may say :func:`torch.set_num_threads` after it.
    """
    if (here := os.getpid()) not in _processes:
        _processes.add(here)
        torch.set_num_threads(1)


@contextlib.contextmanager
def _changed(casts: Sequence[str], elsewhere: bool) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if elsewhere:
            stack.enter_context(torch.device("cpu"))
        for kind in casts:
            # Cast weights are kept until the caller's block ends: a training would go on with old ones.
            stack.enter_context(torch.autocast(kind, enabled=False, cache_enabled=False))
        yield


def independent(function: Callable[P, T]) -> Callable[P, T]:
    """Has every call of a function compute :func:`as_in_a_new_process`, and every step of what it iterates.

    Between two steps of an iterator the caller's settings hold.

    Example:
        >>> @independent
        ... def nothing(count: int) -> torch.Tensor:
        ...     return torch.zeros(count)
        >>> with torch.device("meta"):
        ...     nothing(2)
        tensor([0., 0.])
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with as_in_a_new_process():
            found = function(*args, **kwargs)
        return _steps(found) if isinstance(found, Iterator) else found  # type: ignore[return-value]

    return call


def _steps(steps: Iterator[Any]) -> Generator[Any, Any, Any]:
    """What an iterator gives, each computed in a block of its own; a generator gets what it is sent."""
    sent = None
    while True:
        with as_in_a_new_process():
            try:
                if inspect.isgenerator(steps) and sent is not None:
                    found = steps.send(sent)
                else:
                    found = next(steps)
            except StopIteration as end:
                return end.value
        sent = yield found


def transformed() -> bool:
    """Whether ``torch.func`` transforms what runs, as ``vmap`` does, or ``torch.jit`` traces it.

    Both know PyTorch's own operations alone, not gradients that are written out.

    Example:
        >>> seen = []
        >>> _ = torch.func.vmap(lambda x: seen.append(transformed()) or x)(torch.zeros(2))
        >>> seen, transformed()
        ([True], False)
    """
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined]  # exported, but not by name
    return traced or bool(torch._C._are_functorch_transforms_active())
