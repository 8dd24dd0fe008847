"""What torch knows of the GPU memory that it took: asked in the worker, before and after an attempt.

torch's allocator knows the exact peak between two looks of NVML, and knows it in containers, where NVML does not tell
whose memory is whose. The core does not import torch: it asks where an objective has imported it and begun to use CUDA.
"""

from __future__ import annotations

import sys
from typing import Any


def begin() -> None:
    """Count the peak from here. Called before an attempt."""
    cuda = _cuda()
    if cuda is not None:
        for device in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(device)


def peak() -> int | None:
    """The most bytes that were taken from all GPUs since `begin`, or None if none were. Called after an attempt.

    What is reserved, not only what tensors filled: nobody else could have it.
    """
    cuda = _cuda()
    if cuda is None:
        return None
    return sum(cuda.max_memory_reserved(device) for device in range(cuda.device_count())) or None


def release() -> bool:
    """Give back what is kept for later: others on the GPU need it while this worker waits.

    False when CUDA does not work in this process any more, as after a failed assertion in a kernel: its errors stick,
    and every later attempt in this process would fail.
    """
    cuda = _cuda()
    if cuda is None:
        return True
    try:
        cuda.synchronize()
        cuda.empty_cache()
    except RuntimeError:
        return False
    return True


def _cuda() -> Any:
    """`torch.cuda`, if this process uses it."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda if cuda is not None and cuda.is_initialized() else None
