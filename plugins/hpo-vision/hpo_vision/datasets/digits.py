"""The dataset `digits`: 1,797 real handwritten digits of 8x8 pixels that scikit-learn carries with it.

Small enough for seconds, real enough that a learning rate can be wrong: what examples and tests train on.
"""

from __future__ import annotations

from typing import Any

from hpo_core import Dataset, InputShape
from hpo_vision.datasets.changes import DIGITS, always
from hpo_vision.datasets.options import (
    BatchSize,
    Channels,
    ImageSize,
    SamplerPower,
    SplitSeed,
    TestFraction,
    ValFraction,
)


def digits(
    seed: int,
    *,
    image_size: ImageSize = 32,
    batch_size: BatchSize = 64,
    channels: Channels = 3,
    val_fraction: ValFraction = 0.15,
    test_fraction: TestFraction = 0.15,
    split_seed: SplitSeed = 0,
    sampler_power: SamplerPower = 0.0,
) -> Dataset:
    """Digits 0 to 9, resized bilinearly, to 8 bits, the same grey in each channel; `seed` shuffles the training part.

    Called by an objective once per trial. The images stay at 8x8 in memory and are resized batch by batch. Raises
    ValueError when the fractions leave nothing to train on. (Alpaydin & Kaynak 1998, UCI's test part.)
    """
    import torch
    from sklearn.datasets import load_digits
    from torch.nn.functional import interpolate

    from hpo_vision.datasets.batches import IndexedImages, normalized
    from hpo_vision.datasets.splits import split

    bunch: Any = load_digits()
    small = torch.from_numpy(bunch.images).float().div(16).unsqueeze(1)
    size = (image_size, image_size)

    def load(indices: Any) -> torch.Tensor:
        resized = interpolate(
            small[torch.from_numpy(indices)], size=size, mode="bilinear", antialias=True
        )
        bytes_only = (
            resized.mul(255).round().div(255)
        )  # as in a file: `hpo data materialize` loses nothing
        return normalized(bytes_only).repeat(1, channels, 1, 1)

    return IndexedImages(
        shape=InputShape(channels, image_size, image_size, len(bunch.target_names)),
        classes=tuple(str(name) for name in bunch.target_names),
        parts=split(bunch.target, val_fraction, test_fraction, split_seed),
        labels=torch.from_numpy(bunch.target).long(),
        load=load,
        batch_size=batch_size,
        seed=seed,
        sampler_power=sampler_power,
    )


digits.changed_by = always(DIGITS)  # type: ignore[attr-defined]  # an attribute that augmentations are checked by
