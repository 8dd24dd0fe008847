"""Contract suites for what a training is made of: subclass one in a plugin's tests and say what your component is.

::

    class TestStep(LrSchedulerContract):
        component: ClassVar = {"name": "step", "gamma": 0.5}

The component is found by its name among the installed plugins, checked and built as for a study, so a plugin's entry
point, its hooks and its options' annotations are under test too. torch is imported by the tests and not by this module.
"""

from __future__ import annotations

import copy
import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest

from hpo_core import options, plugins
from hpo_core.catalog import Catalog
from hpo_core.checking import Checker
from hpo_core.contracts import Dataset, InputShape, Labels, Operation, Part
from hpo_core.execution import execute
from hpo_core.scheduling import CONTINUE, Decision
from hpo_core.testing.transforms import random_transforms
from hpo_core.trial import Checkpoint, Ending, Goal, Outcome, Report, Trial


@functools.cache
def installed_catalog() -> Catalog:
    """The catalog of the installed plugins, loaded once."""
    return plugins.load()[0]


def checked(kind: str, tree: str | Mapping[str, Any]) -> dict[str, Any]:
    """A component with its defaults filled in. Raises AssertionError, with the problems, where a study file would."""
    checker = Checker(installed_catalog())
    full = checker.component(kind, tree, (), searchable=False)
    assert not checker.problems, [problem for _, problem in checker.problems]
    return dict(full)


def built(kind: str, tree: str | Mapping[str, Any], *positional: Any) -> Any:
    """A component, built with what its kind is called with."""
    return options.bind(installed_catalog(), kind, checked(kind, tree)).build(*positional)


class ComponentContract:
    """What holds for a component of every kind."""

    kind: ClassVar[str]
    component: ClassVar[str | Mapping[str, Any]]

    def build(self, *positional: Any) -> Any:
        """The component under test, built."""
        return built(self.kind, self.component, *positional)

    def test_options_are_described(self) -> None:
        """`hpo plugins show` has something to say about each option."""
        entry = installed_catalog().entry(self.kind, checked(self.kind, self.component)["name"])
        for option in options.options_of(entry.factory).values():
            assert option.description, f"the option '{option.name}' has no description"


class OptimizerContract(ComponentContract):
    """An optimizer lowers a loss, takes groups of parameters, and goes on from its state as if it had never stopped."""

    kind = "optimizers"

    def test_lowers_a_loss(self) -> None:
        """Ten steps on a parabola lead downhill."""
        import torch

        point: Any = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
        optimizer = self.build([point])
        assert isinstance(optimizer, torch.optim.Optimizer)
        before = float(point.square().sum().detach())
        _descend(optimizer, point, 10)
        assert float(point.square().sum().detach()) < before

    def test_keeps_the_rates_of_groups(self) -> None:
        """A group's own learning rate wins over the option."""
        import torch

        first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
        optimizer = self.build([{"params": [first]}, {"params": [second], "lr": 1e-5}])
        assert [group["lr"] for group in optimizer.param_groups][1] == 1e-5

    def test_continues_from_its_state(self) -> None:
        """Another optimizer that is given the state half-way takes the same steps, bit for bit."""
        import torch

        point: Any = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
        optimizer = self.build([point])
        _descend(optimizer, point, 5)
        state = copy.deepcopy(optimizer.state_dict())
        assert_storable(state, "state")
        other: Any = torch.nn.Parameter(point.detach().clone())
        resumed = self.build([other])
        resumed.load_state_dict(state)
        for _ in range(5):
            _descend(optimizer, point, 1)
            _descend(resumed, other, 1)
            assert torch.equal(point, other)


def assert_storable(state: Any, place: str) -> None:
    """Assert that a state is made of what a checkpoint can hold without pickle: JSON's types, tuples and tensors."""
    import torch

    if isinstance(state, dict):
        for key, item in state.items():
            assert isinstance(key, str | int), f"{place} has the key {key!r}"
            assert_storable(item, f"{place}.{key}")
    elif isinstance(state, list | tuple):
        for index, item in enumerate(state):
            assert_storable(item, f"{place}.{index}")
    else:
        plain = None | bool | int | float | str | torch.Tensor
        assert isinstance(state, plain), f"{place} is of type {type(state).__name__}"


