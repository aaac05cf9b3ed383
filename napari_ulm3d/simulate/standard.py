"""Standard test sets: named, with fixed seeds that training never uses."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate.config import SimulationConfig
from napari_ulm3d.simulate.presets import preset

__all__ = [
    "STANDARD_SETS",
    "TEST_SEEDS",
    "VASCULATURE_VARIABLE",
    "is_test_seed",
    "standard_config",
]

TEST_SEEDS = range(9_000_000_000, 9_001_000_000)
"""Seeds of the test sets; `randomize` refuses them."""

VASCULATURE_VARIABLE = "NAPARI_ULM3D_VASCULATURE"
"""Environment variable with the path of a measured network for the `cortex` sets."""

# name -> (preset, bubbles, first seed). Sample k of a set has the seed first + k.
_SETS: dict[str, tuple[str, int, int]] = {
    **{
        f"standard-{n}": ("mouse-brain-15MHz", n, TEST_SEEDS.start + 1_000 * k)
        for k, n in enumerate((10, 40, 160))
    },
    "cortex-40": ("mouse-brain-15MHz", 40, TEST_SEEDS.start + 10_000),
    **{
        f"paper2d-{n}": ("paper2d", n, TEST_SEEDS.start + 20_000 + 1_000 * k)
        for k, n in enumerate((1, 5, 10, 20))
    },
    **{
        f"paper3d-{n}": ("paper3d", n, TEST_SEEDS.start + 30_000 + 1_000 * k)
        for k, n in enumerate((1, 10, 30))
    },
}

STANDARD_SETS: tuple[str, ...] = tuple(_SETS)


def is_test_seed(seed: int) -> bool:
    """Whether a seed is reserved for test sets."""
    return seed in TEST_SEEDS


def standard_config(
    name: str, sample: int = 0, vasculature: str | PathLike[str] | None = None
) -> SimulationConfig:
    """The settings of one sample of a standard test set.

    ``standard-N``: N bubbles, 40 x 36 x 32 voxels of 98.56, 150, 150 um, 400 frames at
    260 Hz, SNR 18 dB, tissue 25 dB, grown vessels. ``cortex-40``: the same in measured
    vessels of the mouse cortex. ``paper2d-N``, ``paper3d-N``: N bubbles, 32 x 32 (x 32)
    voxels, 512 frames at 1 kHz, no tissue.

    Parameters
    ----------
    name
        One of `STANDARD_SETS`.
    sample
        0..999: each sample has different vessels, bubbles, tissue and noise.
    vasculature
        Network file for the cortex sets; None: taken from the environment variable
        ``NAPARI_ULM3D_VASCULATURE``.

    Raises
    ------
    ConfigError
        There is no such set or sample, or a cortex set has no network file.
    """
    if name not in _SETS:
        raise ConfigError(f"There is no test set '{name}'. Test sets: {', '.join(_SETS)}.")
    if not 0 <= sample < 1000:
        raise ConfigError(f"The samples of a test set are numbered 0 to 999, not {sample}.")
    based_on, n_bubbles, first_seed = _SETS[name]
    config = preset(based_on)
    vessels = config.vessels
    if name.startswith("cortex"):
        path = vasculature or os.environ.get(VASCULATURE_VARIABLE)
        if not path:
            raise ConfigError(
                f"The set '{name}' needs measured vessels, which are not included in this "
                f"package. Give a network file, or name it in {VASCULATURE_VARIABLE}."
            )
        if not Path(path).is_file():
            raise ConfigError(f"{path}: there is no such network file for the set '{name}'.")
        vessels = vessels.replace(source="file", path=os.fspath(path))
    return config.replace(
        name=name if sample == 0 else f"{name}-sample{sample}",
        bubbles=config.bubbles.replace(n_bubbles=n_bubbles),
        vessels=vessels,
        seed=first_seed + sample,
    )
