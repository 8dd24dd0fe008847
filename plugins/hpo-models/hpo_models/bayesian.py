"""A Bayesian ResNet-18: every weight is a normal distribution (Blundell et al. 2015, Bayes by backprop).

There is no published classifier called BayesianNet, and the library that turns networks into Bayesian ones,
bayesian-torch, has not moved since 2024; it takes some thirty lines of torch.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import Float, InputShape


def bayesian_resnet18(
    shape: InputShape,
    *,
    prior_std: Annotated[
        float, Field(gt=0, description="Standard deviation of the prior of each weight.")
    ] = 1.0,
    kl_weight: Annotated[
        float,
        Field(
            ge=0,
            description="How strongly weights are pulled to the prior; 1 / (training images) is Bayes' own.",
        ),
        Float(1e-7, 1e-3, log=True),
    ] = 1e-5,
) -> Any:
    """A ResNet-18 that draws its weights anew for each training batch, and uses their means in evaluation.

    Called by an objective once per trial. The divergence from the prior is no part of the loss that is reported: its
    gradient is added to that of the weights. Where gradients are scaled (16 bits), it is not scaled with them.
    """
    from hpo_models import _variational
    from hpo_models.resnets import resnet18

    model = resnet18(shape)
    _variational.draw_weights(model, prior_std, kl_weight)
    return model
