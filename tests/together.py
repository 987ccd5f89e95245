"""Several functions at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def together(*functions: Callable[[], Any]) -> list[Any]:
    """Calls each in a thread, all at once; what they return, or what the first of them that fails raises."""
    gate = threading.Barrier(len(functions))

    def call(function: Callable[[], Any]) -> Any:
        gate.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))
