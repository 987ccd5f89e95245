"""Levels as words of a range coder, and back: the same words whoever computes them."""

import numpy as np
import pytest
import torch

import pixelcnn as px
from engines.walks import images_of
from pixelcnn import networks
from pixelcnn.codec.coding import Integers, decode, encode
from pixelcnn.codec.fixed import PRECISIONS
from pixelcnn.codec.frequencies import TOTAL, Frequencies
from pixelcnn.codec.integers import PRECISION, integers
from pixelcnn.codec.numbers import Damaged
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.engines.native import NativeEngine
from pixelcnn.outputs import Bernoulli, Categorical, LogisticMixture
from pixelcnn.shapes import ImageShape, coding_order

OUTPUTS = {
    "bernoulli": Bernoulli(),
    "few": Categorical(levels=5),
    "many": Categorical(levels=300),
    "mixture": LogisticMixture(levels=256, components=3),
    "fine mixture": LogisticMixture(levels=4_096, components=2),
}


def in_integers(output, channels=1, precision="single", width=6):
    """A small model in whole numbers."""
    torch.manual_seed(0)
    out = output.parameters_per_pixel(channels)
    order = "pixel" if output.couples_channels else "channel"
    network = networks.PixelCNN(
        channels, out, width=width, depth=1, first_kernel=3, kernel=3, order=order
    )
    model = px.PixelModel(network, output, (channels, 3, 5)).eval()
    px.calibrate(model, images_of(model, 8))
    model.record[PRECISION] = precision
    return integers(model, model.shape)[0]


def cases():
    """Every output, of one channel and of three, in sums of every precision."""
    for precision in PRECISIONS:
        for name, output in OUTPUTS.items():
            for channels in (1, 3):
                model = in_integers(output, channels, precision)
                yield pytest.param(model, id=f"{name}-{channels}-{precision}")


def without_native(model):
    other = Integers(model, model.twin, model.shape)
    other.native = None
    return other


def test_tables_are_made_once_for_images_of_all_shapes():
    model = in_integers(Bernoulli())
    other = Integers(model, model.twin, ImageShape(1, 7, 4))
    assert other.frequencies is model.frequencies
    assert other.frequencies.tables is model.frequencies.tables


@pytest.mark.parametrize("model", list(cases()))
def test_the_native_coder_writes_the_words_of_the_library(model):
    if not model.native:
        pytest.skip("there is no native engine here")
    levels = images_of(model, 4)
    words = encode(model, levels)
    assert np.array_equal(words, encode(without_native(model), levels))
    assert decode(model, words, 4).equal(levels)
    assert decode(without_native(model), words, 4).equal(levels)


@pytest.mark.parametrize("images", [1, 2, 13])
@pytest.mark.parametrize("precision", ["long", "double"])
def test_sums_beyond_floats_are_exact(precision, images):
    """Several blocks of outputs, the last of which is cut, for tiles of every height."""
    model = in_integers(OUTPUTS["many"], precision=precision, width=84)
    if not model.native:
        pytest.skip("there is no native engine here")
    assert model.native == precision
    levels = images_of(model, images)
    words = encode(model, levels)
    assert np.array_equal(words, encode(without_native(model), levels))
    assert decode(model, words, images).equal(levels)


@pytest.mark.usefixtures("two_threads")
def test_threads_take_turns():
    model = in_integers(Bernoulli())
    levels, words = images_of(model, 131), set()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        words.add(encode(model, levels).tobytes())
        found = decode(model, np.frombuffer(next(iter(words)), np.uint32), len(levels))
        assert found.equal(levels)
    assert len(words) == 1


@pytest.mark.parametrize("seed", range(5))
def test_carries_run_through_the_words(seed):
    """Levels at the upper end of almost all counts: words of ones, which a carry turns into zeros."""
    model = in_integers(Bernoulli())
    if not model.native:
        pytest.skip("there is no native engine here")
    levels = torch.ones(64, *model.shape, dtype=torch.int64)
    drawn = torch.Generator().manual_seed(seed)
    levels[torch.rand(levels.shape, generator=drawn) < 0.02] = 0
    words = encode(model, levels)
    assert np.array_equal(words, encode(without_native(model), levels))


