"""Counts of rejected maxima, by reason."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Rejections"]


@dataclass(frozen=True)
class Rejections:
    """Counts of rejected maxima; instances can be added.

    Parameters
    ----------
    over_cap
        Weaker than the `max_bubbles` strongest of their frame.
    low_correlation
        Correlation with the PSF below `min_correlation`.
    crowded
        More maxima in the patch than `max_maxima` allows.
    edge
        At the border of the volume, without enough voxels for this localizer; or position
        outside the volume.
    far
        The position is more than `max_shift_voxels` away from the maximum.
    failed
        The fit has no solution.
    faint
        The fitted bubble is too faint, usually a noise peak.
    merged
        Two maxima converged to the same bubble; one is kept.
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
        """Total number of rejected maxima."""
        return sum(getattr(self, item.name) for item in fields(self))

    def __str__(self) -> str:
        """The reasons that occurred, e.g. ``"12 faint, 3 far"``."""
        parts = [
            f"{getattr(self, item.name)} {item.name.replace('_', ' ')}"
            for item in fields(self)
            if getattr(self, item.name)
        ]
        return ", ".join(parts) or "none"
