"""What tests with trainings share."""

from collections.abc import Callable, Iterator

import pytest

from pixelcnn.training.batches import Batches
from training import trainings
from training.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Forks trainings: imports once for all tests."""
    with Nursery() as made:
        yield made


@pytest.fixture
def explode(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """See :func:`training.trainings.explode`; batches are as before when the test is over."""
    monkeypatch.setattr(Batches, "__getitem__", Batches.__getitem__)
    return trainings.explode
