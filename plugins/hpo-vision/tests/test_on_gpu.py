"""A real GPU: that its memory is seen, and that a training which runs out of it goes on in halves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_slices import Attempts
from torch import nn

from hpo_core import Ending, InputShape
from hpo_core.workers import allocator
from hpo_core.workers.gpu import Gpus, used

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

SIZE = 2**28
DIGITS = {"name": "digits", "image_size": 32, "channels": 1, "batch_size": 512}


def deep(shape: InputShape) -> nn.Module:
    """Its activations are much larger than its weights: 0.5 MB an image and convolution."""
    convolutions = [nn.Conv2d(64, 64, 3, padding=1) for _ in range(6)]
    pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, shape.classes)
    return nn.Sequential(nn.Conv2d(shape.channels, 64, 3, padding=1), *convolutions, *pooled)


@pytest.fixture
def unlimited() -> Iterator[None]:
    """Takes a limit away again."""
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_memory_is_seen_by_torch_and_by_the_driver() -> None:
    torch.cuda.init()
    allocator.begin()
    held = torch.zeros(SIZE, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    gpus = Gpus()
    seen = used(gpus.look(), [os.getpid()])
    gpus.close()
    del held
    peak = allocator.peak()
    assert peak is not None and SIZE <= peak < 2 * SIZE
    assert seen.memory is None or seen.memory >= peak, "None: in a container"
    assert allocator.release() and torch.cuda.memory_reserved() == 0


def test_a_training_that_does_not_fit_completes_in_halves(tmp_path: Path, unlimited: None) -> None:
    def attempts(folder: str, **about: Any) -> Attempts:
        made = Attempts(
            tmp_path / folder,
            limit=10_000,
            inner=deep,
            dataset=DIGITS,
            device="cuda",
            precision="32-true",
            halve_on_out_of_memory=True,
        )
        made.trial = replace(made.trial, **about)
        return made

    taken = []
    for halvings in (0, 1):
        torch.cuda.init()
        allocator.begin()
        assert attempts(f"free-{halvings}", out_of_memory=halvings).run().ending is Ending.COMPLETED
        taken.append(torch.cuda.max_memory_allocated())
        assert allocator.release()
    whole, half = taken
    assert half < 0.7 * whole
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(0.85 * whole / total)
    tight = attempts("tight")
    lost = tight.run()
    assert lost.ending is Ending.LOST and lost.out_of_memory, lost
    assert allocator.release()
    assert tight.run().ending is Ending.COMPLETED
    assert [model.trained[0] for model in tight.models] == [512, 256]
