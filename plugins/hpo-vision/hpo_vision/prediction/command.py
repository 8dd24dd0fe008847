"""`hpo predict`: the command. The work is in `hpo_vision.prediction.running`, and what is slow to import with it."""

from __future__ import annotations

import typer

from hpo_vision.prediction import arguments as given


def predict(
    model: given.Model,
    paths: given.Paths,
    format: given.Format = "jsonl",
    output: given.Output = None,
    top: given.Top = 5,
    select: given.Select = None,
    by: given.By = "least-confidence",
    truth: given.Truth = None,
    explain: given.Explain = None,
    batch_size: given.BatchSize = 64,
    device: given.Device = "auto",
    max_megapixels: given.MaxMegapixels = 20.0,
    storage: given.Storage = "sqlite:///runs/hpo.db",
    json: given.Json = False,
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