def _descend(optimizer: Any, point: Any, steps: int) -> None:
    """Steps on a parabola."""

    def closure() -> Any:
        optimizer.zero_grad()
        loss = point.square().sum()
        loss.backward()
        return loss

    for _ in range(steps):
        assert optimizer.step(closure) is not None  # what it made smaller


class LossContract(ComponentContract):
    """A loss is a mean over images, takes labels and probabilities, and is kept by its state.

    Set `additive` to False for one with a term of the whole batch.
    """

    kind = "losses"
    additive: ClassVar[bool] = True
    counts: ClassVar[tuple[int, ...]] = (90, 9, 1)

    def build_for(self, counts: tuple[int, ...], epochs: int = 10) -> Any:
        """The loss for so many training images of each class, in training mode."""
        return self.build(Labels(len(counts), epochs, lambda: counts)).train()

    def test_leads_to_the_right_class(self) -> None:
        """Steps down its gradient end with each image in its class."""
        import torch

        loss, targets = self.build_for((2, 1, 1)), torch.tensor([0, 1, 2, 0])
        logits: Any = torch.nn.Parameter(torch.zeros(4, 3))
        optimizer = torch.optim.SGD([logits], lr=1.0)
        for _ in range(50):
            optimizer.zero_grad()
            value = loss(logits, targets)
            assert value.shape == () and torch.isfinite(value)
            value.backward()
            optimizer.step()
            _after_step(loss)
        assert logits.argmax(1).equal(targets)

    def test_labels_are_probabilities_too(self) -> None:
        """A label is the same target as a one-hot vector, and a mixture lies between."""
        import torch

        loss, targets = self.build_for(self.counts).eval(), torch.tensor([0, 2, 1])
        logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.2, 0.1], [0.0, 3.0, 0.0]])
        sharp = torch.nn.functional.one_hot(targets, 3).float()
        torch.testing.assert_close(loss(logits, targets), loss(logits, sharp))
        assert torch.isfinite(loss(logits, 0.5 * sharp + 0.5 * sharp.flip(0)))

    def test_parts_add_up(self) -> None:
        """The losses of parts, weighted by their images, are that of the whole."""
        import torch

        loss = self.build_for(self.counts).eval()
        logits, targets = _logits(12), torch.arange(12) % 3
        whole = loss(logits, targets)
        parts = 5 / 12 * loss(logits[:5], targets[:5]) + 7 / 12 * loss(logits[5:], targets[5:])
        if self.additive:
            torch.testing.assert_close(parts, whole)
        else:
            assert torch.isfinite(parts - whole)

    def test_is_finite_at_the_extremes(self) -> None:
        """So are its gradients, for logits far out and in 16 bits, and for a class without an image."""
        import torch

        for dtype in (torch.float32, torch.bfloat16):
            extreme = torch.tensor([[100.0, -100.0, 0.0], [-100.0, 100.0, 0.0], [0.0, 0.0, 0.0]])
            logits: Any = extreme.to(dtype).requires_grad_()
            loss = self.build_for((5, 2, 0))
            value = loss(logits, torch.tensor([0, 0, 2]))
            value.backward()
            assert value.dtype == torch.float32 and torch.isfinite(value)
            assert torch.isfinite(logits.grad).all()

    def test_continues_from_its_state(self) -> None:
        """Built again and given the state, it says the same from then on; in evaluation nothing changes."""
        import torch

        loss, other = self.build_for(self.counts), self.build_for(self.counts)
        for seed in range(4):
            loss(_logits(12, seed), torch.arange(12) % 3)
            _after_step(loss)
        state = copy.deepcopy(loss.state_dict())
        assert_storable(dict(state), "state")
        other.load_state_dict(state)
        for each in (loss, other):
            if hasattr(each, "set_epoch"):
                each.set_epoch(9)
        logits, targets = _logits(12, 9), torch.arange(12) % 3
        assert torch.equal(loss(logits, targets), other(logits, targets))
        before = copy.deepcopy(other.eval().state_dict())
        other(logits, targets)
        assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())


