"""Public functions leave the process as it was, also when they fail."""

import re

import pytest
import torch

import pixelcnn as px
from pixelcnn import networks, outputs
from pixelcnn.data import ImageSet
from pixelcnn.verify import check_model
from process import process_state

IMAGES = torch.randint(2, (4, 1, 5, 7), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = networks.GatedPixelCNN(1, 1, width=4, depth=1, dropout=0.5)
    return px.PixelModel(network, outputs.Bernoulli(), (1, 5, 7))


def stopping(*_):
    """A callback that fails in the middle of the work."""
    raise InterruptedError


def saved_and_loaded(model, path):
    px.save(model, path)
    return px.load(path)


FUNCTIONS = {
    "score": lambda m, path: px.score(m, IMAGES),
    "score-fails": lambda m, path: px.score(m, IMAGES, callback=stopping),
    "score-refuses": lambda m, path: px.score(m, IMAGES + 2),
    "evaluate": lambda m, path: px.evaluate(m, ImageSet(IMAGES, levels=2, name="some")),
    "sample": lambda m, path: px.sample(m, 2),
    "sample-fails": lambda m, path: px.sample(m, 2, engine="cached", callback=stopping),
    "sample-full": lambda m, path: px.sample(m, 2, engine="full"),
    "sample-refuses": lambda m, path: px.sample(m, 2, engine="fast"),
    "complete": lambda m, path: px.complete(m, IMAGES, IMAGES > 0),
    "complete-fails": lambda m, path: px.complete(m, IMAGES, IMAGES > 0, callback=stopping),
    "walk": lambda m, path: next(px.walk.walk(m, 2)),
    "log_prob": lambda m, path: m.eval().log_prob(IMAGES),
    "check_model": lambda m, path: check_model(m),
    "check_model-fails": lambda m, path: check_model(m, progress=stopping),
    "save-and-load": saved_and_loaded,
    "save-fails": lambda m, path: px.save(m, path / "nowhere" / "m.safetensors"),
    "load-refuses": lambda m, path: px.load("nothing"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_leaves_the_process_as_it_was(model, tmp_path, name):
    before = process_state()
    failed = False
    try:
        FUNCTIONS[name](model, tmp_path / "m.safetensors")
    except (InterruptedError, OSError, px.PixelCNNError):
        failed = True
    after = process_state()
    assert failed == name.endswith(("-fails", "-refuses"))
    assert {what for what in before if before[what] != after[what]} == set()


def test_only_the_command_line_changes_how_memory_is_kept(root):
    """``mallopt`` and ``setrlimit`` are for the whole process, so no library call may reach them."""
    users = [
        str(path.relative_to(root / "src/pixelcnn"))
        for path in (root / "src/pixelcnn").rglob("*.py")
        if re.search(r"keep_memory\(\)|memory\.bound\(\)", path.read_text(encoding="utf-8"))
        and path.name != "memory.py"
    ]
    assert users
    assert all(user.startswith("cli/") for user in users), users
