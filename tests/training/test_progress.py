"""What a training says: lines in a log, a bar in a terminal and in a notebook."""

import dataclasses
import errno
import re
import sys
import types

import numpy as np
import pytest

from kernel import cell, kernel
from pixelcnn.training import TrainingState, fit, progress
from pixelcnn.training.likelihood import Validation
from pixelcnn.training.progress import ProgressLines, figures, progress_line
from terminal import Screen, in_terminal
from training.trainings import digits, model, train

FIT = """
import pixelcnn as px
from pixelcnn import data
train, val, test = data.load("digits")
model = px.create_model("gated-pixelcnn", train, seed=0, width=8, depth=2)
"""
SCRIPT = f"""{FIT}
history = px.fit(model, train.limit(640), val.limit(64), epochs=3, batch_size=32)
print("steps", history.steps)
"""


@pytest.fixture
def clock(monkeypatch):
    """The time that the progress knows, to be set by the test."""
    now = types.SimpleNamespace(seconds=1000.0)
    fake = types.SimpleNamespace(monotonic=lambda: now.seconds, strftime=lambda _: "12:34:56")
    monkeypatch.setattr(progress, "time", fake)
    return now


def state(step=40, steps=2813, **values):
    """Where a training might be."""
    at = TrainingState(model(), steps, 3, 32, None)
    return dataclasses.replace(at, step=step, **values)


def lines_at(clock, pace, seconds, capsys):
    """Seconds after the start at which lines are written, with steps of ``pace`` seconds."""
    start, found, at = clock.seconds, [], state(steps=10**9, seconds_per_step=pace)
    with ProgressLines(None) as talk:
        talk.open(0, 10**9)
        for step in range(1, int(seconds / pace) + 1):
            clock.seconds = start + step * pace
            at.step = step
            talk.progress(at)
            if capsys.readouterr().err:
                found.append(clock.seconds - start)
    return found


def test_a_line_every_ten_seconds_at_first_and_every_minute_later(clock, capsys):
    found = lines_at(clock, 0.5, 400, capsys)
    assert len(found) == 11
    assert found[:6] == pytest.approx([9.5, 19, 28.5, 38, 47.5, 57])
    assert np.diff(found[5:]) == pytest.approx([59.5] * 5)


def test_with_slow_steps_a_line_comes_rather_early_than_late(clock, capsys):
    found = lines_at(clock, 4, 60, capsys)
    assert found[0] == 8
    assert max(np.diff(found)) <= 10


def test_with_steps_of_a_minute_every_step_has_a_line(clock, capsys):
    assert lines_at(clock, 90, 900, capsys) == [90.0 * step for step in range(1, 11)]


def test_a_line_says_how_far_how_good_how_fast_and_how_long(clock):
    line = progress_line(state(mean_loss=3.9104, seconds_per_step=3.552))
    assert line == "12:34:56 step 40/2,813, loss 3.9104, 0.28 step/s, 2 h 44 min left"


def test_a_line_leaves_out_what_is_not_known_yet(clock):
    assert progress_line(state(step=0)) == "12:34:56 step 0/2,813"


def test_a_bar_says_how_good_the_best_is_and_how_fast_it_goes():
    known = state(mean_loss=1.5, best=64 * 1.25, validation=Validation(np.array([80.0]), 64))
    assert figures(known, 100.0) == "loss 1.5000, best 1.2500, 3,200 images/s, "
    assert figures(state(), None) == ""


def test_where_nobody_looks_the_first_line_comes_before_the_first_step(capsys):
    said = []

    class Listener:
        def on_step(self, now):
            said.append(capsys.readouterr().err)

    fit(model(), *digits(), callbacks=[Listener()], epochs=1, batch_size=16)
    assert re.match(r"60 images of 1x8x8 .* 4 steps with 16 images a step on cpu", said[0])


def test_the_log_of_a_run_holds_the_lines_whoever_looks(clock, tmp_path):
    class Slow:
        def on_step(self, now):
            clock.seconds += 11

    train(tmp_path / "run", epochs=2, callbacks=[Slow()])
    lines = (tmp_path / "run" / "train.log").read_text().splitlines()
    found = [line for line in lines if line.startswith("12:34:56 step ")]
    assert len(found) >= 5
    assert "12:34:56 step 8/8" not in "".join(lines)


def test_without_talk_nothing_is_said(capsys):
    fit(model(), *digits(), epochs=1, verbose=False)
    assert capsys.readouterr() == ("", "")


def test_a_bar_shows_loss_best_validation_speed_and_time_left():
    found = in_terminal([sys.executable, "-c", SCRIPT], columns=80)
    assert found.code == 0, found.text
    assert re.search(
        r" \d+%\|[^|]*\| loss \d\.\d{4}, best \d\.\d{4}, [\d,]+ images/s, \d\d:\d\d left",
        found.text,
    ), found.text
    assert found.lines[-1] == "steps 60"
    assert not any("%|" in line for line in found.lines)
    assert len([line for line in found.lines if line.startswith("epoch ")]) == 3


