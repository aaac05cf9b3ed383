"""Real recordings through the main command, as the guide tells it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_ulm3d.cli import main
from napari_ulm3d.io.results import ResultsFolder

# The movie is enlarged, log-compressed and filtered already; scale and rate are assumed.
MOVIE = [
    "--voxel-um",
    "50",
    "50",
    "50",
    "--rate",
    "30",
    "--log-compressed",
    "40",
    "--set",
    "clutter.method=none",
    "--set",
    "psf.fwhm_voxels=8,3,12",
    "--set",
    "psf.patch_voxels=15,7,25",
    "--localizer",
    "radial",
    "--set",
    "localize.patch_voxels=15,7,25",
    "--set",
    "localize.min_snr_db=6",
    "--set",
    "localize.min_correlation=0.4",
    "--set",
    "localize.max_shift_voxels=5",
    "--max-speed",
    "15",
    "--set",
    "link.max_gap_frames=1",
    "--set",
    "link.min_length_frames=5",
    "--set",
    "maps.resolution_factor=2",
]

# Simulated speckle, slowly moving, with voxels far below the resolution: wide patches.
SPECKLE = [
    "--set",
    "clutter.method=none",
    "--set",
    "psf.fwhm_voxels=8,8,8",
    "--set",
    "psf.patch_voxels=15,15,15",
    "--set",
    "localize.patch_voxels=15,15,15",
    "--set",
    "localize.min_snr_db=3",
    "--localizer",
    "radial",
    "--set",
    "localize.max_shift_voxels=3",
    "--set",
    "link.min_length_frames=5",
    "--set",
    "maps.resolution_factor=4",
]


def run(path: Path, out: Path, *flags: str) -> ResultsFolder:
    if not path.exists():
        pytest.skip(f"{path.name} is not at hand")
    assert main(["run", str(path), "--out", str(out), *flags]) == 0
    return ResultsFolder.open(out)


def test_the_rat_brain_movie(shared_data: Path, tmp_path: Path) -> None:
    results = run(shared_data / "rat_brain_microbubbles" / "VSXMB_crop.tif", tmp_path / "r", *MOVIE)
    tracks = results.tracks()
    assert tracks.n_tracks > 1000
    # Above the skull, the first 1.6 mm of rows, there is water: hardly a track begins there.
    above = (tracks.positions_um[:, 0] < 1600).mean()
    assert above < 0.01
    density = results.map("density")
    assert density.shape == (1028, 1, 1302)
    # Vessels are lines: where one track passed, others did more often than by chance.
    share = density.values.size / density.grid.size
    assert (density.values > 1).mean() > 3 * share


@pytest.mark.parametrize(
    ("name", "flags", "n_frames"),
    [("must_24frames_v73.mat", [], 24), ("must_12frames_3d.uff", ["--rate", "400"], 12)],
)
def test_three_dimensional_files(
    shared_data: Path, tmp_path: Path, name: str, flags: list[str], n_frames: int
) -> None:
    results = run(shared_data / "formats" / name, tmp_path / "r", *flags, *SPECKLE)
    assert results.facts()["result"]["n_frames"] == n_frames
    assert results.tracks().n_tracks >= 10
    low = np.asarray(results.grid.origin_um)
    inside = results.tracks().positions_um - low
    assert (inside > -13).all()
    assert (inside < 32 * 25).all()


def test_a_short_series_is_advised(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared_data / "formats" / "must_24frames_v73.mat"
    run(path, tmp_path / "r", "--set", "clutter.svd_range=12,200")
    said = " ".join(capsys.readouterr().err.split())
    assert "A block of 24 frames has 24 singular components" in said
    assert "clutter.svd_range" in said
