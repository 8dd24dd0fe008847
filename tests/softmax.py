"""A small real training for the kill tests: softmax regression on scikit-learn's digits, with numpy alone.

All of its state (weights and random numbers) is in its checkpoints. It also keeps a diary beside the study, so that a
test knows what was trained, whatever the study believes: `begun` gets a line `trial attempt epochs-restored` when an
attempt begins, `trained` a line `trial attempt epoch` when an epoch is trained and not yet saved. A file `turns`, where
there is one, holds the number of trials that may go on; the others wait when they have begun.
"""

from __future__ import annotations

import functools
import json
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from hpo_core import Run


@functools.cache
def digits() -> Any:
    """Images (1797, 64) in [0, 1] and labels (1797,), shuffled the same way every time."""
    found = find_spec("sklearn")  # importing it would take each new worker a second
    assert found is not None and found.origin is not None
    file = Path(found.origin).with_name("datasets") / "data/digits.csv.gz"
    table = np.loadtxt(file, delimiter=",")
    table = table[np.random.default_rng(0).permutation(len(table))]
    return table[:, :64] / 16, table[:, 64].astype(int)


def train(run: Run, lr: float, decay: float, epochs: int, passes: int = 1) -> None:
    """Plain stochastic gradient descent; reports the accuracy on the last 360 images after each epoch.

    An epoch is so many passes over the other images.
    """
    generator = np.random.default_rng(run.trial.seed)
    weights, done = np.zeros((65, 10)), 0
    if run.restored is not None:
        done, folder = run.restored.step, run.restored.path
        weights = load_file(folder / "model.safetensors")["weights"]
        generator.bit_generator.state = json.loads((folder / "random.json").read_text())
    note("begun", run, done)
    await_turn(run.trial.number)
    for epoch in range(done + 1, epochs + 1):
        for _ in range(passes):
            descend(weights, lr, decay, generator)
        note("trained", run, epoch)
        with run.checkpoint(epoch) as folder:
            save_file({"weights": weights}, folder / "model.safetensors")
            (folder / "random.json").write_text(json.dumps(generator.bit_generator.state))
        if run.report(epoch, {"accuracy": accuracy(weights)}).stop:
            return


def descend(weights: Any, lr: float, decay: float, generator: np.random.Generator) -> None:
    """One pass over the training images, 200 batches; changes the weights (65, 10)."""
    inputs, labels = digits()[0][:-360], digits()[1][:-360]
    for batch in np.array_split(generator.permutation(len(labels)), 200):
        images = np.hstack([inputs[batch], np.ones((len(batch), 1))])  # (N, 65)
        scores = images @ weights  # (N, 10)
        odds = np.exp(scores - scores.max(1, keepdims=True))
        error = odds / odds.sum(1, keepdims=True)
        error[np.arange(len(batch)), labels[batch]] -= 1
        weights -= lr * (images.T @ error / len(batch) + decay * weights)


def accuracy(weights: Any) -> float:
    """The share of the validation images that are recognized."""
    images, labels = digits()[0][-360:], digits()[1][-360:]
    scores = np.hstack([images, np.ones((len(images), 1))]) @ weights
    return float((scores.argmax(1) == labels).mean())


def await_turn(trial: int) -> None:
    """Wait until the trial may go on: the study stands still where a test wants to meet it."""
    with suppress(FileNotFoundError):
        while trial >= int(Path("turns").read_text()):
            time.sleep(0.005)


def note(name: str, run: Run, epoch: int) -> None:
    """Add a line to a file of the diary; one short write is never torn."""
    with open(name, "a") as file:
        file.write(f"{run.trial.number} {run.trial.attempt} {epoch}\n")
