"""Search for the best settings of a scene with the ground truth, which a user does not have.

The search maximizes the tracked Jaccard index at a quarter wavelength over one kind of setting after
the other: the clutter cut with the threshold and the speed limit of linking, then the PSF's widths,
then the patch. Speed limits, and the network's threshold, are applied to the localizations of one
run. Each threshold of a fit is run: it is not that of a column of the table, and weak fits change the
others. The best settings are then run as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.scenes import Scene, above
from benchmarks.zoo.figures import Radii, tracked_jaccard
from benchmarks.zoo.prepared import Prepared
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.load import USUAL_FRAMES
from napari_ulm3d.link import link
from napari_ulm3d.pipeline import BlockFinished, StageStarted, run_events
from napari_ulm3d.tables import Localizations

__all__ = ["Best", "cuts", "search"]

_CUTS = (2, 3, 4, 6, 8, 11, 16)
_SPEEDS_MM_S = (10.0, 20.0, 30.0, 60.0, 120.0)
_LEVELS_DB = (10.0, 13.0, 16.0, 19.0, 22.0)
_SCORES = (0.05, 0.1, 0.2, 0.3, 0.45)
_SCALES = (0.8, 1.25)
_PATCHES = (-2, 2)


@dataclass(frozen=True)
class Best:
    """Result of a search.

    Attributes
    ----------
    settings
        Settings as for ``--set``.
    tracked
        The tracked Jaccard index in the search.
    cuts
        The first components kept that were tested, best first.
    """

    settings: tuple[str, ...]
    tracked: float
    cuts: tuple[int, ...]


@dataclass(frozen=True)
class _Choice:
    """Candidate settings; those that act on localizations are separate."""

    base: tuple[str, ...]
    least: float
    speed_mm_s: float

    def settings(self, name: str) -> tuple[str, ...]:
        return (*self.base, f"{name}={self.least:g}", f"link.max_speed_mm_s={self.speed_mm_s:g}")


def cuts(prepared: Prepared) -> list[int]:
    """First components kept to test: a fixed series, and the measured one."""
    first = prepared.plan.config.clutter.svd_range
    assert first is not None
    n_frames = prepared.plan.config.load.block_frames
    return sorted({first[0], *(cut for cut in _CUTS if cut <= n_frames // 4)})


def search(
    scene: Scene,
    config: PipelineConfig,
    prepared: Prepared,
    radii: Radii,
    tried: Sequence[int] | None = None,
) -> Best:
    """Search for the best settings of the localizer in `config`.

    Parameters
    ----------
    tried
        First components kept to test; None: `cuts`.
    """
    search_ = _Search(scene, config, prepared, radii)
    by_cut = [(search_.best(search_.cut(cut)), cut) for cut in tried or cuts(prepared)]
    by_cut.sort(key=lambda pair: -pair[0][0])
    (tracked, best), _ = by_cut[0]
    for group in search_.shapes():
        for more in group:
            other = search_.best((*best.base, *more))
            if other[0] > tracked:
                tracked, best = other
    return Best(best.settings(search_.threshold), tracked, tuple(cut for _, cut in by_cut))


class _Search:
    def __init__(
        self, scene: Scene, config: PipelineConfig, prepared: Prepared, radii: Radii
    ) -> None:
        self.scene, self.radii, self.plan = scene, radii, prepared.plan
        self.by_network = config.localize.by_network
        self.threshold = "network.min_score" if self.by_network else "localize.min_fit_snr_db"
        self.levels = _SCORES if self.by_network else _LEVELS_DB
        self.config = config
        calibration = self.plan.calibration
        assert calibration is not None
        # Otherwise, given widths and patches would disable the working grid.
        thinning = ",".join(str(k) for k in calibration.working.thinning)
        self.thinning = f"calibrate.thinning={thinning}"

    def cut(self, first: int) -> tuple[str, ...]:
        n_frames = self.plan.config.load.block_frames
        # A given range would otherwise disable longer blocks.
        length = (f"load.frames_per_block={n_frames}",) if n_frames > USUAL_FRAMES else ()
        return (*length, f"clutter.svd_range={first},{n_frames}")

    def shapes(self) -> list[list[tuple[str, ...]]]:
        """Widths, then patches, as settings."""
        calibration = self.plan.calibration
        assert calibration is not None
        grid = self.plan.acquisition.grid
        widths = [w / s for w, s in zip(calibration.fwhm_um, grid.spacing_um, strict=True)]
        scaled: list[tuple[str, ...]] = [
            (self.thinning, "psf.fwhm_voxels=" + ",".join(f"{scale * w:.3f}" for w in widths))
            for scale in _SCALES
        ]
        if self.by_network:
            return [scaled]
        patch = self.plan.config.localize.patch
        patches: list[tuple[str, ...]] = [
            (self.thinning, "localize.patch_voxels=" + ",".join(str(max(3, n + k)) for n in patch))
            for k in _PATCHES
        ]
        return [scaled, patches]

    def best(self, base: tuple[str, ...]) -> tuple[float, _Choice]:
        """The best threshold and speed limit for these settings."""
        results = []
        for least, kept in self._found(base):
            for speed in _SPEEDS_MM_S:
                linking = self.config.link.replace(max_speed_mm_s=speed)
                tracks = link(kept, self.scene.acquisition.rate_hz, linking)
                value = tracked_jaccard(self.scene, tracks, self.radii)
                results.append((value, _Choice(base, least, speed)))
        return max(results, key=lambda pair: pair[0])

    def _found(self, base: tuple[str, ...]) -> Iterator[tuple[float, Localizations]]:
        """Each threshold with its localizations."""
        if self.by_network:
            found = self._run(base, min(self.levels))
            yield from ((least, above(found, least)) for least in self.levels)
        else:
            yield from ((least, self._run(base, least)) for least in self.levels)

    def _run(self, base: tuple[str, ...], least: float) -> Localizations:
        config = self.config.with_settings([*base, f"{self.threshold}={least:g}"])
        parts = []
        for event in run_events(self.scene.acquisition, config):
            if isinstance(event, BlockFinished):
                parts.append(event.result.localizations)
            if isinstance(event, StageStarted) and event.name == "mapping":
                break
        return Localizations.concat(parts)
