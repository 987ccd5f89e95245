"""Fixtures shared by the tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

SLOW_TIMEOUT = 900  # seconds

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives slow tests more time, unless they set their own."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))


@pytest.fixture
def float64() -> Iterator[None]:
    """Networks built in the test compute in float64, so that tolerances can be tight."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def data_root() -> Path:
    """The folder with the official data sets; without ``PIXELCNN_DATA`` the test is skipped."""
    root = os.environ.get("PIXELCNN_DATA")
    if not root:
        pytest.skip("PIXELCNN_DATA is not set")
    return Path(root)


@pytest.fixture
def root() -> Path:
    """The root of the source tree."""
    return Path(__file__).parents[1]
