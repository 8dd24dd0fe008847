"""The option `weights`: what a network starts from, which is never fetched from a network.

A trial runs wherever there is room for it, many of them at once, and a study means the same next year: so a download
is not part of it. Weights lie in a file, or in the cache that torchvision (torch hub's) or timm (Hugging Face's) keep
of what somebody fetched before.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

CACHED = "cached"

Weights = Annotated[
    str | None,
    Field(
        min_length=1,
        description="What to start from: null (random), the path of a .safetensors file or of torch's state dict, "
        "or cached (the library's own, where it has been downloaded).",
    ),
]
