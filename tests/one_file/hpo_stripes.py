"""The dataset `stripes`: do they lie or stand?"""

from typing import Annotated

from pydantic import Field

from hpo_core import InputShape, hookimpl

PARTS = {"train": 256, "val": 128, "test": 128}


class Stripes:
    """Grey images of 12x12 pixels with noise: implements `hpo_core.Dataset`."""

    shape = InputShape(channels=1, height=12, width=12, classes=2)
    classes = ("lying", "standing")

    def __init__(self, seed, noise):
        self.seed, self.noise = seed, noise
        self.groups = {}  # sets of classes by name

    def batches(self, part):
        return Batches(PARTS[part], self.noise, self.seed if part == "train" else part == "test")


class Batches:
    """Batches of 32 that are drawn when they are asked for; a training part's differ in every epoch."""

    def __init__(self, images, noise, seed):
        self.images, self.noise, self.seed, self.epoch = images, noise, seed, 0

    def __len__(self):
        return self.images // 32

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        import torch

        random = torch.Generator().manual_seed(2 * self.seed + 7919 * self.epoch)
        bars = torch.linspace(0, 12, 12).sin().expand(12, 12)
        for _ in range(len(self)):
            labels = torch.randint(2, (32,), generator=random)
            images = torch.stack([bars if label else bars.T for label in labels]).unsqueeze(1)
            yield images + self.noise * torch.randn(images.shape, generator=random), labels


def stripes(seed, *, noise: Annotated[float, Field(ge=0, description="its deviation")] = 1.0):
    """Stripes that lie or stand, drawn anew for every epoch."""
    return Stripes(seed, noise)


@hookimpl
def register_datasets(register):
    register("stripes", stripes)
