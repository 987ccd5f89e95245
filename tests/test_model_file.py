"""What a stranger's model file may ask for: no more than it holds."""

import inspect
import json
import struct
import threading
import tracemalloc

import pytest
import torch

from forgery import forged, put_together, taken_apart
from pixelcnn import PixelModel, budget, load, networks, outputs, sample, save
from pixelcnn.budget import Budget, OverBudget
from pixelcnn.config import from_config, to_config
from pixelcnn.errors import ModelError, ResourceError
from pixelcnn.layers import CodeEmbedding, DepthwiseConv2d
from pixelcnn.masks import PAST
from pixelcnn.model_file import FLOATS, header_of
from pixelcnn.networks import NETWORKS
from tiny import label, small, tiny_networks

EXTREME = {
    "kernel": 63,
    "first_kernel": 63,
    "width": 16_384,
    "bottleneck": 16_384,
    "middle": 16_384,
    "head_width": 16_384,
    "hidden": 16_384,
    "depth": 1_000,
    "convolutions": 1_000,
    "blocks": 1_000,
    "scales": 16,
    "head_depth": 100,
    "heads": 16_384,
    "key_width": 16_384,
    "value_width": 16_384,
    "rows": 65_536,
    "columns": 65_536,
}
"""The largest value of each argument that is a size."""
SLOW = pytest.mark.slow
DEEP = {"depth", "convolutions", "blocks", "scales", "head_depth"}


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = networks.PixelCNN(1, 3, width=6, depth=1)
    return PixelModel(network, outputs.Categorical(levels=3), (1, 5, 7))


@pytest.fixture
def file(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save(model, path)
    return path


def extremes():
    for name in NETWORKS:
        known = inspect.signature(NETWORKS[name]).parameters
        sizes = {key: value for key, value in EXTREME.items() if key in known}
        deep = {key: value for key, value in sizes.items() if key in DEEP}
        narrow = {"width": 2} if "width" in known else {}
        yield name, sizes
        yield name, narrow | deep
        yield name, narrow | {"channels": 1_024, "out": 1_024 * 65_536, "levels": 65_536}
        yield from (pytest.param(name, narrow | {k: v}, marks=SLOW) for k, v in sizes.items())
        for condition in ("label", "vector", "map"):
            given = {"condition": condition, "condition_size": 65_536}
            yield pytest.param(name, narrow | given, marks=SLOW)
        codes = {"embedding": 16_384, "codes": 65_536, "levels": 65_536, "out": 65_536}
        yield pytest.param(name, narrow | codes, marks=SLOW)
    yield "pixelcnn", {"kernel": 20_001}
    yield "pixelcnn", {"first_kernel": 999_999}
    yield "compact", {"width": 16_384, "depth": 1_000, "kernel": 63}
    yield "snail", {"depth": 1_000, "convolutions": 1_000}
    yield "pixelcnnpp", {"scales": 16, "blocks": 1_000}


@pytest.mark.parametrize(("name", "arguments"), list(extremes()))
def test_a_small_file_never_makes_a_large_network(file, tmp_path, monkeypatch, name, arguments):
    """All that is large is asked of PyTorch, or is a tuple of as many entries as some weight has."""
    given = {"channels": 1, "out": 3} | arguments
    levels = given.pop("levels", 3)
    config = {
        "network": {"name": name} | given,
        "output": {"name": "categorical", "levels": levels},
        "shape": [given["channels"], 65_536, 65_536],
        "levels": levels,
    }
    asked = []
    monkeypatch.setattr("pixelcnn.budget.asked_for", spying(asked))
    forged(file, tmp_path / "m.safetensors", {"config": json.dumps(config)})
    with pytest.raises(ModelError) as caught:
        load(tmp_path / "m.safetensors")
    assert len(str(caught.value).splitlines()) == 1
    assert sum(asked[:-1]) < 2**17
    assert len(asked) < 150


def spying(asked):
    usual = budget.asked_for
    return lambda *call: asked.append(usual(*call)) or asked[-1]


def test_what_python_holds_of_a_large_configuration_is_little(file, tmp_path):
    network = {"name": "snail", "channels": 1, "out": 3, "heads": 16_384, "key_width": 16_384}
    forged(file, tmp_path / "m.safetensors", {"config.network": json.dumps(network)})
    tracemalloc.start()
    try:
        with pytest.raises(ModelError):
            load(tmp_path / "m.safetensors")
        assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", list(NETWORKS))
@pytest.mark.parametrize("embedding", [0, 2])
def test_no_network_takes_half_of_what_a_budget_grants(name, embedding):
    """So the exact comparison of names and shapes decides, never the budget."""
    config = {"channels": 3, "out": 6, "condition": "label", "condition_size": 3}
    config |= {"embedding": embedding, "codes": 2} if embedding else {}
    network = small(NETWORKS[name], **config)
    config = to_config(NETWORKS, network)
    tensors = network.state_dict().values()
    granted = Budget(len(tensors), sum(tensor.numel() for tensor in tensors))
    granted._tensors = budget.TENSORS * len(tensors) // 2
    granted._numbers = budget.NUMBERS * granted.numbers // 2
    granted._numbers += 500  # that stand for places, such as those of a kernel
    with granted:
        from_config(NETWORKS, config)


def test_a_budget_is_that_of_its_thread_and_block():
    found = []
    with Budget(1, 1):
        thread = threading.Thread(target=lambda: found.append(torch.zeros(2**17).numel()))
        thread.start()
        thread.join()
        with pytest.raises(OverBudget):
            torch.zeros(2**17)
    assert [*found, torch.zeros(2**17).numel()] == [2**17, 2**17]


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.empty(400, 400),
        lambda: torch.zeros((400, 400)),
        lambda: torch.ones(torch.Size((400, 400))),
        lambda: torch.randn(size=(400, 400)),
        lambda: torch.full((400, 400), 0.5),
        lambda: torch.arange(2**17),
        lambda: torch.arange(0, 2**17),
        lambda: torch.arange(end=2**17),
        lambda: torch.nn.Linear(400, 400),
        lambda: [torch.zeros(1) for _ in range(1_000)],
    ],
)
def test_a_budget_counts_whatever_the_arguments_are_called(call):
    with Budget(1, 1), pytest.raises(OverBudget):
        call()


