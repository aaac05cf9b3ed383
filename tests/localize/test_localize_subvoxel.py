"""Each localizer on bubbles of known place."""

from __future__ import annotations

import numpy as np
import pytest
from localize_frames import FLAT, GRID, bubbles, crowd, noise
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import LocalizeConfig
from napari_ulm3d.localize import localize
from napari_ulm3d.localize.subvoxel.registry import LOCALIZERS

# Largest error, voxels along an axis, of one noiseless bubble away from the border.
BIAS = {"gaussian": 0.01, "radial": 0.05, "centroid": 0.15, "parabolic": 0.001}


def shifted_bubbles(
    grid: Grid, n: int, fwhm: tuple[float, float, float], carrier: float = 0.0
) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    """n frames of one bubble each at random fractions of the middle voxel, random phases."""
    rng = np.random.default_rng(7)
    middle = np.asarray(grid.shape) // 2
    truth = middle + np.where(np.asarray(grid.shape) > 1, rng.uniform(-0.5, 0.5, (n, 3)), 0.0)
    turn = np.exp(2j * np.pi * rng.random(n))
    frames = [
        bubbles(grid.shape, truth[k : k + 1], turn[k : k + 1], fwhm, carrier) for k in range(n)
    ]
    return np.stack(frames), truth


@pytest.mark.parametrize("localizer", LOCALIZERS)
@pytest.mark.parametrize("fwhm", [(3.0, 3.0, 3.0), (2.0, 3.5, 3.0)])
def test_one_bubble_is_found_within_the_documented_bias(
    localizer: str, fwhm: tuple[float, float, float]
) -> None:
    frames, truth = shifted_bubbles(GRID, 40, fwhm)
    result = localize(frames, GRID, LocalizeConfig(localizer=localizer), rate_hz=260.0)
    table = result.localizations
    assert table.frames.tolist() == list(range(40))
    error = GRID.to_index(table.positions_um) - truth
    assert np.abs(error).max() < BIAS[localizer]
    assert (table.table["score"] > 0.8).all()
    assert (table.table["snr_db"] > 15).all()


@pytest.mark.parametrize("localizer", LOCALIZERS)
def test_two_dimensions_are_a_volume_one_voxel_thick(localizer: str) -> None:
    frames, truth = shifted_bubbles(FLAT, 20, (3.0, 3.0, 4.0))
    result = localize(frames, FLAT, LocalizeConfig(localizer=localizer), rate_hz=100.0)
    positions = result.localizations.positions_um
    error = FLAT.to_index(positions) - truth
    assert len(error) == 20
    assert np.abs(error).max() < BIAS[localizer]
    assert (positions[:, 1] == 0.0).all()
    if localizer == "gaussian":
        assert (result.localizations.table["sigma_y_um"] == 0.0).all()


@pytest.mark.parametrize("carrier", [0.7, 2.5, -3.0])
def test_gaussian_follows_the_carrier_of_the_pulse(carrier: float) -> None:
    frames, truth = shifted_bubbles(GRID, 20, (3.0, 3.0, 3.0), carrier)
    table = localize(frames, GRID, LocalizeConfig(), rate_hz=260.0).localizations
    assert np.abs(GRID.to_index(table.positions_um) - truth).max() < 0.01


def test_gaussian_takes_interfering_neighbours_apart() -> None:
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(30):
        way = rng.standard_normal(3)
        way *= 3.6 / np.linalg.norm(way)
        truth = np.array([9.5, 8.6, 7.7]) + np.outer([-0.5, 0.5], way)
        turn = np.exp(2j * np.pi * rng.random(2)) * [1.0, 0.8]
        frames = bubbles(GRID.shape, truth, turn)[None] + noise((1, *GRID.shape), 0.02, 1)
        config = LocalizeConfig(fwhm_voxels=(3.0, 3.0, 3.0))
        found = localize(frames, GRID, config, rate_hz=1.0).localizations.positions_um
        distance = cdist(truth, GRID.to_index(found))
        assert distance.shape == (2, 2)
        errors.append(distance[linear_sum_assignment(distance)].max())
    assert np.median(errors) < 0.03
    assert np.quantile(errors, 0.9) < 0.15


def test_gaussian_finds_bubbles_hidden_beside_brighter_ones_in_the_second_round() -> None:
    truth = np.array([[9.0, 9.0, 6.0], [9.0, 9.0, 8.2]])
    frames = bubbles(GRID.shape, truth, np.array([1.0, 0.5j]))[None]
    frames = frames + noise(frames.shape, 0.02, 5)
    count = []
    for rounds in (1, 2):
        config = LocalizeConfig(rounds=rounds, fwhm_voxels=(3.0, 3.0, 3.0))
        count.append(len(localize(frames, GRID, config, rate_hz=1.0).localizations))
    assert count == [1, 2]


