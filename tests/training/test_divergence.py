"""A training that diverges ends in one clear error, or goes back; NaN is never the best."""

import dataclasses
import math
import os
import signal

import pytest
import torch

from pixelcnn import checkpoint, networks, outputs
from pixelcnn.data import ImageSet
from pixelcnn.errors import DataError, TrainingError
from pixelcnn.model import PixelModel
from pixelcnn.training import Callback, Interrupted, checkpoints, fit, loop, validation
from training.trainings import QUICK, digits, model, state, train


@pytest.mark.parametrize("in_folder", [True, False])
def test_it_goes_back_to_the_last_checkpoint_at_half_the_rate(explode, in_folder, tmp_path):
    explode(9, times=1)
    run = tmp_path / "run" if in_folder else None
    _, history = train(run, epochs=4, on_nan="rewind", log_every=1)
    rates = [row.learning_rate for row in history.rows]
    assert [row.step for row in history.rows] == list(range(1, 17))
    assert rates == [3e-3] * 8 + [1.5e-3] * 8
    if run is not None:
        assert "back to step 8, at 1/2 of the learning rate" in (run / "train.log").read_text()
        assert len((run / "metrics.csv").read_text().splitlines()) == 17
        assert state(run)["rewound"] == 1


def test_it_goes_back_to_its_very_start(explode, tmp_path):
    explode(1, times=2)
    _, history = train(tmp_path / "run", epochs=1, on_nan="rewind", log_every=1)
    assert [row.learning_rate for row in history.rows] == [7.5e-4] * 4


def test_it_goes_back_five_times_and_no_more(explode, tmp_path):
    explode(5)
    with pytest.raises(TrainingError, match="the loss of step 6 is nan"):
        train(tmp_path / "run", epochs=3, on_nan="rewind")
    assert state(tmp_path / "run")["rewound"] == 5


@pytest.mark.parametrize("on_nan", ["stop", "rewind"])
def test_a_signal_at_a_step_that_diverged_keeps_nothing_of_it(on_nan, monkeypatch, tmp_path):
    going = loop.do_what_is_due

    def ring(trainer):
        if trainer.state.step == 6 and not trainer.rewound:
            torch.nn.init.constant_(next(trainer.model.parameters()), math.nan)
            os.kill(os.getpid(), signal.SIGTERM)
        going(trainer)

    monkeypatch.setattr(loop, "do_what_is_due", ring)
    expected = TrainingError if on_nan == "stop" else Interrupted
    with pytest.raises(expected) as caught:
        train(tmp_path / "run", epochs=3, on_nan=on_nan)
    if on_nan == "stop":
        assert str(caught.value) == "the weights after step 6 are not finite"
    for name in ("best", "last"):
        path = tmp_path / "run" / f"{name}.safetensors"
        assert not path.exists() or checkpoint.load(path).record["steps"] <= 4
    assert state(tmp_path / "run")["step"] == 4


@pytest.mark.parametrize("on_nan", ["stop", "skip", "rewind"])
def test_a_validation_that_is_not_finite_is_never_the_best(on_nan, monkeypatch, tmp_path):
    right, calls = validation.validate, []

    def wrong(*arguments, **options):
        calls.append(1)
        found = right(*arguments, **options)
        return dataclasses.replace(found, nats=found.nats * math.nan) if len(calls) > 1 else found

    monkeypatch.setattr(validation, "validate", wrong)
    with pytest.raises(TrainingError, match="the validation after step 8 is nan") as caught:
        train(tmp_path / "run", epochs=3, on_nan=on_nan)
    assert "learning_rate" in caught.value.hint
    record = checkpoint.load(tmp_path / "run").record
    assert record["steps"] == 4
    assert math.isfinite(record["validation"]["nats_per_image"])
    latest = checkpoints.latest(tmp_path / "run" / "checkpoints", print)
    assert latest is not None
    assert all(value.isfinite().all() for value in latest["model"].values())


