"""Cells in the kernel of a notebook: what Jupyter, VS Code and Colab would be told to show."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel


@contextlib.contextmanager
def kernel(**variables: str) -> Iterator[BlockingKernelClient]:
    """A kernel of its own, with more variables in its environment."""
    manager, client = start_new_kernel(kernel_name="python3", env=os.environ | variables)
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def cell(client: BlockingKernelClient, code: str) -> list[dict[str, Any]]:
    """Runs a cell; gives its messages, each with its kind as ``type``.

    Raises:
        AssertionError: the cell raised something.
    """
    messages: list[dict[str, Any]] = []

    def take(message: dict[str, Any]) -> None:
        messages.append({"type": message["msg_type"], **message["content"]})

    reply = client.execute_interactive(code, output_hook=take, timeout=100)["content"]
    assert reply["status"] == "ok", "\n".join(reply["traceback"])
    return messages