def _logits(count: int, seed: int = 0) -> Any:
    import torch

    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def _after_step(loss: Any) -> None:
    if hasattr(loss, "after_step"):
        loss.after_step()


class LrSchedulerContract(ComponentContract):
    """An LR scheduler takes exactly the steps of the run, whatever their number, and does what its name promises.

    Set `moves` to False for one whose learning rate is meant to stay, and `moves_from` to the least number of steps of
    a run in which it moves, if that is not 1. One that waits for the validation loss is given one that never falls.
    """

    kind = "lr_schedulers"
    moves: ClassVar[bool] = True
    moves_from: ClassVar[int] = 1

    def rates(self, total_steps: int, *bases: float) -> list[list[float]]:
        """The learning rates of each group before the first and after every step."""
        import torch

        optimizer = _idle_optimizer(*bases)
        scheduler = self.build(optimizer, total_steps)
        assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
        rates = [[group["lr"] for group in optimizer.param_groups]]
        for _ in range(total_steps):
            _advance(optimizer, scheduler, 1)
            rates.append([group["lr"] for group in optimizer.param_groups])
        return rates

    @pytest.mark.parametrize("total_steps", [1, 2, 3, 5, 10, 50, 90, 1000])
    def test_takes_every_step(self, total_steps: int) -> None:
        """From one step up, each rate is a number between 0 and the optimizer's own rate."""
        rates = [rate for [rate] in self.rates(total_steps, 0.1)]
        assert all(math.isfinite(rate) and 0 <= rate <= 0.1 + 1e-9 for rate in rates)
        assert (len(set(rates)) > 1) is (self.moves and total_steps >= self.moves_from)

    def test_groups_keep_their_ratio(self) -> None:
        """A group with a tenth of the rate has a tenth of it all along."""
        for first, second in self.rates(20, 0.1, 0.01):
            assert second == pytest.approx(first / 10)

    @pytest.mark.parametrize("done", [0, 1, 7, 19, 20])
    def test_continues_from_its_state(self, done: int) -> None:
        """Built again with the whole run's steps and given its state through JSON, it goes on exactly as before."""
        optimizer, resumed_optimizer = _idle_optimizer(0.1, 0.01), _idle_optimizer(0.1, 0.01)
        scheduler = self.build(optimizer, 20)
        _advance(optimizer, scheduler, done)
        resumed = self.build(resumed_optimizer, 20)
        resumed_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        # a loss that was never measured is infinite, which Python's JSON has and a strict one has not
        resumed.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
        for _ in range(done, 20):
            assert _groups(resumed_optimizer) == _groups(optimizer)
            _advance(optimizer, scheduler, 1)
            _advance(resumed_optimizer, resumed, 1)
        assert _groups(resumed_optimizer) == _groups(optimizer)


def _advance(optimizer: Any, scheduler: Any, steps: int) -> None:
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    judged = [1.0] if isinstance(scheduler, ReduceLROnPlateau) else []
    for _ in range(steps):
        optimizer.step()
        scheduler.step(*judged)


def _groups(optimizer: Any) -> list[dict[str, Any]]:
    """What an optimizer's groups are set to, momentum as well as the learning rate."""
    return [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]


def _idle_optimizer(*bases: float) -> Any:
    """An optimizer with a group for each learning rate, whose steps change nothing."""
    import torch

    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": base} for base in bases]
    return torch.optim.SGD(groups, lr=bases[0])


