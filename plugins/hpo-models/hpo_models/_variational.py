"""Weights as normal distributions: N(mean, softplus(rho)^2), one draw per forward pass in training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

FIRST = (
    0.1  # the initial standard deviation, as a fraction of the spread of a layer's initial weights
)


def draw_weights(model: nn.Module, prior_std: float, kl_weight: float) -> None:
    """Let every convolution and linear layer of a model draw its weights, in place."""
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", Drawn(prior_std, kl_weight))


class Drawn(nn.Module):
    """Turns a mean and a rho into a weight. Called by torch wherever the weight is read."""

    def __init__(self, prior_std: float, kl_weight: float) -> None:
        super().__init__()
        self.prior_std, self.kl_weight = prior_std, kl_weight

    def forward(self, mean: Tensor, rho: Tensor) -> Tensor:
        """A draw in training, the mean in evaluation."""
        if not self.training:
            return mean
        pulled: tuple[Tensor, Tensor] = _Pull.apply(
            mean, functional.softplus(rho), self.prior_std, self.kl_weight
        )
        mean, std = pulled
        return mean + std * torch.randn_like(mean)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The distribution that a layer's initial weight stands for."""
        std = FIRST * weight.square().mean().sqrt()
        return weight, std.expm1().log().expand_as(weight).clone()


class _Pull(torch.autograd.Function):
    """The identity, whose gradient has kl_weight * KL(N(mean, std^2) || N(0, prior^2)) in it."""

    @staticmethod
    def forward(
        context: Any, mean: Tensor, std: Tensor, prior: float, weight: float
    ) -> tuple[Tensor, Tensor]:
        context.save_for_backward(mean, std)
        context.prior, context.weight = prior, weight
        return mean.view_as(mean), std.view_as(std)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        mean, std = context.saved_tensors
        of_mean, of_std = gradients
        variance = context.prior**2
        to_mean = mean / variance
        to_std = std / variance - 1 / std
        return (
            of_mean + context.weight * to_mean,
            of_std + context.weight * to_std,
            None,
            None,
        )
