"""Recipes of all acquisitions in the zoo, divided into development and test scenes.

``dev`` scenes are used to choose methods and settings. ``test`` scenes have other seeds and
probes and are evaluated once, after all choices are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["RECIPES", "Recipe", "recipes"]

SOUND_SPEED_M_S = 1540.0


@dataclass(frozen=True)
class Recipe:
    """One acquisition.

    Attributes
    ----------
    physics
        ``ours``: the simulator of this package (a Gaussian with carrier and side lobes, tissue of
        low temporal rank). ``simus``: PyMUST's SIMUS (2-D) or SIMUS3, moving scatterers, delay and
        sum.
    voxel_wavelengths
        Spacing along z, y, x.
    shape
        Voxels along z, y, x; one along y is a plane.
    width_wavelengths
        ours: full width at half maximum of a bubble along z, y, x.
    snr_db
        Peak of the mean bubble relative to the rms of the noise.
    tissue_db
        Rms of the tissue relative to the peak of the mean bubble; None: no tissue.
    angles
        simus: number of compounded plane waves.
    elements, pitch_wavelengths
        simus: of the linear probe, or along one side of the matrix.
    depth_mm
        simus: depth of the first voxel.
    masked
        Whether voxels outside a sector are zero.
    gain_db_per_mm
        Increase of the gain with depth, for bubbles, tissue and noise.
    noise_db_per_mm
        Increase of the noise with depth relative to the bubbles.
    log_compressed
        Whether the data are the envelope in decibels, with a range of 60 dB, instead of IQ.
    """

    name: str
    split: Literal["dev", "test"]
    physics: Literal["ours", "simus"]
    frequency_mhz: float
    rate_hz: float
    voxel_wavelengths: tuple[float, float, float]
    shape: tuple[int, int, int]
    n_frames: int
    n_bubbles: int
    seed: int
    width_wavelengths: tuple[float, float, float] = (1.5, 2.0, 2.0)
    snr_db: float = 18.0
    tissue_db: float | None = 25.0
    max_speed_mm_s: float = 20.0
    angles: int = 1
    elements: int = 64
    pitch_wavelengths: float = 1.0
    depth_mm: float = 5.0
    masked: bool = False
    gain_db_per_mm: float = 0.0
    noise_db_per_mm: float = 0.0
    log_compressed: bool = False

    @property
    def wavelength_um(self) -> float:
        return SOUND_SPEED_M_S / self.frequency_mhz

    @property
    def voxel_um(self) -> tuple[float, float, float]:
        z, y, x = (share * self.wavelength_um for share in self.voxel_wavelengths)
        return (z, y, x)


RECIPES: tuple[Recipe, ...] = (
    # A plane of half-wavelength pixels, one plane wave.
    Recipe("plane-half", "dev", "simus", 7.6, 500, (0.5, 1, 0.5), (90, 1, 110), 300, 10, 8101,
           tissue_db=25, elements=64, pitch_wavelengths=1.33, depth_mm=12),
    # The same, finely sampled and compounded, with slow flow and strong tissue.
    Recipe("plane-fine", "dev", "simus", 10.0, 300, (0.25, 1, 0.25), (120, 1, 140), 240, 8, 8102,
           snr_db=20, tissue_db=35, max_speed_mm_s=3, angles=3, elements=64, depth_mm=8),
    # A matrix probe at 7.8 MHz.
    Recipe("matrix-8MHz", "dev", "simus", 7.8, 500, (0.4, 0.8, 0.8), (36, 20, 20), 120, 8, 8103,
           tissue_db=22, elements=24, pitch_wavelengths=1.5, depth_mm=8, max_speed_mm_s=25),
    Recipe("fine-quarter", "dev", "ours", 15.0, 400, (0.25, 0.25, 0.25), (40, 40, 40), 200, 8, 8104,
           tissue_db=20),
    Recipe("masked", "dev", "ours", 15.6, 260, (1, 1.5, 1.5), (40, 36, 32), 200, 30, 8105,
           width_wavelengths=(2, 3, 3), masked=True),
    Recipe("crowded", "dev", "ours", 15.6, 260, (1, 1.5, 1.5), (32, 28, 28), 200, 90, 8106,
           width_wavelengths=(2, 3, 3), tissue_db=15),
    Recipe("gain", "dev", "ours", 8.0, 300, (0.5, 1, 1), (56, 30, 30), 200, 25, 8107,
           gain_db_per_mm=1.5, noise_db_per_mm=1.0, tissue_db=20),
    Recipe("slow", "dev", "ours", 15.6, 260, (1, 1.5, 1.5), (36, 30, 30), 400, 25, 8108,
           width_wavelengths=(2, 3, 3), max_speed_mm_s=2),
    Recipe("fast", "dev", "ours", 5.0, 1000, (0.5, 0.5, 0.5), (48, 32, 32), 300, 15, 8109,
           snr_db=12, tissue_db=None, max_speed_mm_s=40),
    # Finely sampled, with strong tissue and weak bubbles.
    Recipe("fine-sixth", "dev", "ours", 9.0, 400, (1 / 6, 0.25, 0.35), (54, 40, 32), 200, 8, 8110,
           tissue_db=28, snr_db=15),
    # The envelope of a plane in decibels, without tissue.
    Recipe("log", "dev", "simus", 7.5, 250, (0.4, 1, 0.6), (90, 1, 80), 240, 7, 8111,
           snr_db=22, tissue_db=None, elements=64, pitch_wavelengths=0.9, depth_mm=10,
           max_speed_mm_s=8, log_compressed=True),
    # Test scenes.
    Recipe("plane-test", "test", "simus", 5.2, 400, (0.5, 1, 0.5), (90, 1, 100), 300, 12, 9101,
           snr_db=15, tissue_db=30, elements=80, pitch_wavelengths=1.0, depth_mm=18,
           max_speed_mm_s=15),
    Recipe("plane-aniso", "test", "simus", 12.0, 1000, (0.3, 1, 1.0), (120, 1, 80), 300, 10, 9102,
           tissue_db=20, angles=5, elements=72, depth_mm=8, max_speed_mm_s=30),
    Recipe("plane-log", "test", "simus", 6.0, 200, (0.5, 1, 0.5), (90, 1, 100), 240, 6, 9103,
           snr_db=25, tissue_db=None, elements=64, depth_mm=15, max_speed_mm_s=5,
           log_compressed=True),
    Recipe("matrix-5MHz", "test", "simus", 5.0, 300, (0.5, 1.0, 1.0), (32, 20, 20), 120, 6, 9104,
           tissue_db=28, elements=20, pitch_wavelengths=1.2, depth_mm=12),
    Recipe("fine-fifth", "test", "ours", 12.0, 500, (0.2, 0.3, 0.3), (48, 40, 40), 200, 8, 9105,
           tissue_db=28, snr_db=15),
    Recipe("masked-test", "test", "ours", 10.0, 400, (0.5, 1, 1), (56, 36, 36), 200, 25, 9106,
           masked=True, snr_db=14),
    Recipe("crowded-test", "test", "ours", 13.0, 600, (1, 1, 1), (32, 32, 32), 200, 80, 9107,
           width_wavelengths=(1.8, 2.4, 2.4), tissue_db=20),
    Recipe("gain-test", "test", "ours", 3.0, 100, (0.5, 0.8, 0.8), (50, 30, 30), 200, 15, 9108,
           gain_db_per_mm=0.5, noise_db_per_mm=0.5, max_speed_mm_s=8),
    Recipe("slow-test", "test", "ours", 15.6, 260, (0.7, 1, 1), (40, 36, 36), 400, 20, 9109,
           max_speed_mm_s=1.5, tissue_db=30),
)  # fmt: skip
"""In addition, `must3d_fine` (a file, see its provenance) is a dev scene."""


def recipes(split: str | None = None, names: list[str] | None = None) -> list[Recipe]:
    """The recipes of a split, or with given names."""
    return [
        recipe
        for recipe in RECIPES
        if (split is None or recipe.split == split) and (not names or recipe.name in names)
    ]