def test_a_table_of_codes_is_asked_for_before_it_is_made(monkeypatch):
    monkeypatch.setattr(torch, "cos", lambda waves: pytest.fail(f"{tuple(waves.shape)} is there"))
    with Budget(1, 1), pytest.raises(OverBudget):
        CodeEmbedding(1, 397, 389)


@pytest.mark.parametrize("features", [(PAST, 0, 1, PAST, 2), (0, 0), (PAST,) * 3])
def test_live_weights_of_a_depthwise_kernel_are_those_of_its_mask(features):
    layer = DepthwiseConv2d(features, (3, 5))
    assert layer.live_weights == int(layer.mask.sum())


def rewritten(file, change):
    """Writes a file again after a change of the table of tensors, or of the numbers."""
    ours, tensors, numbers = taken_apart(file.read_bytes())
    found = change(tensors, numbers)
    file.write_bytes(put_together(json.dumps(ours), tensors, numbers if found is None else found))


FIRST = "network.input.weight"


def without_first(tensors):
    del tensors[min(tensors, key=lambda name: tensors[name]["data_offsets"])]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t, n: without_first(t), "invalid offset"),
        (lambda t, n: t.update({FIRST: t[FIRST] | {"shape": [1]}}), "invalid shape"),
        (lambda t, n: t.update({FIRST: t[FIRST] | {"shape": [-1, -294]}}), "invalid"),
        (lambda t, n: t.update({FIRST: t[FIRST] | {"shape": [294.0]}}), "invalid"),
        (lambda t, n: t.update({FIRST: t[FIRST] | {"shape": [True, 294]}}), "invalid"),
        (lambda t, n: t.update({FIRST: t[FIRST] | {"shape": [2**62, 2**62]}}), "invalid|overflow"),
        (lambda t, n: t.update({FIRST: t[FIRST] | {"shape": [10**30]}}), "invalid"),
        (lambda t, n: t.update({FIRST: 7}), "invalid"),
        (lambda t, n: t.update({FIRST: t[FIRST] | {"dtype": "U32"}}), "`network.input.weight` holds U32"),
        (lambda t, n: t.update({FIRST: t[FIRST] | {"dtype": "F8_E4M3"}}), "data type"),
        (lambda t, n: t.update({FIRST: t[FIRST] | {"dtype": "I32"}}), "holds int32 numbers, not"),
        (lambda t, n: t.update({"x": t.pop(FIRST)}), f"`{FIRST}` is missing"),
        (lambda t, n: n + b"1234", "not fully covered"),
        (lambda t, n: n[:-4], "not fully covered"),
        (
            lambda t, n: t.update({"extra": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
            "`extra` is none of its tensors",
        ),
        (
            lambda t, n: t.update({"raw.x": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
            f"`raw.{FIRST}` is missing",
        ),
    ],
)  # fmt: skip
def test_a_table_of_tensors_is_that_of_the_model_and_covers_the_file(file, change, words):
    rewritten(file, change)
    with pytest.raises(ModelError, match=words):
        load(file)


def raw_header(file, text):
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def test_a_header_that_is_cut_is_told_from_no_header(file):
    content = file.read_bytes()
    for found, reason in (
        (content[:100], "header"),
        (b"PK" * 50, "header too large"),
    ):
        file.write_bytes(found)
        with pytest.raises(ModelError, match=reason) as caught:
            load(file)
        assert "run folder" in caught.value.hint


def test_a_file_that_is_cut_between_its_header_and_its_numbers_is_told(file, monkeypatch):
    def cut(path):
        header = header_of(path)
        path.write_bytes(path.read_bytes()[:-4])
        return header

    monkeypatch.setattr("pixelcnn.checkpoint.header_of", cut)
    with pytest.raises(ModelError, match="changed while it was read"):
        load(file)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"__metadata__": {}}',
        b'{"__metadata__": {"pixelcnn": 7}}',
        b'{"__metadata__": {"pixelcnn": "7"}}',
        b'{"__metadata__": {"pixelcnn": "[]"}}',
        b'{"__metadata__": {"pixelcnn": "{}", "pixelcnn": "{}"}}',
        '{"__metadata__": {"pixelcnn": "{}"}}'.encode("utf-16"),
        b'{"\xff": 1}',
        b'{"\\ud800": 1}',
        b"[" * 1_000_000,
        b'{"a": ' * 100_000,
        b'{"a": ' + b"1" * 5_000 + b"}",
        b'{"a": NaN}',
        b'{"a": 1e999}',
    ],
    ids=range(17),
)
def test_a_header_that_is_not_plain_json_is_refused(file, text):
    raw_header(file, text)
    with pytest.raises(ModelError, match="damaged or not a model file"):
        load(file)


