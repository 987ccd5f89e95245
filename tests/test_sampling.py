"""Sampling and completion: deterministic functions of model and uniforms."""

import copy
import math

import numpy as np
import pytest
import torch

from engines.walks import FAST
from pixelcnn import PixelModel, engines, memory, networks, outputs
from pixelcnn.drawing import BYTES_OF_A_JOB, uniforms
from pixelcnn.errors import ConfigError, DataError, ModelError, ResourceError
from pixelcnn.inversion import invert, temper
from pixelcnn.sampling import (
    batches,
    complete,
    completions,
    sample,
    stream,
)
from pixelcnn.shapes import ImageShape, coding_order
from pixelcnn.walk import drive, walk
from tiny import passes_within


@pytest.fixture(scope="module", params=[1, 3])
def model(request):
    torch.manual_seed(0)
    output = outputs.Categorical(levels=5)
    network = networks.GatedPixelCNN(request.param, 5 * request.param, width=6, depth=2)
    return PixelModel(network, output, (request.param, 5, 7)).double()


def test_image_i_of_a_seed_is_the_same_for_any_batch(model):
    whole = sample(model, 5, seed=3)
    assert torch.equal(sample(model, 5, seed=3, batch_size=2), whole)
    assert torch.equal(sample(model, 2, seed=3, first=3), whole[3:])
    assert not torch.equal(sample(model, 5, seed=4), whole)


def test_the_uniforms_are_philox_words():
    shape = ImageShape(3, 2, 5)
    u = uniforms(7, [11], shape)
    words = np.random.Philox(key=np.array([7, 11], dtype=np.uint64)).random_raw(30)
    for word, (row, column, channel) in zip(words, np.ndindex(2, 5, 3), strict=True):
        assert u[0, channel, row, column].item() == (int(word) >> 11) * 2.0**-53


@pytest.fixture(scope="module")
def plain():
    """A small model without a condition."""
    torch.manual_seed(0)
    return PixelModel(networks.PixelCNN(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7))


def test_batches_are_drawn_as_they_are_asked_for(plain):
    calls = []
    drawn = batches(
        plain, 7, seed=3, first=2, batch_size=3, callback=lambda *now: calls.append(now)
    )
    assert calls == []
    first = next(drawn)
    assert {total for _, total, _ in calls} == {3 * 35}
    assert calls[-1][0] == 35
    parts = [first, *drawn]
    assert [len(part) for part in parts] == [3, 3, 1]
    assert calls[-1][0] == 3 * 35
    assert torch.equal(torch.cat(parts), sample(plain, 7, seed=3, first=2))
    assert list(batches(plain, 0)) == []


def test_batches_need_memory_for_one(plain, monkeypatch):
    need = 2 * plain.shape.dimensions * (1 + BYTES_OF_A_JOB)
    monkeypatch.setattr(memory, "available", lambda: need)
    assert len(next(batches(plain, 1_000, batch_size=2))) == 2
    with pytest.raises(ResourceError, match="1,000 images of 1x5x7 need"):
        sample(plain, 1_000, batch_size=2)
    with pytest.raises(ResourceError, match="3 images of 1x5x7 need"):
        batches(plain, 1_000, batch_size=3)


DRAWS = {
    "sample": lambda model, n=1, **options: sample(model, n, **options),
    "batches": lambda model, n=1, **options: batches(model, n, **options),
    "stream": lambda model, n=1, **options: stream(model, n, **options),
    "complete": lambda model, **options: complete(
        model, torch.zeros(1, *model.shape, dtype=torch.uint8), KNOWN, **options
    ),
}
KNOWN = torch.zeros(1, 1, 5, 7, dtype=torch.bool)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("temperature", [math.inf, math.nan, -1, -0.1, -math.inf, None, "1", True])
def test_a_temperature_that_is_none_is_refused(plain, draw, temperature):
    with pytest.raises(ConfigError, match="temperature must be a finite number of at least 0"):
        draw(plain, temperature=temperature)


