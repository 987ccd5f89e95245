"""Everything registered keeps its promises, and everything in the gallery is rejected for its own fault."""

import re

import pytest
import torch

from broken import NETWORKS as BROKEN_NETWORKS
from broken import OUTPUTS as BROKEN_OUTPUTS
from broken import BatchMean, Broken, Disagrees, Softmax, Stack
from engines import test_guard as wrong_programs
from engines.walks import needs_native, off_in_the_last
from pixelcnn import engines, networks, outputs, sampling
from pixelcnn.engines import programs
from pixelcnn.engines.origin import origin_of
from pixelcnn.errors import ConfigError, ConformanceError, ModelError, ResourceError
from pixelcnn.model import PixelModel
from pixelcnn.statistics import Statistics
from pixelcnn.verify import (
    Report,
    check_model,
    check_network,
    check_output,
    measure,
    receptive_field,
)
from pixelcnn.verify.agreement import check_full_size
from pixelcnn.verify.models import ModelChecks
from pixelcnn.verify.probing import random_levels
from pixelcnn.verify.report import Check, run
from tiny import label, marked, tiny_model, tiny_models, tiny_networks, tiny_outputs


def rejected(report: Report, broken: Broken) -> None:
    """The promise is broken for the reason given, and no other falls that does not follow."""
    reasons = {row.name: row.detail for row in report.failures}
    assert broken.promise in reasons, f"not found; broken: {reasons}"
    for words in broken.words:
        assert words in reasons[broken.promise]
    assert set(reasons) <= {broken.promise, *broken.also}


def cases(gallery):
    return [
        pytest.param(broken, channels, id=f"{broken.kind.__name__}-{number}-{channels}")
        for number, broken in enumerate(gallery)
        for channels in broken.channels
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_gallery_starts_from_a_correct_network(channels):
    check_network(Stack(channels, 2 * channels)).raise_if_failed()


class AsksForFloat32(Stack):
    """As many do that expect images of bytes."""

    def forward(self, x, condition=None):
        return super().forward(x.float().to(torch.float32)) * torch.ones(1, dtype=torch.float32)


def test_a_network_that_asks_for_float32_is_proved_in_float64():
    network = AsksForFloat32(1, 2)
    check_network(network).raise_if_failed()
    model = PixelModel(network, outputs.Categorical(levels=2), (1, 3, 5)).double()
    assert model(torch.zeros(1, 1, 3, 5, dtype=torch.int64)).dtype == torch.float64
    assert engines.choose(model).name == "cached"


@pytest.mark.parametrize(("broken", "channels"), cases(BROKEN_NETWORKS))
def test_broken_networks_are_rejected_for_the_right_reason(broken, channels):
    rejected(check_network(broken.kind(channels, 2 * channels)), broken)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_gallery_starts_from_a_correct_output(channels):
    check_output(Softmax(), channels).raise_if_failed()


@pytest.mark.parametrize(("broken", "channels"), cases(BROKEN_OUTPUTS))
def test_broken_outputs_are_rejected_for_the_right_reason(broken, channels):
    rejected(check_output(broken.kind(), channels), broken)


@pytest.mark.parametrize(
    "network", marked(n for channels in (1, 3) for n in tiny_networks(channels)), ids=label
)
def test_networks_keep_their_promises(network):
    check_network(network).raise_if_failed()


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(n, marks=[pytest.mark.slow] if channels > 1 else [])
        for channels in (1, 3)
        for n in tiny_networks(channels)
        if n.condition is None
    ],
    ids=label,
)
def test_networks_keep_their_promises_where_one_side_is_even(network):
    check_network(network, 9, 6).raise_if_failed()


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("output", list(tiny_outputs()), ids=label)
def test_outputs_keep_their_promises(output, channels):
    check_output(output, channels).raise_if_failed()


@pytest.mark.parametrize(
    "model", marked(m for channels in (1, 3) for m in tiny_models(channels)), ids=label
)
def test_models_keep_their_promises(model):
    """Those beyond the promises of their networks and outputs, which are tried on their own."""
    of_the_pair(model).raise_if_failed()


def of_the_pair(model):
    """The report on what is checked of a network and an output together only."""
    checks = ModelChecks(model, thorough=False, device=torch.device("cpu"))
    return run("model", checks.together())


@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_promises_what_its_network_and_its_output_do(channels):
    model = tiny_model(channels)
    names = [row.name for row in check_model(model).rows]
    for part in (check_network(model.network), check_output(model.output, channels)):
        part.raise_if_failed()
        assert {row.name for row in part.rows} <= set(names)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [m for channels in (1, 3) for m in tiny_models(channels, 9, 6)], ids=label
)
def test_models_keep_their_promises_where_one_side_is_even(model):
    of_the_pair(model).raise_if_failed()


