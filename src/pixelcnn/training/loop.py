"""The loop of a training: from a batch to a saved model.

A step takes a batch, which is a function of its number, and moves the weights and their average. What is
due after it follows in an order that a crash cannot spoil: rows and model files come before the checkpoint
that counts on them. After a stop signal the checkpoint comes first; what is written after it, the resumed
run takes back and does itself.

The device is asked for its losses once a second or so, never in a step, unless ``on_nan = "skip"`` needs
to know. Several processes go through all of it together: what depends on the clock or on a signal, they
agree on in the same moment.
"""

import contextlib
import math
import time

from torch import Tensor

from pixelcnn.training import divergence, pictures, validation
from pixelcnn.training.batches import Batch, seed_dropout
from pixelcnn.training.likelihood import Stopped, Validation
from pixelcnn.training.record import progress_record, validation_record
from pixelcnn.training.trainer import Trainer

LOOK = 1.0
"""Seconds between two looks at the losses, the signals and the clock."""


def run(trainer: Trainer) -> None:
    """Takes the steps that are left, and does what is due after each."""
    state = trainer.state
    trainer.recorder.begin()
    trainer.model.zero_grad()  # of frozen weights, too: what the caller has left there is no part of this
    trainer.first, trainer.began = state.step, time.monotonic()
    if trainer.options.on_nan == "rewind" and not state.step:
        trainer.save_checkpoint()
    look(trainer)
    if 0 < state.step >= trainer.plan.steps:
        end_late(trainer)
    elif state.step % trainer.per_epoch == 0:
        if 0 < state.step == trainer.ended and wants_grid(trainer):
            pictures.draw(trainer, anew=False)  # if a kill came before it
        end_epoch(trainer)  # if a signal came before its validation was over
    while state.step < trainer.plan.steps and not trainer.reason:
        take_step(trainer)
        trainer.tell("on_step")
        do_what_is_due(trainer)
        trainer.recorder.talk.progress(state)
    if trainer.reason == "signal":
        stop_early(trainer)


def take_step(trainer: Trainer) -> None:
    """One batch, forward and backward, and the weights moved by it."""
    state, options, model = trainer.state, trainer.options, trainer.model
    seed_dropout(model, options.seed, state.step, trainer.processes.rank)
    loss = add_gradients(trainer, trainer.batches[state.step])
    if options.gradient_clip:
        trainer.accelerator.clip_grad_norm_(model.parameters(), options.gradient_clip)
    share = trainer.share_of_peak(state.step)
    state.learning_rate = options.learning_rate * share
    for group in trainer.optimizer.param_groups:
        group["lr"] = group["peak"] * share
    if trainer.is_usable(loss):
        trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    trainer.average.update()
    state.last_loss = loss
    trainer.pending.append(state.last_loss)
    state.step += 1
    state.epoch = math.ceil(state.step / trainer.per_epoch)


def add_gradients(trainer: Trainer, batch: Batch) -> Tensor:
    """The gradients of a batch, added to those of the weights; gives its loss.

    What is computed in parts is exchanged between processes once, with the last of them.
    """

    def loss_of(levels: Tensor, condition: Tensor | None) -> Tensor:
        loss: Tensor = trainer.loss(levels, condition, batch.weight)
        trainer.accelerator.backward(loss)
        return loss.detach()

    *parts, last = batch.parts(trainer.options.micro_batch_size)
    with trainer.accelerator.no_sync(trainer.loss) if parts else contextlib.nullcontext():
        losses = [loss_of(*part) for part in parts]
    return sum(losses, loss_of(*last))


def do_what_is_due(trainer: Trainer) -> None:
    """After a step: look up, write, validate, save."""
    state = trainer.state
    row = state.step % trainer.options.log_every == 0
    epoch = state.step % trainer.per_epoch == 0
    urgent = trainer.processes.size == 1 and (trainer.stop or state.reason)
    if not (row or epoch or urgent or state.step >= min(trainer.next_look, trainer.plan.steps)):
        return
    late = look(trainer)
    over = state.step >= trainer.plan.steps or trainer.reason not in ("", "signal")
    if over or state.step % trainer.per_epoch == 0:
        end_epoch(trainer)
        return
    if row:
        trainer.recorder.write(state)
    if late and not trainer.reason:
        trainer.save_checkpoint()


def look(trainer: Trainer) -> bool:
    """Reads the losses since the last look, and agrees on what to do.

    Returns:
        Whether a checkpoint is due.
    """
    state, pace = trainer.state, trainer.clock.measure(trainer.state.step)
    trainer.take_in()
    waited = time.monotonic() - trainer.saved > trainer.options.checkpoint_seconds
    trainer.stop.agreed, late, wish, microseconds = trainer.processes.maximum(
        trainer.stop.signal(trainer.processes), waited, bool(state.reason), round(pace * 1e6)
    )
    stop_for(trainer, "signal" if trainer.stop.agreed else "", wish)
    state.seconds_per_step, state.mean_loss = microseconds / 1e6, trainer.recorder.mean_loss
    often, pace = min(LOOK, trainer.options.checkpoint_seconds), state.seconds_per_step
    trainer.next_look = state.step + (max(1, int(often / pace)) if pace else 1)
    if trainer.options.max_time is not None:
        settle = trainer.clock.settle
        trainer.follow(trainer.processes.on_main(lambda: settle(trainer.plan, state.step)))
    return bool(late)


