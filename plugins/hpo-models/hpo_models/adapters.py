"""Low-rank adapters: train a small correction of each layer and leave the layers themselves as they are.

LoRA (Hu et al. 2021) gives a layer with the weight W the weight W' = W + B A alpha / r, where A is of r rows, random,
and B of r columns, 0 at first: only A and B are trained. For a convolution A has r channels and its kernel, and B is a
1x1 convolution. rsLoRA (Kalajdzievski 2023) divides by the root of r instead; DoRA (Liu et al. 2024) scales
each output of W' to a length that is trained too. It is worth it where W is worth keeping, for a backbone
with `weights`: a random one stays random, and timm's residual blocks, which begin as zeros, stay zeros.

Adapted are convolutions and linear layers that an image meets, but for the classifier, which is new and trained whole.
Left out are grouped and dilated convolutions, which the library `peft` cannot merge. Statistics of batch normalization
follow the images as ever; its parameters are frozen.

While it is trained, and in its checkpoints, a layer `conv1` is `conv1.base_layer`, `conv1.lora_A.default` and
`conv1.lora_B.default` (DoRA: and `conv1.lora_magnitude_vector.default`). `hpo models merge` makes of such a file one
with the backbone's own names and sizes, which gives the same logits.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import Component, Float, InputShape, Int, Kind


def lora(
    shape: InputShape,
    *,
    backbone: Annotated[
        Component, Kind("models"), Field(description="The model that is adapted.")
    ] = Component("resnet50"),
    rank: Annotated[
        int,
        Field(ge=1, le=1024, description="r: the rank of the correction."),
        Int(2, 64, log=True),
    ] = 16,
    alpha: Annotated[
        float,
        Field(gt=0, description="alpha: the correction is scaled by alpha / r."),
        Float(4, 64, log=True),
    ] = 16.0,
    rslora: Annotated[bool, Field(description="Scale by alpha / sqrt(r) instead.")] = False,
    dora: Annotated[bool, Field(description="Train the length of each output apart.")] = False,
    drop_rate: Annotated[float, Field(ge=0, lt=1, description="Dropout before A.")] = 0.0,
    targets: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            description="Regular expressions for the whole names of the layers to adapt, such as "
            "layer4.*; null: all convolutions and linear layers but the classifier.",
        ),
    ] = None,
    train_head: Annotated[
        bool,
        Field(description="Train the classifier, whole; otherwise it is adapted or frozen too."),
    ] = True,
) -> Any:
    """Low-rank adapters (LoRA; Hu et al. 2021) on any model: W' = W + B A alpha / r, of which A and B are trained.

    Called by an objective once per trial. Raises HpoError without `peft`, and ValueError when `targets` names no layer
    that can be adapted.
    """
    from hpo_models import low_rank

    model = backbone.build(shape)
    adapters = low_rank.Adapters(rank, alpha, rslora, dora, drop_rate)
    low_rank.adapt(model, shape, adapters, targets, train_head)
    return model
