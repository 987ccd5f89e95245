"""Callbacks hear of everything and can end a training; trackers get its numbers and pictures."""

import copy
import io

import numpy as np
import pytest
from PIL import Image

from pixelcnn import checkpoint, scoring
from pixelcnn.errors import ConfigError
from pixelcnn.training import Callback, fit, pictures
from training.trainings import QUICK, digits, model, same, state, train

EVENTS = ("on_step", "on_validation", "on_epoch")


class Diary(Callback):
    """Writes down what it is told."""

    def __init__(self):
        self.pages = []

    def on_step(self, told):
        self.pages.append(("on_step", told.step, told.epoch))

    def on_validation(self, told):
        self.pages.append(("on_validation", told.step, told.epoch))

    def on_epoch(self, told):
        self.pages.append(("on_epoch", told.step, told.epoch))


class Only:
    """Has the method of one event and no other."""

    def __init__(self, event, action):
        setattr(self, event, action)


class Book:
    """A tracker of one's own."""

    def __init__(self):
        self.numbers, self.images, self.finished = [], [], False

    def log(self, values, step=None):
        self.numbers.append((step, values))

    def log_images(self, values, step=None):
        self.images.append((step, values))

    def finish(self):
        self.finished = True


def hear(event, action, run=None, **options):
    """Trains with one callback that has one method."""
    return train(run, callbacks=[Only(event, action)], **options)


@pytest.fixture
def drawn(monkeypatch):
    """Sample grids are drawn, however short the training."""
    monkeypatch.setattr(pictures, "LEAST", 1000.0)
    return {"sample_count": 2, "sample_every": 1}


def test_a_callback_hears_of_every_step_validation_and_epoch_in_order():
    diary = Diary()
    train(None, epochs=3, validate_every=2, images=30, callbacks=[diary])
    assert diary.pages == [
        ("on_step", 1, 1), ("on_step", 2, 1), ("on_epoch", 2, 1),
        ("on_step", 3, 2), ("on_step", 4, 2), ("on_validation", 4, 2), ("on_epoch", 4, 2),
        ("on_step", 5, 3), ("on_step", 6, 3), ("on_validation", 6, 3), ("on_epoch", 6, 3),
    ]  # fmt: skip


def test_a_copy_of_the_model_keeps_the_record_that_it_was_made_with():
    copies = []
    hear("on_validation", lambda told: copies.append(copy.copy(told.model)), epochs=2, images=30)
    assert [each.record["steps"] for each in copies] == [2, 4]


def test_all_callbacks_hear_of_it_in_the_order_they_are_given():
    heard = []
    callbacks = [Only("on_step", lambda _, name=name: heard.append(name)) for name in "ab"]
    train(None, epochs=1, callbacks=callbacks)
    assert heard == ["a", "b"] * 4


def test_the_state_says_how_far_a_training_is(tmp_path):
    told = []
    keys = ("steps", "epochs", "batch_size", "run", "is_main", "learning_rate")
    hear(
        "on_step",
        lambda now: told.append([getattr(now, key) for key in keys]),
        tmp_path / "run",
        epochs=2,
        warmup_steps=4,
    )
    rates = [row[-1] for row in told]
    assert [row[:-1] for row in told] == [[8, 2, 16, tmp_path / "run", True]] * 8
    assert rates[:4] == sorted(set(rates[:4]))
    assert rates[4:] == [QUICK["learning_rate"]] * 4


def test_the_losses_of_the_steps_make_the_rows():
    losses = []
    _, history = hear("on_step", lambda now: losses.append(now.loss), epochs=2)
    means = [np.mean(losses[i : i + 2]) for i in range(0, 8, 2)]
    assert [row.loss for row in history.rows] == pytest.approx(means)


def test_a_validation_is_told_with_the_weights_that_were_validated():
    """Averaged, and not those of the step."""
    found, weights = {}, {}

    def validated(now):
        found[now.step] = (now.validation.mean, scoring.evaluate(now.model, digits()[1]).nats)
        weights[now.step] = copied(now.model)

    def stepped(now):
        weights[-now.step] = copied(now.model)

    train(None, epochs=2, callbacks=[Only("on_validation", validated), Only("on_step", stepped)])
    for told, measured in found.values():
        assert told == pytest.approx(measured, rel=1e-5)
    assert len(found) == 2
    assert all(not same(weights[step], weights[-step]) for step in found)