class ModelContract(ComponentContract):
    """A model takes the shapes of `shapes`, gives one logit per class, and learns with every parameter."""

    kind = "models"
    shapes: ClassVar[tuple[InputShape, ...]] = (
        InputShape(3, 32, 32, 10),
        InputShape(1, 32, 32, 4),
    )

    def test_maps_images_to_logits(self) -> None:
        """One finite logit per image and class, and a gradient for each parameter that is not frozen."""
        import torch

        for shape in self.shapes:
            model = self.build(shape)
            logits = model.train()(torch.randn(3, shape.channels, shape.height, shape.width))
            assert logits.shape == (3, shape.classes)
            logits.logsumexp(1).sum().backward()
            idle = [
                name
                for name, weight in model.named_parameters()
                if weight.requires_grad and weight.grad is None
            ]
            assert torch.isfinite(logits).all() and not idle

    def test_is_built_from_the_seed(self) -> None:
        """The same seed gives the same weights."""
        import torch

        states = []
        for _ in range(2):
            torch.manual_seed(3)
            states.append(self.build(self.shapes[0]).state_dict())
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


class DatasetContract(ComponentContract):
    """A dataset's batches are as its shape says, the parts are disjoint, and only the order depends on the seed.

    Set `parts` where the dataset has no part `test`.
    """

    kind = "datasets"
    parts: ClassVar[tuple[Part, ...]] = ("train", "val", "test")

    @pytest.fixture
    def dataset(self) -> Dataset:
        """The dataset under test, with seed 1."""
        dataset = self.build(1)
        assert isinstance(dataset, Dataset)
        return dataset

    def test_batches_are_as_promised(self, dataset: Dataset) -> None:
        """Shapes, types, label range and the number of batches."""
        import torch

        shape = dataset.shape
        assert shape.classes == len(set(dataset.classes))
        for part in self.parts:
            batches = list(dataset.batches(part))
            assert len(batches) == len(dataset.batches(part)) > 0
            for images, labels in batches:
                assert images.shape == (len(labels), shape.channels, shape.height, shape.width)
                assert images.dtype == torch.float32 and labels.dtype == torch.int64
                assert torch.isfinite(images).all()
                assert 0 <= int(labels.min()) <= int(labels.max()) < shape.classes

    def test_training_batches_suit_batch_normalization(self, dataset: Dataset) -> None:
        """No batch of a single image."""
        assert all(len(labels) > 1 for _, labels in dataset.batches("train"))

    def test_training_is_reshuffled(self, dataset: Dataset) -> None:
        """Another order in each iteration, and the same orders again from the same seed."""
        first, again = dataset.batches("train"), self.build(1).batches("train")
        orders = [_order(first), _order(first)]
        assert orders[0] != orders[1]
        assert orders == [_order(again), _order(again)]

    def test_each_epoch_has_its_order(self, dataset: Dataset) -> None:
        """A trial that continues in another process sees the orders that it would have seen."""
        whole, continued = dataset.batches("train"), self.build(1).batches("train")
        orders = [_order(whole) for _ in range(4)]
        continued.set_epoch(2)
        assert [_order(continued), _order(continued)] == orders[2:]
        continued.set_epoch(0)
        assert _order(continued) == orders[0]

    def test_seed_changes_only_the_order(self, dataset: Dataset) -> None:
        """Other trials see the same images in each part."""
        other = self.build(2)
        assert _order(dataset.batches("train")) != _order(other.batches("train"))
        for part in self.parts[1:]:
            assert _order(dataset.batches(part)) == _order(other.batches(part))
            assert _order(dataset.batches(part)) == _order(dataset.batches(part))

    def test_nothing_random_is_done_to_what_trials_are_judged_by(self, dataset: Dataset) -> None:
        """Two passes over `val` and `test` are equal, and no random transformation can be reached from them."""
        for part in self.parts[1:]:
            batches = dataset.batches(part)
            assert _order(batches) == _order(batches)
            found = random_transforms(batches)
            assert not found, f"random transformations in the part {part}: {', '.join(found)}"

    def test_changes_and_groups_are_of_this_dataset(self, dataset: Dataset) -> None:
        """What augmentations must not do is known by its name, with a reason; groups have classes that there are."""
        tree = checked(self.kind, self.component)
        factory = installed_catalog().entry(self.kind, tree["name"]).factory
        changed_by = getattr(factory, "changed_by", None)
        changes: Mapping[Operation, str] = changed_by(tree) if changed_by else {}
        assert set(changes) <= set(get_args(Operation)) and all(changes.values())
        for name, members in dataset.groups.items():
            assert name and members and set(members) <= set(dataset.classes)

    def test_where_its_files_lie_can_be_told(self) -> None:
        """A folder or a URL, by which a trial knows the version of the files that it reads; None: it reads none."""
        tree = checked(self.kind, self.component)
        factory = installed_catalog().entry(self.kind, tree["name"]).factory
        location = getattr(factory, "location", None)
        found = location(tree) if location else None
        assert found is None or (isinstance(found, str) and found)

    def test_parts_share_no_image(self, dataset: Dataset) -> None:
        """No image of one part is in another."""
        seen: set[bytes] = set()
        for part in self.parts:
            images = set(_order(dataset.batches(part)))
            assert not seen & images
            seen |= images