@pytest.mark.slow
def test_a_narrow_terminal_shows_a_bar_that_fits():
    found = in_terminal([sys.executable, "-c", SCRIPT], columns=20)
    assert found.code == 0, found.text
    bars = [part for part in re.split(r"[\r\n]+", found.text) if re.match(r" *\d+%\|", part)]
    assert len(bars) > 3
    assert max(len(re.sub(r"\x1b\[\w*", "", bar).rstrip()) for bar in bars) <= 20
    assert not any("%|" in line for line in found.lines)


@pytest.mark.slow
def test_a_dumb_terminal_gets_lines_and_no_bar():
    found = in_terminal([sys.executable, "-c", SCRIPT], term="dumb")
    assert found.code == 0, found.text
    assert "%|" not in found.text
    assert re.search(r"\r(?!\r*\n)", found.text) is None
    assert found.lines[-1] == "steps 60"


@pytest.fixture(scope="module")
def cells():
    """A kernel in which a model waits to be trained, with widgets and without."""
    with kernel(OMP_NUM_THREADS="1") as client:
        cell(client, FIT)
        yield lambda code: cell(client, code)


TRAIN = "history = px.fit(model, train.limit(640), val.limit(64), epochs=2, batch_size=32)"
BARE = (
    "import sys; sys.modules['ipywidgets'] = None; sys.modules.pop('tqdm.auto', None)\n"
    "sys.modules.pop('tqdm.autonotebook', None); sys.modules.pop('tqdm.notebook', None)"
)


def text_of(messages):
    return "".join(message["text"] for message in messages if message["type"] == "stream")


def test_a_notebook_shows_a_bar_as_a_widget_and_the_epochs(cells):
    messages = cells(TRAIN)
    shown = [message["data"] for message in messages if message["type"] == "display_data"]
    assert len(shown) == 1
    assert "application/vnd.jupyter.widget-view+json" in shown[0]
    states = [m["data"].get("state", {}) for m in messages if m["type"] == "comm_msg"]
    assert (
        max(state.get("value", 0) for state in states if isinstance(state.get("value"), float))
        == 40
    )
    figures = [state["value"] for state in states if "left" in str(state.get("value"))]
    assert re.match(r"\s*loss\s\d\.\d{4},\sbest\s\d\.\d{4},\s[\d,]+\simages/s,", figures[-1])
    said = text_of(messages)
    assert [line.split(" - ")[0] for line in said.splitlines()[1:3]] == ["epoch 1/2", "epoch 2/2"]


def test_the_bar_of_a_notebook_becomes_as_long_as_the_time_allows(cells):
    messages = cells(TRAIN.replace("epochs=2", "epochs=100_000, max_time='2s'"))
    states = [m["data"].get("state", {}) for m in messages if m["type"] == "comm_msg"]
    ends = [state["max"] for state in states if "max" in state]
    places = [state["value"] for state in states if isinstance(state.get("value"), float)]
    assert ends[-1] == places[-1] < 100_000


def test_a_notebook_without_widgets_shows_a_bar_of_text_and_no_warning(cells):
    cells(BARE)
    messages = cells(TRAIN)
    said = text_of(messages)
    assert {message["type"] for message in messages} == {"status", "execute_input", "stream"}
    assert re.search(r"%\|.*\| loss \d\.\d{4}, best \d\.\d{4}, [\d,]+ images/s", said)
    assert "Warning" not in said
    lines = Screen(200, 24).draw(said).lines
    assert not any("%|" in line for line in lines)
    assert [line.split(" - ")[0] for line in lines[1:3]] == ["epoch 1/2", "epoch 2/2"]


SHOWN = {
    "history": "<svg",
    "train": '<img src="data:image/png;base64,',
    "px.evaluate(model, val.limit(64))": "<th>bits_per_dim</th><td>",
    "model": "GatedPixelCNN</td>",
    "px.verify.check_output(model.output)": "<td>kept</td>",
}


@pytest.mark.parametrize("code", SHOWN)
def test_a_notebook_shows_objects_as_pictures_and_tables(cells, code):
    if code == "history":
        cells(TRAIN)
    (result,) = (m["data"] for m in cells(code) if m["type"] == "execute_result")
    assert SHOWN[code] in result["text/html"]
    assert len(result["text/plain"]) < 5000


def test_a_terminal_that_is_gone_leaves_the_log(tmp_path, monkeypatch):
    def gone(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(write=gone))
    talk = ProgressLines(tmp_path / "train.log")
    talk.say("one")
    talk.say("two")
    assert (tmp_path / "train.log").read_text() == "one\ntwo\n"


def test_a_process_without_a_console_trains_and_says_nothing(monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)  # as of a service, or of pythonw on Windows
        history = fit(model(), *digits(), tmp_path / "run", epochs=1)
    assert history.steps
    assert "best at step" in (tmp_path / "run" / "train.log").read_text()
