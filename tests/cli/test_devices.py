"""Where a command computes."""

import numpy as np
import pytest
import torch

COMMANDS = {
    "evaluate": ("evaluate", "MODEL", "--limit", 2),
    "sample": ("sample", "MODEL", "-n", 1),
    "complete": ("complete", "MODEL", "own.npy", "-n", 1),
    "score": ("score", "MODEL", "own.npy"),
    "verify": ("verify", "MODEL"),
}


@pytest.fixture
def words(model, here):
    """The words of a command, by its name."""
    np.save("own.npy", np.zeros((1, 8, 8), np.uint8))
    return lambda name: [model if word == "MODEL" else word for word in COMMANDS[name]]


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_device_that_is_not_there_is_a_usage_error(run, words, without_gpu, name):
    outcome = run(*words(name), "--device", "cuda:1", code=2)
    assert "'cuda:1' is not available here" in outcome.error
    assert "auto" in outcome.hint


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "verify"])
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_device_that_is_there_computes(run, words, without_gpu, name, device):
    run(*words(name), "--device", device)
