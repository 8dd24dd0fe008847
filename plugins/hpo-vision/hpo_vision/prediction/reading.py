"""Files to pixels, some at a time in threads, in the order they come in: what cannot be read keeps its place.

Decoders release the interpreter's lock, so the next images are read while the model works on those before.
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from PIL import Image
from torch import Tensor

from hpo_core import InputShape
from hpo_vision.datasets.pictures import decoded, fitted, reason
from hpo_vision.prediction.found import Found


@dataclass(frozen=True)
class Picture:
    """A file's pixels (C, H, W), bytes, or why there are none."""

    path: str
    pixels: Tensor | None = None
    error: str | None = None


@dataclass(frozen=True)
class Reader:
    """Reads pictures as a model takes them: the centre square, resized. One with more than `most` pixels is refused."""

    shape: InputShape
    most: int

    def read(self, found: Found) -> Picture:
        """One file. Raises nothing that the file is to blame for."""
        if found.error is not None:
            return Picture(found.path, error=found.error)
        try:
            picture = decoded(found.path, self.most)
            pixels = fitted(picture, self.shape.channels, self.shape.height, self.shape.width)
        except MemoryError:
            return Picture(found.path, error="there is not enough memory to read it")
        except Image.DecompressionBombError as error:
            return Picture(found.path, error=f"{reason(error)}, whatever --max-megapixels says")
        except Exception as error:  # broken files make decoders raise whatever they stumble over
            return Picture(found.path, error=reason(error))
        return Picture(found.path, pixels)

    def batches(self, files: Iterable[Found], size: int) -> Iterator[list[Picture]]:
        """Lists of pictures of which `size` have pixels, the last ones fewer; all files are in one of them, in order.

        What is read ahead is a batch at most.
        """
        batch: list[Picture] = []
        room = size
        for picture in self._ahead(iter(files), size):
            batch.append(picture)
            room -= picture.pixels is not None
            if not room or len(batch) >= 2 * size:  # many broken ones are told of soon, too
                yield batch
                batch, room = [], size
        if batch:
            yield batch

    def _ahead(self, files: Iterator[Found], count: int) -> Iterator[Picture]:
        threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "hpo read")
        try:
            waiting: deque[Future[Picture]] = deque(
                threads.submit(self.read, found) for found in islice(files, count)
            )
            while waiting:
                yield waiting.popleft().result()
                for found in islice(files, 1):
                    waiting.append(threads.submit(self.read, found))
        finally:
            threads.shutdown(cancel_futures=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow warns of what is odd about a file. It is read, or its row says why not; the setting is the process's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield
