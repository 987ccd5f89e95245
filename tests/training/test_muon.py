"""Muon: orthogonal steps for the matrices inside a network, AdamW for the rest."""

import copy

import pytest
import torch
from torch import nn

import tiny
from pixelcnn.layers import MaskedConv2d
from pixelcnn.masks import PAST
from pixelcnn.networks import NETWORKS, Compact
from pixelcnn.training import TrainingOptions, muon
from pixelcnn.training.muon import LEAST, Muon, inner_matrices, orthogonalised
from pixelcnn.training.schedules import optimiser
from training.trainings import assert_a_kill_changes_nothing

RATE, DECAY, MOMENTUM = 0.1, 0.03, 0.9


def reference(matrix):
    """The iteration as it is published, for one matrix of more columns than rows."""
    if len(matrix) > matrix.shape[1]:
        return reference(matrix.T).T
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def layers():
    torch.manual_seed(3)
    sizes = [(17, 23, 1), (17, 23, 1), (19, 17, 3)]
    return nn.ModuleList(nn.Conv2d(a, b, k).double() for a, b, k in sizes)


def gradients(net, step):
    generator = torch.Generator().manual_seed(step)
    for weight in net.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)


def made(net):
    kernels = [layer.weight for layer in net]
    biases = [layer.bias for layer in net]
    groups = [{"params": biases}, {"params": kernels, "matrices": True, "weight_decay": DECAY}]
    return Muon(groups, RATE, momentum=MOMENTUM)


@pytest.mark.parametrize("shape", [(5, 16, 16), (1, 31, 17), (2, 17, 53)])
def test_all_directions_are_about_as_long(shape):
    torch.manual_seed(0)
    lengths = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
    assert 0.3 < lengths.min() < lengths.max() < 1.3
    assert 0.7 < lengths.median() < 1.2


def test_zero_stays_zero():
    assert not orthogonalised(torch.zeros(2, 16, 17)).any()


def test_steps_are_those_of_the_formula():
    net = layers()
    twin, optimizer, momenta = copy.deepcopy(net), made(net), {}
    for step in range(3):
        gradients(net, step)
        gradients(twin, step)
        optimizer.step()
        for layer in twin:
            kernel, grad = layer.weight.detach(), layer.weight.grad
            momentum = MOMENTUM * momenta.get(layer, 0) + (1 - MOMENTUM) * grad
            momenta[layer] = momentum
            ahead = (MOMENTUM * momentum + (1 - MOMENTUM) * grad).flatten(1)
            length = max(1, ahead.shape[0] / ahead.shape[1]) ** 0.5
            kernel *= 1 - RATE * DECAY
            kernel -= RATE * length * reference(ahead).view(kernel.shape)
    for layer, other in zip(net, twin, strict=True):
        torch.testing.assert_close(layer.weight, other.weight, rtol=1e-12, atol=1e-12)


def test_the_directions_are_those_of_torch():
    layer = nn.Linear(40, 24, bias=False)
    twin = copy.deepcopy(layer)
    ours = Muon([{"params": [layer.weight], "matrices": True, "weight_decay": 0.0}], 1.0)
    theirs = torch.optim.Muon(twin.parameters(), 1.0, weight_decay=0.0)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.randn(24, 40)
    twin.weight.grad = layer.weight.grad.clone()
    ours.step()
    theirs.step()
    steps = [(other.weight.detach() - before).flatten() for other in (layer, twin)]
    assert torch.cosine_similarity(*steps, dim=0) > 0.999
    assert steps[0].norm() == pytest.approx(steps[1].norm().item(), rel=0.01)


def test_what_is_no_matrix_is_stepped_by_adamw():
    net = layers()
    twin, optimizer = copy.deepcopy(net), made(net)
    adamw = torch.optim.AdamW([layer.bias for layer in twin], RATE)
    for step in range(3):
        gradients(net, step)
        gradients(twin, step)
        optimizer.step()
        adamw.step()
    assert all(torch.equal(a.bias, b.bias) for a, b in zip(net, twin, strict=True))
    assert all(weight.grad is not None for weight in net.parameters())


