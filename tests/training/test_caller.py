"""A training leaves its caller's process and model as they were, and another training alone."""

import os
import signal
from functools import partial

import numpy as np
import pytest
import torch

from pixelcnn.errors import DataError, ModelError, TrainingError
from pixelcnn.training import Interrupted, checkpoints, fit, validation
from process import process_state
from together import together
from training.trainings import QUICK, digits, model, same

OPTIONS = QUICK | {"epochs": 1}


def modes(net):
    """Device and mode of everything in a model."""
    return [(name, module.training) for name, module in net.named_modules()], net.device


@pytest.mark.parametrize("mode", ["training", "evaluation", "partly frozen"])
@pytest.mark.parametrize("ending", ["well", "in an error"])
def test_process_and_model_are_as_before(mode, ending, explode):
    net = model()
    net.train(mode != "evaluation")
    if mode == "partly frozen":
        net.network.layers[0].eval()
    before, found = process_state(), modes(net)
    if ending == "well":
        fit(net, *digits(16, 4), verbose=False, **OPTIONS)
    else:
        explode(0)
        with pytest.raises(TrainingError):
            fit(net, *digits(16, 4), verbose=False, **OPTIONS)
    assert process_state() == before
    assert modes(net) == found
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(parameter.is_contiguous() for parameter in net.parameters())


def test_what_is_frozen_in_evaluation_mode_stays_so_in_training():
    """Dropout of a frozen layer would draw."""
    net, seen = model(), []
    net.train()
    net.network.layers[0].eval()
    layer = net.network.layers[0]
    layer.register_forward_pre_hook(lambda module, _: seen.append(module.training))
    fit(net, *digits(16, 4), verbose=False, **OPTIONS)
    assert seen
    assert not any(seen)


def test_trainings_in_threads_are_those_of_one_after_the_other(tmp_path):
    options, seeds = QUICK | {"epochs": 3}, (1, 2, 3)
    alone, at_once = ([model() for _ in seeds] for _ in range(2))

    def work(net, seed, run=None):
        fit(net, *digits(), run, verbose=False, **(options | {"seed": seed}))

    for net, seed in zip(alone, seeds, strict=True):
        work(net, seed)
    before = process_state()
    runs = [tmp_path / str(seed) for seed in seeds]
    together(*map(partial, [work] * len(seeds), at_once, seeds, runs))
    assert process_state() == before
    for one, other in zip(alone, at_once, strict=True):
        assert same(dict(one.state_dict()), dict(other.state_dict()))


def test_a_caller_keeps_the_accelerator_it_has():
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState, PartialState

    states = (AcceleratorState, PartialState, GradientState)
    kept = [dict(state._shared_state) for state in states]
    try:
        for state in states:
            state._shared_state.clear()
        mine = Accelerator(mixed_precision="bf16", cpu=True, gradient_accumulation_steps=4)
        fit(model(), *digits(16, 4), verbose=False, **OPTIONS)
        assert mine.mixed_precision == "bf16"
        assert mine.gradient_accumulation_steps == 4
        Accelerator(mixed_precision="bf16", cpu=True)
    finally:
        for state, content in zip(states, kept, strict=True):
            state._shared_state.clear()
            state._shared_state.update(content)


def test_after_a_fit_a_caller_may_choose_an_accelerator():
    from accelerate.state import AcceleratorState

    fit(model(), *digits(16, 4), verbose=False, **OPTIONS)
    assert AcceleratorState._shared_state == {}