@pytest.mark.parametrize("direct", [False, True])
def test_a_model_of_single_pixels_keeps_its_promises(direct):
    network = networks.MADE(1, 3, rows=1, columns=1, width=4, depth=2, direct=direct)
    assert check_model(PixelModel(network, outputs.Categorical(levels=3), (1, 1, 1))).passed


def test_codes_that_a_network_does_not_embed_count_for_nothing():
    check_network(networks.PixelCNN(channels=1, out=1, width=4, depth=1, codes=1)).raise_if_failed()


def test_what_was_counted_agrees_with_its_noun():
    """In a model of single pixels there is one of most things."""
    model = PixelModel(networks.MADE(1, 1, rows=1, columns=1), outputs.Bernoulli(), (1, 1, 1))
    report = str(check_model(model))
    assert "1 output by 1 input," in report
    assert not re.findall(r"(?<![x-])\b1 [\w-]+(?:s|\(s\))(?!\w)", report)


def test_a_model_in_double_precision_keeps_its_promises():
    check_model(tiny_model(3).double()).raise_if_failed()


@pytest.mark.parametrize("switched_off", [torch.inference_mode, torch.no_grad])
def test_promises_are_kept_where_the_caller_has_switched_gradients_off(switched_off):
    with switched_off():
        check_model(tiny_model()).raise_if_failed()


def test_a_thorough_check_changes_every_sub_pixel():
    report = check_model(tiny_model(), thorough=True)
    report.raise_if_failed()
    assert any("35 of 35 sub-pixels changed" in row.detail for row in report.rows)


def test_a_model_whose_images_interact_is_rejected():
    model = PixelModel(BatchMean(1, 3), Softmax(), (1, 5, 7))
    model.network.share = 10.0  # enough to change what is drawn
    reasons = {row.name: row.detail for row in check_model(model).failures}
    assert "images of a batch do not interact" in reasons
    assert "the images drawn change" in reasons["image i of a seed is always the same"]


def test_a_model_that_samples_from_another_distribution_is_rejected():
    model = PixelModel(Stack(1, 3), Disagrees(), (1, 5, 7))
    reasons = {row.name: row.detail for row in check_model(model).failures}
    assert "disagree at" in reasons["sampling agrees with scoring, step by step"]


def reasons_of(model):
    """Why each broken promise of a pair is broken."""
    return {row.name: row.detail for row in of_the_pair(model).failures}


@pytest.mark.parametrize("wrong", ["elu", "far taps", "far rows", "number", "buffer"])
def test_a_layer_whose_program_is_wrong_is_rejected(wrong):
    model = wrong_programs.model_with(wrong, (1, 16, 16))
    assert reasons_of(model)["sampling has a program"].startswith(
        "its program and its forward pass"
    )


def test_a_program_of_other_weights_is_rejected(monkeypatch):
    """As when what is kept goes by version counters, which ``.data`` leaves alone."""
    model, kept = tiny_model(), []

    def first(*arguments):
        kept.append(origin_of(*arguments))
        return kept[0]

    monkeypatch.setattr(programs, "origin_of", first)
    sampling.sample(model, 1)
    for parameter in model.parameters():
        parameter.data.mul_(-2)
    assert "disagree at" in reasons_of(model)["sampling agrees with scoring at its own size"]


@pytest.mark.parametrize("axis", [1, 2])
def test_a_wrong_engine_is_rejected(axis, monkeypatch):
    monkeypatch.setattr(engines, "CachedEngine", off_in_the_last(engines.CachedEngine, axis))
    model = tiny_model(1, 3, 17).double()
    assert "sampling agrees with scoring, step by step" in reasons_of(model)


@needs_native
@pytest.mark.parametrize("axis", [1, 2])
def test_a_wrong_native_engine_is_rejected(axis, monkeypatch):
    native = engines.native
    monkeypatch.setattr(native, "NativeEngine", off_in_the_last(native.NativeEngine, axis))
    reasons = reasons_of(tiny_model())
    assert "the engine and its forward pass differ by 0.1" in reasons["sampling has a program"]


@needs_native
def test_a_native_engine_that_draws_wrongly_is_rejected(monkeypatch):
    class Careless(engines.native.NativeEngine):
        def fill(self, given, known, uniforms, temperature):
            uniforms = uniforms.clone()
            uniforms[..., -1, -1] = 1 - uniforms[..., -1, -1]
            return super().fill(given, known, uniforms, temperature)

    monkeypatch.setattr(engines.native, "NativeEngine", Careless)
    reasons = reasons_of(tiny_model())
    assert "draws level" in reasons["sampling agrees with scoring at its own size"]


@needs_native
def test_a_native_engine_whose_bits_change_with_the_batch_is_rejected(monkeypatch):
    class Batched(engines.native.NativeEngine):
        def parameters(self, levels, position):
            return super().parameters(levels, position) * (1 + 1e-6 * (self.n > 2))

    monkeypatch.setattr(engines.native, "NativeEngine", Batched)
    reasons = reasons_of(tiny_model())
    assert "in a larger batch" in reasons["image i of a seed is always the same"]


