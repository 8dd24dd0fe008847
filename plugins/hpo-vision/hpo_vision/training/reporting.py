"""What happens around each epoch: it is seeded before, and saved, reported and judged after."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything

from hpo_core import Component, Dataset, Run
from hpo_vision.datasets.mapping import written
from hpo_vision.training.classifier import Classifier
from hpo_vision.training.epochs import Epochs
from hpo_vision.training.labels import known, table
from hpo_vision.training.scores import Scored
from hpo_vision.training.settings import Setup

LOG = logging.getLogger(__name__)
MAPPING = "labels_mapping.json"


class EpochReporter(Callback):
    """Seeds each epoch; when it is over, saves its state, reports it and obeys the decision.

    What is wrong with the data or the guesses it writes into the trial's log.
    """

    def __init__(
        self, run: Run, setup: Setup, data: Dataset, order: Epochs, model: Component
    ) -> None:
        self._run = run
        self._setup = setup
        self._data = data
        self._order = order
        self._metadata = _metadata(data, model)
        self._counts = known(order.batches, data.shape.classes)
        self._mapping = written(data)
        self._suspected = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Called by Lightning once: say what there is to learn from."""
        Path(self._run.trial.directory, MAPPING).write_text(self._mapping, encoding="utf-8")
        judged = known(self._data.batches("val"), self._data.shape.classes)
        LOG.info("images of each class\n%s", table(self._data, self._counts, judged))
        for remark in getattr(self._data, "remarks", ()):
            LOG.info("%s", remark)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Called by Lightning before the epoch's first batch."""
        self._order.epoch = trainer.current_epoch
        seed_everything(epoch_seed(self._run.trial.seed, trainer.current_epoch), verbose=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Called by Lightning when both parts have been seen: the counters are now those of a finished epoch."""
        assert isinstance(pl_module, Classifier)
        epoch = trainer.current_epoch + 1
        scored = pl_module.scores.scored()
        metrics = pl_module.epoch_metrics() | scored.overall
        pl_module.end_epoch(metrics)
        self._remark(epoch, scored)
        if self._worth_saving(epoch, metrics):
            with self._run.checkpoint(epoch) as folder:
                about = self._about(epoch, metrics)
                # weights_only: not without optimizer and counters; nothing here is a pickle
                trainer.save_checkpoint(folder, weights_only=False, storage_options=about)
                (folder / MAPPING).write_text(self._mapping, encoding="utf-8")
        if self._run.report(epoch, metrics, scored.report(self._data)).stop:
            trainer.should_stop = True

    def _remark(self, epoch: int, scored: Scored) -> None:
        drawn, present = self._order.drawn, self._counts
        # some image twice: without a sampler an epoch has each at most once
        if drawn and present and any(n > m for n, m in zip(drawn, present, strict=True)):
            each = zip(self._data.classes, drawn, strict=True)
            LOG.info("epoch %d drew %s", epoch, ", ".join(f"{name}: {n}" for name, n in each))
        favoured = None if self._suspected else scored.favoured()
        if favoured is not None:
            self._suspected = True
            index, guesses, images = favoured
            LOG.warning(
                "epoch %d: '%s' has %.0f %% of the guesses and %.0f %% of the validation images: "
                "the model may be collapsing to one class",
                epoch,
                self._data.classes[index],
                100 * guesses,
                100 * images,
            )

    def _worth_saving(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Weights that gave a NaN are worth nothing, even where the study's own metric is a number."""
        due = epoch % self._setup.checkpoint_every == 0 or epoch == self._setup.epochs
        return due and all(map(math.isfinite, metrics.values()))

    def _about(self, epoch: int, metrics: dict[str, float]) -> dict[str, str]:
        numbers = {name: repr(value) for name, value in metrics.items()}
        return self._metadata | {"epoch": str(epoch)} | numbers


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of an epoch (from 0) of a trial: below 2**32."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _metadata(data: Dataset, model: Component) -> dict[str, str]:
    """What is needed to use the weights later; safetensors keeps text only, so the rest is JSON."""
    shape = [data.shape.channels, data.shape.height, data.shape.width]
    return {
        "format": "pt",
        "model": json.dumps({"name": model.name, **model.options}),
        "classes": json.dumps(data.classes),
        "input_shape": json.dumps(shape),
    }
