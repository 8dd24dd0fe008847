"""What the options of `hpo predict` may be. Light: the help names them."""

from __future__ import annotations

from typing import Literal

Format = Literal["jsonl", "csv"]
Measure = Literal["least-confidence", "margin", "entropy"]
Truth = Literal["folder"]
