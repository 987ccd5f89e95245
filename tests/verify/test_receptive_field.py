"""Receptive fields, against closed forms."""

import re

import pytest
import torch
from PIL import Image

from broken import ColourSwap, ResidualAroundFirst, Stack, UnmaskedLater
from pixelcnn.errors import ConfigError
from pixelcnn.networks import GatedPixelCNN, PixelCNN
from pixelcnn.text import counted
from pixelcnn.verify import measure, receptive_field
from tiny import label, marked, tiny_networks


def test_a_gated_network_sees_the_raster_past_within_its_reach():
    field = receptive_field(GatedPixelCNN(1, 1, width=4, depth=6, first_kernel=3), 17, 17)
    rows, columns = torch.meshgrid(torch.arange(17), torch.arange(17), indexing="ij")
    near = ((rows - 8).abs() <= 6) & ((columns - 8).abs() <= 6)
    assert torch.equal(field.seen, near & field.raster)
    assert (field.blind, field.future, field.box) == (0, 0, (6, 6, 6))
    assert (field.pixels, field.past) == (13 * 6 + 6, 17 * 8 + 8)


def test_a_field_is_seen_where_the_caller_has_switched_gradients_off():
    network = GatedPixelCNN(1, 1, width=4, depth=2, norm=True)
    with torch.inference_mode():
        field, measured = receptive_field(network, 5, 7), measure(network, 4, 5).measured
    assert torch.equal(field.seen, receptive_field(network, 5, 7).seen)
    assert torch.equal(measured, measure(network, 4, 5).measured)


def test_a_single_stack_has_a_blind_spot_to_the_upper_right():
    field = receptive_field(PixelCNN(1, 1, width=4, depth=3, first_kernel=3), 17, 17)
    # The field grows by one row and one column a layer, so row 8 - k is seen up to k columns right.
    assert all(int(field.seen[8 - k].nonzero().max()) == 8 + k for k in range(1, 5))
    assert field.blind == 1 + 2 + 3
    assert field.blind_spot[7, 10:13].all()


def test_the_keras_network_sees_a_third_of_its_past():
    network = PixelCNN(1, 1, width=8, depth=5, first_kernel=7)
    field = receptive_field(network, 28, 28)
    assert field.as_json() == {
        "row": 14,
        "column": 14,
        "pixels": 129,
        "past": 406,
        "coverage": pytest.approx(129 / 406),
        "blind_spot": 15,
        "leak": 0,
        "up": 8,
        "left": 8,
        "right": 8,
    }


@pytest.mark.parametrize(
    ("kind", "channels", "leaks"),
    [
        (Stack, 1, ["......."] * 5),
        (Stack, 3, ["......."] * 5),
        (ResidualAroundFirst, 1, [".......", ".......", "...!...", ".......", "......."]),
        (ColourSwap, 3, [".......", ".......", "...!...", ".......", "......."]),
        (UnmaskedLater, 1, [".......", ".......", "...!!!.", ".!!!...", "......."]),
    ],
)
def test_a_field_shows_what_must_not_be_seen(kind, channels, leaks):
    field = receptive_field(kind(channels, 2 * channels), 5, 7)
    marks = [line.replace(" ", "") for line in field.text().splitlines()]
    assert [re.sub("[^!]", ".", line) for line in marks] == leaks
    assert field.future == "".join(leaks).count("!")
    assert str(field).endswith("LEAK of " + counted(field.future, "pixel")) == (field.future > 0)
    assert (
        (field.picture(1).getpixel((3, 2)) == (255, 140, 0)) == field.itself == (leaks[2][3] == "!")
    )


@pytest.mark.parametrize(
    "network",
    marked(
        n for channels in (1, 3) for n in tiny_networks(channels) if n.condition in (None, "map")
    ),
    ids=label,
)
def test_the_field_agrees_with_the_measured_dependence(network):
    seen = measure(network, 4, 5).measured
    field = receptive_field(network, 4, 5, at=(2, 3))
    assert torch.equal(field.seen, seen[:, 2, 3].any(0).any(0))


def test_the_first_pixel_has_no_past():
    field = receptive_field(GatedPixelCNN(1, 1, width=4, depth=2), 5, 7, at=(0, 0))
    assert (field.pixels, field.past, field.coverage, field.box) == (0, 0, 1.0, (0, 0, 0))


def test_a_pixel_outside_the_image_is_refused():
    with pytest.raises(ConfigError, match=r"no pixel \(h 5, w 0\)"):
        receptive_field(PixelCNN(1, 1, width=4, depth=1), 5, 7, at=(5, 0))


def test_what_is_no_pixel_is_refused():
    with pytest.raises(ConfigError, match="at must be a list of 2, each an integer"):
        receptive_field(PixelCNN(1, 1, width=4, depth=1), 5, 7, at=(1.5, 2))


def test_the_picture_marks_what_is_seen(tmp_path):
    field = receptive_field(PixelCNN(1, 1, width=4, depth=2, first_kernel=3), 9, 9)
    picture = field.picture(scale=1)
    assert picture.size == (9, 9)
    assert picture.getpixel((4, 4)) == (0, 0, 0)
    assert picture.getpixel((3, 4)) == (66, 133, 244)
    assert picture.getpixel((7, 3)) == (214, 72, 62)
    assert picture.getpixel((8, 8)) == (255, 255, 255)
    assert field.picture().width in range(200, 290)
    field.picture().save(tmp_path / "field.png")
    with Image.open(tmp_path / "field.png") as stored:
        assert stored.format == "PNG"
