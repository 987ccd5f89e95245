"""Attention that a network writes out means in a program what it means in ``forward``."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pixelcnn as px
from engines.small import WIDTH, assert_followed, small_model
from pixelcnn import engines
from pixelcnn.engines.trace import trace
from pixelcnn.program import Unlowerable


def heads_of(y, heads):
    """As ``(n, heads, positions, features)``."""
    n, features, _, _ = y.shape
    return y.view(n, heads, features // heads, -1).transpose(2, 3)


def masks(positions):
    """What is hidden from each position, and what the first one is multiplied with."""
    later = 1 - np.tril(np.ones([positions, positions]), k=-1)
    first = np.ones(positions)
    first[0] = 0
    return torch.from_numpy(later).bool(), torch.from_numpy(first).unsqueeze(1)


def by_start_mask(s, y, heads=2):
    q, k, v = (heads_of(part, heads) for part in y.chunk(3, 1))
    hidden, first = masks(y.shape[2] * y.shape[3])
    scores = torch.matmul(q, k.transpose(2, 3)) / math.sqrt(q.shape[-1])
    weights = torch.softmax(scores.masked_fill(hidden, -1e9), 3) * first.type_as(q)
    found = (s.dropout(weights) @ v).transpose(1, 2)
    return found.reshape(y.size(0), *y.shape[2:], -1).permute(0, 3, 1, 2)


def one_head(s, y):
    return by_start_mask(s, y, heads=1)


def by_filling_again(s, y):
    n, _, h, w = y.shape
    q, k, v = (heads_of(part, 1) for part in y.split([2, 2, 2], 1))
    mask = torch.tril(torch.ones(h * w, h * w), diagonal=-1).view(1, 1, h * w, h * w)
    scores = (q @ k.transpose(2, 3)).masked_fill(mask == 0, -torch.inf)
    weights = F.softmax(scores, dim=-1).masked_fill(mask == 0, 0)
    return (weights @ v).transpose(2, 3).contiguous().view(n, -1, h, w)


def scaled_queries(s, y):
    """By a buffer for the largest image, without a dimension for heads, on features behind positions."""
    n, c, h, w = y.shape
    flat = y.flatten(2).transpose(1, 2)
    q, k, v = s.query(flat) * 0.3, s.key(flat), s.value(flat)
    scores = (q @ k.transpose(1, 2)).masked_fill_(s.parts.hidden[: h * w, : h * w], -1e10)
    weights = s.softmax(scores).mul(s.parts.first[: h * w])
    return (weights @ v).transpose(1, 2).reshape(n, c, h, w) + y


def apart(s, y):
    """Features by head and position from the start."""
    n, _, h, w = y.shape
    q, k, v = (x.reshape(n, 2, 1, h, w).flatten(3) * 1.5 for x in y.chunk(3, 1))
    hidden, first = masks(h * w)
    scores = torch.matmul(q.transpose(2, 3), k).masked_fill(hidden, -1e4)
    weights = F.dropout(torch.softmax(scores, -1) * first.to(y), 0.5, training=s.training)
    return torch.matmul(weights, v.transpose(2, 3)).transpose(2, 3).reshape(n, -1, h, w)


def on_half_the_rows(s, y):
    half = F.conv2d(
        F.pad(y, (1, 0, 1, 0)), s.query.weight[..., None, None].expand(-1, -1, 2, 2), stride=2
    )
    seen = F.conv_transpose2d(by_start_mask(s, half), s.up, stride=2)
    return y + seen[:, :, : y.size(2), : y.size(3)]


class Masks(nn.Module):
    """Of the 15 positions of small images."""

    def __init__(self):
        super().__init__()
        hidden, first = masks(15)
        self.register_buffer("hidden", hidden)
        self.register_buffer("first", first.float())


def parts():
    linear = {name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")}
    return {**linear, "softmax": nn.Softmax(-1), "dropout": nn.Dropout(0.1), "parts": Masks()}


WRITTEN = [by_start_mask, one_head, by_filling_again, scaled_queries, apart]


@pytest.mark.parametrize("body", WRITTEN)
def test_attention_to_earlier_positions_is_followed(body):
    assert_followed(small_model(body, **parts()))


@pytest.mark.parametrize("engine", ["cached", "native"])
@pytest.mark.parametrize("body", WRITTEN)
def test_attention_draws_what_a_full_pass_draws(body, engine):
    model = small_model(body, **parts()).float()
    assert engines.choose(model, engine).name == engine
    fast, slow = (px.sample(model, 4, seed=1, engine=each) for each in (engine, "full"))
    assert torch.equal(fast, slow)


def attention(hidden=None, first=True, filled=-1e9, softmax=True, scale=1.0):
    """A body that does it in another way."""

    def body(s, y):
        q, k, v = (heads_of(part, 1) for part in y.chunk(3, 1))
        own, start = masks(y.shape[2] * y.shape[3])
        scores = (q @ k.transpose(2, 3)).masked_fill(own if hidden is None else hidden(own), filled)
        weights = torch.softmax(scores, -1) if softmax else scores
        weights = weights if scale == 1 else weights * scale
        weights = weights * start.to(y) if first else weights
        return (weights @ v).transpose(2, 3).reshape(y.size(0), -1, *y.shape[2:])

    return body


REFUSED = {
    "the position itself": (attention(hidden=lambda m: m & False), "a mask other than"),
    "all, of the first": (attention(first=False), "and of the first to none"),
    "little is filled in": (attention(filled=-10.0), "-10.0 for what a mask hides"),
    "no weights": (attention(softmax=False), "weights times anything but"),
    "weights of another sum": (attention(scale=2.0), "weights times anything but"),
    "keys as they are": (lambda s, y: heads_of(y, 1) @ heads_of(y, 1), "are no queries and keys"),
    "of features": (lambda s, y: torch.softmax(y, 1), "softmax of anything but products"),
    "as values": (
        lambda s, y: heads_of(y, 1) @ y.flatten(2)[:, None] + y,
        "shift with .products of queries and keys",
    ),
}


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED)
def test_other_attention_is_refused_by_name(body, reason):
    model = small_model(lambda s, y: y)
    model.network.body = body
    with pytest.raises(Unlowerable, match=reason):
        trace(model.network)


def test_a_first_position_that_sees_all_is_found_out():
    """Where all is hidden from it, weights are equal: it would depend on the whole image."""
    model = small_model(lambda s, y: y)
    model.network.body = attention(first=False)
    chosen = engines.choose(model)
    assert chosen.name == "full" and "and of the first to none" in chosen.reason
