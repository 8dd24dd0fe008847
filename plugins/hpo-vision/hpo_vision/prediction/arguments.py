"""The arguments of `hpo predict`, as its help shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpo_vision.prediction import choices
from hpo_vision.training import settings

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL@ALIAS",
        help="A version by its number or alias; or a folder that hpo export made, or an .onnx file of it.",
        show_default=False,
    ),
]
Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATHS...",
        help="Images, folders (and all below them), patterns as '*.png'.",
        show_default=False,
    ),
]
Format = Annotated[choices.Format, typer.Option("--format", help="How rows are written.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FILE",
        help="Write the rows there, whole or not at all, instead of on stdout.",
        show_default=False,
    ),
]
Top = Annotated[
    int, typer.Option("--top", min=1, metavar="K", help="Probabilities of the K likeliest.")
]
Select = Annotated[
    int | None,
    typer.Option(
        "--select",
        min=1,
        metavar="N",
        help="Only the N that the model is least sure of, these first: what to label next.",
        show_default=False,
    ),
]
By = Annotated[
    choices.Measure,
    typer.Option(
        "--by",
        help="How unsure it is, for --select, from 0 to 1 (least sure): 1 - p1, 1 - (p1 - p2) or entropy / log(classes)"
        ", with p1 and p2 the largest probabilities.",
    ),
]
Truth = Annotated[
    choices.Truth | None,
    typer.Option(
        "--truth",
        help="folder: images lie in folders of their classes; say how many are right.",
        show_default=False,
    ),
]
Explain = Annotated[
    Path | None,
    typer.Option(
        "--explain",
        metavar="DIR",
        help="A PNG for each image: what in it speaks for its label (Grad-CAM).",
        show_default=False,
    ),
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, max=65536, help="Images at once.")]
Device = Annotated[settings.Device, typer.Option("--device", help="auto: a GPU, if any.")]
MaxMegapixels = Annotated[
    float,
    typer.Option(
        "--max-megapixels",
        min=0.001,
        max=178,  # beyond which Pillow itself refuses
        metavar="X",
        help="Larger images are not read: a small file may hold a picture that fills the memory.",
    ),
]
Storage = Annotated[
    str, typer.Option("--storage", metavar="URL", help="The database, as in the study file.")
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Progress and the end as JSON, a line each: on stderr, or on stdout with --output.",
    ),
]
