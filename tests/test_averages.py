"""Averages of models: an ensemble of one scan, and scans from several corners."""

import itertools

import pytest
import torch

from benchmarks import averages
from benchmarks.averages import CORNERS, Scan
from pixelcnn import checkpoint, data, networks, outputs
from pixelcnn.model import PixelModel

SHAPE = (1, 2, 3)
ALL = torch.tensor(list(itertools.product(range(2), repeat=6))).view(-1, *SHAPE)


def tiny(seed: int) -> PixelModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = networks.PixelCNN(1, 1, width=4, depth=1)
    model = PixelModel(network, outputs.Bernoulli(), SHAPE).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model


def test_the_average_over_models_and_corners_is_a_distribution():
    scans = [Scan(str(k), corner) for k in range(2) for corner in CORNERS]
    found = averages.log_probs({scan: tiny(seed) for seed, scan in enumerate(scans)}, ALL)
    assert len(found) == len(scans) + len(CORNERS) + 1
    for each in found.values():
        assert each.exp().sum().item() == pytest.approx(1.0, abs=1e-12)


def test_an_ensemble_averages_the_probabilities_of_each_pixel():
    first, second = tiny(0), tiny(1)
    pixels = (first.log_prob_map(ALL).exp() + second.log_prob_map(ALL).exp()) / 2
    models = {Scan("first", "top-left"): first, Scan("second", "top-left"): second}
    found = averages.log_probs(models, ALL)["all of top-left"]
    assert torch.allclose(found, pixels.log().sum((1, 2, 3)), atol=1e-12)


@pytest.mark.parametrize("corner", CORNERS)
def test_a_scan_begins_at_its_corner(corner):
    """What the last pixel of a scan is must not move the probability of any other pixel."""
    image = torch.ones(1, *SHAPE, dtype=torch.long)
    row, column = (1, 0)[corner.startswith("bottom")], (2, 0)[corner.endswith("right")]
    other = image.clone()
    other[0, 0, row, column] = 0
    maps = [tiny(0).log_prob_map(averages.seen_from(corner, each)) for each in (image, other)]
    changed = (maps[0] != maps[1]).flatten().nonzero().flatten().tolist()
    assert changed == [5]


def test_a_model_is_trained_and_measured_on_images_as_its_corner_sees_them(
    tmp_path, monkeypatch, capsys
):
    images = torch.zeros(40, *SHAPE, dtype=torch.uint8)
    images[:, :, 0, 0] = 1
    part = data.ImageSet(images, levels=2, name="digits")
    monkeypatch.setattr(data, "load", lambda *_, **__: data.Splits(part, part, part))
    run = tmp_path / "run"
    settings = ("network.width=4", "network.depth=1", "training.epochs=12", "training.batch_size=20",
                "training.learning_rate=0.1", "training.sample_count=0")  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    assert averages.main(["digits@bottom-right", "--train", str(run), *words]) == 0
    model = checkpoint.load(run)
    scans = (Scan("run", "bottom-right"), Scan("run", "top-left"))
    found = averages.log_probs(dict.fromkeys(scans, model), images[:1])
    there, here = (found[f"run, {scan.corner}"].item() for scan in scans)
    assert there > here
    capsys.readouterr()
    assert averages.main([f"{run}@bottom-right", f"{run}@bottom-left"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        f"{run}, bottom-right", f"{run}, bottom-left", "all",
    ]  # fmt: skip


def test_a_corner_that_is_none_is_refused():
    with pytest.raises(SystemExit):
        averages.parse(["mnist@middle"])
    assert Scan.parse("mnist") == Scan("mnist", "top-left")
