"""A training that was interrupted ends where the uninterrupted one ends."""

import dataclasses
import hashlib
import io
import os
import random
import shutil
import signal
import zipfile

import pytest
import torch

from pixelcnn import checkpoint
from pixelcnn.errors import ConfigError, ModelError, ResourceError
from pixelcnn.training import Interrupted, checkpoints, fit, loop, pictures, plan, validation
from pixelcnn.training.signals import StopFlag
from training.trainings import (
    QUICK,
    Killed,
    assert_same_end,
    digits,
    killed_at,
    model,
    same,
    signalled,
    state,
    train,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted training of three epochs with four steps each."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train(run, epochs=3, checkpoint_every="0s")
    return run


@pytest.mark.parametrize("step", [1, 4, 6, 11])
def test_after_a_kill(step, whole, tmp_path):
    run = tmp_path / "run"
    with killed_at(step):
        train(run, epochs=3, checkpoint_every="0s")
    train(run, resume=True, epochs=3, checkpoint_every="0s")
    assert_same_end(run, whole)


def test_the_same_images_validate_after_a_resume(tmp_path, monkeypatch):
    """How many there is time for is settled once."""
    run = tmp_path / "run"
    monkeypatch.setattr(plan.Clock, "affordable", property(lambda clock: 7))
    train(run, epochs=1)
    monkeypatch.setattr(plan.Clock, "affordable", property(lambda clock: 11))
    model, _ = train(run, resume=True, epochs=2)
    assert model.record["validation"]["images"] == 7
    assert "7 images validate" in (run / "train.log").read_text()


STOPS = [(signum, step) for signum in (signal.SIGINT, signal.SIGTERM) for step in (3, 8, 12)]


@pytest.mark.parametrize(("signum", "step"), [*STOPS, (signal.SIGHUP, 8)])
def test_after_a_signal(signum, step, whole, tmp_path):
    run = tmp_path / "run"
    stopped = pytest.raises(Interrupted, match=f"after step {step} of 12")
    with signalled(step, signum), stopped as caught:
        train(run, epochs=3, checkpoint_every="0s")
    assert caught.value.exit_code == 128 + signum
    assert (run / "best.safetensors").exists()
    assert (run / "last.safetensors").exists()
    assert state(run)["step"] == step
    train(run, resume=True, epochs=3, checkpoint_every="0s")
    assert_same_end(run, whole)


def test_after_a_signal_during_validation(whole, tmp_path, monkeypatch):
    run, going, calls = tmp_path / "run", validation.validate, []
    with monkeypatch.context() as patch:

        def ring(*arguments, **options):
            calls.append(options)
            if len(calls) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return going(*arguments, **options)

        patch.setattr(validation, "validate", ring)
        with pytest.raises(Interrupted) as caught:
            train(run, epochs=3, checkpoint_every="0s")
    assert caught.value.exit_code == 143
    assert len(calls) == 3  # the one that was cut short is repeated before the end
    train(run, resume=True, epochs=3, checkpoint_every="0s")
    assert_same_end(run, whole)


@pytest.mark.parametrize("in_folder", [True, False])
def test_a_signal_after_the_last_step_is_heard(in_folder, tmp_path):
    """Else a queue of trainings that was told to stop would begin the next one."""

    class Ring:
        def on_epoch(self, state):
            os.kill(os.getpid(), signal.SIGTERM)

    run = tmp_path / "run" if in_folder else None
    with pytest.raises(Interrupted, match="stopped after the last step") as caught:
        train(run, epochs=1, callbacks=[Ring()])
    assert caught.value.exit_code == 143
    if in_folder:
        assert train(run, resume=True, epochs=1)[1].steps == 4
        assert "nothing to do" in (run / "train.log").read_text()


def test_a_second_signal_stops_at_once(tmp_path):
    twice = signalled(1, signal.SIGINT, signal.SIGINT)
    with twice, pytest.raises(Interrupted, match="at once") as caught:
        train(tmp_path / "run", epochs=3)
    assert caught.value.exit_code == 130


def test_a_second_signal_after_the_last_step_has_the_code_of_the_first(tmp_path, monkeypatch):
    def ring(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(pictures, "draw", ring)
    with pytest.raises(Interrupted, match="at once") as caught:
        train(tmp_path / "run", epochs=1)
    assert caught.value.exit_code == 143


def test_no_handler_of_failures_takes_an_interruption_for_one(tmp_path):
    """As in a search over settings, where the next training would begin."""
    stopped = pytest.raises(KeyboardInterrupt, match="all is saved")
    with signalled(1, signal.SIGINT), stopped as caught:
        train(tmp_path / "run", epochs=1)
    assert not isinstance(caught.value, Exception)


def test_a_terminal_that_hangs_up_twice_is_one_wish_to_stop(tmp_path):
    stopped = pytest.raises(Interrupted, match="after step 1 of 4; all is saved")
    with signalled(1, signal.SIGHUP, signal.SIGHUP), stopped as caught:
        train(tmp_path / "run", epochs=1)
    assert caught.value.exit_code == 129


def test_nohup_keeps_its_meaning():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopFlag() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_handler_that_is_not_pythons_stays(monkeypatch):
    known = signal.getsignal
    monkeypatch.setattr(signal, "getsignal", lambda n: None if n == signal.SIGINT else known(n))
    before = known(signal.SIGINT)
    with StopFlag():
        assert known(signal.SIGINT) is before
        assert known(signal.SIGTERM) is not signal.SIG_DFL
    assert known(signal.SIGINT) is before


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """An uninterrupted training with a sample grid an epoch, and its options."""
    run = tmp_path_factory.mktemp("runs") / "drawn"
    options = {"epochs": 3, "checkpoint_every": "0s", "sample_every": 1, "sample_count": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "LEAST", 1000.0)
        train(run, **options)
    return run, options


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_grid_that_a_kill_has_prevented_is_drawn_by_whoever_resumes(
    drawn, tmp_path, monkeypatch, epoch
):
    run, drawing = tmp_path / "run", pictures.grid
    monkeypatch.setattr(pictures, "LEAST", 1000.0)
    with monkeypatch.context() as patch:

        def die(trainer, path, seconds):
            if path.name == f"epoch-{epoch:04d}.png":
                raise Killed
            return drawing(trainer, path, seconds)

        patch.setattr(pictures, "grid", die)
        with pytest.raises(Killed):
            train(run, **drawn[1])
    assert not (run / f"samples/epoch-{epoch:04d}.png").exists()
    train(run, resume=True, **drawn[1])
    assert_same_end(run, drawn[0])
    grids = {path.name: path.read_bytes() for path in (run / "samples").iterdir()}
    assert grids == {path.name: path.read_bytes() for path in (drawn[0] / "samples").iterdir()}


def test_a_grid_is_never_drawn_with_the_weights_of_another_step(drawn, tmp_path, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setattr(pictures, "LEAST", 1000.0)
    shutil.copytree(drawn[0], run)
    for path in checkpoints.existing(run / "checkpoints")[:1]:
        path.unlink()  # the one before is in the middle of the last epoch
    for path in (run / "samples").iterdir():
        path.unlink()
    train(run, resume=True, **drawn[1])
    assert [path.name for path in (run / "samples").iterdir()] == ["epoch-0003.png"]


def test_a_finished_training_has_nothing_to_do(whole):
    before = (whole / "last.safetensors").read_bytes()
    rows = (whole / "metrics.csv").read_text()
    _, history = train(whole, resume=True, epochs=3, checkpoint_every="0s")
    assert history.steps == 12
    assert (whole / "metrics.csv").read_text() == rows
    assert (whole / "last.safetensors").read_bytes() == before


def test_a_model_in_memory_that_goes_on_is_not_its_own_parent(tmp_path):
    net, options = model(), QUICK | {"resume": True, "verbose": False}
    for epochs in (1, 2):
        fit(net, *digits(), tmp_path / "run", epochs=epochs, **options)
    assert "parent" not in checkpoint.describe(tmp_path / "run" / "last.safetensors")["record"]


@pytest.mark.parametrize("step", [5, 8])
def test_a_training_that_goes_on_for_less_than_it_has_ends_where_it_is(step, tmp_path):
    """At the end of an epoch that did not validate, and within one."""
    run = tmp_path / "run"
    options = {"validate_every": 3, "checkpoint_every": "0s"}
    with killed_at(step, saved=True):
        train(run, epochs=3, **options)
    for _ in range(2):
        model, history = train(run, resume=True, epochs=1, **options)
        assert (history.steps, model.record["steps"]) == (step, step)
        assert checkpoint.describe(run / "last.safetensors")["record"]["steps"] == step
    assert (run / "train.log").read_text().count("nothing to do") == 1


def test_a_finished_training_in_bfloat16_ends_with_the_same_best_again(tmp_path):
    """The one in full precision, which its model file names, too."""
    run = tmp_path / "run"
    found = [train(run, resume=True, epochs=1, precision="bf16") for _ in range(2)]
    nats = [model.record["validation"]["nats_per_image"] for model, _ in found]
    assert [history.best for _, history in found] == nats
    assert nats[0] == nats[1]


def test_a_longer_training_that_was_killed_before_it_moved_goes_on(tmp_path, monkeypatch):
    run = tmp_path / "run"
    train(run, epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "run", lambda trainer: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(run, resume=True, epochs=2)
    assert train(run, resume=True, epochs=2)[1].steps == 8


def test_a_training_without_its_checkpoints_says_that_it_starts_anew(tmp_path):
    run = tmp_path / "run"
    train(run, epochs=1)
    shutil.rmtree(run / "checkpoints")
    assert train(run, resume=True, epochs=1)[1].rows
    assert "starts anew" in (run / "train.log").read_text()


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


def test_a_folder_in_the_place_of_an_old_checkpoint_stays(tmp_path):
    run = tmp_path / "run"
    train(run, epochs=2, checkpoint_every="0s")
    oldest = checkpoints.existing(run / "checkpoints")[-1]
    oldest.unlink()
    oldest.mkdir()
    train(run, resume=True, epochs=3, checkpoint_every="0s")
    assert oldest.is_dir()


def test_a_checkpoint_without_a_part_of_it_is_refused(whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    last = checkpoints.existing(run / "checkpoints")[0]
    content = checkpoints.read(last)
    for part in content.keys() - {"length", "validating", "condition", "parent"}:
        checkpoints.write(last, {key: content[key] for key in content if key != part})
        with pytest.raises(ModelError, match="the checkpoint is not of this training"):
            train(run, resume=True, epochs=3, checkpoint_every="0s")


@pytest.mark.parametrize("epochs", [3, 4])
@pytest.mark.parametrize("damage", ["flipped", "gone"])
def test_a_damaged_best_model_is_made_anew(damage, epochs, whole, tmp_path):
    """Of a training that is over by its last weights, of one that goes on by its next validation."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    content = bytearray((run / "best.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "best.safetensors").unlink()
    if damage == "flipped":
        (run / "best.safetensors").write_bytes(content)
    history = train(run, resume=True, epochs=epochs, checkpoint_every="0s")[1]
    assert checkpoint.load(run).record["steps"] == history.steps == 4 * epochs
    log = (run / "train.log").read_text()
    assert log.count("best.safetensors") == log.count("the next validation makes a new one") == 1


@pytest.fixture
def stored(tmp_path):
    """A checkpoint, and the one before it."""
    for step in (1, 2):
        content = {"step": step, "weights": torch.arange(100.0)}
        checkpoints.write(tmp_path / checkpoints.name(step), content)
    return tmp_path / checkpoints.name(2)


def assert_falls_back(stored):
    """The damage is found and told of, and the checkpoint before is used."""
    told = []
    found = checkpoints.latest(stored.parent, told.append)
    assert found["step"] == 1
    assert told == ["step-00000002.ckpt: damaged checkpoint; trying the one before"]


@pytest.mark.parametrize("part", range(20))
def test_a_truncated_checkpoint_is_detected(part, stored):
    content = stored.read_bytes()
    stored.write_bytes(content[: len(content) * part // 20])
    assert_falls_back(stored)


def test_every_flipped_bit_is_detected(stored):
    content, draw = stored.read_bytes(), random.Random(0)
    trailer = 8 * checkpoints.DIGEST + 8 * len(checkpoints.FORMAT)
    for _ in range(100):
        bit = draw.randrange(8 * len(content) - trailer)
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        stored.write_bytes(flipped)
        assert_falls_back(stored)


def test_when_no_checkpoint_is_whole_nothing_is_overwritten(stored):
    for path in checkpoints.existing(stored.parent):
        path.write_bytes(b"")
    with pytest.raises(
        ModelError, match=r"no checkpoint can be used: step-00000001\.ckpt: damaged"
    ):
        checkpoints.latest(stored.parent, lambda _: None)


def test_a_checkpoint_of_another_format_says_so(stored):
    content = stored.read_bytes()
    end = len(content) - checkpoints.DIGEST
    stored.write_bytes(content[: end - 2] + b"99" + content[end:])
    with pytest.raises(
        ModelError, match="checkpoint format 99, this version reads format 02"
    ) as caught:
        checkpoints.read(stored)
    assert "environment.json" in caught.value.hint


def test_a_better_model_found_after_the_stop_is_taken_back(tmp_path, monkeypatch):
    """It validated between two epochs, where the uninterrupted training never looks."""
    options, going = {"epochs": 3, "learning_rate": 0.0, "weight_average": 0.0}, validation.validate
    run, whole = tmp_path / "run", tmp_path / "whole"
    train(whole, **options)
    with monkeypatch.context() as patch:

        def better(*arguments, **options):
            found = going(*arguments, **options)
            return dataclasses.replace(found, nats=found.nats - 1) if stopping else found

        def stop(trainer):
            stopping.append(trainer)
            stop_early(trainer)

        stop_early, stopping = loop.stop_early, []
        patch.setattr(loop, "stop_early", stop)
        patch.setattr(validation, "validate", better)
        with signalled(6, signal.SIGTERM), pytest.raises(Interrupted):
            train(run, **options)
    stopped = checkpoint.load(run).record
    assert stopped["steps"] == 6
    train(run, resume=True, **options)
    assert_same_end(run, whole)


def test_an_interrupted_write_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "step-00000001.ckpt"
    checkpoints.write(path, {"step": 1})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(
        ResourceError, match=r"cannot write step-00000001\.ckpt, which needs [\d,]+ bytes"
    ):
        checkpoints.write(path, {"step": 2})
    assert checkpoints.read(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_runs_no_code(tmp_path):
    import pickle

    path = tmp_path / "step-00000001.ckpt"
    checkpoints.write(path, {"x": Malicious(tmp_path)})
    with pytest.raises(ModelError, match="running code"):
        checkpoints.read(path)
    assert not (tmp_path / "ran").exists()
    path.write_bytes(pickle.dumps(Malicious(tmp_path)))
    with pytest.raises(ModelError, match="damaged"):
        checkpoints.read(path)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_unpacks_to_no_more_than_it_holds(tmp_path):
    path, buffer = tmp_path / "step-00000001.ckpt", io.BytesIO()
    torch.save({"x": torch.zeros(2**20)}, buffer)
    packed = io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    content = packed.getvalue()
    mark = checkpoints.MARK + checkpoints.FORMAT
    path.write_bytes(content + mark + hashlib.sha256(content).digest())
    with pytest.raises(ModelError, match="unpacks to more than it holds"):
        checkpoints.read(path)


def test_a_checkpoint_of_something_else_gives_way_to_the_one_before(stored):
    """As all that is read of one has a name."""
    checkpoints.write(stored, torch.zeros(3))
    told = []
    assert checkpoints.latest(stored.parent, told.append)["step"] == 1
    assert "not a checkpoint of a training: it holds a Tensor" in told[0]


class Malicious:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "ran"),)


def test_resume_needs_a_folder():
    with pytest.raises(ConfigError, match="run folder"):
        train(None, resume=True)


@pytest.mark.parametrize("other", ["images", "val"])
def test_a_training_does_not_go_on_on_other_images(tmp_path, other):
    run = tmp_path / "run"
    train(run, epochs=1)
    before = (run / "best.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="was started on other") as caught:
        train(run, resume=True, epochs=2, **{other: 9})
    assert caught.value.exit_code == 2
    assert (run / "best.safetensors").read_bytes() == before


def test_a_training_does_not_go_on_in_other_numbers(tmp_path):
    sets = digits()
    fit(model(), *sets, tmp_path / "run", epochs=1, verbose=False, **QUICK)
    with pytest.raises(ModelError, match=r"float32 there, torch\.float64 here"):
        fit(
            model().double(), *sets, tmp_path / "run", epochs=2, resume=True, verbose=False, **QUICK
        )
