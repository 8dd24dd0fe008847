"""The objective `lemur`: trains a neural network written for LEMUR, a file with a class `Net`, and searches its `prm`.

LEMUR (nn-dataset) keeps thousands of networks as single files, which bring their own optimizer, loss and schedule. This
module holds the signature, which is what a study file is checked against, and imports nothing heavy. The work is in
`hpo_models.lemur._training`, what a file must have in `hpo_models.lemur.declaration`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hpo_core import Component, HpoError, Kind, Run

METRICS = ("val_loss", "val_accuracy", "lr")

Prm = Annotated[float, Field(ge=0, le=1)]
Place = tuple[str | int, ...]


def lemur(
    run: Run,
    *,
    file: Annotated[
        str,
        Field(
            min_length=1,
            description="The network's file, beside the study file or in the working directory.",
        ),
    ],
    epochs: Annotated[int, Field(ge=1, le=100_000, description="Passes over the training part.")],
    dataset: Annotated[Component, Kind("datasets"), Field(description="What to learn from.")],
    prm: Annotated[
        dict[str, Prm],
        Field(
            description="Each hyperparameter that the file supports, and no other: from 0 to 1, as LEMUR has it."
        ),
    ],
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Field(description="What to train on; auto takes a GPU if there is one."),
    ] = "auto",
) -> None:
    """Train the file's `Net`; report `val_loss`, `val_accuracy` and `lr` after each epoch.

    The network trains itself: `train_setup(prm)` once, then `learn(batches)` for each epoch. `prm` also holds what
    LEMUR adds: `batch` (images in a batch), `epoch` and `epoch_max` (`epochs`), `transform` (the dataset's name).
    `val_loss` is cross-entropy whatever the file minimizes, `lr` the highest rate of the epoch's last optimizer step,
    left out where the file has no optimizer.

    Importing the file runs it, so that needs `--allow-code`. What `train_setup` makes is kept in checkpoints, so that a
    trial can be continued and cloned (see `hpo_models.lemur._state`). Raises HpoError when code is not allowed, when
    there is no such file or network in it, and when `prm` is not what the file supports, all before any training.
    """
    if run.trial.metric not in METRICS:
        raise ValueError(
            f"lemur does not report the study's metric '{run.trial.metric}': it reports {', '.join(METRICS)}"
        )
    folders = run.trial.code_path
    if folders is None:
        raise HpoError(f"importing {file} is not allowed: run the study with --allow-code")
    from hpo_models.lemur._training import fit
    from hpo_models.lemur.file import opened

    with opened(file, folders) as network:
        network.check(prm)
        fit(run, network, epochs, dataset, prm, device)


def check_files(tree: Mapping[str, Any], folders: Sequence[Path]) -> Iterator[tuple[Place, str]]:
    """What is wrong with the networks' files, as far as it can be told without running them (`hpo_core.contracts`).

    A file that is not there is not blamed: a study may be checked where it is not run.
    """
    from hpo_models.lemur.declaration import declared

    named = tree["file"]
    places: dict[Place, Any] = {("file",): named}
    if isinstance(named, Mapping):
        places = {("file", "choice", index): file for index, file in enumerate(named["choice"])}
    for place, file in places.items():
        path = next((each for folder in folders if (each := folder / file).is_file()), None)
        try:
            if path is not None:
                declared(path)
        except HpoError as error:
            yield place, str(error)


lemur.check_files = check_files  # type: ignore[attr-defined]  # what `hpo validate` asks
lemur.runs_code = True  # type: ignore[attr-defined]  # which must be allowed
# what a worker's template imports before it forks: most files import torchvision
lemur.preload = ("hpo_models.lemur._training", "torchvision")  # type: ignore[attr-defined]  # an attribute that executors look for
