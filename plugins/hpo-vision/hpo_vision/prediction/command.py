"""`hpo predict`: the command. The work is in `hpo_vision.prediction.running`, and what is slow to import with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpo_vision.prediction.choices import Format, Measure, Truth
from hpo_vision.training.settings import Device


def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL@ALIAS",
            help="A version by its number or alias; or a folder that hpo export made, or an .onnx file of it.",
            show_default=False,
        ),
    ],
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATHS...",
            help="Images, folders (and all below them), patterns as '*.png'.",
            show_default=False,
        ),
    ],
    format: Annotated[Format, typer.Option("--format", help="How rows are written.")] = "jsonl",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write the rows there, whole or not at all, instead of on stdout.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, metavar="K", help="Probabilities of the K likeliest.")
    ] = 5,
    select: Annotated[
        int | None,
        typer.Option(
            "--select",
            min=1,
            metavar="N",
            help="Only the N that the model is least sure of, these first: what to label next.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        Measure, typer.Option("--by", help="How unsure it is, for --select.")
    ] = "least-confidence",
    truth: Annotated[
        Truth | None,
        typer.Option(
            "--truth",
            help="folder: images lie in folders of their classes; say how many are right.",
            show_default=False,
        ),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            "--explain",
            metavar="DIR",
            help="A PNG for each image: what in it speaks for its label (Grad-CAM).",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, max=65536, help="Images at once.")
    ] = 64,
    device: Annotated[Device, typer.Option("--device", help="auto: a GPU, if any.")] = "auto",
    max_megapixels: Annotated[
        float,
        typer.Option(
            "--max-megapixels",
            min=0.001,
            max=178,  # beyond which Pillow itself refuses
            metavar="X",
            help="Larger images are not read: a small file may hold a picture that fills the memory.",
        ),
    ] = 20.0,
    storage: Annotated[
        str, typer.Option("--storage", metavar="URL", help="The database, as in the study file.")
    ] = "sqlite:///runs/hpo.db",
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Progress and the end as JSON, a line each: on stderr, or on stdout with --output.",
        ),
    ] = False,
) -> None:
    """Label images with a model version: a row for each, also for those that cannot be read.

    Exit code 0: every image was read; 1: some could not be, their rows say why; 2: nothing to read, no such model.
    """
    from hpo_vision.prediction.running import Asked, run

    asked = Asked(
        model=model,
        words=tuple(paths),
        storage=storage,
        format=format,
        output=output,
        top=top,
        select=select,
        by=by,
        truth=truth,
        explain=explain,
        batch_size=batch_size,
        device=device,
        most_pixels=int(max_megapixels * 1e6),
        json=json,
    )
    code = run(asked)
    if code:
        raise typer.Exit(code)