def stop_for(trainer: Trainer, reason: str, wish: int) -> None:
    """Notes why to stop: a reason that all know, or else what a callback of some process wishes."""
    wished = (trainer.state.reason or "callback") if wish else ""
    trainer.reason = reason or trainer.reason or wished


def end_epoch(trainer: Trainer) -> None:
    """The end of an epoch, or of the training: validates, writes it down, keeps the best, saves, draws."""
    state, options, pause = trainer.state, trainer.options, time.monotonic()
    if state.step == trainer.ended:
        return
    over = state.step >= trainer.plan.steps
    final, found = over or bool(trainer.reason), None
    if final or state.epoch % options.validate_every == 0:
        found = validated(trainer, last=over)
        if found is None:
            return  # nothing has been counted yet: a resumed run comes here again
    steps = state.step - max(trainer.first, (state.epoch - 1) * trainer.per_epoch)
    trainer.recorder.write_epoch(state, pause - trainer.began - trainer.idle, steps, found)
    if found is not None:
        judge(trainer, found)
    trainer.tell("on_epoch")
    stop_for(trainer, "", *trainer.processes.maximum(bool(state.reason)))
    if trainer.reason not in ("", "signal"):
        over = True
        if found is None and (found := validated(trainer, last=True)) is not None:
            trainer.recorder.write(state, found)
            judge(trainer, found)
    trainer.ended = state.step
    if over:
        trainer.saver.keep_last()  # a training with this checkpoint is over
    if over or trainer.reason != "signal":
        trainer.save_checkpoint()
    if not final and wants_grid(trainer):
        pictures.draw(trainer)
    trainer.began, trainer.idle = time.monotonic(), 0.0


def end_late(trainer: Trainer) -> None:
    """The end of a training that goes on for a length which it has behind it already."""
    state = trainer.state
    trainer.recorder.talk.say(f"this length is over at step {state.step:,}: validating once")
    if state.step != trainer.ended:
        end_epoch(trainer)
    elif (found := validated(trainer)) is not None:
        trainer.recorder.write(state, found)
        judge(trainer, found)
        trainer.saver.keep_last()
        trainer.save_checkpoint()


def wants_grid(trainer: Trainer) -> bool:
    """Whether the end of this epoch is one after which a sample grid is drawn."""
    every = trainer.options.sample_every
    return every > 0 and trainer.state.epoch % every == 0


def validated(trainer: Trainer, *, last: bool = False) -> Validation | None:
    """A validation of the averaged weights; None if a signal came, or if it made the training go back.

    One that is the first and the last is that in full precision which the best weights get in any case.
    """
    start, single = time.monotonic(), last and trainer.saver.best.step < 0
    if not trainer.validating:
        trainer.settle_validation(trainer.processes.on_main(lambda: trainer.clock.affordable))
    try:
        with trainer.average.applied():
            found = validation.validate(trainer, full=single)
    except Stopped:
        trainer.reason = "signal"
        return None
    trainer.clock.pause(time.monotonic() - start, validation=True)
    if math.isfinite(found.mean):
        return found
    trainer.go_back(divergence.of_validation(found.mean, trainer.state.step))
    return None


def judge(trainer: Trainer, found: Validation) -> None:
    """Keeps the model if it is the best so far, and stops for want of progress."""
    state, saver, images = trainer.state, trainer.saver, len(trainer.batches.data)
    progress = progress_record(state.step, trainer.per_epoch, images)
    record = trainer.model.record | progress | validation_record(found)
    trainer.model.record = record  # a new one: copies of the model share the old one
    saver.judge(state.step, found)
    state.validation, state.best = found, saver.best.nats
    if not trainer.ended:
        recorder = trainer.recorder
        divergence.warn(found, recorder.first, trainer.model.levels, recorder.talk)
    with trainer.average.applied():
        trainer.tell("on_validation")
    if trainer.options.patience and saver.best.worse >= trainer.options.patience:
        state.stop("patience")
        trainer.recorder.talk.say(f"stopping: nothing better since step {saver.best.step}")
    stop_for(trainer, "", *trainer.processes.maximum(bool(state.reason)))


def stop_early(trainer: Trainer) -> None:
    """After a signal: the checkpoint first, whatever the validation takes; then the rest."""
    if not trainer.is_finite:
        trainer.go_back(divergence.of_weights(trainer.state.step))
    step, steps = trainer.state.step, trainer.plan.steps
    if step < steps:
        trainer.save_checkpoint()
        trainer.saver.set_aside()
        trainer.saver.keep_last()
    trainer.stop.honoured = True
    if trainer.ended != step:
        saved = "" if trainer.folder is None else "saved, "
        trainer.recorder.talk.say(f"stopping at step {step} of {steps}: {saved}validating once")
        end_epoch(trainer)
    trainer.saver.keep_last()