@pytest.mark.parametrize("engine", ["auto", "cached", "full"])
def test_the_lowest_temperatures_are_zero(plain, engine):
    coldest = sample(plain, 4, temperature=0, engine=engine)
    assert torch.equal(sample(plain, 4, temperature=1e-310, engine=engine), coldest)


@pytest.mark.parametrize("draw", [sample, batches, stream])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first": -1}, "first must be an integer from 0 to"),
        ({"first": 1.0}, "first must be an integer from 0 to"),
        ({"first": 2**63}, f"first must be an integer from 0 to {2**63 - 1}"),
        ({"n": -1}, "n must be an integer from 0 to"),
        ({"n": 2**31 + 1}, f"n must be an integer from 0 to {2**31}"),
        ({"n": 1.5}, "n must be an integer from 0 to"),
        ({"seed": 1.5}, r"seed must be an integer in 0..2\*\*64-1, got 1.5"),
        ({"seed": None}, "seed must be an integer in"),
        ({"seed": 2**64}, "seed must be an integer in"),
        ({"seed": -1}, "seed must be an integer in"),
        ({"seed": True}, "seed must be an integer in"),
    ],
    ids=str,
)
def test_numbers_out_of_range_name_it(plain, draw, options, message):
    with pytest.raises(ConfigError, match=message):
        draw(plain, **({"n": 1} | options))


@pytest.mark.parametrize("label", [2.9, math.nan, "cat", -1, 3, [0, 1.5]])
def test_a_label_that_is_none_is_refused(label):
    network = networks.PixelCNN(1, 1, width=4, depth=1, condition="label", condition_size=3)
    with pytest.raises(ConfigError, match="label"):
        sample(PixelModel(network, outputs.Bernoulli(), (1, 5, 7)), 2, condition=label)


@pytest.mark.parametrize("name", ["condition", "seed", "temperature"])
def test_an_array_where_a_number_is_wanted_is_shown_in_one_line(name):
    network = networks.PixelCNN(1, 1, width=4, depth=1, condition="label", condition_size=3)
    model = PixelModel(network, outputs.Bernoulli(), (1, 5, 7))
    with pytest.raises(ConfigError, match=r"got array.+… \(\d+ characters\)(\n|$)"):
        sample(model, 99, **({"condition": 0} | {name: np.zeros((99, 3))}))


@pytest.mark.parametrize("engine", ["auto", "cached", "full"])
def test_a_stream_gives_what_sample_draws_each_sub_pixel_once(model, engine):
    single = copy.deepcopy(model).float()
    expected = sample(single, 3, seed=4, engine=engine, first=2, temperature=0.7)
    images = torch.zeros_like(expected)
    found = []
    for positions, levels in stream(single, 3, seed=4, engine=engine, first=2, temperature=0.7):
        assert levels.shape == (3, len(positions)) and levels.dtype == expected.dtype
        channel, row, column = positions.T
        images[:, channel, row, column] = levels
        found += positions.tolist()
    assert torch.equal(images, expected)
    assert found == [list(position) for position in coding_order(model.shape)]


def test_a_stream_can_be_left(model):
    for number, (positions, _) in enumerate(stream(model, 2)):
        assert positions.shape[1] == 3
        if number == 3:
            break


def test_the_last_cdf_counts_as_one():
    pmf = torch.tensor([0.5, 0.25, 0.25 - 1e-9], dtype=torch.float64)
    assert invert(pmf, torch.tensor(1 - 2.0**-53, dtype=torch.float64)).item() == 2
    assert invert(pmf, torch.tensor(0.5, dtype=torch.float64)).item() == 1


def test_temperature_zero_is_the_likeliest_level():
    pmf = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
    assert temper(pmf, 0).tolist() == [[0, 1, 0]]
    assert temper(pmf, 1) is pmf
    torch.testing.assert_close(temper(pmf, 2), pmf.sqrt() / pmf.sqrt().sum())


