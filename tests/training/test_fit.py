"""A training learns, says what it does, and leaves what it promised."""

import csv
import dataclasses
import json
import math
import re

import pytest
import torch
from torch.nn import functional

from pixelcnn import building, checkpoint, data, networks, outputs, scoring
from pixelcnn.cli import conditions
from pixelcnn.data import ImageSet
from pixelcnn.errors import ConfigError, DataError, ModelError, ResourceError, TrainingError
from pixelcnn.model import PixelModel
from pixelcnn.training import fit, loop, pictures, trainer, validation
from pixelcnn.training.batches import Batches
from pixelcnn.training.fitting import memory
from pixelcnn.training.likelihood import Loss
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.record import parent
from training.trainings import QUICK, digits, model, same, state, train

LINE = re.compile(
    r"epoch \d+/\d+ - \d+s - \d+ms/step - loss \d+\.\d{4} - val \d+\.\d{4} \(\d+\.\d{4} bits/dim\)"
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "LEAST", 1000.0)
        return train(run, epochs=3, sample_count=2)


def test_it_learns(finished):
    _, history = finished
    losses = [row.val_loss for row in history.rows if row.val_loss is not None]
    assert len(losses) == 3
    assert losses[-1] < losses[0] < math.log(17) * 1.1


def test_the_run_folder_holds_what_it_promises(finished):
    _, history = finished
    names = {path.name for path in history.run.iterdir()}
    assert names >= {
        "recipe.toml", "environment.json", "content.json", "best.safetensors", "last.safetensors",
        "checkpoints", "metrics.csv", "train.log", "samples",
    }  # fmt: skip
    assert len(list((history.run / "checkpoints").iterdir())) == 2
    assert [path.name for path in (history.run / "samples").iterdir()] == ["epoch-0003.png"]


def test_a_grid_that_takes_too_long_is_left_out_and_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "LEAST", 0.0)
    monkeypatch.setattr(pictures, "SHARE", 0.0)
    _, history = train(tmp_path / "run", epochs=3, sample_every=1, sample_count=2)
    assert list((history.run / "samples").iterdir()) == []
    assert (history.run / "train.log").read_text().count("no sample grid") == 1


def test_grids_can_come_every_so_many_epochs(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "LEAST", 1000.0)
    _, history = train(tmp_path / "run", epochs=3, sample_every=2, sample_count=2)
    names = sorted(path.name for path in (history.run / "samples").iterdir())
    assert names == ["epoch-0002.png", "epoch-0003.png"]


def test_the_log_reads_like_keras(finished):
    lines = (finished[1].run / "train.log").read_text().splitlines()
    epochs = [line for line in lines if line.startswith("epoch")]
    assert len(epochs) == 3
    assert all(LINE.fullmatch(line) for line in epochs)