def test_a_model_of_a_network_without_a_name_is_noted_not_broken():
    class Unnamed(networks.PixelCNN):
        pass

    model = PixelModel(Unnamed(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7))
    report = check_model(model)
    row = next(row for row in report.rows if row.name == "what is saved comes back")
    assert report.passed and row.noted
    assert "Unnamed is not a registered" in row.detail


def test_a_network_without_a_program_is_noted_not_broken():
    network = networks.PixelCNN(1, 3, width=4, depth=1)
    network.head[-1].register_forward_hook(lambda module, args, y: y)
    report = check_model(PixelModel(network, Softmax(), (1, 5, 7)))
    row = next(row for row in report.rows if row.name == "sampling has a program")
    assert (row.passed, row.noted, row.state) == (True, True, "noted")
    assert "each of 35 positions: layer 'network.head" in row.detail
    assert "noted   sampling has a program" in str(report)


def test_a_model_with_a_weight_that_is_no_number_is_rejected():
    model = tiny_model()
    next(model.parameters()).data[0] = torch.nan
    reasons = {row.name: row.detail for row in check_model(model).failures}
    assert "not a finite number" in reasons["its weights are finite"]


def test_a_check_leaves_the_model_as_it_was():
    model = tiny_model().train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    state = torch.random.get_rng_state()
    check_model(model)
    assert model.training
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not model.record


def checks_of_a_model_given(known):
    """Of a model of two features with these statistics."""
    model = tiny_model(condition="vector", condition_size=2)
    model.statistics = known
    return ModelChecks(model, thorough=False, device=torch.device("cpu"))


def test_conditions_in_units_beyond_float32_break_no_promise():
    known = Statistics((1e45, 0.5), (1e44, 0.5), (9e44, 0.0), (1.1e45, 1.0))
    assert "in float32" in checks_of_a_model_given(known).walk()


def test_a_model_is_tried_with_conditions_like_those_of_its_training(caplog):
    """The first feature never changed in training: any other value would be far from it."""
    known = Statistics((3.0, 0.5), (1.0, 0.5), (3.0, 0.0), (3.0, 1.0))
    checks_of_a_model_given(known).walk_full_size()
    assert "far outside" not in caplog.text


def test_a_failed_report_raises_with_every_broken_promise():
    report = check_network(Stack(1, 2))
    assert report.passed
    report = check_network(BROKEN_NETWORKS[0].kind(1, 2))
    with pytest.raises(ConformanceError, match="breaks 3 promises: no output sees its future"):
        report.raise_if_failed()


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("can't allocate memory"), ResourceError("out of memory")]
)
def test_memory_that_runs_out_breaks_no_promise(error):
    def runs_out():
        raise error

    with pytest.raises(type(error)):
        run("something", [Check("a promise", runs_out)])


def test_progress_names_each_promise_before_it_is_checked():
    seen = []
    report = check_network(Stack(1, 2), progress=lambda *step: seen.append(step))
    assert [name for _, _, name in seen] == [row.name for row in report.rows]
    assert [done for done, _, _ in seen] == list(range(len(seen)))


def test_what_is_too_unlikely_for_a_probability_is_no_disagreement():
    model = tiny_model(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1000)
        nats = model.log_prob_map(random_levels((1, *model.shape), model.levels, seed=11))
    assert float(nats.min()) < -800
    check_full_size(model, None)


@pytest.mark.parametrize(
    "check", [check_network, check_output, measure, lambda m: receptive_field(m, 5, 7)]
)
def test_a_model_is_no_part_of_one(check):
    with pytest.raises(ModelError, match=r"must be an? (Network|Output), got PixelModel"):
        check(tiny_model(1))


@pytest.mark.parametrize("size", [(0, 3), (5, "7"), (5, 7.0), (-1, 2)])
@pytest.mark.parametrize("check", [check_network, measure, receptive_field])
def test_what_is_no_size_is_not_tried(check, size):
    with pytest.raises(ConfigError, match="image shape"):
        check(Stack(1, 2), *size)


@pytest.mark.parametrize("channels", [0, "3", 1.0])
def test_what_is_no_number_of_channels_is_not_tried(channels):
    with pytest.raises(ConfigError, match="image shape"):
        check_output(Softmax(), channels)


@pytest.mark.parametrize("given", [torch.nn.Linear(1, 1), torch.nn.DataParallel(tiny_model(1))])
def test_what_is_no_model_is_not_checked(given):
    with pytest.raises(ModelError, match="must be a PixelModel") as caught:
        check_model(given)
    assert (".module" in caught.value.hint) == hasattr(given, "module")
