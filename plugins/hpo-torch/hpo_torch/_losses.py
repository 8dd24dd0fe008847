"""The modules behind `hpo_torch.losses`, where their formulas stand. Imports torch: only factories import this.

All compute in 32 bits, whatever the logits come in. Constants are buffers that no checkpoint keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def prior(counts: Sequence[int]) -> Tensor:
    """π (C,): the share of each class. One that has no image counts as half of one, so that log π is a number."""
    shares = _at_least_half(counts)
    return shares / shares.sum()


def inverse(counts: Sequence[int], power: float) -> Tensor:
    """Class weights (C,) ∝ n^-power with a mean of 1 over the images."""
    return _scaled(_at_least_half(counts) ** -power, counts)


def effective(counts: Sequence[int], beta: float) -> Tensor:
    """Class weights (C,) ∝ (1 - β) / (1 - β^n) with a mean of 1 over the images."""
    return _scaled((1 - beta) / (1 - beta ** _at_least_half(counts)), counts)


def _at_least_half(counts: Sequence[int]) -> Tensor:
    return torch.as_tensor(counts, dtype=torch.float64).clamp_min(0.5)


def _scaled(weights: Tensor, counts: Sequence[int]) -> Tensor:
    return (weights / (prior(counts) * weights).sum()).float()


class Classwise(nn.Module):
    """What these losses share: constants of one number per class, and targets of either kind."""

    def constant(self, name: str, value: Tensor | None) -> None:
        """Keep a tensor (C,) on the logits' device, and out of checkpoints."""
        held = None if value is None else value.float()
        self.register_buffer(name, held, persistent=False)


class CrossEntropy(Classwise):
    """-Σ w t' log p; torch's own where there are no weights."""

    weights: Tensor | None

    def __init__(self, weights: Tensor | None, label_smoothing: float) -> None:
        super().__init__()
        self.constant("weights", weights)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over images."""
        logits = logits.float()
        if self.weights is None:
            return functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        spread = self.label_smoothing / logits.shape[1]
        smooth = (1 - self.label_smoothing) * probabilities(targets, logits) + spread
        return weighted(smooth, self.weights, functional.log_softmax(logits, 1))


class Focal(Classwise):
    """-Σ w t (1 - p)^gamma log p."""

    weights: Tensor | None

    def __init__(self, weights: Tensor | None, gamma: float) -> None:
        super().__init__()
        self.constant("weights", weights)
        self.gamma = gamma

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over images."""
        logits = logits.float()
        return focal(logits, probabilities(targets, logits), self.weights, self.gamma)


class AdaptiveFocal(Classwise):
    """Focal with weights and a correction that follow the training; `recall` is r, `predicted` is q."""

    prior: Tensor
    recall: Tensor
    predicted: Tensor
    found: Tensor  # Σ t p of this step's images, for each class
    seen: Tensor  # Σ t
    guessed: Tensor  # Σ p

    def __init__(
        self, prior: Tensor, gamma: float, strength: float, bias_correction: float, momentum: float
    ) -> None:
        super().__init__()
        self.constant("prior", prior)
        self.gamma, self.strength = gamma, strength
        self.bias_correction, self.momentum = bias_correction, momentum
        self.register_buffer("recall", torch.full_like(self.prior, 0.5))
        self.register_buffer("predicted", self.prior.clone())
        for name in ("found", "seen", "guessed"):
            self.constant(name, torch.zeros_like(self.prior))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over images; in training it also notes what it saw."""
        logits = logits.float()
        wanted = probabilities(targets, logits)
        if self.training:
            self._note(logits.detach(), wanted)
        weights = (1.5 - self.recall) ** self.strength
        weights = weights / (self.prior * weights).sum()
        shift = self.bias_correction * (self.predicted / self.prior).log()
        return focal(logits + shift, wanted, weights, self.gamma)

    def _note(self, logits: Tensor, wanted: Tensor) -> None:
        guesses = functional.softmax(logits, 1)
        self.found += (wanted * guesses).sum(0)
        self.seen += wanted.sum(0)
        self.guessed += guesses.sum(0)

    @torch.no_grad()
    def after_step(self) -> None:
        """Let the step's images into the running means; a class that was not among them keeps its own."""
        fresh = torch.where(self.seen > 0, self.found / self.seen.clamp_min(1e-6), self.recall)
        self.recall.lerp_(fresh, 1 - self.momentum)
        share = (self.guessed / self.guessed.sum().clamp_min(1e-6)).clamp_min(1e-6)
        self.predicted.lerp_(share, 1 - self.momentum)
        for noted in (self.found, self.seen, self.guessed):
            noted.zero_()


