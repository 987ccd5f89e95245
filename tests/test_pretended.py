"""Mistakes of devices, found without a GPU: the paths that a model takes on one, on one that is pretended."""

import pytest
import torch

import pixelcnn as px
import pretended
import tiny
from engines.walks import condition_for, images_of, model_of
from pixelcnn import engines, plotting
from pixelcnn.layers import CONDITIONS
from pixelcnn.networks import NETWORKS
from training.trainings import train


@pytest.fixture
def gpu(monkeypatch):
    with pretended.gpus(monkeypatch):
        yield


def named(*others):
    """Networks by name, with other parameters; the large ones are slow but for the second of each."""
    for name in NETWORKS:
        for number, other in enumerate(others):
            slow = name in tiny.LARGE and number != 1
            yield pytest.param(name, other, marks=[pytest.mark.slow] if slow else [])


def test_tensors_of_two_devices_do_not_meet(gpu):
    here, there = torch.ones(3), torch.ones(3, device="cuda")
    assert (there + there.new_ones(3) * 2.0).device == torch.device("cuda", 0)
    assert torch.equal(there.cpu() + there.to(here), torch.full((3,), 2.0))
    assert there[torch.tensor([0, 2])].is_cuda
    for meet in (
        lambda: here + there,
        lambda: here[there.long()],
        lambda: torch.cat([here, there]),
    ):
        with pytest.raises(RuntimeError, match="several devices"):
            meet()
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        there.numpy()


@pytest.mark.parametrize(("name", "condition"), list(named(*CONDITIONS)))
def test_scores_are_those_of_the_processor(name, condition, gpu):
    model = model_of(name, (3, 5, 7), condition=condition).double()
    images, given = images_of(model), condition_for(model, 4)
    expected = px.score(model, images, given)
    assert px.score(model, images, given, device="cuda").equal(expected)
    there, given = model.cuda(), None if given is None else given.cuda()
    assert px.score(there, images.cuda(), given).equal(expected)
    assert there.log_prob(images.cuda(), given).is_cuda


@pytest.mark.parametrize(("name", "engine"), list(named("auto", "cached", "full")))
def test_images_are_those_of_the_processor(name, engine, gpu):
    model = model_of(name, (3, 3, 4)).double()
    images, known = images_of(model, 2), images_of(model, 2, seed=2) > 1
    drawn = px.sample(model, 2, seed=3), px.complete(model, images, known, seed=3)
    there = model.cuda()
    chosen = engines.choose(there, engine)
    assert chosen.name == ("cuda" if engine == "auto" and name in tiny.REPLAYED else chosen.name)
    assert px.sample(there, 2, seed=3, engine=chosen).equal(drawn[0])
    given = images.cuda(), known.cuda()
    assert px.complete(there, *given, seed=3, engine=chosen).equal(drawn[1])


@pytest.mark.parametrize("options", [
    {"precision": "bf16", "augment": ["shift 1", "rotate"]},
    {"precision": "64", "optimizer": "muon", "micro_batch_size": 5, "on_nan": "rewind"},
])  # fmt: skip
@pytest.mark.parametrize("room", [0, 10**9])
def test_a_training_is_that_of_the_processor(room, options, monkeypatch, tmp_path):
    options |= {"epochs": 1, "sample_count": 2, "calibration_images": 4, "dropout": 0.0}
    here, _ = train(tmp_path / "here", device="cpu", **options)
    with pretended.gpus(monkeypatch, room=room):
        there, _ = train(tmp_path / "there", device="cuda", **options)
        train(tmp_path / "here", device="cuda", resume=True, **options | {"epochs": 2})
        assert there.device.type == "cpu"
    for found, expected in zip(there.parameters(), here.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_model_on_a_gpu_keeps_its_promises(gpu):
    model = model_of("pixelcnn", (1, 3, 4)).cuda()
    px.verify.check_model(model).raise_if_failed()
    px.verify.check_network(model.network).raise_if_failed()


def test_pictures_show_what_lies_on_a_gpu(gpu):
    model = model_of("pixelcnn", (1, 5, 7)).cuda()
    images = images_of(model).cuda()
    plotting.grid(images, model.levels)
    plotting.completions(images, images > 0, images, model.levels)
    plotting.heatmap(model.log_prob_map(images)[0].sum(0))
