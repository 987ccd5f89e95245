"""How many steps fit into the time, on machines of any speed; simulated, so nothing here sleeps."""

import itertools
import random
import time

import pytest

from pixelcnn.training import recipe as recipes
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.plan import FEWEST, Clock, Plan, few_steps
from pixelcnn.training.schedules import share_of_peak


class Machine:
    """Steps and validations that take as long as it is told, on a clock of its own."""

    def __init__(self, monkeypatch):
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def train(self, pace, *, max_time=100, validation=0.0, steps_per_epoch=50, **options):
        """Trains until the plan is over; gives seconds, plan and the positions of all steps."""
        chosen = TrainingOptions(max_time=str(max_time), batch_size=16, **options)
        start = self.now
        most = 10**6
        clock = Clock(chosen, most, round(48 * validation), "32", self.now)
        plan, step, positions = Plan(most, steps_per_epoch), 0, []
        clock.measure(0)
        while step < plan.steps:
            positions.append(plan.position(step) / plan.steps)
            self.now += pace(self.now - start)
            step += 1
            if step % steps_per_epoch == 0 and step < plan.steps:
                self.now += validation
                clock.pause(validation, validation=True)
            clock.measure(step)
            plan = clock.settle(plan, step)
        self.now += validation
        return self.now - start, plan, positions


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


SPEEDS = {
    "even": lambda now: 0.2,
    "slow": lambda now: 2.5,
    "warming up": lambda now: 6.0 if now == 0 else 0.1,
    "loaded later": lambda now: 0.1 if now < 40 else 0.25,
    "loaded first": lambda now: 0.3 if now < 50 else 0.1,
    "noisy": lambda now: random.Random(now).uniform(0.05, 0.3),
}


@pytest.mark.parametrize("validation", [0.0, 3.0])
@pytest.mark.parametrize("name", SPEEDS)
def test_a_time_limit_holds_within_five_percent(name, validation, machine):
    seconds, _, _ = machine.train(SPEEDS[name], validation=validation)
    assert 92 <= seconds <= 105  # what is kept for saving and pictures is not used here


@pytest.mark.parametrize("schedule_by", ["steps", "time"])
@pytest.mark.parametrize("name", SPEEDS)
def test_the_schedule_runs_from_its_start_to_its_end_without_a_jump(name, schedule_by, machine):
    _, plan, positions = machine.train(SPEEDS[name], schedule_by=schedule_by)
    assert positions == sorted(positions)
    assert positions[0] == 0.0
    assert positions[-1] > 0.9
    limit = 3 / len(positions) if schedule_by == "steps" else 0.09  # a warm-up may pass in one step
    assert max(b - a for a, b in itertools.pairwise(positions)) < max(limit, 0.03)
    assert plan.position(plan.steps) == plan.steps


def test_a_schedule_by_time_follows_the_share_of_the_time(machine):
    _, _, positions = machine.train(SPEEDS["loaded later"], schedule_by="time")
    halfway = next(i for i, share in enumerate(positions) if share >= 0.5)
    assert halfway == pytest.approx(400 + 10 / 0.25, abs=5)


def test_a_plan_by_epochs_is_the_step_itself():
    plan = Plan(steps=30, steps_per_epoch=10)
    assert [plan.position(step) for step in (0, 7, 29, 30)] == [0.0, 7.0, 29.0, 30.0]


def test_epochs_limit_what_time_allows(machine):
    clock = Clock(TrainingOptions(max_time="1h"), 40, 0, "32", machine.now)
    clock.measure(0)
    for step in range(1, 20):
        machine.now += 10.0
        clock.measure(step)
    assert clock.settle(Plan(40, 10), 19).steps == 40


@pytest.mark.parametrize("max_time", ["1h", None])
def test_steps_that_no_time_is_left_for_are_not_foreseen(max_time, machine):
    clock = Clock(TrainingOptions(max_time=max_time), 10**6, 0, "32", machine.now)
    clock.measure(0)
    plan = Plan(10**6, 50)
    assert clock.foreseen(plan, 0) == plan
    for step in range(1, 6):
        machine.now += 1.0
        clock.measure(step)
    assert clock.settle(plan, 5) == plan
    assert clock.foreseen(plan, 5).steps == (pytest.approx(3_600, abs=9) if max_time else 10**6)


@pytest.mark.parametrize(("pace", "images"), [(0.1, 5_000), (10.0, 480), (1_000.0, FEWEST)])
def test_a_validation_takes_a_tenth_of_the_time_at_most(pace, images, machine):
    """A step is of 16 images, and an image validates in a third of the time that it trains."""
    clock = Clock(TrainingOptions(max_time="1000s", batch_size=16), 10**6, 5_000, "32", machine.now)
    clock.measure(0)
    for step in range(1, 6):
        machine.now += pace
        clock.measure(step)
    assert clock.affordable == images


def test_without_a_time_limit_all_images_validate(machine):
    assert Clock(TrainingOptions(), 40, 5_000, "32", machine.now).affordable == 5_000


def test_earlier_runs_count(machine):
    clock = Clock(TrainingOptions(max_time="100s"), 40, 0, "32", machine.now)
    clock.go_on(elapsed=70.0)
    assert clock.left == pytest.approx(30.0)


def test_the_learning_rate_goes_on_smoothly_where_the_plan_changes():
    options = TrainingOptions(schedule="cosine")
    plan = Plan(steps=100, steps_per_epoch=10)
    shorter = plan.again(step=50, steps=70)
    before = share_of_peak(options, plan.position(50), plan.steps)
    after = share_of_peak(options, shorter.position(50), shorter.steps)
    assert after == pytest.approx(before)
    assert share_of_peak(options, shorter.position(70), 70) == pytest.approx(0.01)


@pytest.mark.parametrize(("max_time", "steps"), [("80s", 800), ("240s", 2_400), (None, 10_000)])
def test_a_training_of_another_length_has_as_much_of_its_schedule_behind_it(
    max_time, steps, machine
):
    clock = Clock(TrainingOptions(max_time=max_time), 10_000, 0, "32", machine.now)
    clock.go_on(elapsed=60.0)
    plan = clock.replan(Plan(1_000, 50, anchor=100, start=90.0), 600)
    assert (plan.steps, plan.position(600)) == (steps, pytest.approx(600))


def test_a_training_whose_time_is_over_is_not_planned_anew(machine):
    clock = Clock(TrainingOptions(max_time="50s"), 10_000, 0, "32", machine.now)
    clock.go_on(elapsed=60.0)
    assert clock.replan(Plan(1_000, 50), 600).steps == 600


def test_a_resumed_training_measures_anew_before_it_settles(machine):
    """Its first step is slow, and most of the time may be over."""
    clock = Clock(TrainingOptions(max_time="100s"), 10**6, 0, "32", machine.now)
    clock.go_on(elapsed=50.0)
    plan = Plan(10**6, 50)
    clock.measure(400)
    machine.now += 6.0
    clock.measure(401)
    assert clock.settle(plan, 401) == plan
    for step in range(402, 430):
        machine.now += 0.1
        clock.measure(step)
    assert clock.settle(plan, 429).steps == pytest.approx(429 + 39.2 / 0.1, abs=10)


def test_no_more_epochs_are_proposed_than_are_taken():
    (said,) = few_steps(recipes.get("pixelcnnpp-cifar10"), 45)
    assert said.startswith("5,000 epochs are") and said.endswith("on cifar-10")