def test_samples_are_levels_in_the_smallest_type(model):
    images = sample(model, 2)
    assert images.dtype == torch.uint8
    assert images.max() < 5


def test_images_of_another_size_are_not_spread_over_the_models(model):
    with pytest.raises(ModelError, match=r"got an array of shape \(2, \d, 5, 1\)"):
        complete(model, torch.zeros(2, model.shape.channels, 5, 1, dtype=torch.uint8), "top")


def test_completions_come_in_batches_of_any_size(plain, monkeypatch):
    given = sample(plain, 3, seed=4)
    mask = torch.arange(5)[None, None, :, None].expand(1, 1, 5, 7) < 2
    whole = complete(plain, given, mask, n=3, seed=5)
    need = 4 * plain.shape.dimensions * (1 + BYTES_OF_A_JOB)
    monkeypatch.setattr(memory, "available", lambda: need)
    drawn = completions(plain, given, mask, n=3, seed=5, batch_size=4)
    parts = list(drawn)
    assert [len(part) for part in parts] == [4, 4, 1]
    assert torch.equal(torch.cat(parts), whole)
    with pytest.raises(ResourceError, match="9 images of 1x5x7 need"):
        complete(plain, given, mask, n=3, batch_size=4)
    with pytest.raises(ResourceError, match="5 images of 1x5x7 need"):
        completions(plain, given, mask, n=3, batch_size=5)


@pytest.mark.parametrize("engine", ["auto", "cached"])
def test_no_image_is_drawn_by_every_way(plain, engine):
    assert sample(plain, 0, engine=engine).shape == (0, *plain.shape)
    assert list(batches(plain, 0, engine=engine)) == list(stream(plain, 0, engine=engine)) == []


def test_completing_everything_is_sampling(model):
    nothing = torch.zeros(1, *model.shape, dtype=torch.int64)
    unknown = torch.zeros(1, 1, *model.shape[1:], dtype=torch.bool)
    assert torch.equal(complete(model, nothing, unknown, n=3, seed=5), sample(model, 3, seed=5))


def test_a_drawn_level_depends_on_the_known_ones_before_it(model):
    images = torch.randint(5, (1, *model.shape), generator=torch.Generator().manual_seed(0))
    known = torch.zeros(1, 1, *model.shape[1:], dtype=torch.bool)
    known[:, :, :2] = True
    first = complete(model, images, known, n=8)
    images[:, :, 1] = 4 - images[:, :, 1]
    assert not torch.equal(complete(model, images, known, n=8)[:, :, 2:], first[:, :, 2:])


def test_completion_k_of_image_j_is_drawn_from_its_past_with_a_stream_of_its_own(model):
    """Position by position, each from one whole pass over what is there before it."""
    generator = torch.Generator().manual_seed(1)
    given = torch.randint(5, (2, *model.shape), generator=generator)
    known = torch.rand(2, *model.shape, generator=generator) < 0.4
    images, kept = (t.repeat_interleave(2, 0) for t in (given, known))
    u = uniforms(3, [0, 1, 2**32, 2**32 + 1], model.shape)
    expected = torch.zeros_like(images)
    for position in coding_order(model.shape):
        here = (slice(None), *position)
        logits = model(expected).unflatten(1, (-1, 5))[:, position[0], :, *position[1:]]
        drawn = (logits.softmax(1).cumsum(1)[:, :-1] <= u[here][:, None]).sum(1)
        expected[here] = torch.where(kept[here], images[here], drawn)
    assert torch.equal(complete(model, given, known, n=2, seed=3), expected.to(torch.uint8))


