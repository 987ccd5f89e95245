"""``pixelcnn reproduce``: both figures beside each other, in one unit."""

import errno
import importlib
import json

import numpy as np
import pytest

from cli.conftest import RECIPE
from pixelcnn import training
from pixelcnn.errors import ResourceError
from pixelcnn.json_text import strict_json
from pixelcnn.training import processes, result
from pixelcnn.training.processes import Processes
from pixelcnn.training.run import RunFolder, held

reproduce = importlib.import_module("pixelcnn.cli.reproduce")  # the package's name is the command

PUBLISHED = f"""{RECIPE}
[published]
figure = 2.5
unit = "bits/dim"
source = "nobody, never"
settings = ["training.epochs=1", "data.source_levels=4"]
note = "made up"
"""


@pytest.fixture
def recipe(here, recipe):
    """With a figure that others report."""
    (here / recipe).write_text(PUBLISHED)
    return recipe


def test_the_published_figure_stands_beside_ours(run, recipe, here):
    outcome = run("reproduce", recipe)
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in outcome.stdout.splitlines()}
    assert lines["published"] == "2.5 bits/dim  (nobody, never)"
    assert lines["note"] == "made up"
    ours = json.loads((here / "runs/reproduce-small/result.json").read_text())
    assert f"{ours['bits_per_dim']:.1f}"[0] == lines["ours"][0]
    assert lines["ours"].endswith(" bits/dim") and lines["difference"].endswith(" below")
    assert ours["epochs"] == 1, "the published setting counts"
    assert lines["trained"].startswith(f"{ours['steps']} steps, 1 epochs")


def test_one_test_image_has_no_error_and_a_result_that_is_json(run, recipe, here):
    np.save(here / "images.npy", np.random.default_rng(0).integers(0, 4, (10, 5, 7), np.uint8))
    lines = run("reproduce", recipe).stdout.splitlines()
    assert "images      1 of images.npy (test)" in lines
    assert not any("±" in line for line in lines)
    found = strict_json((here / "runs/reproduce-small/result.json").read_bytes())
    assert found["stderr"] is None and found["bits_per_dim_stderr"] is None


def test_what_was_reproduced_is_not_trained_and_measured_again(run, recipe, here):
    first = run("reproduce", recipe, "--json").json
    path = here / "runs/reproduce-small/result.json"
    marked = json.loads(path.read_text()) | {"nats_per_image": 1.25}
    path.write_text(json.dumps(marked))
    second = run("reproduce", recipe, "--json").json
    assert second["ours"] == first["ours"] | {"nats_per_image": 1.25}
    assert second["published"]["figure"] == 2.5


def test_images_that_report_are_scored_where_the_help_says(run, recipe, monkeypatch):
    devices, measure = [], result.result_of

    def asked(*words, device, **more):
        devices.append(device)
        return measure(*words, device=device, **more)

    monkeypatch.setattr(result, "result_of", asked)
    run("reproduce", recipe)
    run("reproduce", recipe, "--run", "r", "--device", "cpu")
    assert devices == ["auto", "cpu"]


def test_of_several_processes_one_scores_and_speaks(run, recipe, monkeypatch):
    monkeypatch.setattr(processes, "placed", lambda _: processes.Processes(1, 2, 1, 2))
    monkeypatch.setattr(training, "train_recipe", lambda _: None)
    monkeypatch.setattr(result, "result_of", lambda *_, **__: pytest.fail("scored twice"))
    assert run("reproduce", recipe).stdout == ""


def test_a_recipe_without_a_figure_names_those_that_have_one(run):
    outcome = run("reproduce", "digits", code=2)
    assert outcome.error == "recipe digits has no published figure to set beside ours"
    assert "keras-mnist" in outcome.hint and "uva-mnist" in outcome.hint


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("figure = 2.5\n", "published.figure"),
        ('source = "nobody, never"\n', "published.source"),
        ('unit = "bits/dim"\n', ""),
    ],
)
def test_a_published_table_needs_a_figure_and_a_source(run, recipe, here, line, said):
    (here / "small.toml").write_text(PUBLISHED.replace(line, ""))
    outcome = run("reproduce", recipe, "--set", "training.epochs=1", code=2 if said else 0)
    assert said in outcome.stderr


def test_a_misspelt_key_of_a_published_table_is_named(run, recipe, here):
    (here / "small.toml").write_text(PUBLISHED.replace("note =", "notes ="))
    assert "Did you mean 'note'?" in run("reproduce", recipe, code=2).error


def test_hints_say_how_a_command_without_resume_goes_on(tmp_path):
    folder = RunFolder(tmp_path / "run", again="the same command goes on")
    with pytest.raises(ResourceError) as caught, held(folder, Processes()):
        raise OSError(errno.ENOSPC, "no space")
    assert caught.value.hint == "free some space and the same command goes on"