def test_a_file_that_is_large_only_by_its_length_is_not_read(file):
    def stretch(tensors, numbers):
        last = max(tensors, key=lambda name: tensors[name]["data_offsets"])
        tensors[last] |= {"shape": [2**43 // 4]}
        tensors[last]["data_offsets"][1] = tensors[last]["data_offsets"][0] + 2**43

    rewritten(file, stretch)
    with file.open("r+b") as content:
        (length,) = struct.unpack("<Q", content.read(8))
        header = json.loads(content.read(length))
        content.truncate(
            8 + length + max(t["data_offsets"][1] for n, t in header.items() if n != "__metadata__")
        )
    with pytest.raises(ResourceError, match=r"the weights of model\.safetensors need"):
        load(file)


@pytest.mark.parametrize("levels", ["4", "true", "[3]", "10000000000000000000000000"])
def test_levels_are_those_of_the_output(file, tmp_path, levels):
    forged(file, tmp_path / "m.safetensors", {"config.levels": levels})
    with pytest.raises(ModelError, match="levels"):
        load(tmp_path / "m.safetensors")


BAD = (float("nan"), float("inf"), -float("inf"))


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("dtype", FLOATS.values())
@pytest.mark.parametrize("raw", [False, True])
def test_weights_that_are_no_numbers_are_neither_written_nor_read(
    tmp_path, model, value, dtype, raw
):
    model.to(dtype)
    beside = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save(model, tmp_path / "m.safetensors", raw=beside if raw else None)
    spoilt = beside if raw else model.state_dict()
    name = "network.head.1.bias"
    spoilt[name][-1] = value
    words = f"`{'raw.' if raw else ''}{name}` holds a value that is not a finite number"
    with pytest.raises(ModelError, match=words):
        save(model, tmp_path / "other.safetensors", raw=beside if raw else None)
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixelcnn.checkpoint.check_finite", lambda *_: None)
        save(model, tmp_path / "m.safetensors", raw=beside if raw else None)
    with pytest.raises(ModelError, match=words):
        load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("value", [-0.0, 5e-324, 1e-40, torch.finfo(torch.float32).max])
def test_numbers_at_the_edge_of_their_type_are_numbers(model, tmp_path, value):
    model.double().network.input.bias.data[0] = value
    save(model, tmp_path / "m.safetensors")
    assert load(tmp_path / "m.safetensors").network.input.bias[0].item() == value


@pytest.mark.parametrize("dtype", FLOATS.values())
def test_a_model_comes_back_in_its_type(model, tmp_path, dtype):
    save(model.to(dtype), tmp_path / "m.safetensors")
    assert load(tmp_path / "m.safetensors").dtype == dtype


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.bool, torch.float8_e4m3fn])
def test_weights_of_another_kind_are_not_written(model, tmp_path, dtype):
    weight = model.network.input.weight
    model.network.input.weight = torch.nn.Parameter(weight.detach().to(dtype), requires_grad=False)
    with pytest.raises(ModelError, match=r"`network\.input\.weight` holds"):
        save(model, tmp_path / "m.safetensors")