@pytest.mark.parametrize("native", [True, False])
def test_words_that_no_encoder_wrote_are_refused(native):
    model = in_integers(Bernoulli())
    model = model if native else without_native(model)
    with pytest.raises(Damaged, match="no encoder wrote"):
        decode(model, np.full(40, 2**32 - 1, np.uint32), 8)


@pytest.mark.parametrize("native", [True, False])
def test_words_end_no_earlier_than_the_images(native):
    model = in_integers(Bernoulli())
    model = model if native else without_native(model)
    levels = images_of(model, 40, seed=0)
    words = encode(model, levels)
    with pytest.raises(Damaged, match="no encoder wrote"):
        decode(model, words[: len(words) // 2], 40)


@pytest.mark.parametrize("native", [True, False])
def test_a_few_words_that_promise_many_pixels_are_refused_in_their_first_row(native, monkeypatch):
    model = in_integers(Bernoulli())
    wide = Integers(model, model.twin, ImageShape(1, 524, 1_000))
    wide.native = model.native if native else None
    call, parameters, rows = NativeEngine._call, CachedEngine.parameters, set()

    def called(engine, name, *arguments):
        rows.update([arguments[2]] if name == "code" else [])
        call(engine, name, *arguments)

    def computed(engine, levels, position):
        rows.add(position.row)
        return parameters(engine, levels, position)

    monkeypatch.setattr(NativeEngine, "_call", called)
    monkeypatch.setattr(CachedEngine, "parameters", computed)
    for words in ([], [2**32 - 1] * 2):
        with pytest.raises(Damaged):
            decode(wide, np.array(words, np.uint32), 1)
    assert rows == {0}


def reference_decode(words, frequencies):
    """One symbol of each row of frequencies, by the arithmetic that ``docs/format.md`` writes down."""
    words, mask = [*map(int, words), 0, 0], 2**64 - 1
    point, at, lower, size = words[0] << 32 | words[1], 2, 0, mask
    for counts in frequencies:
        scale = size >> 24
        ends = np.cumsum(counts)
        symbol = int(np.searchsorted(ends, (point - lower & mask) // scale, side="right"))
        lower = lower + scale * int(ends[symbol] - counts[symbol]) & mask
        size = scale * int(counts[symbol])
        if size < 2**32:
            word = words[at] if at < len(words) else 0
            lower, size, point, at = (
                lower << 32 & mask,
                size << 32,
                (point << 32 & mask) | word,
                at + 1,
            )
        yield symbol


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_another_program_reads_the_words(output):
    model = in_integers(output, 3)
    levels = images_of(model, 4)
    whole = model.parameters(levels, None, 4)
    order = list(coding_order(model.shape))
    counts = [
        model.frequencies(whole[:, :, p.row, p.column], levels[:, : p.channel, p.row, p.column])
        for p in order
    ]
    found = list(reference_decode(encode(model, levels), torch.cat(counts).numpy()))
    assert found == [int(levels[i, p.channel, p.row, p.column]) for p in order for i in range(4)]


def test_the_least_likely_levels_come_back():
    model = in_integers(Categorical(levels=5), 3)
    walker, levels = model.start(1, None), torch.zeros(1, *model.shape, dtype=torch.int64)
    for position in coding_order(model.shape):
        channel, row, column = position
        before = levels[:, :channel, row, column]
        counts = model.frequencies(walker.parameters(levels, position), before)
        levels[:, channel, row, column] = counts.argmin(-1)
    assert decode(model, encode(model, levels), 1).equal(levels)


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_frequencies_are_at_least_one_and_have_one_sum(output):
    drawn = torch.Generator().manual_seed(0)
    limit = 2**15 - 1
    parameters = torch.randint(
        -limit, limit + 1, (50, output.parameters_per_pixel(1)), generator=drawn
    )
    parameters[0], parameters[1] = limit, -limit
    found = Frequencies(output, 2.0**-10, limit)(parameters, torch.empty(50, 0))
    assert (found >= 1).all() and (found.sum(-1) == TOTAL).all()
