"""A Lightning Trainer that trains and nothing else: it prints nothing, writes nothing and leaves signals alone.

Who runs the trial decides what Ctrl-C means, and reports are the only output. Lightning's defaults disagree in two
ways that are undone here: it handles SIGTERM itself (the run would end with SystemExit, and take an executor in the
same process with it), and it answers KeyboardInterrupt with `sys.exit(1)` after switching SIGINT off.
"""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

NOT_OURS = (
    # about torch's own internals, raised in Lightning's code
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    # a user who asks for the CPU knows that there is a GPU
    r".*GPU available but not used.*",
)


def make_trainer(
    epochs: int,
    accelerator: str,
    precision: str,
    max_grad_norm: float | None,
    directory: str,
    reporter: Callback,
) -> Trainer:
    """A trainer on one device for `epochs` epochs, validated after each. Called once per trial."""
    with _quiet():
        trainer = Trainer(
            max_epochs=epochs,
            accelerator=accelerator,
            devices=1,
            precision=precision,  # type: ignore[arg-type]  # checked by the objective's signature
            gradient_clip_val=max_grad_norm,
            # on a CPU the same seed gives the same numbers without it
            deterministic="warn" if accelerator == "cuda" else None,
            callbacks=[reporter],
            default_root_dir=directory,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    # Lightning has no switch for this
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def train(trainer: Trainer, module: LightningModule, train: Any, val: Any) -> None:
    """Run the trainer to its end. Raises whatever the training raises, KeyboardInterrupt as such."""
    on_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        with _quiet():
            trainer.fit(module, train, val)
    except SystemExit as exit:
        if not isinstance(exit.__context__, KeyboardInterrupt):
            raise
        if on_main_thread:
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Lightning says about the machine, once per trial."""
    talk = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = talk.level
    talk.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in NOT_OURS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        talk.setLevel(level)