@pytest.mark.parametrize("moment", ["in a step", "in a validation"])
def test_after_a_signal_the_checkpoint_is_there_before_anything_is_validated(
    moment, tmp_path, monkeypatch
):
    """However long a validation takes, whoever kills soon afterwards loses nothing."""
    run, right, calls = tmp_path / "run", validation.validate, []

    def slow(*arguments, **options):
        calls.append(sorted(path.name for path in (run / "checkpoints").glob("*.ckpt")))
        if moment == "in a validation" and len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return right(*arguments, **options)

    class Ring:
        def on_step(self, state):
            if moment == "in a step" and state.step == 6:
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(validation, "validate", slow)
    net = model()
    with pytest.raises(Interrupted, match="all is saved"):
        fit(net, *digits(), run, verbose=False, callbacks=[Ring()], **(QUICK | {"epochs": 3}))
    last = checkpoints.name(6 if moment == "in a step" else 8)
    assert last in calls[-1]
    assert last not in calls[-2]
    assert (run / "last.safetensors").exists()


def test_a_second_interrupt_leaves_the_model_in_order():
    class Ring:
        def on_step(self, state):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    net, before = model(), process_state()
    found = modes(net)
    with pytest.raises(Interrupted):
        fit(net, *digits(16, 4), verbose=False, callbacks=[Ring()], **OPTIONS)
    assert process_state() == before
    assert modes(net) == found


@pytest.mark.parametrize("where", ["in memory", "in a folder"])
def test_a_stopped_training_leaves_the_best_weights(where, tmp_path):
    class Ring:
        def on_validation(self, state):
            if state.epoch == 1:
                self.best = {n: value.clone() for n, value in net.state_dict().items()}

        def on_step(self, state):
            if state.step == 3:  # whatever comes now is worse
                for parameter in net.parameters():
                    parameter.data.add_(30)
            if state.step == 4:
                os.kill(os.getpid(), signal.SIGINT)

    net, ring = model(), Ring()
    run, said = (None, "; the model holds its best weights, nothing is written")
    if where == "in a folder":
        run, said = tmp_path, "; all is saved"
    with pytest.raises(Interrupted, match=said):
        fit(net, *digits(32, 8), run, verbose=False, callbacks=[ring], **(QUICK | {"epochs": 3}))
    assert all(torch.equal(value, ring.best[name]) for name, value in net.state_dict().items())
    assert net.record["validation"]["images"] == 8


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients_trains(mode):
    nets = [model(), model()]
    with mode():
        fit(nets[0], *digits(16, 4), verbose=False, **OPTIONS)
    fit(nets[1], *digits(16, 4), verbose=False, **OPTIONS)
    assert same(*(net.state_dict() for net in nets))


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(ModelError, match="frozen"):
        fit(model().requires_grad_(False), *digits(16, 4), verbose=False, **OPTIONS)
    with torch.inference_mode():
        made = model()
    with pytest.raises(ModelError, match="inference_mode"):
        fit(made, *digits(16, 4), verbose=False, **OPTIONS)


def test_what_would_not_be_trained_is_refused():
    unlisted, detached = model(), model()
    unlisted.network.more = [torch.nn.Linear(2, 2)]
    with pytest.raises(ModelError, match=r"`network.more\[0\].weight` lies in a list"):
        fit(unlisted, *digits(16, 4), verbose=False, **OPTIONS)
    detached.network.head.register_forward_hook(lambda layer, given, found: found.detach())
    with pytest.raises(ModelError, match="no gradient comes from what GatedPixelCNN gives"):
        fit(detached, *digits(16, 4), verbose=False, **OPTIONS)


def test_no_images_are_refused():
    with pytest.raises(DataError, match="0 different images"):
        fit(model(), np.zeros((0, 1, 8, 8), np.uint8), verbose=False)


def test_gradients_that_the_caller_has_left_are_no_part_of_a_training():
    nets = [model(), model()]
    for net in nets:
        next(net.parameters()).requires_grad_(False)
    frozen = next(nets[1].parameters())
    before = frozen.clone()
    for weight in nets[1].parameters():
        weight.grad = torch.full_like(weight, 1e3)
    for net in nets:
        fit(net, *digits(16, 4), verbose=False, **OPTIONS)
    assert same(*(net.state_dict() for net in nets))
    assert torch.equal(frozen, before)
