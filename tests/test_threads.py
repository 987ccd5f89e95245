"""Several threads at once: no call shows in another thread, and the process is left as it was."""

import os
import subprocess
import sys
import threading
import warnings

import pytest
import torch
from PIL import Image

import pixelcnn as px
from pixelcnn import networks, outputs
from pixelcnn.data.picture import read_picture
from pixelcnn.streams import DrawFrom
from pixelcnn.training.progress import make_bar
from pixelcnn.verify import check_network
from pixelcnn.verify.report import one_thread
from together import together

THREADS = 4
SHAPE = (1, 3, 4)
KNOWN = (torch.arange(12) < 5).reshape(1, *SHAPE)
KINDS = (
    lambda: networks.PixelCNN(1, 2, width=4, depth=1, first_kernel=3),
    lambda: networks.GatedPixelCNN(1, 2, width=4, depth=1, first_kernel=3, dropout=0.5),
    lambda: networks.Compact(1, 2, width=4, depth=1, kernel=3, first_kernel=3),
    lambda: networks.MADE(1, 2, rows=3, columns=4, width=8),
)


@pytest.fixture
def hurried():
    """Threads take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def fresh(number):
    """A model that nobody has used, the same for the same number."""
    with DrawFrom(torch.Generator().manual_seed(number)):
        network = KINDS[number % len(KINDS)]()
    return px.PixelModel(network, outputs.Categorical(levels=2), SHAPE).eval()


def first_use(model):
    """All that can be done with a model for the first time, in one list of tensors."""
    images = px.sample(model, 2, seed=1)
    return [images, model.log_prob(images), px.complete(model, images, known=KNOWN, seed=2)]


def strangers_training():
    """Steps of a module that this package knows nothing of, from fixed numbers: its weights."""
    generator = torch.Generator().manual_seed(0)
    layer, x = torch.nn.Linear(3, 3, bias=False), torch.randn(5, 3, generator=generator)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(3, 3, generator=generator))
    for _ in range(10):
        layer.zero_grad()
        layer(x).square().sum().backward()
        with torch.no_grad():
            layer.weight -= 0.01 * layer.weight.grad
    return layer.weight.detach()


def check_first_uses(each):
    """So many fresh models in every thread, while another thread trains something else."""
    kinds = [first_use(fresh(number)) for number in range(len(KINDS))]
    weights, over = strangers_training(), threading.Event()
    call = torch.nn.Module.__call__
    left = [THREADS]

    def use(thread):
        try:
            for number in range(each):
                kind = (thread + number) % len(KINDS)
                for found, expected in zip(first_use(fresh(kind)), kinds[kind], strict=True):
                    assert torch.equal(found, expected)
        finally:
            left[0] -= 1
            if not left[0]:
                over.set()

    def train():
        while not over.is_set():
            assert torch.equal(strangers_training(), weights)
            over.wait(0.001)

    together(train, *(lambda thread=thread: use(thread) for thread in range(THREADS)))
    assert torch.nn.Module.__call__ is call


@pytest.mark.usefixtures("hurried")
def test_first_uses_in_several_threads_give_the_images_of_one():
    check_first_uses(2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("hurried")
def test_thousands_of_first_uses_in_several_threads_give_the_images_of_one():
    check_first_uses(500)


@pytest.mark.usefixtures("hurried")
def test_one_fresh_model_can_be_used_first_by_several_threads():
    expected = first_use(fresh(0))
    model = fresh(0)

    def use():
        for found, alone in zip(first_use(model), expected, strict=True):
            assert torch.equal(found, alone)

    together(*[use] * THREADS)


@pytest.mark.usefixtures("hurried")
def test_reading_pictures_and_bars_leave_the_warnings_of_other_threads_alone(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    before = list(warnings.filters)

    def read():
        for _ in range(20):
            read_picture(tmp_path / "a.png")
            make_bar(0, 1).close()
            assert warnings.filters == before

    together(*[read] * THREADS)
    assert warnings.filters == before


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
def test_checks_in_several_threads_draw_nothing_and_give_back_the_number_of_threads():
    network = networks.PixelCNN(1, 1, width=4, depth=1, first_kernel=3)
    over, ends = threading.Event(), []
    expected = torch.rand(1000, generator=torch.Generator().manual_seed(3)).tolist()
    torch.manual_seed(3)

    def check():
        try:
            assert check_network(network, 3, 4).passed
            ends.append(torch.get_num_threads())
        finally:
            over.set()

    def draw():
        found = []
        while not over.is_set() and len(found) < len(expected):
            found.append(torch.rand(1).item())
            over.wait(0.001)
        assert found == expected[: len(found)]

    together(draw, check, check)
    assert ends == [2, 2] and torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_thread_that_begins_during_checks_computes_with_as_many_threads_as_ever():
    found = []

    def first_use():
        torch.ones(3).sum()
        found.append(torch.get_num_threads())

    with one_thread():
        assert torch.get_num_threads() == 1
        together(first_use)
    together(first_use)
    assert found == [2, 2] and torch.get_num_threads() == 2


FORKED = """
import os
import torch
import pixelcnn as px
from pixelcnn import networks, outputs

torch.set_num_threads(4)
model = px.PixelModel(networks.GatedPixelCNN(1, 1, width=32, depth=1), outputs.Bernoulli(), (1, 28, 28))
images = torch.zeros(16, 1, 28, 28, dtype=torch.uint8)
before = px.score(model, images)
child = os.fork()
if child == 0:
    os._exit(int(not torch.allclose(px.score(model, images), before)))
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks")
def test_a_forked_process_scores_on_one_thread():
    assert subprocess.run([sys.executable, "-c", FORKED], timeout=120, check=False).returncode == 0
