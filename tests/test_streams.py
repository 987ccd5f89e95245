"""Named streams of random words: none shares a word with another, and none ever changes."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from pixelcnn import streams
from pixelcnn.errors import ConfigError
from pixelcnn.streams import DrawFrom, Stream

SEEDS = [0, 1, 2015, 2017, 2**32, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]
SMALL = [0, 1, 2, 3, 2016, 2**32, 2**40]
IMAGES = [*SMALL, 2**62, 2**63 - 1]
EPOCHS = [*SMALL, 2**62 - 1]
STEPS = [*SMALL, 2**63, 2**64 - 1]


def everything(seed):
    """All streams of a seed at representative and at extreme places, under names of their own."""
    for image in IMAGES:
        yield f"image {image} of a sample", streams.sample(seed, image)
    for epoch in EPOCHS:
        yield f"order of epoch {epoch}", streams.order(seed, epoch)
    for step, rank in itertools.product(STEPS, [0, 1, 2, 255]):
        yield f"dropout of step {step} on {rank}", streams.dropout(seed, step, rank)
    for epoch, index in itertools.product(EPOCHS, STEPS):
        yield f"patch {index} of epoch {epoch}", streams.patch(seed, epoch, index)
    for epoch, image in itertools.product([None, *EPOCHS], STEPS):
        yield f"coins of image {image} in epoch {epoch}", streams.coins(seed, epoch, image)
    for epoch, image in itertools.product(EPOCHS, STEPS):
        yield f"augmentation of {image} in epoch {epoch}", streams.augmentation(seed, epoch, image)


def every_stream():
    yield "fixed shuffle", streams.split()
    for seed in SEEDS:
        for name, stream in everything(seed):
            yield f"{name}, seed {seed}", stream


def test_no_two_streams_lie_in_one_place():
    places = {}
    for name, stream in every_stream():
        assert places.setdefault(stream, name) == name


def test_no_two_streams_share_a_word():
    words = [stream.words(8) for _name, stream in every_stream()]
    drawn = np.concatenate(words)
    assert len(drawn) > 9000
    assert len(np.unique(drawn)) == len(drawn)


def test_the_coins_of_the_first_epoch_are_none_of_its_order():
    """They once were, for image 1."""
    order = set(streams.order(5, 0).words(1000).tolist())
    assert not order & set(streams.coins(5, 0, 1).words(1000).tolist())


def test_the_coins_of_an_epoch_are_none_of_a_sample():
    """They once were: those of image 0 in epoch e were the uniforms of image e of a sample."""
    for epoch in range(5):
        sampled = set(streams.sample(5, epoch).words(1000).tolist())
        assert not sampled & set(streams.coins(5, epoch, 0).words(1000).tolist())


def test_the_shuffle_that_was_published_has_the_words_of_one_sample():
    """The one exception, kept since data sets and samples both were published with it."""
    assert streams.split() == streams.sample(2016, 0)


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (streams.sample(7, 11), [5785492562497320450, 2930549047625223640]),
        (streams.split(), [5654667196647592579, 6193720791826385974]),
        (streams.order(0, 0), [6312158256571094726, 10634814581434429480]),
        (streams.order(3, 9), [14787442546023438720, 3236187011644367904]),
        (streams.dropout(0, 5, 1), [1312801431672642912, 7637605458701295022]),
        (streams.coins(3, None, 7), [13940107172003638750, 2268100308389540942]),
        (streams.coins(3, 5, 7), [7961153937187575694, 998298009425074007]),
    ],
)
def test_the_words_are_the_same_for_ever(stream, words):
    assert stream.words(2).tolist() == words


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda: streams.sample(-1, 0), "seed"),
        (lambda: streams.sample(2**64, 0), "seed"),
        (lambda: streams.sample(0, 2**63), "image index"),
        (lambda: streams.order(2**64, 0), "seed"),
        (lambda: streams.order(0, -1), "epoch"),
        (lambda: streams.dropout(0, 2**64, 0), "step"),
        (lambda: streams.coins(0, 2**62, 0), "epoch"),
        (lambda: streams.coins(0, 0, -1), "image"),
    ],
)
def test_what_would_reach_into_another_stream_is_refused(draw, name):
    with pytest.raises(ConfigError, match=f"{name} must be an integer in"):
        draw()


WORDS = [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]


def blocks(keys, counters):
    """Blocks of NumPy's Philox: uint64 ``(n, 4)``. It counts one up before it computes."""
    rows = []
    for key, counter in zip(keys, counters, strict=True):
        whole = sum(word << (64 * place) for place, word in enumerate(counter))
        before = (whole - 1) % 2**256
        parts = [before >> (64 * place) & 2**64 - 1 for place in range(4)]
        philox = np.random.Philox(key=np.array(key, np.uint64), counter=np.array(parts, np.uint64))
        rows.append(philox.random_raw(4))
    return np.stack(rows)


