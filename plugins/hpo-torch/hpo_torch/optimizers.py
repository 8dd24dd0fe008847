"""Optimizers: from the parameters of a model (or groups of them) to a `torch.optim.Optimizer`.

Thin on purpose: torch implements them, and what stands here is which of their arguments a study may set, with bounds
that catch a slip of the pen and defaults that suit image classification. The many others are in
`hpo_torch.named_optimizers` and `hpo_torch.sharpness`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import Float

Lr = Annotated[float, Field(gt=0, le=100, description="Learning rate before the LR scheduler.")]
Decay = Annotated[
    float, Field(ge=0, le=10, description="Weight decay."), Float(1e-6, 1e-1, log=True)
]
Beta = Annotated[float, Field(ge=0, lt=1)]


def sgd(
    params: Any,
    *,
    lr: Annotated[Lr, Float(1e-3, 1.0, log=True)] = 0.1,
    momentum: Annotated[float, Field(ge=0, lt=1, description="Momentum; 0 is plain SGD.")] = 0.9,
    weight_decay: Decay = 0.0,
    nesterov: Annotated[
        bool, Field(description="Nesterov's momentum; needs momentum above 0.")
    ] = False,
) -> Any:
    """Stochastic gradient descent with momentum (`torch.optim.SGD`); weight decay is L2 in the gradient.

    Called by an objective once per trial. Raises ValueError for `nesterov` without momentum.
    """
    from torch.optim import SGD

    return SGD(params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)


def adamw(
    params: Any,
    *,
    lr: Annotated[Lr, Float(1e-5, 1e-2, log=True)] = 1e-3,
    weight_decay: Decay = 1e-2,
    betas: Annotated[
        tuple[Beta, Beta],
        Field(description="Decay rates of the running means of gradient and squared gradient."),
    ] = (0.9, 0.999),
) -> Any:
    """Adam with decoupled weight decay (`torch.optim.AdamW`; Loshchilov & Hutter 2019, betas are β1 and β2).

    Called by an objective once per trial.
    """
    from torch.optim import AdamW

    return AdamW(params, lr=lr, betas=betas, weight_decay=weight_decay)
