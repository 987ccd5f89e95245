"""What tests with trainings in other processes share."""

from collections.abc import Iterator

import pytest

from training.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Forks trainings: imports once for all tests."""
    with Nursery() as made:
        yield made