@pytest.mark.parametrize("event", ["on_step", "on_epoch"])
@pytest.mark.parametrize("in_folder", [True, False])
def test_who_stops_a_training_whose_first_validation_is_not_finite_is_told(
    in_folder, event, monkeypatch, tmp_path
):
    validate = validation.validate

    def wrong(*arguments, **options):
        found = validate(*arguments, **options)
        return dataclasses.replace(found, nats=found.nats * math.nan)

    monkeypatch.setattr(validation, "validate", wrong)
    stop = type("Stop", (Callback,), {event: lambda self, told: told.stop("enough")})()
    run = tmp_path / "run" if in_folder else None
    with pytest.raises(TrainingError, match=r"the validation after step \d is nan"):
        train(run, epochs=3, on_nan="rewind", validate_every=2, callbacks=[stop])


@pytest.mark.parametrize(("on_nan", "step"), [("stop", 1), ("skip", 4), ("rewind", 1)])
def test_weights_beyond_all_bounds_end_in_an_error_and_are_never_the_best(on_nan, step, tmp_path):
    net = model(0.0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1e12)
    options = QUICK | {"epochs": 3, "on_nan": on_nan}
    with pytest.raises(TrainingError, match=f"the loss of step {step} is inf"):
        fit(net, *digits(), tmp_path / "run", verbose=False, **options)
    assert not (tmp_path / "run" / "best.safetensors").exists()


def test_knowing_less_than_nothing_is_a_warning(tmp_path):
    train(tmp_path / "bad", epochs=2, learning_rate=30.0, weight_average=0.0, on_nan="stop")
    log = (tmp_path / "bad" / "train.log").read_text()
    assert log.count("bits/dim is worse than 4.087, a guess among 17 levels") == 1
    train(tmp_path / "good", epochs=2)
    assert "worse than" not in (tmp_path / "good" / "train.log").read_text()


def test_a_new_mixture_that_learns_is_no_divergence(tmp_path):
    images = torch.randint(256, (64, 1, 5, 7), generator=torch.Generator().manual_seed(0))
    made = ImageSet(images.to(torch.uint8), levels=256)
    output = outputs.LogisticMixture(levels=256, components=5)
    network = networks.PixelCNN(1, output.parameters_per_pixel(1), width=8, depth=1)
    options = QUICK | {"epochs": 1, "learning_rate": 1e-4, "batch_size": 8}
    fit(
        PixelModel(network, output, (1, 5, 7)),
        made,
        made,
        tmp_path / "run",
        verbose=False,
        **options,
    )
    log = (tmp_path / "run" / "train.log").read_text()
    assert "worse than" not in log
    assert float(log.split("val ")[1].split("(")[1].split()[0]) > 8


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_condition_that_is_not_finite_is_found_on_load(value):
    vectors = torch.zeros(6, 3)
    vectors[4, 1] = value
    with pytest.raises(
        DataError, match="of 1 of 6 images holds NaN or infinity, the first is feature 2 of image 4"
    ):
        ImageSet(torch.zeros(6, 1, 2, 2, dtype=torch.uint8), 2, condition=vectors)


def test_the_error_says_where_the_nan_was(explode):
    """A condition that became NaN after it was loaded."""
    few, held_out = digits()
    given = dataclasses.replace(few, condition=torch.zeros(len(few), 4))
    told = dataclasses.replace(held_out, condition=torch.zeros(len(held_out), 4))
    net = PixelModel(
        networks.GatedPixelCNN(1, 17, width=6, depth=2, condition="vector", condition_size=4),
        outputs.Categorical(levels=17),
        (1, 8, 8),
    )
    given.condition[7] = math.nan
    with pytest.raises(DataError, match="the condition holds NaN or infinity"):
        fit(net, given, told, verbose=False, **QUICK)
    explode(2)
    with pytest.raises(TrainingError, match="the data are finite"):
        train(None, epochs=1)
