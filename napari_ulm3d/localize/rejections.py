"""How many maxima did not become localizations, and why."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Rejections"]


@dataclass(frozen=True)
class Rejections:
    """Counts of maxima that were dropped; add two to sum them up.

    Parameters
    ----------
    over_cap
        Weaker than the `max_bubbles` strongest of their frame.
    low_correlation
        Correlation with the PSF under `min_correlation`.
    crowded
        More maxima in the patch than `max_maxima` allows.
    edge
        At the border of the volume, where this localizer lacks the voxels it needs, or placed
        outside the volume.
    far
        The position left the maximum by more than `max_shift_voxels`.
    failed
        The fit had no solution.
    faint
        The fitted bubble is under `min_snr_db`, most often a peak of the noise.
    merged
        Two maxima that a fit moved onto the same bubble; one stays.
    """

    over_cap: int = 0
    low_correlation: int = 0
    crowded: int = 0
    edge: int = 0
    far: int = 0
    failed: int = 0
    faint: int = 0
    merged: int = 0

    def __add__(self, other: Rejections) -> Rejections:
        return Rejections(
            *(getattr(self, item.name) + getattr(other, item.name) for item in fields(self))
        )

    @property
    def total(self) -> int:
        """All maxima that were dropped."""
        return sum(getattr(self, item.name) for item in fields(self))

    def __str__(self) -> str:
        """The reasons that occurred, e.g. ``"12 faint, 3 far"``."""
        parts = [
            f"{getattr(self, item.name)} {item.name.replace('_', ' ')}"
            for item in fields(self)
            if getattr(self, item.name)
        ]
        return ", ".join(parts) or "none"
