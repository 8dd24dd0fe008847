"""Models of several images at once, over any backbone: three crops of one scene, three glyphs of one font.

An example is a stack of `inputs` images in one tensor: (N, inputs * C, H, W), the channels of the first image, then
those of the second, and so on. A dataset whose images have inputs * C channels is all that is needed. For a backbone
of P parameters and F features:

==========  =====================================================================  ======================
fusion      what happens                                                           parameters, about
==========  =====================================================================  ======================
`separate`  a backbone for each image; their features, side by side, are classified  inputs * P
`shared`    one backbone sees each image in turn; the same                         P
`channel`   a 1x1 convolution makes one image of all, which the backbone classifies  P
==========  =====================================================================  ======================

The 1x1 convolution begins as the average of the images, channel by channel: its weight from channel c of any image to
channel o is 1 / inputs where c = o, and 0 elsewhere. So equal images come out as that very image, which a backbone with
trained weights knows; a constant weight would make it grey.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from hpo_core import Choice, Component, InputShape, Kind

Fusion = Literal["separate", "shared", "channel"]


def multi_input(
    shape: InputShape,
    *,
    backbone: Annotated[
        Component, Kind("models"), Field(description="The model that looks at an image.")
    ] = Component("resnet50"),
    inputs: Annotated[
        int, Field(ge=2, le=64, description="Images in an example: (N, inputs * C, H, W).")
    ] = 3,
    fusion: Annotated[
        Fusion,
        Field(
            description="separate (a backbone for each image), shared (one for all), channel (a 1x1 "
            "convolution makes one image of all, at first their average)."
        ),
        Choice(("separate", "shared", "channel")),
    ] = "shared",
    hidden: Annotated[
        int | None,
        Field(
            ge=1,
            description="Width of a layer between features and logits; null: none. Not with channel.",
        ),
    ] = None,
    drop_rate: Annotated[
        float, Field(ge=0, lt=1, description="Dropout of the features. Not with channel.")
    ] = 0.0,
) -> Any:
    """Several images in one example, over any backbone: He et al.'s ResNet-50 unless told otherwise.

    Called by an objective once per trial. Raises ValueError when the channels are not those of `inputs` images, the
    backbone's classifier cannot be taken off, or an option has no meaning for this fusion.
    """
    from hpo_models import fusions

    one = fusions.one_image(shape, inputs)
    if fusion == "channel":
        if hidden is not None or drop_rate:
            raise ValueError(
                "hidden and drop_rate have no meaning with fusion: channel: leave them out"
            )
        return fusions.ChannelFusion(backbone.build(one), inputs, one.channels)
    count = inputs if fusion == "separate" else 1
    return fusions.FeatureFusion(
        [backbone.build(one) for _ in range(count)], inputs, one, hidden, drop_rate
    )