def test_a_weight_without_a_gradient_stays():
    net = layers()
    optimizer, before = made(net), net[0].weight.detach().clone()
    gradients(net, 0)
    net[0].weight.grad = None
    optimizer.step()
    assert torch.equal(net[0].weight, before)


def test_masked_weights_stay_zero():
    torch.manual_seed(0)
    features = (PAST,) * 11 + (0, 1) * 4
    layer = MaskedConv2d(features, features, (1, 1), sees_itself=True)
    groups = [{"params": [layer.weight], "matrices": True, "weight_decay": 0.1}]
    optimizer = Muon(groups, RATE)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.randn(2, len(features), 3, 5)).square().sum().backward()
        optimizer.step()
    assert not layer.weight[layer.mask == 0].any()
    assert layer.weight[layer.mask == 1].all()


def test_a_stored_state_goes_on():
    net = layers()
    optimizer = made(net)
    gradients(net, 0)
    optimizer.step()
    twin = copy.deepcopy(net)
    other = made(twin)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for own, moves in ((net, optimizer), (twin, other)):
        gradients(own, 1)
        moves.step()
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))


def test_a_killed_training_ends_as_it_would_have(tmp_path, monkeypatch):
    monkeypatch.setattr(muon, "LEAST", 2)
    assert_a_kill_changes_nothing(tmp_path, optimizer="muon", epochs=2, gradient_clip=1.0)


@pytest.mark.parametrize("name", NETWORKS)
def test_matrices_map_features_to_features(name, monkeypatch):
    monkeypatch.setattr(muon, "LEAST", 6)
    net = tiny.small(
        NETWORKS[name], channels=1, out=2, width=6, **tiny.room(NETWORKS[name], (9, 11))
    )
    found = inner_matrices(net)
    assert found
    assert all(min(weight.shape[:2]) >= 6 for weight in found)


def test_small_kernels_embeddings_and_the_last_layer_are_no_matrices():
    net = Compact(1, 300, width=LEAST, depth=1, embedding=LEAST, codes=40, middle=LEAST // 2)
    assert [tuple(weight.shape[:2]) for weight in inner_matrices(net)] == [
        (LEAST, LEAST),  # the gated layer, and the head's first
        (LEAST, LEAST),
    ]


def test_only_units_are_the_inside_of_made():
    net = NETWORKS["made"](1, LEAST, rows=5, columns=7, width=LEAST + 1, depth=2)
    assert [weight is net.hidden[1].weight for weight in inner_matrices(net)] == [True]


def test_a_kernel_that_two_layers_share_is_stepped_once():
    net = nn.Sequential(*(nn.Linear(LEAST, LEAST, bias=False) for _ in range(3)))
    net[1].weight = net[0].weight
    assert [weight is net[0].weight for weight in inner_matrices(net)] == [True]


def test_under_weight_norm_the_directions_are_stepped():
    torch.manual_seed(0)
    net = NETWORKS["pixelcnnpp"](
        1, 2, width=LEAST, blocks=1, scales=2, norm="weight", order="channel"
    )
    optimizer = optimiser(net, TrainingOptions(optimizer="muon", matrix_learning_rate=0.02))
    directions = inner_matrices(net)
    assert directions
    names = {id(weight): name for name, weight in net.named_parameters()}
    assert all(names[id(weight)].endswith("weight.original1") for weight in directions)
    before = directions[0].detach().clone()
    net(torch.rand(2, 1, 5, 7)).square().sum().backward()
    optimizer.step()
    lengths = torch.linalg.svdvals((before - directions[0].detach()).flatten(1))
    assert 0.01 < float(lengths.max()) < 0.03


def test_each_kind_follows_its_own_peak():
    options = TrainingOptions(optimizer="muon", learning_rate=1e-3, matrix_learning_rate=0.02)
    net = Compact(1, 1, width=LEAST, depth=1)
    groups = optimiser(net, options).param_groups
    assert [(group["peak"], group["matrices"]) for group in groups] == [
        (1e-3, False),
        (1e-3, False),
        (0.02, True),
    ]
    weights = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(weights) == sorted(id(weight) for weight in net.parameters())
