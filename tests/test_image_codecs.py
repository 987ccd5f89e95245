"""The usual codecs hold every level, and a missing one is a reason."""

import io
import math
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import image_codecs
from pixelcnn.data import ImageSet
from pixelcnn.errors import DataError
from pixelcnn.image_codecs import CODECS, Unavailable, picture, png_nats, sheet, sizes


def noise(channels, levels, n=1):
    images = np.random.default_rng(0).integers(0, levels, (n, channels, 5, 7))
    images[:, :, 0] = 0
    images[:, :, 1] = levels - 1
    return images


def decoded(name, content, folder):
    """The pixels of a file, by a decoder that is none of ours."""
    if name in {"jxl", "jbig"}:
        program, suffix = {"jxl": ("djxl", "png"), "jbig": ("jbgtopbm", "pbm")}[name]
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
        source, target = folder / "a", folder / f"b.{suffix}"
        source.write_bytes(content)
        subprocess.run([program, source, target], check=True, capture_output=True)
        content = target.read_bytes()
    with Image.open(io.BytesIO(content)) as shown:
        return np.asarray(shown).astype(np.int64)


@pytest.mark.parametrize(
    ("name", "channels", "levels"),
    [(name, *kind) for name in CODECS for kind in ((1, 2), (1, 17), (3, 256), (2, 2), (1, 4096))],
)
def test_a_codec_holds_every_level_or_says_why_not(name, channels, levels, tmp_path):
    (image,) = noise(channels, levels)
    try:
        CODECS[name].require(channels, levels)
    except Unavailable as reason:
        if "not installed" in str(reason):
            pytest.skip(str(reason))
        assert (name == "jbig" and levels > 2) or (name == "webp" and levels > 256)
        return
    shown = decoded(name, CODECS[name].encode(picture(image, levels)), tmp_path)
    expected = image.transpose(1, 2, 0) if channels == 3 else image.reshape(-1, 7)
    shown = shown[..., 0] if shown.ndim == 3 and channels != 3 else shown
    if levels == 2:
        low = shown.min()
        shown = (shown != low).astype(int) if name != "jbig" else (shown == low).astype(int)
    assert np.array_equal(shown, expected)


def test_a_missing_program_is_a_reason_and_no_failure(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for name, package in (("jxl", "libjxl-tools"), ("jbig", "jbigkit-bin")):
        found = sizes(name, noise(1, 2, 3), 2)
        assert (found.files, found.sheet) == (None, None)
        assert package in found.note


def test_a_program_that_fails_is_a_reason(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/false")
    assert "cjxl fails" in sizes("jxl", noise(1, 2), 2).note


def test_what_does_not_apply_says_so():
    assert "binary" in sizes("jbig", noise(1, 17), 17).note
    assert "colour" in sizes("jbig", noise(3, 2), 2).note


def test_channels_that_are_stacked_count_for_the_side_of_a_picture():
    found = sizes("webp", np.zeros((1, 2, 8_192, 1), np.uint8), 256)
    assert (found.files, found.sheet) == (None, None) and "16,383" in found.note


def test_a_sheet_too_large_for_a_codec_leaves_the_files(monkeypatch):
    monkeypatch.setitem(CODECS, "webp", image_codecs.ImageCodec("WebP", image_codecs.webp, side=9))
    found = sizes("webp", noise(1, 17, 4), 17)
    assert found.files > 0 and found.sheet is None and "9" in found.note


@pytest.mark.parametrize(
    ("n", "size"), [(1, (5, 7)), (4, (10, 14)), (9, (15, 21)), (100, (65, 56))]
)
def test_a_sheet_holds_all_images_once(n, size):
    images = [np.full((1, 5, 7), number + 1) for number in range(n)]
    found = sheet(images)
    assert found.shape[1:] == size
    assert np.bincount(found.ravel(), minlength=n + 1)[1:].tolist() == [35] * n


def test_a_sheet_costs_less_than_its_files():
    steps = []
    found = sizes("png", noise(1, 2, 9), 2, lambda *step: steps.append(step))
    assert 0 < found.sheet < found.files
    assert steps[-1] == (9, 10)


@pytest.mark.parametrize(
    "images",
    [torch.rand(2, 1, 5, 7), torch.full((2, 1, 5, 7), 4), np.full((2, 1, 5, 7), -1), [[1, 2]]],
    ids=["floats", "too large", "negative", "rows"],
)
def test_a_png_of_other_numbers_than_levels_is_refused(images):
    with pytest.raises(DataError, match=r"must be integer levels|must lie in 0\.\.3"):
        png_nats(images, levels=4)


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (3, 256), (1, 4096)])
def test_a_png_is_counted_in_nats_of_its_bits(channels, levels):
    images = torch.from_numpy(noise(channels, levels, n=2))
    files = [io.BytesIO() for _ in images]
    for file, image in zip(files, images, strict=True):
        picture(image.numpy(), levels).save(file, "PNG", optimize=True)
    bits = [8 * len(file.getvalue()) for file in files]
    assert (png_nats(images, levels) / math.log(2)).tolist() == pytest.approx(bits)
    assert torch.equal(png_nats(ImageSet(images, levels), levels), png_nats(images, levels))
