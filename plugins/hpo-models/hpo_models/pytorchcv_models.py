"""Four architectures that only the library `pytorchcv` has: AirNet, AirNeXt, BagNet, FractalNet.

It is an extra, `hpo-models[pytorchcv]`. Its AirNets and BagNets end in a pool of the size that their last maps have at
224 pixels; here it is a pool of whatever size they have, which is the same at 224 pixels and lets in others. Its
FractalNet draws the paths to drop from NumPy, which no study seeds: here torch seeds NumPy before each batch.
"""

from __future__ import annotations

import importlib
from typing import Annotated, Any, Literal

from pydantic import Field

from hpo_core import InputShape, PluginError
from hpo_models.sizes import ANY, Sizes


def airnet(
    shape: InputShape,
    *,
    variant: Annotated[
        Literal["airnet50_1x64d_r2", "airnet50_1x64d_r16", "airnet101_1x64d_r2"],
        Field(description="Depth, cardinality, width and reduction."),
    ] = "airnet50_1x64d_r2",
    sizes: Sizes = ANY,
) -> Any:
    """AirNet (Yang et al. 2019). Called by an objective once per trial. Raises PluginError without pytorchcv."""
    sizes.check("AirNet", shape)
    return _pooled(_built("airnet", variant, shape))


def airnext(
    shape: InputShape,
    *,
    variant: Annotated[
        Literal["airnext50_32x4d_r2", "airnext101_32x4d_r2", "airnext101_32x4d_r16"],
        Field(description="Depth, cardinality, width and reduction."),
    ] = "airnext50_32x4d_r2",
    sizes: Sizes = ANY,
) -> Any:
    """AirNeXt (Yang et al. 2019). Called by an objective once per trial. Raises PluginError without pytorchcv."""
    sizes.check("AirNext", shape)
    return _pooled(_built("airnext", variant, shape))


def bagnet(
    shape: InputShape,
    *,
    variant: Annotated[
        Literal["bagnet9", "bagnet17", "bagnet33"],
        Field(description="The side, in pixels, of the patches that it classifies one by one."),
    ] = "bagnet9",
    sizes: Sizes = ANY,
) -> Any:
    """BagNet (Brendel & Bethge 2019). Called by an objective once per trial. Raises PluginError without pytorchcv."""
    sizes.check("BagNet", shape)
    Sizes(int(variant.removeprefix("bagnet"))).check(variant, shape)  # it has no padding
    return _pooled(_built("bagnet", variant, shape))


def fractalnet(shape: InputShape, *, sizes: Sizes = ANY) -> Any:
    """FractalNet (Larsson et al. 2017). Called by an objective once per trial. Raises PluginError without pytorchcv."""
    sizes.check("FractalNet", shape)
    model = _built("fractalnet_cifar", "fractalnet_cifar10", shape)
    model.register_forward_pre_hook(_seed_numpy)
    return model


def _built(module: str, variant: str, shape: InputShape) -> Any:
    try:
        found = importlib.import_module(f"pytorchcv.models.{module}")
    except ImportError as error:
        raise PluginError(
            f"{variant} needs the library pytorchcv ({error}): install the extra hpo-models[pytorchcv]"
        ) from error
    return getattr(found, variant)(in_channels=shape.channels, num_classes=shape.classes)


def _pooled(model: Any) -> Any:
    """The model with a pool over the whole of its last maps."""
    from torch import nn

    model.features.final_pool = nn.AdaptiveAvgPool2d(1)
    return model


def _seed_numpy(model: Any, _: Any) -> None:
    """Called before each batch. NumPy's generator is part of no checkpoint and nobody seeds it; torch's is."""
    if not model.training:
        return
    import numpy as np
    import torch

    np.random.seed(int(torch.randint(2**31, ())))