def test_a_mask_of_three_axes_is_of_each_image_or_of_all(plain):
    given = torch.randint(0, plain.levels, (3, 1, 5, 7), generator=torch.Generator().manual_seed(0))
    masks = torch.arange(5)[:, None].expand(3, 5, 7) <= torch.arange(3)[:, None, None]
    own, all_alike = complete(plain, given, masks, n=1), complete(plain, given, masks[:1], n=1)
    assert torch.equal(own, complete(plain, given, masks[:, None], n=1))
    assert torch.equal(all_alike, complete(plain, given, masks[0], n=1))


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (torch.zeros(1, 1, 5, 7), "bool"),
        (torch.zeros(1, 1, 7, 5, dtype=torch.bool), "does not fit"),
        (torch.zeros(1, 1, 1, 7, dtype=torch.bool), "does not fit"),
        (
            torch.zeros(3, 5, 7, dtype=torch.bool),
            "does not fit",
        ),  # of three images or three channels
        (torch.zeros(7, dtype=torch.bool), "does not fit"),
        (True, "does not fit"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(model, known, message):
    with pytest.raises(DataError, match=message):
        complete(model, torch.zeros(1, *model.shape, dtype=torch.int64), known)


def test_progress_counts_every_front_once(model):
    seen = []
    sample(
        model,
        3,
        batch_size=2,
        callback=lambda done, total, images: seen.append((done, total, len(images))),
    )
    fronts = model.shape.dimensions
    assert [done for done, _, _ in seen] == list(range(1, 2 * fronts + 1))
    assert seen[-1] == (2 * fronts, 2 * fronts, 1)


def test_the_walk_gives_the_probabilities_that_scoring_gives(model):
    images = torch.randint(5, (2, *model.shape), generator=torch.Generator().manual_seed(1))
    total = torch.zeros(2, dtype=torch.float64)

    def choose(front):
        assert front.pmf.dtype == torch.float64
        level = front.of(images)
        total.add_(front.pmf.gather(-1, level[..., None]).log().sum((1, 2)))
        return level

    assert torch.equal(drive(walk(model, 2), choose), images)
    torch.testing.assert_close(total, model.log_prob(images), rtol=0, atol=1e-10)


def test_labels_choose_what_is_drawn():
    torch.manual_seed(1)
    network = networks.PixelCNN(1, 1, width=8, depth=1, condition="label", condition_size=2)
    with torch.no_grad():
        network.bias.weight.mul_(100)
    model = PixelModel(network, outputs.Bernoulli(), (1, 5, 7))
    mixed = sample(model, 2, condition=torch.tensor([0, 1]))
    assert torch.equal(mixed[0], sample(model, 1, condition=0)[0])
    assert torch.equal(mixed[1], sample(model, 2, condition=1)[1])


def test_a_mask_may_be_changed_between_batches(plain):
    images, known = torch.ones(4, 1, 5, 7, dtype=torch.uint8), torch.zeros(5, 7, dtype=torch.bool)
    known[:2] = True
    expected = complete(plain, images, known)
    drawn = completions(plain, images, known, batch_size=2)
    first = next(drawn)
    known[:] = True
    assert torch.equal(torch.cat([first, *drawn]), expected)


@pytest.mark.parametrize("kind", ["label", "vector"])
@pytest.mark.parametrize("engine", FAST)
def test_a_condition_may_be_changed_between_batches(kind, engine):
    torch.manual_seed(1)
    network = networks.PixelCNN(1, 1, width=5, depth=1, condition=kind, condition_size=2)
    with torch.no_grad():
        network.bias.weight.mul_(100)
    model = PixelModel(network, outputs.Bernoulli(), (1, 5, 7))
    given = torch.tensor([0, 1, 0]) if kind == "label" else torch.eye(2)[[0, 1, 0]]
    expected = sample(model, 3, condition=given)
    drawn = batches(model, 3, condition=given, batch_size=2, engine=engine)
    first = next(drawn)
    given[:] = 1
    assert torch.equal(torch.cat([first, *drawn]), expected)


def test_a_count_may_be_a_small_integer_of_numpy(plain):
    lots = stream(plain, np.uint8(11))  # of which 33 bytes each are more than 8 bits hold
    assert all(levels.shape[0] == 11 for _, levels in lots)


ENGINES = ["full", *FAST]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_callback_keeps_or_does_to_the_images_changes_nothing(plain, engine):
    kept = []

    def callback(done, total, images):
        kept.append((done, images.clone(), images))
        images.fill_(1)

    drawn = sample(plain, 3, callback=callback, engine=engine)
    assert torch.equal(drawn, sample(plain, 3, engine=engine))
    assert torch.equal(kept[-1][1], drawn)
    assert all(bool((images == 1).all()) for _, _, images in kept)
    assert len({images.data_ptr() for _, _, images in kept}) == len(kept)


def stopping(*_):
    next(iter([]))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_callback_that_runs_out_of_something_does_not_end_the_drawing_early(plain, engine):
    images = torch.zeros(3, 1, 5, 7, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="StopIteration"):
        sample(plain, 3, callback=stopping, engine=engine)
    with pytest.raises(RuntimeError, match="StopIteration"):
        complete(plain, images, "top", callback=stopping, engine=engine)


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("engine", FAST)
def test_no_batch_is_drawn_by_a_program_of_other_weights(plain, engine, before):
    model = copy.deepcopy(plain)
    sample(model, 1, engine=engine)  # so the engine is known to be right
    drawn = batches(model, 6, batch_size=2, engine=engine)
    assert len([next(drawn) for _ in range(before)]) == before
    with torch.no_grad():
        next(model.parameters()).mul_(-2)
    with pytest.raises(ModelError, match="weights of the model changed"):
        next(drawn)


@pytest.mark.parametrize("engine", FAST)
def test_what_has_begun_is_drawn_with_the_weights_that_it_began_with(plain, engine):
    model = copy.deepcopy(plain)
    images = sample(model, 3, engine=engine)  # so the engine is known to be right
    drawn = stream(model, 3, engine=engine)
    begun = next(drawn)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1)
    assert not torch.equal(sample(model, 3, engine=engine), images)
    for positions, levels in (begun, *drawn):
        channel, row, column = positions.T
        assert torch.equal(images[:, channel, row, column], levels)


