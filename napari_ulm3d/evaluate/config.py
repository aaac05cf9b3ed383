"""Settings of scoring: tolerances, margin, voxel size for the Dice coefficient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import model_validator

from napari_ulm3d.config import StageConfig, setting
from napari_ulm3d.errors import ConfigError

__all__ = ["EvaluateConfig", "Tolerances"]


@dataclass(frozen=True)
class Tolerances:
    """Distances used in scoring, micrometres.

    Attributes
    ----------
    pair_um
        A localization and a bubble closer than this may form a pair.
    hit_um
        A pair closer than this is a true positive.
    margin_um
        Width of the border of the field of view that is excluded.
    """

    pair_um: float
    hit_um: float
    margin_um: float


class EvaluateConfig(StageConfig):
    """Scoring against a ground truth; distances as PALA's (Heiles et al. 2022)."""

    pair_fraction: float = setting(
        0.5,
        "Maximum distance between a bubble and a localization that form a pair.",
        "wavelengths",
        gt=0,
    )
    hit_fraction: float = setting(
        0.25, "Maximum distance of a pair that counts as a true positive.", "wavelengths", gt=0
    )
    pair_um: float | None = setting(
        None, "Pairing distance. None: pair_fraction of the wavelength.", "um", gt=0
    )
    hit_um: float | None = setting(
        None, "Hit distance. None: hit_fraction of the wavelength.", "um", gt=0
    )
    margin_um: float | None = setting(
        None,
        "Border of the field of view excluded from the scores. None: the pairing distance.",
        "um",
        ge=0,
    )
    dice_voxel_um: float = setting(25.0, "Voxel edge for the comparison of maps.", "um", gt=0)
    recovered_fraction: float = setting(
        0.5,
        "Fraction of a bubble's links that must be found for the bubble to count as recovered.",
        gt=0,
        le=1,
    )
    min_truth_frames: int = setting(
        9,
        "Bubbles seen in fewer frames than this are excluded from the recovery score.",
        "frames",
        ge=2,
    )

    @model_validator(mode="after")
    def _hit_within_pair(self) -> Self:
        if self.hit_fraction > self.pair_fraction:
            raise ValueError(
                f"hit_fraction {self.hit_fraction} must not exceed pair_fraction {self.pair_fraction}"
            )
        return self

    def tolerances(self, wavelength_um: float | None) -> Tolerances:
        """Convert the distances to micrometres.

        Parameters
        ----------
        wavelength_um
            Wavelength in the tissue; may be None if `pair_um` and `hit_um` are set.

        Raises
        ------
        ConfigError
            The wavelength is needed but unknown, or the hit distance exceeds the pair distance.
        """
        if wavelength_um is None and (self.pair_um is None or self.hit_um is None):
            raise ConfigError(
                "The wavelength is unknown, so the pairing and hit distances are unknown too. "
                "Give both in micrometres (pair_um and hit_um, or --pair-um and --hit-um)."
            )
        wave = wavelength_um if wavelength_um is not None else 0.0
        pair = self.pair_um if self.pair_um is not None else self.pair_fraction * wave
        hit = self.hit_um if self.hit_um is not None else self.hit_fraction * wave
        if hit > pair:
            raise ConfigError(
                f"The hit distance {hit:g} um exceeds the pairing distance {pair:g} um. Set "
                "hit_um to at most pair_um."
            )
        return Tolerances(pair, hit, pair if self.margin_um is None else self.margin_um)
