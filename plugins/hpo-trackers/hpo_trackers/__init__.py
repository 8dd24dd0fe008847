"""`hpo-trackers`: observers of a study that write files, `csv` and `tensorboard`."""

from __future__ import annotations

from hpo_core import Register, hookimpl


@hookimpl
def register_trackers(register: Register) -> None:
    """Offer `csv` and `tensorboard`."""
    register("csv", "hpo_trackers.csv_files:CsvFiles")
    register("tensorboard", "hpo_trackers.tensorboard:TensorBoard")
