"""Devices by name, and computing elsewhere than where the model is; no GPU is needed for any of it."""

import copy
import threading

import pytest
import torch

import pixelcnn as px
import pretended
from pixelcnn import devices, engines, networks, outputs
from pixelcnn.data import ImageSet
from pixelcnn.devices import float64_device, placed, resolve_device
from pixelcnn.errors import ConfigError, ModelError
from pixelcnn.verify import check_model, check_network

IMAGES = torch.randint(2, (3, 1, 5, 7), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def machine(monkeypatch):
    """Makes this machine seem to have so many GPUs of NVIDIA's, and Apple's or not."""

    def have(cuda=0, apple=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)

    return have


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = networks.PixelCNN(1, 1, width=4, depth=1)
    return px.PixelModel(network, outputs.Bernoulli(), (1, 5, 7)).eval()


@pytest.mark.parametrize(
    ("cuda", "apple", "best"), [(0, False, "cpu"), (2, False, "cuda"), (0, True, "cpu")]
)
def test_auto_takes_cuda_where_it_is_and_never_a_device_without_float64(machine, cuda, apple, best):
    machine(cuda, apple)
    assert resolve_device("auto") == best


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:0", "cuda:1", "mps"])
def test_a_device_that_is_there_keeps_its_name(machine, name):
    machine(cuda=2, apple=True)
    assert resolve_device(name) == name
    assert resolve_device(torch.device(name)) == name


@pytest.mark.parametrize("name", ["cpu", "mps"])
def test_a_device_of_which_there_is_one_may_have_its_number(machine, name):
    machine(apple=True)
    assert resolve_device(f"{name}:0") == resolve_device(torch.device(name, 0)) == name


@pytest.mark.parametrize(
    ("cuda", "name", "why"),
    [
        (0, "cuda", "no CUDA GPU"),
        (0, "cuda:1", "no CUDA GPU"),
        (1, "cuda:1", "there is 1, counted from cuda:0"),
        (2, "cuda:2", "there are 2"),
        (1, "mps", "no Apple GPU"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_the_reason(machine, cuda, name, why):
    machine(cuda)
    with pytest.raises(ConfigError, match=why) as caught:
        resolve_device(name)
    assert repr(name) in str(caught.value)
    assert "auto" in caught.value.hint


@pytest.mark.parametrize(
    "name",
    ["", "cuad", "cuda:", "cuda:x", "cuda:01", "cuda:-1", "cpu:1", "gpu", "meta", "CUDA", "mps:1"],
)
def test_anything_else_is_refused_with_the_choices(machine, name):
    machine(cuda=2, apple=True)
    with pytest.raises(ConfigError, match="no device called") as caught:
        resolve_device(name)
    assert "auto, cpu, cuda, cuda:0, cuda:1 …, mps" in caught.value.hint


@pytest.mark.parametrize("device", [None, "auto", "cpu", torch.device("cpu")])
def test_a_model_that_is_already_there_computes_itself(machine, model, device):
    machine()
    assert placed(model, device) is model


def test_a_model_in_float64_is_refused_by_a_device_without(machine, model):
    machine(apple=True)
    with pytest.raises(ConfigError, match="no float64") as caught:
        placed(model.double(), "mps")
    assert "model.float()" in caught.value.hint
    assert px.sample(model, 1).shape == (1, 1, 5, 7)  # it stayed whole, where it was


def test_float64_is_computed_on_the_device_or_on_the_cpu():
    assert float64_device(torch.device("cuda:1")) == torch.device("cuda:1")
    assert float64_device(torch.device("mps")) == torch.device("cpu")


CALLS = {
    "score": lambda model, device: px.score(model, IMAGES, device=device),
    "evaluate": lambda model, device: px.evaluate(
        model, ImageSet(IMAGES, levels=2, name="some"), device=device
    ),
    "sample": lambda model, device: px.sample(model, 2, device=device),
    "complete": lambda model, device: px.complete(model, IMAGES, IMAGES > 0, device=device),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_elsewhere_a_copy_computes_and_the_model_stays(call, model, monkeypatch):
    before, moved = copy.deepcopy(model.double().state_dict()), []
    here, move = call(model, None), devices.move
    monkeypatch.setattr(devices, "move", lambda *to: moved.append(to[0]) or move(*to))
    with pretended.gpus(monkeypatch):
        there = call(model, "cuda")
        assert model.device.type == "cpu"
        assert [each.device.type for each in moved] == ["cuda"]
    assert there == here if isinstance(here, px.Score) else torch.equal(there, here)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "call", [*CALLS.values(), lambda model, device: check_model(model, device=device)]
)
def test_a_device_that_is_not_there_is_refused_by_every_function(machine, model, call):
    machine()
    with pytest.raises(ConfigError, match="not available here"):
        call(model, "cuda")


def test_a_model_file_is_read_onto_a_device_that_is_there(machine, model, tmp_path):
    machine()
    px.save(model, tmp_path / "m.safetensors")
    assert px.load(tmp_path / "m.safetensors", device="auto").device == torch.device("cpu")
    with pytest.raises(ConfigError, match="not available here"):
        px.load(tmp_path / "m.safetensors", device="cuda:1")


def test_promises_are_checked_on_the_device_asked_for(model):
    check_model(model, device="cpu").raise_if_failed()


EXACT = (True, False, False, "ieee", "ieee")


def cudnn():
    """How cuDNN would convolve now."""
    cudnn = torch.backends.cudnn
    kinds = (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision)
    return (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, *kinds)


def test_convolutions_are_exact_until_the_last_block_is_left():
    before = cudnn()
    assert before != EXACT
    first, second = (devices.exact_convolutions("cuda:1") for _ in range(2))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert cudnn() == EXACT
    second.__exit__(None, None, None)
    assert cudnn() == before


@pytest.mark.parametrize("name", ["conv", "rnn"])
def test_convolutions_are_exact_where_one_precision_was_set_alone(name):
    """PyTorch then refuses to say what its older setting, which is for both, is."""
    kinds = (torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    before = [kind.fp32_precision for kind in kinds]
    getattr(torch.backends.cudnn, name).fp32_precision = "ieee"
    mixed = [kind.fp32_precision for kind in kinds]
    try:
        with devices.exact_convolutions("cuda"):
            assert [kind.fp32_precision for kind in kinds] == ["ieee", "ieee"]
        assert [kind.fp32_precision for kind in kinds] == mixed
    finally:
        for kind, value in zip(kinds, before, strict=True):
            kind.fp32_precision = value


@pytest.mark.parametrize("asked", ["high", "medium"])
def test_products_are_exact_where_fast_ones_were_asked_for(asked):
    kinds = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(asked)
    fast = [kind.fp32_precision for kind in kinds]
    try:
        with devices.exact_convolutions("cuda"):
            assert torch.get_float32_matmul_precision() == "highest"
            assert [kind.fp32_precision for kind in kinds] == ["ieee", "ieee"]
        assert torch.get_float32_matmul_precision() == asked
        assert [kind.fp32_precision for kind in kinds] == fast
    finally:
        torch.set_float32_matmul_precision(before)


def test_convolutions_are_as_before_after_an_error():
    before = cudnn()
    with pytest.raises(ZeroDivisionError), devices.exact_convolutions(torch.device("cuda")):
        raise ZeroDivisionError
    assert cudnn() == before


def test_on_the_processor_no_convolution_is_touched():
    before = cudnn()
    with devices.exact_convolutions("cpu"):
        assert cudnn() == before


META = CALLS | {
    "log_prob": lambda model, device: model.log_prob(IMAGES),
    "fit": lambda model, device: px.fit(model, IMAGES, IMAGES, epochs=1, verbose=False),
    "save": lambda model, device: px.save(model, "nowhere.safetensors"),
    "compress": lambda model, device: px.compress(model, IMAGES),
    "calibrate": lambda model, device: px.calibrate(model, IMAGES),
    "choose": lambda model, device: engines.choose(model),
    "check_model": lambda model, device: check_model(model),
    "check_network": lambda model, device: check_network(model.network),
}


@pytest.mark.parametrize("call", META.values(), ids=META)
def test_a_model_without_numbers_is_named(model, call):
    with pytest.raises(ModelError, match="on the device meta") as caught:
        call(model.to("meta"), None)
    assert "pixelcnn.load" in caught.value.hint


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_gpu_gives_the_numbers_of_the_cpu(model, call):
    """In float64, so that products keep their bits, and no uniform number falls between two roundings."""
    here, there = call(model.double(), "cpu"), call(model.double(), "cuda:0")
    if isinstance(here, px.Score):
        here, there = torch.tensor(here.nats), torch.tensor(there.nats)
    assert there.device == torch.device("cpu")
    torch.testing.assert_close(there, here)


@pytest.mark.gpu
@needs_gpu
def test_a_model_on_a_gpu_is_replayed_and_keeps_its_promises(model):
    model = model.to("cuda:0")
    assert engines.choose(model).name == "cuda"
    check_model(model).raise_if_failed()
    assert model.device.type == "cuda"


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_default_device_changes_nothing_on_the_processor(model, call):
    expected = call(model, None)
    with torch.device("cuda"):
        found = call(model, None)
    assert found == expected if isinstance(found, px.Score) else torch.equal(found, expected)


@pytest.mark.gpu
@needs_gpu
def test_progress_on_a_gpu_shows_images_on_the_cpu(model):
    seen = []
    px.sample(
        model,
        2,
        device="cuda",
        callback=lambda done, total, images: seen.append(images.device.type),
    )
    assert set(seen) == {"cpu"}


def test_what_cannot_be_copied_is_refused_in_one_line(model):
    model.network.lock = threading.Lock()
    with pytest.raises(ModelError, match="PixelCNN cannot be copied: cannot pickle"):
        check_network(model.network)


def test_a_lazy_model_is_refused_in_one_line(model):
    model.network.head[1] = torch.nn.LazyConv2d(1, 1)
    for call in (px.score, px.evaluate):
        with pytest.raises(ModelError, match="lazy layers"):
            call(model, torch.zeros(2, *model.shape, dtype=torch.uint8))
    with pytest.raises(ModelError, match="lazy layers"):
        px.sample(model, 1)
