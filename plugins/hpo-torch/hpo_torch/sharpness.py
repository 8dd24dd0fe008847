"""Optimizers that look for flat minima: each step evaluates the gradient again, at weights a little uphill of its own.

pytorch_optimizer implements them. What stands here is their step as torch's protocol has it and an objective calls it,
`step(closure)`, where the closure computes loss and gradients from nothing (Lightning's clips them, too): it is called
at the weights w, then at w + ε, and what it returned first is returned. With a GradScaler (16 bits) there is no such
call, since it must see the gradients before the step: an objective refuses these optimizers then; bf16 needs none.

`base` is the optimizer that makes the step with the second gradient, and has the learning rate: `optimizer.base.lr`.
A step costs two forward and backward passes. That normalization layers count a batch once is the objective's part.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import Component, Kind

Base = Annotated[
    Component, Kind("optimizers"), Field(description="What steps, with the gradient found uphill.")
]
Rho = Annotated[float, Field(ge=0, le=10, description="How far uphill to look: the norm of ε.")]
Adaptive = Annotated[
    bool,
    Field(
        description="Look further along larger weights (ASAM); wants a rho some ten times larger."
    ),
]
SGD = Component("sgd")


def sam(params: Any, *, base: Base = SGD, rho: Rho = 0.05, adaptive: Adaptive = False) -> Any:
    """Sharpness-aware minimization (Foret et al. 2021): steps with g(w + ε), where ε = rho g(w) / ‖g(w)‖.

    With `adaptive` ε = rho w² g / ‖|w| g‖ (Kwon et al. 2021, elementwise). Called by an objective once per trial.
    """
    from hpo_torch._closures import SAM

    return SAM(params, _class_of(base), rho=rho, adaptive=adaptive)


def looksam(
    params: Any,
    *,
    base: Base = SGD,
    rho: Rho = 0.05,
    adaptive: Adaptive = False,
    k: Annotated[
        int, Field(ge=1, le=1000, description="Steps from one look uphill to the next.")
    ] = 5,
    alpha: Annotated[
        float, Field(gt=0, lt=1, description="Weight of the direction that was found uphill.")
    ] = 0.7,
) -> Any:
    """LookSAM (Liu et al. 2022): SAM in each `k`-th step; between, it reuses the part of g(w + ε) orthogonal to g(w).

    With g_v that part, a step between goes along g + alpha ‖g‖ g_v / ‖g_v‖, and costs one pass. Called by an objective
    once per trial.
    """
    from hpo_torch._closures import LookSAM

    return LookSAM(params, _class_of(base), rho=rho, adaptive=adaptive, k=k, alpha=alpha)


def friendlysam(
    params: Any,
    *,
    base: Base = SGD,
    rho: Rho = 0.05,
    adaptive: Adaptive = False,
    sigma: Annotated[
        float, Field(ge=0, le=10, description="How much of the mean gradient is taken from ε.")
    ] = 1.0,
    lmbda: Annotated[
        float, Field(ge=0, lt=1, description="Decay rate of the mean gradient.")
    ] = 0.9,
) -> Any:
    """FriendlySAM (Li et al. 2024): looks along the noise of the batch only, ε = rho (g - sigma m) / ‖g - sigma m‖.

    m is the running mean of gradients with decay λ = `lmbda`. Called by an objective once per trial.
    """
    from hpo_torch._closures import FriendlySAM

    return FriendlySAM(
        params, _class_of(base), rho=rho, adaptive=adaptive, sigma=sigma, lmbda=lmbda
    )


def wsam(
    params: Any,
    *,
    base: Base = SGD,
    rho: Rho = 0.05,
    adaptive: Adaptive = False,
    gamma: Annotated[
        float, Field(ge=0, lt=1, description="Weight of the sharpness; 0.5 is SAM, 0 is `base`.")
    ] = 0.9,
) -> Any:
    """WSAM (Yue et al. 2023): `base` steps with g(w); then w moves by -lr (gamma / (1 - gamma)) (g(w + ε) - g(w)).

    Called by an objective once per trial.
    """
    from hpo_torch._closures import WSAM

    return WSAM(params, _class_of(base), rho=rho, adaptive=adaptive, gamma=gamma)


def _class_of(base: Component) -> Any:
    """`base` as what the library takes for a class: its options are bound to it already."""
    return lambda groups, **defaults: base.build(groups)
