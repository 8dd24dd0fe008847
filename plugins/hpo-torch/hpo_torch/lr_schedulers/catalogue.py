"""Every LR scheduler: its number in the catalogue it comes from, its plain name, and where it is made.

A0_001 to A0_035 are the variants of a study of LR schedulers, H036 to H050 those of the library transformers. A number
and a name of one line are the same thing.
"""

from __future__ import annotations

from collections.abc import Iterator

FAMILIES: dict[str, dict[str, str]] = {
    "drops": {
        "A0_001": "step",
        "A0_002": "multi-step",
        "A0_024": "step-long",
        "A0_025": "multi-step-four",
        "A0_030": "step-once",
    },
    "decays": {
        "A0_003": "exponential",
        "A0_004": "polynomial-quadratic",
        "A0_005": "polynomial-cubic",
        "A0_017": "linear-floor",
        "A0_018": "power",
        "A0_019": "multiplicative",
        "A0_022": "exponential-floor",
        "A0_029": "polynomial-quartic",
    },
    "cosines": {
        "A0_006": "cosine",
        "A0_007": "cosine-floor",
        "A0_008": "cosine-restarts-growing",
        "A0_009": "cosine-restarts",
        "A0_023": "cosine-power",
        "A0_026": "cosine-high-floor",
    },
    "cycles": {
        "A0_010": "cyclic-triangular",
        "A0_011": "cyclic-triangular2",
        "A0_012": "cyclic-exp-range",
        "A0_013": "one-cycle",
        "A0_014": "one-cycle-aggressive",
        "A0_027": "one-cycle-linear",
        "A0_028": "cyclic-short",
    },
    "warmups": {
        "A0_015": "warmup-linear",
        "A0_016": "warmup-flat",
        "A0_020": "warmup-cosine",
        "A0_021": "warmup-step",
    },
    "plateaus": {
        "A0_031": "plateau",
        "A0_032": "plateau-patient",
        "A0_033": "plateau-aggressive",
    },
    "averaged": {
        "A0_034": "swa-cosine",
        "A0_035": "swa-linear",
    },
    "warmed": {
        "H036": "linear-with-warmup",
        "H037": "cosine-with-warmup",
        "H038": "cosine-hard-restarts",
        "H039": "polynomial-with-warmup",
        "H040": "constant-with-warmup",
        "H041": "constant",
        "H042": "inverse-sqrt-with-warmup",
        "H043": "cosine-floor-with-warmup",
        "H044": "linear",
        "H045": "cosine-hard-restarts-2",
        "H046": "cosine-hard-restarts-3",
        "H047": "polynomial-with-warmup-1",
        "H048": "polynomial-with-warmup-3",
        "H049": "constant-with-long-warmup",
        "H050": "constant-with-short-warmup",
    },
}
"""The names by module; a factory is called as its plain name, with underscores."""


def offers() -> Iterator[tuple[str, str]]:
    """Each name, numbers and plain ones, with the dotted path of its factory."""
    for module, names in FAMILIES.items():
        for number, name in names.items():
            path = f"{__package__}.{module}:{name.replace('-', '_')}"
            yield number, path
            yield name, path