def _order(batches: Any) -> list[bytes]:
    return [image.numpy().tobytes() for images, _ in batches for image in images]


class ObjectiveContract(ComponentContract):
    """An objective reports its metric with growing steps, obeys a decision to stop, and repeats itself from a seed.

    `metric` is one that it reports; `repeatable` is False where its numbers come from outside; `resumable` is True
    where it saves checkpoints: it must then go on from one, and report what it would have without a pause.
    """

    kind = "objectives"
    metric: ClassVar[str]
    goal: ClassVar[Goal] = "maximize"
    repeatable: ClassVar[bool] = True
    resumable: ClassVar[bool] = False

    def run(
        self,
        directory: Path,
        stop_at: int | None = None,
        answer: Decision | None = None,
        checkpoints: tuple[Checkpoint, ...] = (),
    ) -> tuple[Outcome, list[Report]]:
        """Run an attempt from the first good one of `checkpoints`; after `stop_at` reports it gets `answer`."""
        config = checked(self.kind, self.component)
        name = config.pop("name")
        trial = Trial(
            0,
            1,
            name,
            {},
            config,
            5,
            self.metric,
            self.goal,
            str(directory),
            checkpoints=checkpoints,
        )
        reports: list[Report] = []

        def send(report: Report) -> Decision:
            reports.append(report)
            stop = answer or Decision.stopped("enough")
            return stop if len(reports) == stop_at else CONTINUE

        return execute(trial, installed_catalog(), send), reports

    def test_reports_and_repeats(self, tmp_path: Path) -> None:
        """It completes, and reports the same again."""
        outcome, reports = self.run(tmp_path / "first")
        assert outcome.ending is Ending.COMPLETED, outcome
        assert reports and all(math.isfinite(report.metrics[self.metric]) for report in reports)
        if self.repeatable:
            again = self.run(tmp_path / "again")[1]
            assert [report.metrics for report in again] == [report.metrics for report in reports]

    def test_stops_when_told(self, tmp_path: Path) -> None:
        """No report follows a decision to stop."""
        outcome, reports = self.run(tmp_path, stop_at=1)
        assert outcome.ending is Ending.STOPPED and len(reports) == 1

    def test_continues_after_a_pause(self, tmp_path: Path) -> None:
        """Paused after each report in turn, each time as a new attempt: the same metrics at the same steps."""
        if not self.resumable:
            pytest.skip("it saves no checkpoints")
        whole = self.run(tmp_path / "whole")[1]
        assert len(whole) > 1 and whole[-1].checkpoint, "a component with several epochs is needed"
        parts: list[Report] = []
        outcome = Outcome(Ending.PAUSED)
        while outcome.ending is Ending.PAUSED:
            saved = tuple(report.checkpoint for report in reversed(parts) if report.checkpoint)
            outcome, new = self.run(tmp_path / "parts", 1, Decision.paused("later"), saved)
            parts += new
            assert len(parts) <= len(whole)
        assert outcome.ending is Ending.COMPLETED, outcome
        assert [(report.step, report.metrics) for report in parts] == [
            (report.step, report.metrics) for report in whole
        ]
