"""What every test and doctest runs under: fixed seeds, one thread, no screen, no network."""

import os
import random
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import pixelcnn

os.environ.setdefault("MPLBACKEND", "agg")
torch.set_num_threads(1)  # many small tests in parallel processes; more threads only get in the way

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _doctest_names(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.clear()
    if request.path.suffix == ".py":  # a page is pasted from its top: it imports what it uses
        doctest_namespace.update(np=np, px=pixelcnn, torch=torch)


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Refuses every connection that leaves this machine, as a machine without network would."""
    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in LOOPBACK:
            raise OSError(f"a test reached for the network: {address}")
        connect(self, address)

    def resolve(host: str | None, *args: Any, **kwargs: Any) -> Any:
        if host not in (None, "", *LOOPBACK, socket.gethostname()):
            raise socket.gaierror(f"a test reached for the network: {host}")
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        patch.setattr(socket, "getaddrinfo", resolve)
        yield
