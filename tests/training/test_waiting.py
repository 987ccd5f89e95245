"""No step waits for its device: on one that holds no values, waiting for a value is an error."""

from typing import get_args

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import tiny
from pixelcnn.data import ImageSet, tensors
from pixelcnn.layers import PositionNorm
from pixelcnn.training import batches as batches_module
from pixelcnn.training.averaging import WeightAverage
from pixelcnn.training.batches import Batches, seed_dropout
from pixelcnn.training.likelihood import Loss
from pixelcnn.training.options import Optimizer, TrainingOptions
from pixelcnn.training.schedules import optimiser

META = torch.device("meta")


class NothingIsSent(TorchDispatchMode):
    """Refuses copies from the processor to the device, which wait unless the memory is pinned."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        sources = {torch.ops.aten._to_copy.default: 0, torch.ops.aten.copy_.default: 1}
        if func in sources:
            source = args[sources[func]].device
            waits = source != found.device and not (kwargs or {}).get("non_blocking")
            assert not waits, f"{tuple(found.shape)} sent from {source} to {found.device}"
        return found


@pytest.mark.parametrize("model", tiny.marked(tiny.tiny_models(3)), ids=tiny.label)
def test_a_step_asks_the_device_for_nothing(model, monkeypatch):
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: False)  # it knows no such device
    model = model.to(META).train()
    levels = torch.empty(2, *model.shape, dtype=torch.uint8, device=META)
    condition = None
    if model.network.condition:
        condition = torch.empty(2, dtype=torch.int64, device=META)
    loss = Loss(model, "32", channels_last=True)
    average = WeightAverage(model, 0.9)
    with NothingIsSent():
        loss(levels, condition, 0.5).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        average.update()


def test_an_irregular_norm_sends_no_indices():
    norm = PositionNorm((0, 1, 0, 2, 1)).to(META)
    with NothingIsSent():
        norm(torch.empty(2, 5, 4, 4, device=META))


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_no_optimiser_asks_the_device_for_anything(name):
    model = tiny.tiny_model().to(META)
    moves = optimiser(model, TrainingOptions(optimizer=name, weight_decay=0.1, momentum=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.empty_like(parameter)
    with NothingIsSent():
        moves.step()


@pytest.mark.parametrize("part", [slice(None), torch.tensor([5, 2, 3, 0])])
@pytest.mark.parametrize("grey_levels", [None, 256])
def test_a_batch_of_a_set_on_the_device_sends_nothing(grey_levels, part, monkeypatch):
    monkeypatch.setattr(batches_module, "room_on", lambda device: 10**6)
    monkeypatch.setattr(tensors, "dense", lambda values: None)  # which refuses this stand-in
    levels, grey = (256, "none") if grey_levels is None else (2, "dynamic")
    data = ImageSet(
        torch.zeros(6, 1, 3, 3, dtype=torch.uint8),
        levels=levels,
        binarisation=grey,
        grey_levels=grey_levels,
    )[part]
    batches = Batches(data, 2, seed=0, condition=torch.arange(len(data)), device="meta")
    batches[0]  # sends the order of the epoch
    with NothingIsSent():
        batch = batches[1]
    assert batch.levels.device == batch.condition.device == META


def test_seeding_dropout_asks_the_device_for_nothing():
    model = tiny.tiny_model()
    with NothingIsSent():
        seed_dropout(model, 0, 3)
