"""Functions without arguments that a GPU replays: what they launch is captured once."""

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator

import torch

_mine = threading.local()


def stream_on(device: torch.device) -> torch.cuda.Stream:
    """A stream of this thread's own, the same each time: what another thread launches is never captured."""
    streams = _mine.__dict__.setdefault("streams", {})
    if device not in streams:
        streams[device] = torch.cuda.Stream(device)
    return streams[device]


class Replays:
    """Runs functions that do the same to the same places each time they are called.

    On a GPU the first call of each runs it as it is, which prepares what it needs, the second captures it,
    and from then on the capture is replayed. On other devices a function is called each time.

    A function must neither wait for the device nor leave tensors behind.

    Args:
        device: on which all of them compute.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.is_capturing = device, device.type == "cuda"
        self.stream = stream_on(device) if self.is_capturing else None
        self._pool = torch.cuda.graph_pool_handle() if self.is_capturing else None
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph | None] = {}

    @contextlib.contextmanager
    def in_order(self) -> Iterator[None]:
        """Runs on a stream of its own, after what the caller's has been given, and before what comes next."""
        if self.stream is None:
            yield
            return
        callers = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(callers)
        try:
            with torch.cuda.stream(self.stream):
                yield
        finally:
            callers.wait_stream(self.stream)

    def run(self, name: Hashable, function: Callable[[], None]) -> None:
        """Calls a function, or replays it.

        Args:
            name: the same for the same function.
            function: is only called the first two times.
        """
        if not self.is_capturing:
            function()
        elif name not in self._graphs:
            function()
            self._graphs[name] = None
        else:
            graph = self._graphs[name]
            if graph is None:
                self._graphs[name] = graph = self._captured(function)
            graph.replay()

    def _captured(self, function: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """What a function launches; other threads may go on using the device meanwhile."""
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
        try:
            function()
        finally:
            graph.capture_end()
        return graph
