"""A small real training for the kill tests: softmax regression on scikit-learn's digits, with numpy alone."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from hpo_core import Run


@functools.cache
def digits() -> Any:
    """Images (1797, 64) in [0, 1] and labels (1797,), shuffled the same way every time."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    return images[order] / 16, labels[order]


def train(run: Run, lr: float, decay: float, epochs: int) -> None:
    """Plain stochastic gradient descent; reports the accuracy on the last 360 images after each epoch."""
    images, labels = digits()
    generator = np.random.default_rng(run.trial.seed)
    weights = np.zeros((65, 10))
    inputs = np.hstack([images, np.ones((len(images), 1))])  # (1797, 65)
    train_x, train_y, val_x, val_y = inputs[:-360], labels[:-360], inputs[-360:], labels[-360:]
    for epoch in range(1, epochs + 1):
        for batch in np.array_split(generator.permutation(len(train_y)), 200):
            scores = train_x[batch] @ weights  # (N, 10)
            odds = np.exp(scores - scores.max(1, keepdims=True))
            error = odds / odds.sum(1, keepdims=True)
            error[np.arange(len(batch)), train_y[batch]] -= 1
            weights -= lr * (train_x[batch].T @ error / len(batch) + decay * weights)
        accuracy = float(((val_x @ weights).argmax(1) == val_y).mean())
        if run.report(epoch, {"accuracy": accuracy}).stop:
            return
