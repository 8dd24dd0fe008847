"""Batches cut into micro-batches, for a trial whose whole batches did not fit into memory.

The gradients of the parts add up to those of the whole batch: each part's mean loss counts as much as it has images, so
uneven parts and an uneven last batch are exact. Everything that happens once a step happens once a batch as before: the
optimizer's and the LR scheduler's step, clipping, the average of the weights, Lightning's counters. So a checkpoint
says nothing of parts, and is continued with any number of them.

Lightning's own `accumulate_grad_batches` is not this. It divides every part's loss by the same number, steps in the
middle of what was one batch where a last batch has fewer parts, counts parts where checkpoints and hooks count batches,
and needs a data loader that yields parts, which those of other plugins do not. Here the whole batch is loaded and
augmented as before, with the same random numbers; the images of one batch are little beside its activations.

What is not as in a whole batch: batch normalization takes its statistics of each part (so a part has two images at
least where a network has it), and dropout draws its numbers part by part.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hpo_core import HpoError

Batch = tuple[Tensor, Tensor]


class Slices:
    """Cuts each batch in half `halvings` times, as evenly as it can be; a part has at least one image.

    `network` is what the parts go through.
    """

    def __init__(self, halvings: int, network: nn.Module) -> None:
        self._halvings = halvings
        self._least = 2 if any(isinstance(each, _BatchNorm) for each in network.modules()) else 1

    def of(self, batch: Batch) -> list[Batch]:
        """The parts of a batch (images (B, ...), targets (B, ...)): one, the batch itself, without halvings."""
        count = self._count(len(batch[1]), self._halvings)
        if count == 1:
            return [batch]
        images, labels = (tensor.tensor_split(count) for tensor in batch)
        return list(zip(images, labels, strict=True))

    def check(self, batch: Batch) -> None:
        """Raise HpoError when the last halving leaves a batch as it was: it has been tried, and did not fit.

        Called with a first, full batch.
        """
        size = len(batch[1])
        count = self._count(size, self._halvings)
        if self._halvings and count == self._count(size, self._halvings - 1):
            raise HpoError(
                f"out of memory, and its batches of {size} images cannot be halved again: they were cut into "
                f"{count} before; take a smaller model, smaller images, or fewer workers per device"
            )

    def _count(self, size: int, halvings: int) -> int:
        return int(max(1, min(2**halvings, size // self._least)))
