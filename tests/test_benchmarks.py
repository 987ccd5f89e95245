"""The benchmarks compare like with like, and count what they say they count."""

import dataclasses
import doctest
import importlib.util
import json
import os
import sys

import pytest
import torch

import tiny
from benchmarks import __main__ as benchmarks
from benchmarks import (
    arithmetic,
    averages,
    command,
    contexts,
    family,
    gemm,
    gpu,
    gpu_measure,
    growth,
    keras_backends,
    sampling,
    significance,
    tables,
    timing,
    training,
)
from benchmarks.arithmetic import live_flops
from benchmarks.engine_runs import first_part, native_engines
from benchmarks.models import RECIPES, from_recipe, plain_stack
from benchmarks.naive import full_pass, naive
from benchmarks.timing import Timing, alternate
from pixelcnn.layers import MaskedConv2d, ShiftedConv2d
from pixelcnn.networks import NETWORKS


@pytest.mark.parametrize(
    "module",
    [arithmetic, averages, command, contexts, gemm, growth, significance, tables, timing],
)
def test_examples(module):
    failed, attempted = doctest.testmod(module)
    assert attempted and not failed


def tiny_made():
    """A network of units."""
    return next(m for m in tiny.tiny_models(1) if NETWORKS.name_of(type(m.network)) == "made")


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_measured_can_be_built_and_lowered(name):
    assert live_flops(from_recipe(name)) > 0


def test_an_image_of_the_keras_network_takes_570_megaflop():
    assert live_flops(from_recipe("keras-mnist")) == pytest.approx(570e6, rel=0.01)


@pytest.mark.parametrize("model", list(tiny.tiny_models(3)), ids=tiny.label)
def test_the_naive_network_computes_the_same(model):
    model, twin = model.double(), naive(model.double())
    assert not [m for m in twin.modules() if isinstance(m, MaskedConv2d | ShiftedConv2d)]
    levels = torch.randint(model.levels, (2, *model.shape))
    condition = torch.tensor([0, 2]) if model.network.condition else None
    torch.testing.assert_close(twin(levels, condition), model(levels, condition))


def test_the_naive_loop_is_extrapolated_to_every_sub_pixel():
    model = tiny.tiny_model(channels=3)
    assert full_pass(model, 1)() > 0
    assert model.shape.dimensions == 105


def test_contenders_take_turns():
    calls = []
    actions = {name: lambda name=name: calls.append(name) or 1.0 for name in "ab"}
    assert alternate(actions, 2) == {"a": Timing((1.0, 1.0)), "b": Timing((1.0, 1.0))}
    assert calls == list("ababab")


@pytest.mark.parametrize(("power", "sizes"), [(1.0, [1, 2, 8]), (2.0, [16, 32])])
def test_the_fitted_exponent_is_that_of_a_power(power, sizes):
    assert growth.exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


def test_a_sampling_table_has_every_contender(monkeypatch):
    monkeypatch.setattr(gemm, "SIDES", (64,))
    model = plain_stack(side=5, depth=1, width=4)
    rows = sampling.measure("small", model, 2, [], rounds=1)
    ways = [row.way for row in rows]
    assert ways[:2] == ["naive", "cached"]
    assert all(row.timing.median > 0 and row.of_gemm > 0 for row in rows)
    text = sampling.report(model, rows)
    assert "naive*" in text and "(1.00×)" in text
    assert "extrapolated from 1 of 25 passes" in text
    json.dumps(rows, default=dataclasses.asdict)


def test_a_model_that_no_native_engine_runs_is_measured_without_them():
    assert native_engines(plain_stack(5, 1, 4).double()) == []


def test_the_family_is_measured_against_full_passes(monkeypatch):
    models = dict(zip(["one", "made"], [plain_stack(5, 1, 4), tiny_made()], strict=True))
    monkeypatch.setattr(family, "from_recipe", models.get)
    one, made = family.run(models, 2, rounds=1)
    assert one.engine != "full" and one.ratio == one.full.median / one.own.median
    assert made.engine != "full"
    assert f"{models['one'].parameters_count:,}" in family.report([one, made])


def test_the_family_has_a_recipe_of_every_network():
    measured = {NETWORKS.name_of(type(from_recipe(name).network)) for name in family.RECIPES}
    assert measured == set(NETWORKS)


