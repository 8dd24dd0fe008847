"""The arguments of `hpo export`, as its help shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Reference = Annotated[
    str,
    typer.Argument(
        metavar="MODEL@ALIAS",
        help="A version by its number or alias; without one the newest.",
        show_default=False,
    ),
]
To = Annotated[
    Path,
    typer.Option("--to", metavar="DIR", help="A new or empty folder.", show_default=False),
]
NormalizeInside = Annotated[
    bool,
    typer.Option(
        "--normalize-inside", help="The ONNX model takes pixels of 0..1 and scales them itself."
    ),
]
Temperature = Annotated[
    bool,
    typer.Option(
        "--temperature",
        help="Divide the logits by a temperature that is fitted to the validation part.",
    ),
]
Quantize = Annotated[
    bool,
    typer.Option(
        "--quantize", help="An int8 model, too, calibrated on images of the training part."
    ),
]
MaxLoss = Annotated[
    float,
    typer.Option(
        "--max-loss",
        min=0,
        max=1,
        metavar="X",
        help="The most accuracy that the int8 model may lose on the validation part.",
    ),
]
Storage = Annotated[
    str, typer.Option("--storage", metavar="URL", help="The database, as in the study file.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
