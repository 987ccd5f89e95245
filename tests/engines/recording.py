"""What a GPU does with a captured function, on a processor: the same operations on the same tensors."""

import contextlib
import threading

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pixelcnn.engines.cuda import replays

WAITING = {"_local_scalar_dense", "equal", "is_nonzero", "masked_select", "nonzero", "_unique2"}
"""Operations for which a GPU waits, or whose result has a size that it alone knows."""


class Recording(TorchDispatchMode):
    """Keeps all operations that are carried out, and what they read and write."""

    def __init__(self):
        super().__init__()
        self.done = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = operation.overloadpacket.__name__
        if name in WAITING:
            raise RuntimeError(f"{name} waits for the device")
        found = operation(*args, **kwargs)
        self.done.append((operation, args, kwargs, found))
        return found

    def launches(self):
        """Those that compute something: operation, arguments, result, and whether it writes to arguments."""
        for operation, args, kwargs, found in self.done:
            writes = any(
                a.alias_info and a.alias_info.is_write for a in operation._schema.arguments
            )
            if writes or not addresses((args, kwargs)) & addresses(found):
                yield operation, args, kwargs, found, writes

    def replay(self):
        """Carries them all out again, to the same places."""
        for operation, args, kwargs, found, writes in self.launches():
            again = operation(*args, **kwargs)
            if not writes:
                for place, value in zip(tensors(found), tensors(again), strict=True):
                    place.copy_(value)


def tensors(values):
    """All tensors in some values, however they are packed."""
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, list | tuple):
        return []
    return [tensor for value in values for tensor in tensors(value)]


def addresses(values):
    """Where the numbers of all tensors in some values lie."""
    return {t.untyped_storage().data_ptr() for t in tensors(values) if t.numel()}


class Graph:
    """Stands for ``torch.cuda.CUDAGraph``.

    A recording carries out what a capture would only note, so the first replay has been done by then.
    """

    replayed = 0

    def capture_begin(self, pool, capture_error_mode):
        assert capture_error_mode == "thread_local"
        self.recording, self.is_done = Recording(), True
        self.recording.__enter__()

    def capture_end(self):
        self.recording.__exit__(None, None, None)

    def replay(self):
        Graph.replayed += 1
        if not self.is_done:
            self.recording.replay()
        self.is_done = False


class Stream:
    """Stands for ``torch.cuda.Stream``: remembers whom it has waited for."""

    def __init__(self, device=None):
        self.waited_for = []

    def wait_stream(self, other):
        self.waited_for.append(other)


def pretend(monkeypatch):
    """Puts stand-ins for what :class:`Replays` takes of CUDA; gives the caller's stream."""
    callers = Stream()
    monkeypatch.setattr(Graph, "replayed", 0)
    monkeypatch.setattr(replays, "_mine", threading.local())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: callers)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    return callers
