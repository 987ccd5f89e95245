"""The demo and its page."""

import io
import re
from html.parser import HTMLParser
from importlib import resources
from string import Template

import numpy as np
import pytest
from PIL import Image

from pixelcnn import charts, checkpoint
from pixelcnn.cli import animation, demo, demo_run, demo_sections, report
from pixelcnn.data import ImageSet
from pixelcnn.shapes import ImageShape

QUICK = """
[data]
name = "digits"
[network]
name = "pixelcnn"
width = 8
depth = 1
[output]
name = "categorical"
[training]
epochs = 1
batch_size = 32
learning_rate = 1e-2
"""
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Elements of a page; complains about tags that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def self_contained(text):
    """Whether nothing on the page would be fetched from elsewhere."""
    page = Page(text)
    pictures = [attrs for tag, attrs in page.found if tag == "img"]
    assert all(attrs["src"].startswith("data:image/") for attrs in pictures)
    assert all(attrs["alt"] for attrs in pictures)
    assert not {tag for tag, _ in page.found} & {"script", "link", "iframe", "object"}
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    return True


def names_on_the_page():
    return Template((resources.files("pixelcnn.cli") / "demo.html").read_text()).get_identifiers()


def test_a_page_is_self_contained_and_escaped(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "mean-bits.png")
    chart = charts.learning_curve({"<val>": [(0, 3), (1, 2)]}, "x", "y")
    bars = report.bars([("us", 1.0, True), ("them", 2.0, False)], "nats")
    figure = report.figure(tmp_path / "mean-bits.png", "a < b", "what's this")
    parts = {"curves": chart, "likelihoods": bars, "gallery": figure}
    parts["strangers"] = report.table(("a", "b"), [("<c>", "d")])
    drawn = {
        name: "data:image/png;base64,"
        for name in names_on_the_page()
        if name.endswith(("_png", "_gif"))
    }
    words = dict.fromkeys({*names_on_the_page()} - parts.keys() - drawn.keys(), "<b>text</b>")
    del drawn["mean_bits_png"]
    text = report.page(tmp_path, words, parts | drawn)
    assert self_contained(text)
    assert "<b>text</b>" not in text
    assert "&lt;b&gt;text" in text
    assert 'lang="en"' in text
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text


def test_bars_are_as_long_as_their_numbers():
    text = report.bars([("a", 50.0, False), ("b", 200.0, True)], "nats")
    assert re.findall(r"width:([\d.]+)%", text) == ["25.0", "100.0"]
    assert text.count("ours") == 1


@pytest.mark.parametrize(("low", "high"), [(1.2, 3.9), (0, 1), (0, 0), (5, 5), (99, 4001), (-1, 2)])
def test_axes_have_few_round_numbers_around_the_values(low, high):
    ticks = charts.round_steps(low, high)
    assert 2 <= len(ticks) <= 8
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])


def test_values_that_hardly_differ_have_a_curve():
    chart = charts.learning_curve({"val": [(1, 1.0), (2, 1.0 + 1e-12)]}, "epoch", "bits/dim")
    assert "nan" not in chart and chart.count("<polyline") == 1


def test_a_film_keeps_the_first_and_last_and_few_frames():
    shape = ImageShape(1, 10, 20)
    made = animation.FrameRecorder(shape, 2, frames=20)
    for done in range(1, 201):
        made(done, 200, np.ones((3, 1, 10, 20), int))
    assert len(made.pictures) == 20
    assert (made.pictures[-1] == 255).all()
    assert not (made.pictures[0] == 255).all()


def test_a_film_of_whole_rows_shows_each_pixel_by_pixel():
    shape, rows, pixels = ImageShape(1, 4, 20), [], []
    images = np.ones((2, 1, 4, 20), int)
    for steps, pictures in ((range(20, 81, 20), rows), (range(1, 81), pixels)):
        made = animation.FrameRecorder(shape, 2, frames=16)
        for done in steps:
            made(done, 80, images)
        pictures += made.pictures
    assert np.array_equal(rows, pixels)


def test_a_film_shows_what_is_known_from_the_start():
    known = np.zeros((1, 1, 2, 2), bool)
    known[..., 1, 1] = True
    made = animation.FrameRecorder(ImageShape(1, 2, 2), 2, known=known, frames=4)
    made(1, 4, np.ones((1, 1, 2, 2), int))
    assert (made.pictures[0][0] == 255).all(-1).tolist() == [[True, False], [False, True]]


def test_animations_repeat_and_rest_on_the_last_frame():
    frames = (Image.new("RGB", (8, 8), (20 * i, 0, 0)) for i in range(10))
    content = animation.animation(frames)
    with Image.open(io.BytesIO(content)) as shown:
        assert (shown.n_frames, shown.info["loop"]) == (10, 0)
        assert shown.info["duration"] == 500
        shown.seek(9)
        assert shown.info["duration"] == 1500


def test_the_histogram_baseline_is_a_distribution():
    rng = np.random.default_rng(0)
    train = ImageSet(rng.integers(0, 3, (9, 1, 1, 2)), levels=3)
    every = np.stack(np.meshgrid(range(3), range(3)), -1).reshape(9, 1, 1, 2)
    nats = demo_sections.histogram_nats(train, ImageSet(every, levels=3))
    assert np.exp(-nats).sum() == pytest.approx(1.0)


def test_auroc_agrees_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    odd, normal = rng.integers(0, 9, 50).astype(float), rng.integers(2, 12, 70).astype(float)
    truth = np.r_[np.ones(50), np.zeros(70)]
    expected = metrics.roc_auc_score(truth, np.r_[odd, normal])
    assert demo_sections.auroc(odd, normal) == pytest.approx(expected)


def test_the_demo_leaves_pictures_and_a_page(run, here, monkeypatch):
    (here / "quick.toml").write_text(QUICK)
    monkeypatch.setattr(demo_run, "RECIPE", "quick.toml")
    found = run("demo", "--max-time", "60s", "--json").json
    folder = here / "runs/demo"
    assert found["report"] == "runs/demo/index.html"
    assert self_contained((folder / "index.html").read_text(encoding="utf-8"))
    assert {path.name for path in folder.glob("*.png")} == {
        "digits.png", "samples.png", "completions.png", "bits.png", "mean-bits.png", "odd.png", "digit.png",
        *(f"model-{name}.png" for name in checkpoint.shipped()),
    }  # fmt: skip
    assert (folder / "drawing.gif").stat().st_size > 1000
    sizes = found["bytes_per_image"]
    assert (folder / "digits.pxc").stat().st_size == pytest.approx(300 * sizes["pxc"])
    assert sizes["pxc"] < sizes["png_sheet"] < sizes["png"]
    assert found["promises_kept"] == found["promises"]
    assert found["nats_per_image"] < found["uniform_nats"]
    assert run("evaluate", "runs/demo/run", "--json").json["nats_per_image"] == pytest.approx(
        found["nats_per_image"]
    )


def test_a_second_demo_takes_another_folder(here):
    (here / "runs/demo").mkdir(parents=True)
    (here / "runs/demo-2").mkdir()
    assert str(demo._folder(None)) == "runs/demo-3"


def test_a_demo_that_cannot_start_leaves_no_folder(run, here):
    assert "training.max_time" in run("demo", "--max-time", "soon", code=2).error
    assert not (here / "runs").exists()


def test_a_demo_never_writes_among_other_files(run, here):
    (here / "mine").mkdir()
    (here / "mine/thesis.txt").write_text("precious")
    assert "mine" in run("demo", "--out", "mine", code=2).error