def picture(file):
    """A picture file as colours ``(height, width, 3)``."""
    with Image.open(file) as found:
        return np.asarray(found.convert("RGB"))


def copied(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def test_the_best_so_far_is_known_to_a_validation():
    told = []
    _, history = hear(
        "on_validation", lambda now: told.append((now.validation.mean, now.best)), epochs=3
    )
    means = [mean for mean, _ in told]
    assert [best for _, best in told] == [min(means[: i + 1]) for i in range(3)]
    assert history.best == pytest.approx(min(means))


@pytest.mark.parametrize("stranger", [print, Callback, object()])
def test_what_would_never_be_called_is_no_callback(stranger):
    with pytest.raises(ConfigError, match="is no callback") as caught:
        fit(model(), *digits(), callbacks=[stranger], **QUICK)
    assert "on_step" in caught.value.hint


@pytest.mark.parametrize("event", EVENTS)
def test_any_event_can_end_a_training_which_is_validated_and_saved(event, tmp_path):
    run = tmp_path / "run"

    def enough(now):
        if now.step >= 3:
            now.stop("enough")

    net, history = hear(event, enough, run, epochs=5)
    end = 3 if event == "on_step" else 4
    assert (history.reason, history.steps) == ("enough", end)
    assert history.rows[-1].step == end
    assert history.rows[-1].val_loss is not None
    assert state(run)["step"] == end
    assert same(dict(net.state_dict()), dict(checkpoint.load(run).state_dict()))
    last = checkpoint.load(run / "last.safetensors").record
    assert last["steps"] == end


def test_an_epoch_without_a_validation_gets_one_if_it_is_the_last(tmp_path):
    _, history = hear(
        "on_epoch", lambda now: now.stop("enough"), tmp_path / "run", epochs=5, validate_every=3
    )
    assert (history.reason, history.steps) == ("enough", 4)
    assert history.rows[-1].val_loss is not None


@pytest.mark.parametrize("event", EVENTS)
def test_an_error_of_a_callback_leaves_the_model_as_it_was_lent_and_files_whole(event, tmp_path):
    run, net = tmp_path / "run", model().eval()
    net.network.head.train()
    modes = {name: module.training for name, module in net.named_modules()}

    def fail(now):
        if now.epoch == 2:
            raise ZeroDivisionError("a mistake of the caller's")

    with pytest.raises(ZeroDivisionError, match="of the caller's"):
        fit(
            net, *digits(), run, verbose=False, callbacks=[Only(event, fail)],
            **(QUICK | {"epochs": 3, "checkpoint_every": "0s"}),
        )  # fmt: skip
    assert {name: module.training for name, module in net.named_modules()} == modes
    assert all(parameter.grad is None for parameter in net.parameters())
    checkpoint.load(run)
    _, again = train(run, resume=True, epochs=3, checkpoint_every="0s")
    _, whole = train(tmp_path / "whole", epochs=3, checkpoint_every="0s")
    assert again.steps == whole.steps
    assert (run / "metrics.csv").read_text() == (tmp_path / "whole/metrics.csv").read_text()


def test_callbacks_that_only_look_change_nothing():
    watched, _ = train(None, epochs=2, callbacks=[Diary()])
    alone, _ = train(None, epochs=2)
    assert same(dict(watched.state_dict()), dict(alone.state_dict()))


def test_a_tracker_of_ones_own_gets_the_numbers_of_every_row():
    book = Book()
    _, history = train(None, epochs=2, trackers=[book])
    assert book.numbers == [(row.step, row.values()) for row in history.rows]
    assert set(book.numbers[-1][1]) == {"loss", "val_loss", "bits_per_dim", "learning_rate"}
    assert not book.finished


def test_a_tracker_of_ones_own_gets_the_sample_grids_as_images(drawn, tmp_path):
    book = Book()
    train(tmp_path / "run", epochs=2, trackers=[book], **drawn)
    assert [step for step, _ in book.images] == [4, 8]
    for (_, values), epoch in zip(book.images, (1, 2), strict=True):
        grid = picture(tmp_path / f"run/samples/epoch-{epoch:04d}.png")
        assert list(values) == ["samples"]
        assert (values["samples"].shape[0], values["samples"].dtype) == (1, np.uint8)
        assert np.array_equal(values["samples"][0], grid)


def test_a_tracker_without_pictures_is_fine(drawn, tmp_path):
    heard = []
    tracker = Only("log", lambda values, step: heard.append(step))
    train(tmp_path / "run", epochs=1, trackers=[tracker], **drawn)
    assert heard == [2, 4]


def test_an_error_of_a_tracker_ends_the_training():
    def broken(values, step):
        raise OSError("no connection")

    with pytest.raises(OSError, match="no connection"):
        train(None, epochs=1, trackers=[Only("log", broken)])


def events(run):
    """What TensorBoard would show of a run."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0}).Reload()


def test_tensorboard_shows_the_numbers_and_the_grids(drawn, tmp_path):
    _, history = train(tmp_path / "run", epochs=2, trackers=["tensorboard"], **drawn)
    shown = events(tmp_path / "run")
    assert set(shown.Tags()["scalars"]) == {"loss", "val_loss", "bits_per_dim", "learning_rate"}
    for name in ("loss", "val_loss"):
        points = [(point.step, point.value) for point in shown.Scalars(name)]
        assert points == [(step, pytest.approx(v)) for step, v in history.curve(name)]
    first = shown.Images(shown.Tags()["images"][0])[0]
    assert first.step == 4
    assert np.array_equal(
        picture(io.BytesIO(first.encoded_image_string)),
        picture(tmp_path / "run/samples/epoch-0001.png"),
    )


def test_tensorboard_goes_on_after_a_resume(tmp_path):
    run = tmp_path / "run"
    train(run, epochs=1, trackers=["tensorboard"])
    train(run, resume=True, epochs=3, trackers=["tensorboard"])
    assert [point.step for point in events(run).Scalars("val_loss")] == [4, 8, 12]


def test_auto_is_tensorboard_in_a_run_folder_and_nothing_without_one(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.chdir(tmp_path)
    train(tmp_path / "run", epochs=1)
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    train(None, epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["tensorbord", "clearml"])
def test_a_tracker_that_is_not_there_is_refused_with_those_that_are(name):
    with pytest.raises(ConfigError, match=f"no tracker called '{name}' is installed") as caught:
        train(None, epochs=1, trackers=[name])
    assert "installed: tensorboard" in caught.value.hint
    assert "wandb" in caught.value.hint.split("known: ")[1]


def test_a_tracker_that_writes_files_needs_a_run_folder():
    with pytest.raises(ConfigError, match="tracker tensorboard needs a run folder"):
        train(None, epochs=1, trackers=["tensorboard"])


def test_what_cannot_log_is_no_tracker():
    with pytest.raises(ConfigError, match="is no tracker"):
        train(None, epochs=1, trackers=[7])


def test_only_what_was_asked_for_is_started(tmp_path):
    """A name that means nothing is found out before another tracker has begun."""
    with pytest.raises(ConfigError):
        train(tmp_path / "run", epochs=1, trackers=["tensorboard", "nothing"])
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_wandb_gets_the_numbers_and_the_grids_of_one_run_resumed(drawn, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run, logged = tmp_path / "run", []
    right = wandb.Run.log

    def log(self, values, step=None, **more):
        logged.append((self.id, step, set(values)))
        right(self, values, step=step, **more)

    monkeypatch.setattr(wandb.Run, "log", log)
    train(run, epochs=1, trackers=["wandb"], **drawn)
    train(run, resume=True, epochs=2, trackers=["wandb"], **drawn)
    assert len({name for name, _, _ in logged}) == 1
    assert [step for _, step, keys in logged if "val_loss" in keys] == [4, 8]
    assert [step for _, step, keys in logged if "samples" in keys] == [4, 8]
    assert len(list((run / "wandb").glob("offline-run-*"))) == 2


def test_a_training_without_trackers_makes_none(tmp_path):
    train(tmp_path / "run", epochs=1, trackers=[])
    assert not (tmp_path / "run" / "tensorboard").exists()
