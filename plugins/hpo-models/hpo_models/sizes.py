"""The images that a network can take: how small they may be, and which steps their sides come in.

A network that halves its maps five times has nothing left of a small image, and torch says so in the first batch, in
words about kernels. Here the bound is data, measured (`hpo_models.torchvision_index`, `hpo_models.zoo`), and a model
says it when it is built.
"""

from __future__ import annotations

from dataclasses import dataclass

from hpo_core import InputShape


@dataclass(frozen=True)
class Sizes:
    """Sides from `least` to `most` pixels, each a multiple of `multiple`, and equal where `square`."""

    least: int = 1
    multiple: int = 1
    square: bool = False
    most: int | None = None

    def check(self, model: str, shape: InputShape) -> None:
        """Raise ValueError unless images of `shape` fit. Called by a model's factory before it builds anything."""
        sides = (shape.height, shape.width)
        if all(self._fits(side) for side in sides) and (not self.square or sides[0] == sides[1]):
            return
        raise ValueError(
            f"{model} needs {self.words}, got {shape.height}x{shape.width}: "
            f"set the dataset's image_size to {self._nearest(max(sides))}"
        )

    @property
    def words(self) -> str:
        """The bounds for people: `images of at least 63x63 pixels`."""
        text = f"{'square ' if self.square else ''}images of at least {self.least}x{self.least}"
        text += f" and at most {self.most}x{self.most}" if self.most else ""
        text += " pixels"
        return text + (f", sides in multiples of {self.multiple}" if self.multiple > 1 else "")

    def _fits(self, side: int) -> bool:
        return side == self._nearest(side)

    def _nearest(self, side: int) -> int:
        """The smallest side that fits and is no smaller than `side`; the largest one where that is too large."""
        wanted = max(self.least, -(-side // self.multiple) * self.multiple)
        return min(wanted, self.most) if self.most else wanted


ANY = Sizes()
"""Not known to have a bound."""