def test_metrics_hold_no_times(finished):
    lines = (finished[1].run / "metrics.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    assert list(rows[0]) == ["step", "epoch", "loss", "val_loss", "bits_per_dim", "learning_rate"]
    assert [row["step"] for row in rows] == ["2", "4", "6", "8", "10", "12"]
    assert [bool(row["val_loss"]) for row in rows] == [False, True] * 3


def test_the_environment_names_versions_only(finished):
    found = json.loads((finished[1].run / "environment.json").read_text())
    assert {"python", "torch", "pixelcnn"} <= set(found)
    assert all(re.fullmatch(r"[\w.+-]+|not installed", value) for value in found.values())


def test_the_model_ends_with_the_best_weights(finished):
    net, history = finished
    best = checkpoint.load(history.run)
    assert same(dict(net.state_dict()), dict(best.state_dict()))
    assert scoring.evaluate(net, digits()[1]).nats == pytest.approx(history.best, rel=1e-6)


def test_raw_weights_lie_beside_the_averaged_ones(finished):
    best, raw = (checkpoint.load(finished[1].run, weights=w) for w in ("averaged", "raw"))
    assert not same(dict(best.state_dict()), dict(raw.state_dict()))


def test_the_record_tells_how_the_model_came_to_be(finished):
    record = checkpoint.load(finished[1].run).record
    assert record["data"] == {"name": "digits"}
    assert (record["quantisation"], record["skipped"]) == ("none", 0)
    assert record["content_hash"]["train"] == digits()[0].content_hash
    assert (record["steps"], record["epochs"], record["images_seen"]) == (12, 3.0, 180)
    assert record["validation"]["images"] == 12
    assert record["validation"]["nats_per_image"] == pytest.approx(finished[1].best)
    assert len(record["validation_quantiles"]) == 101
    assert record["validation_quantiles"] == sorted(record["validation_quantiles"])
    assert record["weights"] == "averaged"
    assert json.loads(json.dumps(record)) == record


def test_two_trainings_are_the_same(finished, tmp_path):
    again, history = train(tmp_path / "again", epochs=3)
    assert same(state(finished[1].run), state(history.run))
    assert same(dict(finished[0].state_dict()), dict(again.state_dict()))
    one, other = ((h.run / "metrics.csv").read_text() for h in (finished[1], history))
    assert one == other


def test_without_a_folder_nothing_is_written_and_the_weights_are_the_same(
    finished, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    net, history = train(None, epochs=3)
    assert list(tmp_path.iterdir()) == []
    assert history.run is None
    assert same(dict(net.state_dict()), dict(finished[0].state_dict()))
    assert net.record["weights"] == "averaged"


def test_validation_images_whose_levels_came_about_otherwise_are_told_of(caplog):
    binary = data.load("digits", threshold=0.5)
    other = data.load("digits", threshold=0.25).val
    once = {"epochs": 1, "calibration_images": 0, "verbose": False}
    fit(building.create_model("pixelcnn", binary, width=4, depth=1), binary.train, other, **once)
    assert "threshold 0.25, but the training images are binarisation threshold 0.5" in caplog.text
    caplog.clear()
    fit(building.create_model("pixelcnn", binary, width=4, depth=1), *binary[:2], **once)
    assert "do not compare" not in caplog.text


def test_early_stopping():
    _, history = train(None, epochs=50, learning_rate=0.0, patience=2)
    assert history.reason == "patience"
    assert history.steps == 12


def test_validation_can_be_rarer_than_epochs():
    _, history = train(None, epochs=4, validate_every=3, log_every=100)
    assert [row.val_loss is not None for row in history.rows] == [False, False, True, True]


def test_max_time_settles_the_number_of_steps(tmp_path):
    _, history = train(tmp_path / "run", epochs=10_000, max_time="1s")
    assert 1 <= history.steps < 10_000
    assert state(history.run)["plan"]["steps"] == history.steps
    _, again = train(tmp_path / "run", resume=True, epochs=10_000, max_time="1s")
    assert again.steps == history.steps
    log = (history.run / "train.log").read_text()
    assert "over, at step" in log and "as its time is: 1s" in log


@pytest.mark.parametrize("precision", ["bf16", "64"])
def test_precisions(precision):
    net, history = train(None, epochs=1, precision=precision)
    assert history.best < 64 * math.log(17) * 1.1
    assert net.record["validation"]["precision"] == ("32" if precision == "bf16" else "64")


@pytest.mark.parametrize(
    ("validate_every", "precisions"), [(1, ["bf16", "bf16", "32"]), (9, ["32"])]
)
def test_full_precision_scores_the_best_weights_once(validate_every, precisions, monkeypatch):
    found, plain = [], validation.validate
    monkeypatch.setattr(
        validation, "validate", lambda *a, **k: found.append(plain(*a, **k)) or found[-1]
    )
    net, history = train(None, epochs=2, precision="bf16", validate_every=validate_every)
    assert [each.precision for each in found] == precisions
    assert net.record["validation"]["nats_per_image"] == history.best


def test_labels_reach_a_conditional_model():
    net = model(condition="label", condition_size=10)
    before = net.network.biases[0].weight.detach().clone()
    fit(net, *digits(), verbose=False, **(QUICK | {"epochs": 1}))
    assert not torch.equal(net.network.biases[0].weight, before)


@pytest.mark.parametrize("kind", ["vector", "map"])
def test_a_vector_or_a_map_tells_what_the_images_are(kind, tmp_path):
    """Of images of one grey value each, it saves the first pixel's surprise."""
    grey = torch.arange(136) % 17
    images = ImageSet(grey[:, None, None, None].expand(-1, 1, 8, 8), levels=17, name="plain")
    nats = {}
    for told in (False, True):
        condition = functional.one_hot(grey, 17)[:, :, None, None] * told
        condition = condition.expand(-1, -1, 8, 8) if kind == "map" else condition.flatten(1)
        plain = dataclasses.replace(images, condition=condition)
        net = model(dropout=0.0, condition=kind, condition_size=17)
        options = QUICK | {"sample_count": 2, "epochs": 20, "learning_rate": 1e-2}
        fit(net, plain, plain, tmp_path / str(told), verbose=False, **options)
        nats[told] = scoring.evaluate(net, plain).nats
        assert list((tmp_path / str(told) / "samples").iterdir())
    assert nats[True] < nats[False] - math.log(17) / 2


@pytest.fixture
def exploding(explode):
    """Makes the loss of the sixth step NaN."""
    explode(5)


def test_nan_stops_within_a_step_and_keeps_the_last_checkpoint(exploding, tmp_path):
    with pytest.raises(
        TrainingError, match=r"the loss of step 6 is nan; its images: \d+, "
    ) as caught:
        train(tmp_path / "run", epochs=3)
    assert caught.value.exit_code == 1
    assert "learning_rate" in caught.value.hint
    assert state(tmp_path / "run")["step"] == 4
    assert (tmp_path / "run" / "best.safetensors").exists()


def test_nan_can_be_skipped(exploding, tmp_path):
    _, history = train(tmp_path / "run", epochs=3, on_nan="skip")
    assert history.steps == 12
    log = (tmp_path / "run" / "train.log").read_text()
    assert "warning: the loss of step 6 is nan" in log


def test_nan_is_skipped_three_times_and_no_more(monkeypatch):
    right = Batches.__getitem__
    wrong = lambda self, step: dataclasses.replace(right(self, step), weight=math.nan)  # noqa: E731
    monkeypatch.setattr(Batches, "__getitem__", wrong)
    with pytest.raises(TrainingError, match="the loss of step 4 is nan"):
        train(None, epochs=3, on_nan="skip")


def test_nan_names_the_files_of_its_images(exploding):
    few, held_out = digits()
    named = dataclasses.replace(few, names=tuple(f"photos/{i}.png" for i in range(len(few))))
    with pytest.raises(TrainingError, match=r"its images: photos/\d+\.png, photos/"):
        fit(model(), named, held_out, verbose=False, **QUICK)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_out_of_memory_with_a_single_image_suggests_something_else(batch_size):
    with pytest.raises(ResourceError) as caught, memory(batch_size, 0):
        raise MemoryError
    assert ("--batch-size 8" in caught.value.hint) == (batch_size == 16)


def test_out_of_memory_with_parts_suggests_smaller_ones():
    with pytest.raises(ResourceError, match="batch size 16, 4 at once") as caught, memory(16, 4):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 10 bytes")
    assert caught.value.hint.startswith("--set training.micro_batch_size=2 ")


def test_a_validation_computes_no_more_at_once_than_steps_do():
    passes = []
    for side, size, at_once in ((8, 16, 0), (8, 512, 0), (8, 512, 100), (64, 3, 0), (2048, 1, 0)):
        options = TrainingOptions(batch_size=size, micro_batch_size=at_once)
        passes.append(validation.images_at_once(options, 3 * side**2))
    assert passes == [64, 256, 100, 16, 1]


def test_images_fewer_than_a_batch_are_one(monkeypatch):
    def run_out(_):
        raise MemoryError

    clocks, made = [], trainer.Clock
    monkeypatch.setattr(trainer, "Clock", lambda *of: clocks.append(made(*of)) or clocks[0])
    monkeypatch.setattr(loop, "run", run_out)
    with pytest.raises(ResourceError, match="at batch size 10") as caught:
        train(None, images=10, batch_size=16)
    assert "--batch-size 5;" in caught.value.hint
    assert clocks[0].options.batch_size == 10


def test_a_batch_in_parts_takes_the_same_steps(monkeypatch):
    sizes, forward = [], Loss.forward
    monkeypatch.setattr(
        Loss, "forward", lambda *inputs: (sizes.append(len(inputs[1])), forward(*inputs))[1]
    )
    kept = {
        at_once: train(
            None, images=19, epochs=3, dropout=0.0, precision="64", micro_batch_size=at_once
        )[0]
        for at_once in (0, 5)
    }
    assert sizes == 3 * [16, 3] + 3 * [5, 5, 5, 1, 3]
    for whole, parts in zip(*(net.state_dict().values() for net in kept.values()), strict=True):
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("two_threads")
def test_threads_change_no_more_than_rounding(tmp_path):
    options, runs = {"images": 200, "batch_size": 100, "epochs": 2}, {}
    for name, threads in {"one": 1, "two": 2, "again": 2}.items():
        torch.set_num_threads(threads)
        train(tmp_path / name, precision="64", **options)
        runs[name] = state(tmp_path / name)
    assert same(runs["two"], runs["again"])
    one, two = (runs[name]["model"] for name in ("one", "two"))
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-6


def test_a_learning_rate_far_too_high_is_caught():
    network = networks.PixelCNN(1, 17, width=6, depth=4, first_kernel=3)
    net = PixelModel(network, outputs.Categorical(levels=17), (1, 8, 8))
    options = QUICK | {"epochs": 50, "learning_rate": 1e6}
    with pytest.raises(TrainingError, match=r"the loss of step \d+ is (nan|inf)"):
        fit(net, *digits(), verbose=False, **options)


REFUSED = {
    "levels": (ModelError, "for 17 levels", {}, {"levels": 20}),
    "shape": (ModelError, "for 1x8x8 images", {}, {"images": digits()[1].images[..., :4]}),
    "empty": (DataError, "no image to validate on", {}, {"images": digits()[1].images[:0]}),
    "labels": (ModelError, "has none", {"condition": "label", "condition_size": 10}, {}),
    "condition": (ModelError, "needs a vector", {"condition": "vector", "condition_size": 4}, {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_data_that_do_not_fit_are_refused(case):
    kind, said, arguments, changes = REFUSED[case]
    few, held_out = digits(16, 4)
    other = dataclasses.replace(held_out, **{"labels": None, "names": ()} | changes)
    with pytest.raises(kind, match=said):
        fit(model(**arguments), few, other, verbose=False)


def test_a_model_that_no_file_can_hold_is_refused_before_it_is_trained(tmp_path):
    made = model()
    made.network.register_buffer("mine", torch.zeros(1))
    with pytest.raises(ModelError, match=r"`network\.mine` is none"):
        fit(made, *digits(16, 4), run=tmp_path / "run", verbose=False, epochs=1)
    assert not list(tmp_path.iterdir())
    assert fit(made, *digits(16, 4), verbose=False, epochs=1).steps


def test_an_unknown_option_is_refused():
    with pytest.raises(ConfigError, match="no training option called 'epoch'"):
        fit(model(), *digits(), verbose=False, epoch=3)


LEVELS = torch.randint(17, (40, 9, 9), generator=torch.Generator().manual_seed(0)).numpy()


@pytest.mark.parametrize(
    ("images", "options"),
    [(LEVELS, {"size": 8}), (LEVELS[:, :8, :8] * 15, {"source_levels": 256})],
)
def test_what_the_hint_says_of_images_can_be_said_to_fit(images, options):
    said = {"verbose": False, "epochs": 1, **QUICK}
    with pytest.raises((ModelError, DataError)) as caught:
        fit(model(), images, **said)
    assert "in Python size=" in caught.value.hint or "how many levels" in caught.value.hint
    assert fit(model(), images, **said, **options).steps
    assert fit(model(), images[:30], images[30:], **said, **options).steps


@pytest.mark.parametrize("axes", [3, 4])
def test_arrays_that_cannot_be_written_to_train_as_others_do(axes):
    """Those of np.load(mmap_mode="r"), np.frombuffer and pandas."""
    images = LEVELS[:, :8, :8].reshape(40, *[1] * (axes - 3), 8, 8).copy()
    options = {"verbose": False, "epochs": 1, **QUICK, "batch_size": 1}
    expected = fit(model(), images, **options)
    images.flags.writeable = False
    assert fit(model(), images, **options).best == expected.best
    parts = data.load(images, source_levels=17)
    assert torch.equal(parts.train.images[[3]], parts.train.images[3:4])


def test_a_compiled_model_trains_the_one_inside(tmp_path):
    made, (train, val) = model(), digits()
    compiled = torch.compile(made, backend="eager")
    fit(compiled, train, val, run=tmp_path / "run", verbose=False, epochs=1)
    assert same(checkpoint.load(tmp_path / "run").state_dict(), made.state_dict())
    with pytest.raises(ModelError, match="must be a PixelModel") as caught:
        fit(torch.nn.DataParallel(made), train, val, epochs=1)
    assert caught.value.hint == "its .module is one"


def test_a_model_that_is_trained_on_over_and_over_can_be_read(tmp_path):
    net = model()
    for _ in range(210):
        net.record = {"steps": 1} | parent(net)
    checkpoint.save(net, tmp_path / "last.safetensors")
    found = checkpoint.load(tmp_path / "last.safetensors").record
    assert found["parent"]["parent"]["steps"] == 1


def test_classes_that_no_image_has_are_not_drawn(tmp_path, monkeypatch):
    (train, val), drawn = digits(), []
    train, val = (
        dataclasses.replace(s, labels=s.labels % 3 * 2 + 1, classes=()) for s in (train, val)
    )
    net = model(condition="label", condition_size=train.label_count)
    sample = pictures.sampling.sample
    monkeypatch.setattr(
        pictures.sampling, "sample",
        lambda *a, **k: drawn.extend(k["condition"].tolist()) or sample(*a, **k),
    )  # fmt: skip
    fit(net, train, val, tmp_path / "run", epochs=1, sample_count=4, verbose=False)
    assert net.record["classes_seen"] == [1, 3, 5]
    assert drawn[:4] == [1, 3, 5, 1]
    assert conditions.given(net, None, None, 4).facts == {"labels": [1, 3, 5, 1]}


def test_a_run_below_the_users_folder_is_whole_there(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    _, history = train("~/runs/first", epochs=1)
    assert history.run == tmp_path / "home/runs/first"
    assert (history.run / "best.safetensors").is_file()
    assert not (tmp_path / "~").exists()
