"""``pixelcnn evaluate --compare``."""

import shutil

import numpy as np
import pytest

from pixelcnn import checkpoint, codec, data
from pixelcnn.cli import comparison, console
from pixelcnn.image_codecs import sizes


@pytest.fixture
def calibrated(tiny, here):
    """A model file that can compress."""
    made = tiny()
    codec.calibrate(made, data.load("digits").val.images)
    checkpoint.save(made, here / "m.safetensors")
    return "m.safetensors"


def test_codecs_and_the_model_are_measured_on_the_same_images(run, calibrated, monkeypatch):
    monkeypatch.setattr(comparison, "MOST", 12)
    found = run("evaluate", calibrated, "--compare", "png,webp", "--json").json["compared"]
    images, rows = data.load("digits").test.limit(12).images, found["rows"]
    assert [row["codec"] for row in rows] == ["png", "webp", "model", "pxc"]
    assert found["images"] == 12
    for row in rows[:2]:
        expected = sizes(row["codec"], images, 17)
        assert row["bytes_per_image"] * 12 == pytest.approx(expected.files)
        assert row["sheet_bytes_per_image"] * 12 == pytest.approx(expected.sheet)
        assert row["sheet_bits_per_dim"] == pytest.approx(8 * expected.sheet / images.numel())
    model = checkpoint.load(calibrated)
    assert rows[3]["sheet_bytes_per_image"] * 12 == len(codec.compress(model, images))
    ideal = -model.log_prob(images).double().mean().item() / np.log(2) / 8
    assert rows[2]["bytes_per_image"] == pytest.approx(ideal)


def test_the_table_says_what_does_not_apply_and_what_is_missing(run, model, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    text = run("evaluate", model, "--limit", 3, "--compare", "jxl,jbig").stdout
    assert "Lossless, 3 images" in text
    assert "for binary images alone" in text
    assert "libjxl-tools" in text
    assert "does not say how large its values become" in text  # the model's own row


def test_a_sample_is_said(run, model, monkeypatch):
    monkeypatch.setattr(comparison, "MOST", 2)
    text = run("evaluate", model, "--limit", 3, "--compare", "png").stdout
    assert "2 of 3 images, evenly spread" in text


def test_an_unknown_codec_is_a_usage_error(run, model):
    outcome = run("evaluate", model, "--compare", "png,gif", code=2)
    assert "gif" in outcome.stderr and "jbig" in outcome.stderr


def test_the_table_fits_a_terminal_of_80_columns(capsys, monkeypatch):
    rows = [comparison.row("pxc", 3_072, None, 99_999.9, "")]
    monkeypatch.setattr(console, "UNBOUNDED", 80)
    comparison.show({"images": 1, "rows": rows}, 1)
    assert "  this model, .pxc" in capsys.readouterr().out
