"""The history of a training: its rows, its curves, and the picture of them."""

import math
import sys
from pathlib import Path

import pytest
from matplotlib import pyplot

from pixelcnn.errors import ConfigError
from pixelcnn.training import History
from pixelcnn.training.callbacks import Trackers
from pixelcnn.training.history import COLUMNS, Row, read_rows
from pixelcnn.training.progress import ProgressLines
from pixelcnn.training.recorder import Recorder
from training.trainings import train

ROWS = (
    Row(2, 1, 3.0 * math.log(2), None, None, 1e-3),
    Row(4, 1, 2.0 * math.log(2), 2.5 * math.log(2), 2.5, 1e-3),
    Row(8, 2, 1.5 * math.log(2), 1.75 * math.log(2), 1.75, 1e-3),
)
HISTORY = History(ROWS, 8, 112.0, "done", Path("runs/<first>"))
EMPTY = History((), 8, 112.0, "done", None)


def drawn(history):
    """The curves of a plot by their names."""
    figure, axes = pyplot.subplots()
    assert history.plot(axes) is axes
    pyplot.close(figure)
    return {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}


def test_a_plot_shows_bits_per_dimension_over_epochs():
    assert drawn(HISTORY) == {
        "training": [
            [0.5, pytest.approx(3.0)],
            [1.0, pytest.approx(2.0)],
            [2.0, pytest.approx(1.5)],
        ],
        "validation": [[1.0, pytest.approx(2.5)], [2.0, pytest.approx(1.75)]],
    }


def test_a_history_without_rows_has_no_curves_and_can_be_shown():
    """As that of a resumed training with nothing left to do."""
    assert drawn(EMPTY) == {}
    assert "<svg" not in EMPTY._repr_html_()
    assert "8 steps, best validation 112.000 nats an image" in EMPTY._repr_html_()


def test_steps_that_were_all_skipped_leave_a_gap():
    assert drawn(History((Row(1, 1, math.nan, None, None, 1e-3), *ROWS), 8, 1.0, "done", None)) == (
        drawn(HISTORY)
    )


def test_a_notebook_is_shown_both_curves_and_names_with_their_signs():
    page = HISTORY._repr_html_()
    assert page.count("<polyline") == 2
    assert "runs/&lt;first&gt;" in page
    assert "<first>" not in page


def test_a_long_history_is_a_short_text():
    assert repr(HISTORY).startswith("History(steps=8, best=112.0")
    assert "Row" not in repr(HISTORY)


def test_plotting_without_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match="not installed") as caught:
        HISTORY.plot()
    assert caught.value.hint == "pip install 'pixelcnn[plot]'"


@pytest.fixture
def written(tmp_path):
    """All rows in a file."""
    path = tmp_path / "metrics.csv"
    path.write_text("\n".join([",".join(COLUMNS), *map(str, ROWS)]) + "\n")
    return path


def test_rows_come_back_as_they_were_written(written):
    assert read_rows(written) == ROWS


def test_rows_after_a_checkpoint_are_dropped(written):
    recorder = Recorder(written, 2, Trackers((), None, {}), ProgressLines(None))
    recorder.written = 2
    recorder.begin()
    assert read_rows(written) == ROWS[:2]


def test_the_loss_of_a_skipped_step_is_in_no_mean():
    recorder = Recorder(None, 2, Trackers((), None, {}), ProgressLines(None))
    for loss in (1.0, math.nan, 3.0):
        recorder.add(loss)
    assert recorder.mean_loss == 2.0


def test_every_point_is_a_mean_of_equally_many_steps():
    """A point of fewer at the end of an epoch would be a kink in the curve."""
    losses = []

    class Listener:
        def on_step(self, now):
            losses.append(now.loss)

    _, history = train(None, epochs=3, images=112, log_every=3, callbacks=[Listener()])
    assert [row.step for row in history.rows] == [3, 6, 7, 9, 12, 14, 15, 18, 21]
    for row in history.rows:
        assert row.loss == pytest.approx(sum(losses[row.step - 3 : row.step]) / 3)


def test_the_history_of_a_resumed_training_holds_the_rows_of_the_whole_run(tmp_path):
    """So that after an interruption the curves begin where the training did."""
    train(tmp_path / "run", epochs=1)
    for _ in range(2):  # the second time there is nothing to do
        _, history = train(tmp_path / "run", resume=True, epochs=2)
        assert [row.step for row in history.rows] == [2, 4, 6, 8]
        assert history.rows == read_rows(tmp_path / "run/metrics.csv")


def test_rows_that_somebody_spoilt_do_not_end_a_training(written):
    recorder = Recorder(written, 2, Trackers((), None, {}), ProgressLines(None))
    for spoilt in ("two\n", "a,b\n1,2\n", f"{','.join(COLUMNS)}\n1\n"):
        written.write_text(spoilt)
        assert recorder.all_rows() == ()
