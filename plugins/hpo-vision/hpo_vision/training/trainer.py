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
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import CheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer

from hpo_vision.training.machine import accelerator
from hpo_vision.training.settings import Device, Numbers, Setup

NOT_OURS = (
    # about torch's own internals, raised in Lightning's code
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    # a user who asks for the CPU knows that there is a GPU
    r".*GPU available but not used.*",
)


def precision(numbers: Numbers, device: Device) -> str:
    """Lightning's name of the precision: 16 bits pay off on CUDA only."""
    if numbers != "auto":
        return numbers
    if accelerator(device) != "cuda":
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


def make_trainer(
    setup: Setup, directory: str, reporter: Callback, checkpoints: CheckpointIO
) -> Trainer:
    """A trainer on one device, which validates after each epoch. Called once per trial."""
    with _quiet():
        trainer = Trainer(
            max_epochs=setup.epochs,
            accelerator=accelerator(setup.device),
            devices=1,
            precision=precision(setup.precision, setup.device),  # type: ignore[arg-type]  # one of Lightning's
            gradient_clip_val=setup.max_grad_norm,
            callbacks=[reporter],
            plugins=[checkpoints],
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


def train(
    trainer: Trainer, module: LightningModule, train: Any, val: Any, restored: Path | None
) -> None:
    """Run the trainer to its end, from a checkpoint if there is one.

    Raises whatever the training raises, KeyboardInterrupt as such.
    """
    on_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        with _quiet():
            # for Lightning's own reader: `FolderIO` reads JSON and safetensors, and no pickle either way
            trainer.fit(module, train, val, ckpt_path=restored, weights_only=True)
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
