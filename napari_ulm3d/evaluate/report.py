"""All scores of a run against its ground truth, and their presentation."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.evaluate.config import EvaluateConfig, Tolerances
from napari_ulm3d.evaluate.linking import LinkScores, score_links
from napari_ulm3d.evaluate.localization import LocalizationScores, score_localizations
from napari_ulm3d.evaluate.maps import MapScores, map_dice
from napari_ulm3d.evaluate.truth import Truth
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["Scores", "evaluate"]

DEFINITIONS = {
    "pairing": (
        "optimal one-to-one pairs within a frame, closer than pair_um (PALA: wavelength / 2)"
    ),
    "true_positives": "pairs closer than hit_um (PALA: wavelength / 4)",
    "false_negatives": "all other bubbles, including those paired but not closer than hit_um",
    "false_positives": "all other localizations, including those paired but not closer than hit_um",
    "jaccard": "TP / (TP + FP + FN), counts summed over all frames",
    "rmse_um": "over all pairs, hits or not",
    "margin": (
        "bubbles within margin_um of the border, their partners, and unpaired "
        "localizations there are ignored"
    ),
    "links": "consecutive frames of one track; correct if both ends pair with the same bubble",
    "dice": "voxels crossed by the tracks and by the true paths; no margin",
}


@dataclass(frozen=True)
class Scores:
    """The scores of a run, with the context needed to interpret them.

    Attributes
    ----------
    n_frames
        Number of frames scored.
    tolerances
        Distances used, micrometres.
    wavelength_um
        None if unknown.
    localization
        Scores of the localizations.
    tracked
        Scores of the smoothed track positions, by the same definitions. These correspond to
        PALA's own tables, since PALA pairs after linking.
    linking, map
        Scores of the links, and of the voxels crossed by tracks.
    resolution_um, saturation
        Fourier shell correlation, and the final fraction of the map's voxels that are filled,
        if given.
    """

    n_frames: int
    tolerances: Tolerances
    wavelength_um: float | None
    config: EvaluateConfig
    localization: LocalizationScores
    tracked: LocalizationScores
    linking: LinkScores
    map: MapScores
    resolution_um: float | None = None
    saturation: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; undefined or unknown ones are None."""
        values = {
            "n_frames": self.n_frames,
            "wavelength_um": self.wavelength_um,
            "tolerances": asdict(self.tolerances),
            "config": self.config.model_dump(mode="json"),
            "definitions": dict(DEFINITIONS),
            "localization": asdict(self.localization),
            "tracked": asdict(self.tracked),
            "linking": asdict(self.linking),
            "map": asdict(self.map),
            "resolution_um": self.resolution_um,
            "saturation": self.saturation,
        }
        return _plain(values)

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write the scores as JSON, completely or not at all.

        Raises
        ------
        ResultsError
            The file cannot be written.
        """
        target = Path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            part.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
            part.replace(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ResultsError(
                f"{target}: the scores cannot be written ({error.strerror}). Name an existing "
                "folder that you may write to."
            ) from error

    def rows(self) -> list[tuple[str, str, str]]:
        """The scores for display: (section, name, value with unit) in reading order."""
        rows: list[tuple[str, str, str]] = []
        for section, scores in (
            ("localizations", self.localization),
            ("tracked positions", self.tracked),
        ):
            rows += [(section, name, value) for name, value in _localization_rows(scores)]
        rows += [("links", name, value) for name, value in _link_rows(self.linking)]
        rows += [("map", name, value) for name, value in _map_rows(self.map)]
        if self.resolution_um is not None:
            rows.append(("map", "resolution (FSC)", f"{self.resolution_um:.1f} um"))
        if self.saturation is not None:
            rows.append(("map", "saturation", f"{self.saturation:.3f}"))
        return rows


def evaluate(
    localizations: Localizations,
    tracks: Tracks,
    truth: Truth,
    grid: Grid,
    wavelength_um: float | None,
    config: EvaluateConfig | None = None,
    *,
    frames: tuple[int, int] | None = None,
    resolution_um: float | None = None,
    saturation: float | None = None,
) -> Scores:
    """Score localizations, tracks and their map against the ground truth.

    Parameters
    ----------
    localizations, tracks
        Results of the run.
    truth
        True positions of the bubbles.
    grid
        Field of view of the acquisition.
    wavelength_um
        Wavelength in the tissue; if None, the config must set `pair_um` and `hit_um`.
    config
        Tolerances and margin; None: defaults.
    frames
        First frame to score and the one after the last; None: from the first to the last
        frame in any of the tables.
    resolution_um, saturation
        Values of the run's maps, reported with the scores.

    Raises
    ------
    ConfigError
        The tolerances are unknown, or the margin covers everything.
    ResultsError
        A table contains positions that are not finite.
    """
    config = config or EvaluateConfig()
    tolerances = config.tolerances(wavelength_um)
    for name, table in (("localizations", localizations), ("tracks", tracks)):
        if not np.isfinite(table.positions_um).all():
            raise ResultsError(
                f"The {name} contain NaN or infinite positions. Run the stage again."
            )
    every = np.concatenate([localizations.frames, tracks.frames, truth.frames])
    if frames is not None:
        low, high = frames
        localizations = Localizations(_between(localizations.table, low, high))
        tracks = Tracks(_between(tracks.table, low, high))
        truth = Truth(_between(truth.table, low, high))
        n_frames = high - low
    else:
        n_frames = int(every.max() - every.min()) + 1 if every.size else 0
    return Scores(
        n_frames=n_frames,
        tolerances=tolerances,
        wavelength_um=wavelength_um,
        config=config,
        localization=score_localizations(localizations, truth, grid, tolerances),
        tracked=score_localizations(tracks, truth, grid, tolerances),
        linking=score_links(tracks, truth, grid, config, tolerances),
        map=map_dice(tracks, truth, grid, config.dice_voxel_um),
        resolution_um=resolution_um,
        saturation=saturation,
    )


def _between(table: Any, low: int, high: int) -> Any:
    return table[(table["frame"] >= low) & (table["frame"] < high)].reset_index(drop=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _localization_rows(scores: LocalizationScores) -> list[tuple[str, str]]:
    def triple(values: tuple[float, float, float], sign: str) -> str:
        return ", ".join(f"{v:{sign}.1f}" for v in values) + " um"

    return [
        ("bubbles / found", f"{scores.n_truth} / {scores.n_found}"),
        ("excluded (margin)", f"{scores.n_truth_margin} / {scores.n_found_margin}"),
        (
            "TP / FN / FP",
            f"{scores.true_positives} / {scores.false_negatives} / {scores.false_positives}",
        ),
        ("precision", f"{scores.precision:.3f}"),
        ("recall", f"{scores.recall:.3f}"),
        ("Jaccard index", f"{scores.jaccard:.3f}"),
        ("RMSE of pairs", f"{scores.rmse_um:.1f} um"),
        ("RMSE of hits", f"{scores.hit_rmse_um:.1f} um"),
        ("RMSE along z, y, x", triple(scores.rmse_axis_um, "")),
        ("bias along z, y, x", triple(scores.bias_um, "+")),
    ]


def _link_rows(scores: LinkScores) -> list[tuple[str, str]]:
    return [
        ("tracks", f"{scores.n_tracks}"),
        (
            "links true / found / correct",
            f"{scores.n_true_links} / {scores.n_links} / {scores.n_correct_links}",
        ),
        ("link precision", f"{scores.link_precision:.3f}"),
        ("link recall", f"{scores.link_recall:.3f}"),
        ("switches", f"{scores.switches}"),
        ("tracks per bubble followed", f"{scores.fragmentation:.2f}"),
        ("bubbles recovered", f"{scores.recovered:.3f} of {scores.n_bubbles}"),
        (
            "speed bias",
            f"{scores.speed_bias_mm_s:+.2f} mm/s ({100 * scores.speed_bias_relative:+.0f} %)",
        ),
        (
            "speed RMSE",
            f"{scores.speed_rmse_mm_s:.2f} mm/s ({100 * scores.speed_rmse_relative:.0f} %)",
        ),
    ]


def _map_rows(scores: MapScores) -> list[tuple[str, str]]:
    return [
        (f"Dice at {scores.voxel_um:g} um", f"{scores.dice:.3f}"),
        ("voxel precision", f"{scores.precision:.3f}"),
        ("voxel recall", f"{scores.recall:.3f}"),
    ]