def test_an_engine_belongs_to_its_model_and_its_weights(plain):
    model = copy.deepcopy(plain)
    chosen = engines.choose(model)
    assert drive(walk(model, 1, engine=chosen), lambda front: front.pmf.argmax(-1)).shape[0] == 1
    with pytest.raises(ConfigError, match="for another model"):
        next(walk(plain, 1, engine=chosen))
    with torch.no_grad():
        next(model.parameters()).mul_(-2)
    with pytest.raises(ModelError, match="weights of the model changed"):
        next(walk(model, 1, engine=chosen))
    with pytest.raises(ModelError, match="weights of the model changed"):
        chosen.start(1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda front: front.pmf.argmax(-1)[:1], r"integers \(2, 1\), got int64 \(1, 1\)"),
        (lambda front: front.pmf.max(-1).values, "got float64"),
        (lambda front: front.pmf.argmax(-1) * 0 + 2, r"levels must lie in 0\.\.1, got 2\.\.2"),
        (lambda front: None, "integers"),
    ],
)
def test_a_walk_takes_levels_and_nothing_else(plain, answer, message):
    with pytest.raises(DataError, match=message):
        drive(walk(plain, 2), answer)


def test_a_walk_and_a_stream_convolve_as_sampling_does(plain, monkeypatch):
    model = copy.deepcopy(plain)
    seen = passes_within(model, "pixelcnn.walk.exact_convolutions", monkeypatch)
    drive(walk(model, 1, engine="full"), lambda front: front.pmf.argmax(-1))
    list(stream(model, 1, engine="full"))
    assert seen == [1] * 2 * model.shape.dimensions


def test_a_walk_takes_levels_from_numpy(plain):
    drawn = drive(walk(plain, 2), lambda front: front.pmf.argmax(-1).numpy())
    assert torch.equal(drawn, sample(plain, 2, temperature=0).long())


@pytest.mark.parametrize("n", [0, -1, 1.5, "2"])
def test_a_walk_is_one_of_at_least_one_image(plain, n):
    with pytest.raises(ConfigError, match="n must be an integer from 1"):
        next(walk(plain, n))
