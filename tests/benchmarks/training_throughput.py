"""How much of a bare PyTorch loop's throughput the Lightning loop of `image-classification` reaches.

Run by hand::

    uv run python tests/benchmarks/training_throughput.py

ResNet-18 on the digits at 32x32, batches of 64, the precision and memory format that the objective chooses. Both loops
take the same data and model and run by turns, an epoch to warm up and one that counts each, so that what else the
machine does meets both. Checkpoints are not in it: what one costs does not depend on how long an epoch is. The target
is a ratio of 0.9 or more. Without a GPU, time is the process's CPU time: one thread works, and what it waits for is
other people's work.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in a worker; torch reads it when it is imported

import torch
from hpo_vision.training.checkpoints import FolderIO
from hpo_vision.training.classifier import Classifier
from hpo_vision.training.epochs import Epochs
from hpo_vision.training.scores import Scores
from hpo_vision.training.settings import Setup
from hpo_vision.training.trainer import accelerator, make_trainer, precision, repeatable, train
from lightning.pytorch import Callback

from hpo_core import Component, options, plugins
from hpo_core.checking import Checker

EPOCHS = 2
SETUP = Setup(EPOCHS)
DEVICE = accelerator(SETUP.device)
PRECISION = precision(SETUP.precision, SETUP.device)
DIGITS = {"name": "digits", "image_size": 32, "batch_size": 64}


def component(kind: str, tree: Any) -> Component:
    """A component of the study file, by the same door as in a study."""
    catalog, _ = plugins.load()
    return options.bind(catalog, kind, Checker(catalog).component(kind, tree, (), False))


class Stopwatch(Callback):
    """Takes the seconds of each training epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The first batch is about to be fetched."""
        self.started = now()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The last batch has been learned from."""
        if trainer.is_last_batch:
            self.seconds.append(now() - self.started)


def lightning_loop(data: Any, network: Any, sgd: Component, cosine: Component) -> float:
    """Seconds of the last epoch as the objective runs it."""
    order = Epochs(data.batches("train"))
    module = Classifier(
        network,
        torch.nn.CrossEntropyLoss(),
        sgd,
        cosine,
        setup=SETUP,
        augment=component("augmentations", "none").build(data.shape),
        scores=Scores(data.shape.classes, per_class=SETUP.class_metrics),
        steps_per_epoch=len(order),
        trial=0,
    )
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder, repeatable(SETUP.deterministic):
        trainer = make_trainer(SETUP, folder, stopwatch, FolderIO())
        train(trainer, module, order, data.batches("val"), None)
    return stopwatch.seconds[-1]


def bare_loop(data: Any, network: Any, sgd: Component, cosine: Component) -> float:
    """Seconds of the last epoch of a loop with nothing in it that training does not need."""
    device, mixed = DEVICE, PRECISION != "32-true"
    network = network.to(device, memory_format=torch.channels_last).train()
    batches = data.batches("train")
    optimizer = sgd.build(network.parameters())
    scheduler = cosine.build(optimizer, EPOCHS * len(batches))
    for _ in range(EPOCHS):
        started, total = now(), torch.zeros((), device=device)
        for images, labels in batches:
            images = images.to(device, memory_format=torch.channels_last)
            with torch.autocast(device, torch.bfloat16, enabled=mixed):
                loss = torch.nn.functional.cross_entropy(network(images), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.detach() * len(labels)
        seconds = now() - started
    return seconds


def now() -> float:
    """Seconds: on a GPU by the clock, after it has done what it was given, otherwise of CPU time."""
    if DEVICE != "cuda":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Run both loops by turns and print their throughput and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of both loops")
    rounds = parser.parse_args().rounds
    model, sgd = component("models", {"name": "resnet18"}), component("optimizers", {"name": "sgd"})
    cosine = component("lr_schedulers", {"name": "cosine"})
    data = component("datasets", DIGITS).build(0)
    samples = sum(len(labels) for _, labels in data.batches("train"))
    print(f"{DEVICE}, {PRECISION}, {torch.get_num_threads()} thread(s)")
    ratios = []
    for number in range(rounds):
        rates = {}
        loops = [bare_loop, lightning_loop]
        for loop in loops if number % 2 else reversed(loops):
            torch.manual_seed(number)
            rates[loop] = samples / loop(data, model.build(data.shape), sgd, cosine)
        ratios.append(rates[lightning_loop] / rates[bare_loop])
        print(
            f"bare {rates[bare_loop]:7.0f}/s   lightning {rates[lightning_loop]:7.0f}/s   "
            f"ratio {ratios[-1]:.3f}",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
