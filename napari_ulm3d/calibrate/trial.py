"""The cut and its neighbours, tried: which one lets the most bubbles be followed.

The spread of the components says where tissue ends to about one component. One too few leaves tissue, one
too many takes bubbles away and leaves ghosts of strong ones. So bubbles are localized in a few frames after
each of three cuts and linked. With n localizations of which p are in tracks (beyond chance, see
`link.chance`), p are taken as true, n - p as false, and what the best of the cuts follows more as missed:
this estimates the Jaccard index, p / (max p + n - p). The number of points in tracks alone does not
tell, since tissue and ghosts are followed as well; but then more localizations stay alone. Another cut is
taken only if most of the localizations that it adds, or few of those that it removes, are in tracks: where
many localizations stay alone, the index rises even if half of the new ones do, as with tissue. One more
component is removed only if it is spread almost like the tissue before it: a compact one belongs to bubbles, and the ghosts
that it leaves behind are followed in tracks as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.calibrate.calibration import Calibration
from napari_ulm3d.config import LinkConfig, LocalizeConfig
from napari_ulm3d.filtering import FilteredBlock, TissueCut, one_blas_thread
from napari_ulm3d.link import chance_tracks
from napari_ulm3d.localize import localize
from napari_ulm3d.tables import Localizations

__all__ = ["CutSample", "TriedCut", "best_shift"]

_MOST_FRAMES, _FEWEST_FRAMES = 100, 30  # of each block
_MOST_VOXELS = 10_000_000
"""Voxels times frames of each block, so that large volumes do not take long."""
_AT_ONCE = 25
_SHORTEST = 5  # localizations in a track that counts
_FEW = 150  # fewer points in tracks decide nothing
_CLEARLY = 1.02  # ratio of the estimated indices
_AS_SPREAD, _LAST = 1 / 3, 3
"""Participation ratio, over the largest of the last components removed, from which one may be tissue."""
_ADDED, _REMOVED = 0.65, 0.3
"""In tracks: at least this share of the localizations that a cut adds, at most that of those it removes."""


@dataclass(frozen=True)
class TriedCut:
    """What is localized in a sample after a cut.

    Attributes
    ----------
    shift
        Components removed in addition to those of the criterion: -1, 0 or 1.
    found
        Number of localizations.
    followed
        Number of these in tracks, less those expected by chance.
    """

    shift: int
    found: int
    followed: float


@dataclass(frozen=True)
class CutSample:
    """The components on either side of a cut, in the middle frames of a block.

    It has 100 frames, which the choice needs, or fewer of a large volume, which has more bubbles.

    Attributes
    ----------
    frames
        The frames, within the block.
    times, images
        (2, t) and (2, z, y, x): the last component removed and the first kept, products of both.
    first
        First component kept according to the criterion.
    shifts
        Changes of it to try, in components.
    """

    frames: slice
    times: NDArray[Any]
    images: NDArray[Any]
    first: int
    shifts: tuple[int, ...]

    @classmethod
    def of(cls, block: NDArray[Any], cut: TissueCut) -> CutSample | None:
        """What is needed of an unfiltered block; None if no tissue was detected."""
        if cut.first == 1 or cut.vectors is None:
            return None
        vectors = np.ascontiguousarray(cut.vectors[:, cut.first - 2 : cut.first], block.dtype)
        with one_blas_thread():  # the trial can depend on the last digits
            images = vectors.conj().T @ block.reshape(len(block), -1)
        affordable = _MOST_VOXELS * len(block) // block.size
        n_frames = min(max(affordable, _FEWEST_FRAMES), _MOST_FRAMES)
        low = max(0, len(block) - n_frames) // 2
        some = slice(low, min(low + n_frames, len(block)))
        # The strongest component is tissue.
        shifts: tuple[int, ...] = (0,) if cut.first == 2 else (-1, 0)
        tissue = cut.participation[max(0, cut.first - 1 - _LAST) : cut.first - 1].max()
        if cut.participation[cut.first - 1] >= _AS_SPREAD * tissue:
            shifts += (1,)
        return cls(some, vectors[some].T, images.reshape(-1, *block.shape[1:]), cut.first, shifts)

    def shifted(self, filtered: NDArray[Any], shift: int) -> Iterator[NDArray[Any]]:
        """The frames, a few at a time, with one component more (-1) or fewer (1) than filtered."""
        for low in range(self.frames.start, self.frames.stop, _AT_ONCE):
            high = min(low + _AT_ONCE, self.frames.stop)
            part = filtered[low:high]
            if shift:
                side = max(shift, 0)
                time = self.times[side, low - self.frames.start : high - self.frames.start]
                part = part - shift * np.multiply.outer(time, self.images[side])
            yield part

    def tried(
        self,
        filtered: FilteredBlock,
        calibration: Calibration,
        rate_hz: float,
        config: LocalizeConfig,
    ) -> tuple[TriedCut, ...]:
        """Localize and link after each of the cuts `shifts`.

        Parameters
        ----------
        filtered
            The block, filtered with the cut of the criterion.
        calibration
            PSF and working grid, from the same block.
        rate_hz
            Frames per second.
        config
            Settings of the localization; the method is always the Gaussian fit.
        """
        working = calibration.working
        valid = working.valid(filtered.valid)
        psf = calibration.psf.fwhm_voxels
        config = config.replace(localizer="gaussian", min_correlation=0.0).for_psf(psf)
        rows = []
        for shift in self.shifts:
            tables, first = [], 0
            for part in self.shifted(filtered.frames, shift):
                tables.append(
                    localize(
                        working.frames(part),
                        working.grid,
                        config,
                        rate_hz=rate_hz,
                        first_frame=first,
                        valid=valid,
                    ).localizations
                )
                first += len(part)
            found = Localizations.concat(tables)
            rows.append(TriedCut(shift, len(found), _followed(found, rate_hz)))
        return tuple(rows)


def _followed(found: Localizations, rate_hz: float) -> float:
    """Localizations in tracks, less those expected by chance."""
    chance = chance_tracks(found, rate_hz, LinkConfig())
    true = np.arange(len(chance.tracks)) * (chance.tracks - chance.by_chance)
    return float(true[_SHORTEST:].sum())


def best_shift(tried: Sequence[Sequence[TriedCut]]) -> int:
    """The shift with a clearly higher estimated Jaccard index over all samples; 0 if there is none.

    Parameters
    ----------
    tried
        Rows of each block.
    """
    found: dict[int, int] = {0: 0}
    followed: dict[int, float] = {0: 0.0}
    complete = set.intersection(*({row.shift for row in rows} for rows in tried)) if tried else {0}
    for row in (row for rows in tried for row in rows if row.shift in complete):
        found[row.shift] = found.get(row.shift, 0) + row.found
        followed[row.shift] = followed.get(row.shift, 0.0) + row.followed
    most = max(followed.values())
    if most < _FEW:
        return 0
    score = {k: followed[k] / (most + found[k] - followed[k]) for k in found}

    def convinces(k: int) -> bool:
        more, followed_more = found[k] - found[0], followed[k] - followed[0]
        share = _ADDED if more > 0 else _REMOVED
        return score[k] > _CLEARLY * score[0] and followed_more >= share * more

    return max((k for k in score if convinces(k)), key=score.__getitem__, default=0)