def test_weights_of_several_types_are_neither_written_nor_read(model, file, tmp_path):
    def halve(tensors, numbers):
        begin, end = tensors[FIRST]["data_offsets"]
        tensors[FIRST] |= {"dtype": "F16", "data_offsets": [begin, begin + (end - begin) // 2]}
        for entry in tensors.values():
            if entry["data_offsets"][0] >= end:
                entry["data_offsets"] = [
                    each - (end - begin) // 2 for each in entry["data_offsets"]
                ]
        return numbers[: begin + (end - begin) // 2] + numbers[end:]

    rewritten(file, halve)
    with pytest.raises(ModelError, match=r"holds float(16|32) numbers, not float(16|32)"):
        load(file)
    model.network.input.half()
    with pytest.raises(ModelError, match="cannot be written"):
        save(model, tmp_path / "m.safetensors")


class Counting(networks.PixelCNN):
    """A network with buffers of its own: integers, and a mask as attention takes it."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, width=4, depth=0)
        self.register_buffer("seen", torch.tensor([3, 5]))
        self.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))


@pytest.mark.parametrize("dtype", [None, "float16"])
def test_a_network_keeps_buffers_of_its_own(tmp_path, monkeypatch, dtype):
    monkeypatch.setitem(NETWORKS._items, "counting", Counting)
    model = PixelModel(Counting(1, 3), outputs.Categorical(levels=3), (1, 5, 7))
    model.network.seen += 7
    save(model, tmp_path / "m.safetensors", raw=model.state_dict(), dtype=dtype)
    again = load(tmp_path / "m.safetensors")
    assert again.network.seen.tolist() == [10, 12]
    assert again.network.mask.equal(model.network.mask)
    assert sample(again, 1, engine="cached").shape == (1, 1, 5, 7)
    model.network.mask[0, 0] = torch.nan
    with pytest.raises(ModelError, match=r"`network\.mask` holds a value that is not a finite"):
        sample(model, 1)


@pytest.mark.slow
@pytest.mark.parametrize("network", list(tiny_networks(1)), ids=label)
def test_every_network_comes_back_from_its_file(network, tmp_path):
    model = PixelModel(network, outputs.Categorical(levels=2), (1, 5, 7))
    save(model, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors").state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(again[name], tensor)