class LogitAdjustment(Classwise):
    """Cross-entropy of z + τ log π."""

    shift: Tensor

    def __init__(self, prior: Tensor, tau: float, label_smoothing: float) -> None:
        super().__init__()
        self.constant("shift", tau * prior.log())
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over images."""
        adjusted = logits.float() + self.shift
        return functional.cross_entropy(adjusted, targets, label_smoothing=self.label_smoothing)


class Ldam(Classwise):
    """Cross-entropy of s (z - t Δ), weighted from the epoch `first` on."""

    margins: Tensor
    weights: Tensor

    def __init__(
        self, counts: Sequence[int], max_margin: float, scale: float, first: int, weights: Tensor
    ) -> None:
        super().__init__()
        margins = _at_least_half(counts) ** -0.25
        self.constant("margins", max_margin * margins / margins.max())
        self.constant("weights", weights)
        self.scale, self.first, self.weighs = scale, first, False

    def set_epoch(self, epoch: int) -> None:
        """Called before each epoch, from 0."""
        self.weighs = epoch >= self.first

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over images."""
        logits = logits.float()
        wanted = probabilities(targets, logits)
        logs = functional.log_softmax(self.scale * (logits - wanted * self.margins), 1)
        return weighted(wanted, self.weights if self.weighs else None, logs)


class Composite(Classwise):
    """A loss, a penalty on confidence, and the distance of a batch's predictions from the prior."""

    prior: Tensor

    def __init__(
        self, loss: nn.Module, prior: Tensor, weight: float, uncertainty: float, pull: float
    ) -> None:
        super().__init__()
        self.loss: Any = loss  # a module, maybe with the methods below
        self.constant("prior", prior)
        self.weight, self.uncertainty, self.pull = weight, uncertainty, pull

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over images of two terms, and the one of the batch."""
        logits = logits.float()
        logs = functional.log_softmax(logits, 1)
        guesses = logs.exp()
        entropy = -(guesses * logs).sum(1).mean()
        mean = guesses.mean(0)
        distance = (mean * (mean.clamp_min(1e-12) / self.prior).log()).sum()
        loss: Tensor = self.weight * self.loss(logits, targets)
        confidence = torch.log(logits.new_tensor(logits.shape[1])) - entropy
        return loss + self.uncertainty * confidence + self.pull * distance

    def set_epoch(self, epoch: int) -> None:
        """Pass it on."""
        if hasattr(self.loss, "set_epoch"):
            self.loss.set_epoch(epoch)

    def after_step(self) -> None:
        """Pass it on."""
        if hasattr(self.loss, "after_step"):
            self.loss.after_step()


def probabilities(targets: Tensor, logits: Tensor) -> Tensor:
    """Targets as probabilities (N, C)."""
    if targets.is_floating_point():
        return targets.to(logits.dtype)
    return functional.one_hot(targets, logits.shape[1]).to(logits.dtype)


def focal(logits: Tensor, wanted: Tensor, weights: Tensor | None, gamma: float) -> Tensor:
    """-Σ w t (1 - p)^gamma log p, the mean over images.

    1 - p is kept from 0, where a power below 1 has no derivative.
    """
    logs = functional.log_softmax(logits, 1)
    missing = (1 - logs.exp()).clamp_min(1e-6)
    return weighted(wanted * missing**gamma, weights, logs)


def weighted(wanted: Tensor, weights: Tensor | None, logs: Tensor) -> Tensor:
    """-Σ_c w_c t_c log p_c, the mean over images."""
    return -(wanted * logs if weights is None else wanted * logs * weights).sum(1).mean()