def bits(words):
    return torch.from_numpy(np.array(words, dtype=np.uint64).view(np.int64))


@pytest.mark.parametrize("key", [*itertools.product(WORDS[::2], WORDS[::3]), (2**64 - 1, 2**63)])
def test_integer_tensors_give_the_words_of_numpy(key):
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, 2**64, (64, 4), dtype=np.uint64).tolist()
    counters = drawn + [list(c) for c in itertools.product(WORDS[::3], repeat=4)]
    counters += [[word] * 4 for word in WORDS]
    table = bits(counters).T
    words = streams.philox(key, table[0::2], table[1::2])
    assert np.array_equal(words.numpy().view(np.uint64), blocks([key] * len(counters), counters))


@pytest.mark.parametrize("count", [1, 4, 7, 784])
@pytest.mark.parametrize("epoch", [None, 0, 2**62 - 1])
def test_a_device_tosses_the_coins_of_the_processor(count, epoch):
    images, seed = torch.tensor([0, 1, 59_999, 2**63 - 1]), 2**64 - 1
    key = streams.coins(seed, epoch, 0).key
    on_processor = streams.coin_words(seed, epoch, images, count, torch.device("cpu"))
    assert torch.equal(streams.philox_words(key, images, count), on_processor)


@pytest.mark.parametrize("stream", [streams.coins, streams.augmentation])
def test_words_of_some_images_are_those_of_their_streams(stream):
    images, place = [0, 1, 59_999, 2**63 - 1], torch.device("cpu")
    words = streams.coin_words(5, 3, torch.tensor(images), 9, place, stream)
    assert torch.equal(words, bits([stream(5, 3, image).words(9) for image in images]))
    key, (_, middle, _) = stream(5, 3, 0)
    assert torch.equal(streams.philox_words(key, torch.tensor(images), 9, middle), words)


def test_a_stream_is_its_key_and_counter():
    numpys = np.random.Philox(
        key=np.array([1, 2], np.uint64), counter=np.array([0, 3, 4, 5], np.uint64)
    )
    assert Stream((1, 2), (3, 4, 5)).words(9).tolist() == numpys.random_raw(9).tolist()


RANDOM = {
    "uniform_": lambda: torch.empty(5).uniform_(),
    "normal_": lambda: torch.empty(5).normal_(),
    "bernoulli_": lambda: torch.empty(5).bernoulli_(0.3),
    "exponential_": lambda: torch.empty(5).exponential_(),
    "rand": lambda: torch.rand(5),
    "randn": lambda: torch.randn(5),
    "randint": lambda: torch.randint(9, (5,)),
    "randint from": lambda: torch.randint(2, 9, (5,)),
    "randperm": lambda: torch.randperm(9),
    "normal": lambda: torch.normal(0.0, 1.0, (5,)),
    "multinomial": lambda: torch.multinomial(torch.ones(9), 3),
    "bernoulli": lambda: torch.bernoulli(torch.full((5,), 0.5)),
    "dropout": lambda: nn.functional.dropout(torch.ones(9), 0.5),
    "kaiming": lambda: nn.init.kaiming_uniform_(torch.empty(3, 4)),
    "xavier": lambda: nn.init.xavier_normal_(torch.empty(3, 4)),
    "truncated": lambda: nn.init.trunc_normal_(torch.empty(3, 4)),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(3, 4)),
    "sparse": lambda: nn.init.sparse_(torch.empty(3, 4), 0.5),
    "linear": lambda: nn.Linear(3, 4).weight.data,
    "convolution": lambda: nn.Conv2d(3, 4, 3).weight.data,
    "embedding": lambda: nn.Embedding(3, 4).weight.data,
    "recurrent": lambda: nn.LSTM(3, 4).weight_hh_l0.data,
}


@pytest.mark.parametrize("name", RANDOM)
def test_everything_random_draws_from_the_generator_what_the_global_one_gives(name):
    before = torch.random.get_rng_state()
    with DrawFrom(torch.Generator().manual_seed(5)):
        drawn = RANDOM[name]()
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        assert torch.equal(drawn, RANDOM[name]())


def test_a_generator_that_is_named_is_kept():
    with DrawFrom(torch.Generator().manual_seed(5)):
        drawn = torch.rand(3, generator=torch.Generator().manual_seed(6))
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(6)))


def test_the_generator_is_that_of_one_thread():
    started, over = threading.Event(), threading.Event()

    def other():
        started.wait(10)
        drawn = torch.rand(3)
        over.set()
        return drawn

    with ThreadPoolExecutor(1) as threads, torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        elsewhere = threads.submit(other)
        with DrawFrom(torch.Generator().manual_seed(5)):
            started.set()
            assert over.wait(10)
            mine = torch.rand(3)
    assert torch.equal(
        elsewhere.result(), torch.rand(3, generator=torch.Generator().manual_seed(1))
    )
    assert torch.equal(mine, torch.rand(3, generator=torch.Generator().manual_seed(5)))