def hits(config: LocalizeConfig, frames: NDArray[np.generic], truth: list) -> tuple[float, float]:
    """Precision and recall at a quarter of the axial voxel, which is a wavelength here."""
    table = localize(frames, GRID, config, rate_hz=260.0).localizations
    good = total = 0
    for frame, true in enumerate(truth):
        distance = cdist(
            true * GRID.spacing_um,
            (GRID.to_index(table.positions_um[table.frames == frame])) * GRID.spacing_um,
        )
        pairs = linear_sum_assignment(np.where(distance < 50, distance, 1e3))
        good += int((distance[pairs] < 25).sum())
        total += len(true)
    return good / max(len(table), 1), good / total


def test_gaussian_is_the_best_localizer_in_a_crowd() -> None:
    frames, truth = crowd(12, 8, seed=11)
    scores = {
        name: hits(LocalizeConfig(localizer=name, min_snr_db=11.0), frames, truth)
        for name in LOCALIZERS
    }
    precision, recall = scores.pop("gaussian")
    assert precision > 0.85
    assert recall > 0.8
    for other, (its_precision, its_recall) in scores.items():
        assert its_precision < precision, other
        assert its_recall < recall, other


def test_gaussian_works_on_an_envelope() -> None:
    frames, truth = crowd(12, 8, seed=12)
    precision, recall = hits(LocalizeConfig(), np.abs(frames), truth)
    assert precision > 0.7
    assert recall > 0.6


def test_gaussian_says_how_well_it_knows_a_position() -> None:
    rng = np.random.default_rng(13)
    truth = np.asarray(GRID.shape) / 2 + rng.uniform(-0.5, 0.5, (200, 3))
    frames = np.stack([bubbles(GRID.shape, row[None], np.array([1.0])) for row in truth])
    frames = frames + noise(frames.shape, 0.1, 14)
    table = localize(frames, GRID, LocalizeConfig(), rate_hz=1.0).localizations
    strongest = table.table.groupby("frame")["snr_db"].idxmax().to_numpy()
    assert len(strongest) == 200
    found = table.table.loc[strongest]
    error = table.positions_um[strongest] - GRID.to_um(truth)
    z_scores = error / found[["sigma_z_um", "sigma_y_um", "sigma_x_um"]].to_numpy()
    spread = z_scores.std(axis=0)
    assert (spread > 0.85).all()
    assert (spread < 1.2).all()
    assert np.abs(z_scores.mean(axis=0)).max() < 0.25


def test_gaussian_places_a_bubble_at_the_border() -> None:
    truth = np.array([[0.2, 8.7, 15.1]])
    frames = bubbles(GRID.shape, truth, np.array([1.0]))[None] + noise((1, *GRID.shape), 0.01, 2)
    config = LocalizeConfig(fwhm_voxels=(3.0, 3.0, 3.0))
    table = localize(frames, GRID, config, rate_hz=1.0).localizations
    assert np.abs(GRID.to_index(table.positions_um) - truth).max() < 0.1


@pytest.mark.parametrize("localizer", ["radial", "centroid", "parabolic"])
def test_single_bubble_localizers_reject_maxima_at_the_border(localizer: str) -> None:
    frames = bubbles(GRID.shape, np.array([[0.1, 8.7, 7.1]]), np.array([1.0]))[None]
    result = localize(frames, GRID, LocalizeConfig(localizer=localizer), rate_hz=1.0)
    assert len(result.localizations) == 0
    assert result.rejections.edge == 1


def test_parabolic_interpolates_the_correlation_map_where_there_is_one() -> None:
    frames = bubbles(GRID.shape, np.array([[9.0, 8.0, 7.0]]), np.array([1.0]))[None]
    z, y, x = np.indices(GRID.shape)
    apex = (9.25, 8.1, 6.7)
    squared = sum((a - b) ** 2 for a, b in zip((z, y, x), apex, strict=True))
    correlation = np.exp(-squared / 10)[None].astype(np.complex64)
    config = LocalizeConfig(localizer="parabolic")
    table = localize(frames, GRID, config, rate_hz=1.0, correlation=correlation).localizations
    np.testing.assert_allclose(GRID.to_index(table.positions_um), [apex], atol=1e-4)
    np.testing.assert_allclose(table.table["score"], correlation[0, 9, 8, 7].real, rtol=1e-5)