def test_growth_is_reported_and_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(growth, "QUICK", {"side": (3, 5), "depth": (1, 2)})
    monkeypatch.setattr(growth, "BATCH", 1)
    curves = [curve for sweep in growth.run(1, quick=True) for curve in sweep]
    work = next(curve for curve in curves if curve.way == "live arithmetic")
    assert work.exponent == pytest.approx(1)
    assert "pixels" in growth.report([curve for curve in curves if curve.sweep == "side"])
    growth.plot(curves, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000


def test_options_of_a_quick_run_are_short():
    options = benchmarks.parse(["sampling", "--quick"])
    assert (options.parts, options.batches, options.rounds) == (["sampling"], (1, 16), 3)
    assert not options.keras and options.plot is None
    options = benchmarks.parse([])
    assert options.parts == list(benchmarks.PARTS) and options.keras
    assert list(options.networks) == list(RECIPES)
    assert options.rounds >= 5 and options.batches == (1, 16, 64, 256)


@pytest.mark.parametrize("words", [["nonsense"], ["--batches", "0"], ["--networks", "other"]])
def test_an_unknown_word_is_a_usage_error(words):
    with pytest.raises(SystemExit) as ending:
        benchmarks.parse(words)
    assert ending.value.code == 2


@pytest.mark.slow
def test_a_backend_that_cannot_be_installed_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(keras_backends, "FOLDER", tmp_path)
    monkeypatch.setattr(keras_backends, "VERSION", "./no-such-package")
    monkeypatch.setitem(keras_backends.BACKENDS, "torch", ())
    with pytest.raises(keras_backends.Unavailable, match="no-such-package"):
        keras_backends.environment("torch")
    # What was left behind is not taken for an installation.
    with pytest.raises(keras_backends.Unavailable):
        keras_backends.environment("torch")


def test_the_table_of_a_training_says_what_the_trainer_costs():
    seconds = {"plain PyTorch": 4.0, "bare loop, 32": 2.0, "fit": 2.5}
    timings = {what: Timing((value,)) for what, value in seconds.items()}
    timings["GEMM fp32 torch 1024"] = Timing((0.01,))
    shown = training.report("digits", 32, timings, dict.fromkeys(seconds, 1.0))
    assert "+25.0% of the bare loop's time more" in shown
    assert "1.60×" in shown


@pytest.mark.parametrize("name", gpu_measure.STEPS)
def test_a_gpu_run_without_a_gpu_measures_small_networks(name, monkeypatch):
    monkeypatch.setattr(gpu_measure, "FITTED", (5, 5))
    rows = list(gpu_measure.steps(name, "cpu", seconds=0.0))
    assert rows.pop() == {"note": "on a processor nothing is compiled"}
    assert [row["way"] for row in rows] == ["plain PyTorch", "bare loop", "fit"]
    assert all(row["seconds"] > 0 and row["batch"] == 2 for row in rows)


def test_a_gpu_run_samples_part_of_an_image_where_time_is_short():
    rows = list(gpu_measure.sampling("keras-mnist", "cpu", seconds=0.0))
    assert [(row["engine"], row["batch"]) for row in rows] == [
        (engine, n) for engine in ("full", "cached") for n in gpu_measure.FEW
    ]
    assert all(row["drawn"] == 1 and row["of"] == 64 for row in rows)


def test_the_first_part_of_an_image_may_be_all_of_it():
    model = plain_stack(side=5, depth=1, width=4)
    seconds, drawn = first_part(model, 2, "cached", seconds=60)
    assert drawn == 25 and 0 < seconds < 60


@pytest.mark.parametrize(
    ("code", "seconds", "lines", "failure"),
    [
        ("print(1)", 60.0, ["1\n"], ""),
        ("print(1); sys.exit('no such kernel')", 60.0, ["1\n"],
         "exit code 1; it said: no such kernel (all of it: log)"),
        ("print(1, flush=True); time.sleep(600)", 0.1, ["1\n"], "not done within 2 s"),
    ],
)  # fmt: skip
def test_what_a_part_has_printed_counts_however_it_ends(
    code, seconds, lines, failure, tmp_path, monkeypatch
):
    monkeypatch.setattr(gpu, "LEAST", 2.0)
    command = [sys.executable, "-c", f"import sys, time; {code}"]
    found = gpu.ended(command, tmp_path / "log", seconds, dict(os.environ))
    assert (found.lines, found.failure) == (lines, failure)


def test_a_part_that_fails_is_reported_and_ends_no_other(monkeypatch, tmp_path):
    def fails(run, seconds):
        raise ZeroDivisionError("no time")

    def works(run, seconds):
        return gpu.Part("Works", ["all of it"])

    monkeypatch.setattr(gpu, "PARTS", {"tests": fails, "steps": works})
    monkeypatch.setattr(gpu, "training", works)
    assert len(list(gpu.measure(tmp_path, minutes=1))) == 3
    text = (tmp_path / "gpu.md").read_text()
    assert "- **failed**: ZeroDivisionError: no time" in text and "1 failure\n" in text
    assert text.count("all of it") == 2


def test_without_pytest_a_gpu_run_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    part = gpu.tests(gpu.Run(tmp_path, 1), 1)
    assert part.failures == ["pytest is not installed, so no test has run: make setup"]


def test_without_its_data_a_gpu_run_trains_on_digits_and_says_so(monkeypatch, tmp_path):
    run = gpu.Run(tmp_path, 1, data=tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run.device = "cuda"
    recipe, why = gpu._recipe(run)
    assert recipe == "digits" and "in place of `compact-cifar10-large`" in why


@pytest.mark.slow
def test_a_gpu_run_ends_without_a_gpu_and_goes_on_the_next_time(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "STEPS", ["keras-mnist"])
    monkeypatch.setattr(gpu, "SAMPLED", ["keras-mnist"])
    monkeypatch.setattr(gpu, "TESTS", ["tests/data/test_noise.py"])
    monkeypatch.setattr(gpu, "SHORTEST", 12.0)
    benchmarks.main(["gpu", "--minutes", "0.01", "--out", str(tmp_path)])
    text = (tmp_path / "gpu.md").read_text()
    assert "no failures" in text and "no GPU" in text
    assert "skipped" in text
    assert "bare loop, eager" in text and "cached" in text and "`digits` in place of" in text
    *_, again = gpu.measure(tmp_path, minutes=0.01)
    assert not again.failures and again.rows[0]["seconds"] > again.rows[0]["seconds_before"] > 0
