"""Temperature scaling: one number that the logits are divided by, so that confidences are how often they are right.

softmax(z / T) with the T that maximizes the likelihood of the validation labels (Guo et al. 2017, "On calibration of
modern neural networks"). No class becomes more likely than another one, so accuracy stays what it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_calibration_error

from hpo_core import Dataset

LEAST, MOST = 0.05, 20.0
"""The temperatures that are thought possible."""

BINS = 15


@dataclass(frozen=True)
class Temperature:
    """What was fitted to `images` validation images, with what was measured on them before and after.

    `nll` is the mean negative log-likelihood, which is what the temperature is fitted to, `ece` the calibration error
    (L1, 15 bins), which may rise all the same.
    """

    temperature: float
    nll: tuple[float, float]
    ece: tuple[float, float]
    images: int

    def document(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "temperature": self.temperature,
            "fitted": self.temperature != 1.0,
            "nll": dict(zip(("before", "after"), self.nll, strict=True)),
            "ece": dict(zip(("before", "after"), self.ece, strict=True)),
            "part": "val",
            "images": self.images,
        }


def fitted(network: nn.Module, dataset: Dataset) -> Temperature:
    """The temperature of a network on a dataset's part val."""
    logits, labels = _logits(network, dataset)
    found = fit(logits, labels)
    before, after = logits, logits / found
    return Temperature(
        found,
        (_nll(before, labels), _nll(after, labels)),
        (_error(before, labels), _error(after, labels)),
        len(labels),
    )


def fit(logits: Tensor, labels: Tensor) -> float:
    """The temperature of logits (N, classes) with labels (N,), or 1 where no guess is wrong.

    Nothing says then how sure is too sure: the likelihood grows for ever as T falls.
    """
    if bool((logits.argmax(1) == labels).all()):
        return 1.0
    exact = logits.double()
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        bounded = log_t.clamp(math.log(LEAST), math.log(MOST))
        loss = cross_entropy(exact / bounded.exp(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return min(max(math.exp(log_t.item()), LEAST), MOST)


@torch.no_grad()
def _logits(network: nn.Module, dataset: Dataset) -> tuple[Tensor, Tensor]:
    found = [(network(images), labels) for images, labels in dataset.batches("val")]
    logits, labels = zip(*found, strict=True)
    return torch.cat(logits), torch.cat(labels)


def _nll(logits: Tensor, labels: Tensor) -> float:
    return float(cross_entropy(logits.double(), labels))


def _error(logits: Tensor, labels: Tensor) -> float:
    return float(
        multiclass_calibration_error(logits.softmax(1), labels, logits.shape[1], n_bins=BINS)
    )
