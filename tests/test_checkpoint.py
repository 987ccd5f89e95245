"""Model files: whole or refused, never executed, never trusted."""

import json
import os
import pickle
import random
import struct

import pytest
import torch
from torch.nn.utils import prune

from forgery import put_together, taken_apart
from pixelcnn import PixelModel, load, memory, networks, outputs, save
from pixelcnn.checkpoint import _digest, describe, shipped
from pixelcnn.errors import ConfigError, ModelError, ResourceError
from pixelcnn.model_file import header_of


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = networks.PixelCNN(1, 3, width=6, depth=1)
    model = PixelModel(network, outputs.Categorical(levels=3), (1, 5, 7))
    model.record = {"validation_quantiles": [1.0, 2.0]}
    return model


@pytest.fixture
def file(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save(model, path)
    return path


def test_a_model_comes_back_from_its_file(model, file):
    images = torch.randint(3, (2, 1, 5, 7))
    again = load(file)
    assert torch.equal(again.log_prob(images), model.log_prob(images))
    assert again.record["validation_quantiles"] == [1.0, 2.0]
    assert not again.training


def test_a_path_may_start_at_home(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(model, "~/mine.safetensors")
    assert (tmp_path / "mine.safetensors").is_file()
    assert load("~/mine.safetensors").parameters_count == model.parameters_count


def test_raw_weights_lie_beside_the_averaged_ones(model, tmp_path):
    raw = {name: t + 1 for name, t in model.state_dict().items()}
    save(model, tmp_path / "m.safetensors", raw=raw)
    averaged, raws = (
        load(tmp_path / "m.safetensors"),
        load(tmp_path / "m.safetensors", weights="raw"),
    )
    for name, tensor in model.state_dict().items():
        assert torch.equal(averaged.state_dict()[name], tensor)
        assert torch.equal(raws.state_dict()[name], tensor + 1)
    assert (averaged.record["weights"], raws.record["weights"]) == ("averaged", "raw")


@pytest.mark.parametrize(("dtype", "digits"), [("float16", 11), ("bfloat16", 8)])
def test_weights_kept_in_half_precision_are_loaded_as_rounded(model, tmp_path, dtype, digits):
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    save(model, full)
    save(model, half, dtype=dtype)
    again = load(half)
    assert again.dtype == torch.float32 and again.record == load(full).record
    for name, tensor in model.state_dict().items():
        found = again.state_dict()[name]
        assert torch.equal(found, tensor.to(getattr(torch, dtype)).float())
        torch.testing.assert_close(found, tensor, rtol=2.0**-digits, atol=1e-7)
    assert 2 * size_of_tensors(half) == size_of_tensors(full)


def size_of_tensors(path):
    """Bytes of the tensors of a file."""
    content = path.read_bytes()
    return len(content) - 8 - struct.unpack("<Q", content[:8])[0]


@pytest.mark.parametrize(("dtype", "files"), [(None, 3), ("bfloat16", 5)])
def test_memory_is_asked_for_all_that_is_held_at_once(model, tmp_path, monkeypatch, dtype, files):
    """The model, the tensors of the file, and in half precision those of float32 that come of them."""
    path = tmp_path / "m.safetensors"
    save(model, path, dtype=dtype)
    free = files * header_of(path).size
    monkeypatch.setattr(memory, "available", lambda: free)
    load(path)
    free -= 1
    with pytest.raises(ResourceError, match=r"weights of m\.safetensors need"):
        load(path)


def test_a_model_is_the_same_in_whichever_precision_its_rounded_weights_are_kept(model, tmp_path):
    save(model, tmp_path / "half.safetensors", dtype="float16")
    save(load(tmp_path / "half.safetensors"), tmp_path / "full.safetensors")
    half, full = (describe(tmp_path / f"{name}.safetensors") for name in ("half", "full"))
    assert half["fingerprint"] == full["fingerprint"]


def test_averaged_weights_stay_so_where_the_raw_ones_are_left_out(model, tmp_path):
    raw = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    save(model, tmp_path / "both.safetensors", raw=raw)
    save(load(tmp_path / "both.safetensors"), tmp_path / "one.safetensors", dtype="bfloat16")
    for asked in ("averaged", "raw"):
        assert load(tmp_path / "one.safetensors", weights=asked).record["weights"] == "averaged"


def test_weights_out_of_reach_of_half_precision_are_refused(model, tmp_path):
    with torch.no_grad():
        next(model.parameters()).fill_(7e4)
    with pytest.raises(ModelError, match="70000, which float16 cannot hold") as caught:
        save(model, tmp_path / "m.safetensors", dtype="float16")
    assert "bfloat16" in caught.value.hint
    with pytest.raises(ConfigError, match="dtype must be"):
        save(model, tmp_path / "m.safetensors", dtype="float8")
    assert not list(tmp_path.iterdir())


def test_a_run_folder_stands_for_its_best_model(model, tmp_path):
    save(model, tmp_path / "best.safetensors")
    assert load(tmp_path).config() == model.config()


def test_a_file_holds_no_path_host_or_user(file):
    content = file.read_bytes()
    for secret in (os.getcwd(), str(file.parent), os.uname().nodename):
        assert secret.encode() not in content


@pytest.mark.parametrize("missing", ["nothing", "no/such.safetensors"])
def test_a_missing_model_is_named(missing):
    with pytest.raises(ModelError, match="no model file"):
        load(missing)


def test_a_missing_model_has_a_near_one_among_run_folders(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs/shapes-shapes"
    run.mkdir(parents=True)
    (run / "best.safetensors").write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match="Did you mean 'runs/shapes-shapes'") as caught:
        load("runs/shapes")
    assert "shapes-shapes" in caught.value.hint and "mnist" in caught.value.hint
    with pytest.raises(ModelError, match="this folder holds no best") as caught:
        load("runs")
    assert caught.value.hint == "give a run folder; known: runs/shapes-shapes"


def test_a_folder_named_like_a_shipped_model_says_where_that_is(tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="mnist: this folder holds no best") as caught:
        load("mnist")
    assert str(shipped()["mnist"]) in caught.value.hint


class Bomb:
    """Unpickling this would write a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (self.target, "w"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("through", ["pickle", "torch"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol, through):
    bomb, path = Bomb(str(tmp_path / "owned")), tmp_path / "m.safetensors"
    if through == "pickle":
        path.write_bytes(pickle.dumps(bomb, protocol))
    else:
        torch.save({"weights": bomb}, path, pickle_protocol=max(2, protocol))
    with pytest.raises(ModelError, match="damaged or not a model file"):
        load(path)
    assert not (tmp_path / "owned").exists()


def test_a_mutated_file_is_refused(file):
    """Bit flips, truncations and insertions anywhere; every byte of the file is covered by a check."""
    whole = file.read_bytes()
    for seed in range(300):
        chance, content, kind = random.Random(seed), bytearray(whole), seed % 3
        at = chance.randrange(len(content) if seed % 2 else 2_000)
        if kind == 0:
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del content[at:]
        else:
            content[at:at] = bytes(chance.randrange(256) for _ in range(1 + seed % 7))
        file.write_bytes(content)
        with pytest.raises(ModelError):
            load(file)


def rewrite_header(file, change):
    ours, tensors, numbers = taken_apart(file.read_bytes())
    change(ours)
    ours["digest"] = _digest(ours)
    file.write_bytes(put_together(json.dumps(ours), tensors, numbers))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: h["config"]["network"].update(name="transformer"), "no network called"),
        (lambda h: h["config"].update(shape=[1, 10**9, 10**9]), "image shape .* is out of range"),
        (lambda h: h["config"].update(shape="large"), "an image shape is "),
        (lambda h: h.update(config=7), "no configuration"),
        (lambda h: h.pop("record"), "record must be a dict, got None"),
    ],
)
def test_a_header_that_says_what_cannot_be_is_refused(file, change, said):
    rewrite_header(file, change)
    with pytest.raises(ModelError, match=said):
        load(file)


def test_an_unknown_format_is_refused_by_its_number(file):
    rewrite_header(file, lambda h: h.update(format=99))
    with pytest.raises(ModelError, match="99"):
        load(file)


def test_the_header_is_read_without_weights(file):
    assert describe(file)["config"]["shape"] == [1, 5, 7]


def test_a_compiled_model_is_written_as_what_it_was_made_of(model, tmp_path):
    path, images = tmp_path / "model.safetensors", torch.randint(3, (2, 1, 5, 7))
    save(torch.compile(model, backend="eager"), path)
    assert torch.equal(load(path).log_prob(images), model.eval().log_prob(images))


def test_what_holds_a_compiled_part_is_not_written(model, tmp_path):
    model.network = torch.compile(model.network, backend="eager")
    with pytest.raises(ModelError, match="network of this model is compiled"):
        save(model, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="must be a PixelModel"):
        save(torch.nn.Linear(1, 1), tmp_path / "model.safetensors")


def _another_activation(network):
    network.head[0] = torch.nn.Tanh()


def _pruned(network):
    prune.l1_unstructured(network.head[1], "weight", 0.5)


def _in_a_list(network):
    network.more = {"heads": [torch.nn.Conv2d(1, 1, 1)]}


def _lazy(network):
    network.head[1] = torch.nn.LazyConv2d(3, 1)


def _without_bias(network):
    network.head[1].bias = None


CHANGES = {
    "another-activation": (_another_activation, "`network.head.0` is ReLU, not Tanh"),
    "pruned": (_pruned, "`network.head.1.weight` is missing"),
    "in-a-list": (_in_a_list, r"`network.more\['heads'\]\[0\].weight` lies in a list"),
    "lazy": (_lazy, "lazy layers"),
    "without-bias": (_without_bias, "`network.head.1.bias` is missing"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_configuration_does_not_say_is_not_written(model, tmp_path, change):
    """The file could not be read again, or would be another model."""
    apply, message = CHANGES[change]
    apply(model.network)
    with pytest.raises(ModelError, match=message):
        save(model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_layers_that_share_weights_come_back_from_a_file(model, tmp_path, dtype):
    path, images = tmp_path / "model.safetensors", torch.randint(3, (2, 1, 5, 7))
    model.network.head[3] = model.network.head[1]
    save(model, path, raw=model.state_dict(), dtype=dtype)
    again = load(path)
    tolerance = 0.05 if dtype else 0
    assert torch.allclose(again.log_prob(images), model.log_prob(images), rtol=tolerance, atol=0)
    assert torch.equal(again.network.head[3].weight, again.network.head[1].weight)
