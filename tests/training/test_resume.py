"""A training that was interrupted ends where the uninterrupted one ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from pixelcnn.errors import ConfigError, ModelError
from pixelcnn.training import Interrupted, checkpoints
from pixelcnn.training.callbacks import Progress
from pixelcnn.training.session import Session
from training.trainings import digits, same, state, train


class Killed(BaseException):
    """Stands for a process that is gone from one instruction to the next."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted training of three epochs with four steps each."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train(run, epochs=3, checkpoint_every="0s")
    return run


def assert_same_end(run, whole):
    assert same(state(run), state(whole))
    for name in ("metrics.csv", "best.safetensors", "last.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize("step", [1, 4, 6, 11])
def test_after_a_kill(step, whole, tmp_path, monkeypatch):
    run, going = tmp_path / "run", Progress.on_train_batch_end
    with monkeypatch.context() as patch:

        def die(self, trainer, *rest):
            if trainer.global_step == step:
                raise Killed
            going(self, trainer, *rest)

        patch.setattr(Progress, "on_train_batch_end", die)
        with pytest.raises(Killed):
            train(run, epochs=3, checkpoint_every="0s")
    train(run, resume=True, epochs=3, checkpoint_every="0s")
    assert_same_end(run, whole)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [3, 8, 12])
def test_after_a_signal(signum, step, whole, tmp_path, monkeypatch):
    run, going = tmp_path / "run", Progress.on_train_batch_end
    with monkeypatch.context() as patch:

        def ring(self, trainer, *rest):
            if trainer.global_step == step:
                os.kill(os.getpid(), signum)
            going(self, trainer, *rest)

        patch.setattr(Progress, "on_train_batch_end", ring)
        with pytest.raises(Interrupted, match=f"after step {step} of 12") as caught:
            train(run, epochs=3, checkpoint_every="0s")
    assert caught.value.exit_code == 128 + signum
    assert (run / "best.safetensors").exists()
    assert (run / "last.safetensors").exists()
    assert state(run)["global_step"] == step
    train(run, resume=True, epochs=3, checkpoint_every="0s")
    assert_same_end(run, whole)


def test_after_a_signal_during_validation(whole, tmp_path, monkeypatch):
    run, going, calls = tmp_path / "run", Session.validate, []
    with monkeypatch.context() as patch:

        def ring(self, precision=None):
            calls.append(precision)
            if len(calls) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return going(self, precision)

        patch.setattr(Session, "validate", ring)
        with pytest.raises(Interrupted) as caught:
            train(run, epochs=3, checkpoint_every="0s")
    assert caught.value.exit_code == 143
    assert len(calls) == 3  # the one that was cut short is repeated before the end
    train(run, resume=True, epochs=3, checkpoint_every="0s")
    assert_same_end(run, whole)


def test_a_second_signal_stops_at_once(tmp_path, monkeypatch):
    def ring(self, trainer, *rest):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "on_train_batch_end", ring)
    with pytest.raises(Interrupted, match="at once") as caught:
        train(tmp_path / "run", epochs=3)
    assert caught.value.exit_code == 130


def test_a_finished_training_has_nothing_to_do(whole):
    before = (whole / "last.safetensors").read_bytes()
    _, history = train(whole, resume=True, epochs=3, checkpoint_every="0s")
    assert history.steps == 12
    assert history.rows == ()
    assert (whole / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(damage, whole, tmp_path):
    run = tmp_path / "run"
    train(run, epochs=3, checkpoint_every="0s")
    last = checkpoints.existing(run / "checkpoints")[0]
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes({"truncated": content[:-100], "flipped": content, "empty": b""}[damage])
    train(run, resume=True, epochs=3, checkpoint_every="0s")
    assert "step-00000012.ckpt: damaged checkpoint" in (run / "train.log").read_text()
    assert same(state(run), state(whole))


def test_an_interrupted_write_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "step-00000001.ckpt"
    files = checkpoints.AtomicCheckpointIO()
    files.save_checkpoint({"global_step": 1}, path)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(OSError, match="no space"):
        files.save_checkpoint({"global_step": 2}, path)
    assert checkpoints.read(path) == {"global_step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_runs_no_code(tmp_path):
    import pickle

    path = tmp_path / "step-00000001.ckpt"
    checkpoints.AtomicCheckpointIO().save_checkpoint({"x": Malicious(tmp_path)}, path)
    with pytest.raises(pickle.UnpicklingError):
        checkpoints.read(path)
    assert not (tmp_path / "ran").exists()
    path.write_bytes(pickle.dumps(Malicious(tmp_path)))
    with pytest.raises(ModelError, match="damaged"):
        checkpoints.read(path)
    assert not (tmp_path / "ran").exists()


class Malicious:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "ran"),)


def test_resume_needs_a_folder():
    with pytest.raises(ConfigError, match="run folder"):
        train(None, resume=True)


SCRIPT = """
import sys, torch
torch.set_num_threads(1)
from training.trainings import train
from pixelcnn.errors import PixelCNNError
print("ready", flush=True)
try:
    train(__import__("pathlib").Path(sys.argv[1]), epochs=100_000, log_every=1)
except PixelCNNError as error:
    sys.exit(error.exit_code)
"""


def test_sigterm_to_a_process(tmp_path, root):
    run = tmp_path / "run"
    environment = os.environ | {"PYTHONPATH": str(root / "tests")}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(run)], env=environment, stdout=subprocess.PIPE
    )
    with process:
        deadline = time.monotonic() + 60
        while not (run / "best.safetensors").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143
    assert (run / "last.safetensors").exists()
    found = checkpoints.latest(run / "checkpoints", print)
    assert found is not None
    assert int(found[1]["global_step"]) >= len(digits()[0]) // 16
