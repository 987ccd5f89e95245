"""Programs of networks, kept between calls for as long as they are true."""

import contextlib
import logging
import threading
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import fx

from pixelcnn.devices import kinds_of
from pixelcnn.engines.full import name_of
from pixelcnn.engines.guard import WrongProgram, program_difference
from pixelcnn.engines.origin import Origin, digest_of_weights, hook_of, origin_of
from pixelcnn.engines.parallel import past_seen
from pixelcnn.engines.stages import schedule
from pixelcnn.engines.trace import graph_of, lower, trace
from pixelcnn.errors import ModelError
from pixelcnn.masks import raster_past
from pixelcnn.model import PixelModel
from pixelcnn.modes import within
from pixelcnn.networks import Network
from pixelcnn.program import Program, Unlowerable
from pixelcnn.surroundings import independent

log = logging.getLogger("pixelcnn")

SMALL = (4, 8)
"""Rows and columns of an image in which it is looked for what a network sees."""
FUTURE = (
    "%s sees what it predicts, or what comes later, so its likelihoods mean nothing: "
    "`pixelcnn verify` (in Python px.verify.check_model) says where"
)
MOST_VERDICTS = 32
"""Verdicts kept for a network: the latest, as it is tried at several sizes and with weights that change."""


@dataclass
class _Kept:
    origin: Origin
    program: Program
    verdicts: dict[object, str] = field(default_factory=dict)


_kept: WeakKeyDictionary[Network, _Kept] = WeakKeyDictionary()
_lock = threading.RLock()


@independent
def program_of(model: PixelModel) -> Program:
    """The program of a model's network as it is now, compared with ``forward``.

    The network is followed anew each time, and its weights and all else that the program depends on are
    compared by content; it is lowered only if something has changed, and compared with ``forward`` if that is
    new for a model of this size. Of what ``torch.compile`` made of a model, the program is that of the model.

    Raises:
        Unlowerable: the network does something that a program cannot say.
        WrongProgram: its program says something else than ``forward``, or an engine does.
    """
    model = within(model)
    hook = hook_of(model)
    if hook:
        raise Unlowerable(hook)
    if len(kinds := kinds_of(model)) > 1:
        raise Unlowerable(f"its weights are of several types, {' and '.join(kinds)}")
    with _lock:  # of the threads that want a program at first, one makes it
        graph = graph_of(model.network)
        kept = _up_to_date(model.network, graph)
        for drawn in (True, False):
            own = kept.origin.weights, kept.origin.tensors
            what = ("its program", b"" if drawn else own)
            if found_out(model, kept.program, what) is None:
                schedule(model, kept.program)  # refuses what is not causal
                find_out(model, kept.program, what, program_difference(model, drawn=drawn))
            refuse(found_out(model, kept.program, what))
        return kept.program


@independent
def sees_future(model: PixelModel) -> bool:
    """Whether a model's network reads what it predicts, or what comes later, as its program says.

    Of a network without a program nobody knows but by trying, as :func:`pixelcnn.verify.check_model` does.
    """
    model = within(model)
    network = model.network
    try:
        with torch.random.fork_rng(devices=[]):  # a forward may draw
            program = trace(network)
    except Unlowerable:
        return False
    if program.nodes[-1].clock != 1 or program.nodes[-1].width != network.out:
        return False  # these are no parameters of its pixels
    with contextlib.suppress(Unlowerable):
        schedule(model, program)
        return False
    height, width = (min(sides) for sides in zip(SMALL, model.shape[1:], strict=True))
    past = raster_past(network.channels, height, width)
    past = past if network.order == "channel" else past[:1].expand_as(past)
    try:  # what cannot be walked may be causal all the same
        return bool((past_seen(program, network.order, height, width) & ~past).any())
    except Unlowerable:
        return False


def tell_of_future(model: PixelModel) -> None:
    """One line where a network sees its future, so that nothing it gives is a likelihood."""
    if sees_future(model):
        log.warning(FUTURE, name_of(within(model).network))


def found_out(model: PixelModel, program: Program, what: object) -> str | None:
    """What is known to be wrong: empty if it was found to be right, None if nobody has looked.

    Args:
        model: whose program it is.
        program: as it is now.
        what: that may be wrong, for models of this size and type.
    """
    with _lock:
        kept = _kept.get(model.network)
        if kept is None or kept.program is not program:
            return None
        return kept.verdicts.get(_key(model, what))


def find_out(model: PixelModel, program: Program, what: object, wrong: str) -> None:
    """Keeps what :func:`found_out` gives, until the network changes in more than its weights.

    Raises:
        ModelError: something was found to be wrong while the weights changed, which proves nothing.
    """
    with _lock:
        kept = _kept.get(model.network)
        if kept is not None and kept.program is not program:
            kept = None
        if wrong:
            require_weights(model, kept.origin.weights if kept else b"")
        if kept is not None:
            kept.verdicts[_key(model, what)] = wrong
            for old in list(kept.verdicts)[:-MOST_VERDICTS]:
                del kept.verdicts[old]


def weights_of(model: PixelModel, program: Program) -> bytes:
    """A digest of the weights that a program was made of; empty if by now there is one of others."""
    with _lock:
        kept = _kept[model.network]
        return kept.origin.weights if kept.program is program else b""


def require_weights(model: PixelModel, weights: bytes) -> None:
    """Raises :class:`ModelError` where a model no longer has the weights of such a digest."""
    if digest_of_weights(model.network) != weights:
        raise ModelError(
            "the weights of the model changed while it computed",
            hint="while it is trained, compute with a copy: copy.deepcopy(model)",
        )


def refuse(wrong: str | None) -> None:
    """Raises :class:`WrongProgram` if something is wrong."""
    if wrong:
        raise WrongProgram(wrong)


def _key(model: PixelModel, what: object) -> object:
    return what, type(model), model.shape, model.output, model.dtype, model.device


def _up_to_date(network: Network, graph: fx.Graph) -> _Kept:
    now, kept = origin_of(network, graph), _kept.get(network)
    if kept is None or kept.origin.structure != now.structure:
        kept = _kept[network] = _Kept(now, lower(network, graph))
    elif kept.origin != now:
        kept.program, kept.origin = lower(network, graph), now
    return kept
