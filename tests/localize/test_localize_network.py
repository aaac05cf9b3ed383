"""Windowed inference: no frame twice, none lost, units right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bubble_blocks import random_block

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import Cancelled, ConfigError
from napari_ulm3d.localize.network import (
    NetworkConfig,
    hit_probability,
    localize_network,
    predict,
    to_localizations,
)
from napari_ulm3d.networks.bubblenet import BubbleNet, BubbleNetConfig
from napari_ulm3d.networks.bubblenet_input import BubbleInput
from napari_ulm3d.networks.bubblenet_peaks import BubblePredictions

SHAPE = (23, 8, 7, 6)


@pytest.fixture
def model() -> BubbleNet:
    torch.manual_seed(0)
    model = BubbleNet(BubbleNetConfig(stem=2, channels=(6, 8), blocks=1, head=8))
    with torch.no_grad():
        model.head[-1].weight.mul_(20)
        model.head[-1].bias[0] = 0.0
    return model


@pytest.fixture
def block() -> BubbleInput:
    return random_block(SHAPE, 0.05, fwhm_voxels=(2, 2, 2), first_frame=100)


def joined(parts):
    parts = list(parts)
    return [
        np.concatenate([getattr(p, name) for p in parts])
        for name in ("frame", "probability", "position", "sigma", "velocity")
    ]


def test_windows_with_margins_give_what_one_window_gives(model, block):
    whole = joined(predict(model, block, NetworkConfig(window_frames=64)))
    least = 2 * model.config.context_frames + 1
    parts = joined(predict(model, block, NetworkConfig(window_frames=least)))
    assert least < block.shape[0]
    assert len(whole[0]) > 50
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert whole[0].min() >= 100
    assert (np.diff(whole[0]) >= 0).all()


def test_localizations_are_a_table_in_physical_units():
    found = BubblePredictions(
        frame=np.array([4]),
        probability=np.array([0.75]),
        position=np.array([[1.5, 2.0, 3.25]]),
        sigma=np.array([[0.1, 0.2, 0.3]]),
        velocity=np.array([[0.5, 0.0, -1.0]]),
        level=np.array([0.9]),
    )
    grid = Grid((8, 8, 8), (100.0, 150.0, 200.0), (10.0, 0.0, 0.0))
    row = to_localizations(found, grid, 200.0, 1e9).table.iloc[0]
    assert row[["frame", "time_s"]].tolist() == [4, 0.02]
    assert row[["z_um", "y_um", "x_um"]].tolist() == pytest.approx([160, 300, 650])
    assert row[["sigma_z_um", "sigma_y_um", "sigma_x_um"]].tolist() == pytest.approx([10, 30, 60])
    # Half a voxel of 100 um a frame at 200 Hz is 10 mm/s.
    assert row[["vz_mm_s", "vy_mm_s", "vx_mm_s"]].tolist() == pytest.approx([10, 0, -40])
    assert row["snr_db"] == pytest.approx(18)
    assert row["score"] == pytest.approx(0.75)


def test_positions_stay_in_the_volume(model, block):
    grid = Grid(SHAPE[1:], (100.0, 150.0, 200.0))
    found = localize_network(model, block, grid, 200.0, 400.0, NetworkConfig(min_score=0.01))
    assert len(found) > 50
    assert grid.contains(found.positions_um).all()
    assert found.table["vz_mm_s"].dtype == np.float32


def test_flat_data_have_their_plane_as_y(model):
    shape = (4, 8, 1, 8)
    rng = np.random.default_rng(1)
    coordinates = np.argwhere(rng.random(shape) < 0.4).astype(np.int32)
    values = np.ones(len(coordinates), np.complex64)
    flat = BubbleInput(coordinates, 0.5 * values, 4 * values, shape, (2, 2, 2))
    grid = Grid(shape[1:], (100.0, 400.0, 100.0), (0.0, 70.0, 0.0))
    found = localize_network(model, flat, grid, 200.0, 400.0, NetworkConfig(min_score=0.01))
    assert len(found)
    assert (found.table["y_um"] == 70).all()
    assert (found.table["vy_mm_s"] == 0).all()


def test_no_voxels_no_localizations(model, block):
    empty = BubbleInput(
        block.coordinates[:0], block.correlation[:0], block.amplitude[:0], SHAPE, (2, 2, 2)
    )
    found = localize_network(model, empty, Grid(SHAPE[1:], (1.0, 1.0, 1.0)), 100.0)
    assert len(found) == 0


def test_it_can_be_stopped(model, block):
    with pytest.raises(Cancelled):
        list(predict(model, block, NetworkConfig(), stop=lambda: True))


@pytest.mark.parametrize(
    ("sigma", "radius"),
    [((20.0, 20.0, 20.0), 24.6), ((5.0, 5.0), 8.0), ((10.0, 20.0, 30.0), 24.6), ((1.0,), 1.0)],
)
def test_hits_are_as_frequent_as_said(sigma, radius):
    rng = np.random.default_rng(0)
    error = np.linalg.norm(rng.normal(size=(200_000, len(sigma))) * sigma, axis=1)
    expected = (error < radius).mean()
    found = hit_probability(np.array([sigma]), radius)
    assert found == pytest.approx([expected], abs=0.03 if len(set(sigma)) > 1 else 0.005)


def test_uncertain_places_score_less(model, block):
    grid = Grid(SHAPE[1:], (100.0, 150.0, 200.0))
    low = NetworkConfig(min_score=0.0)
    tables = [localize_network(model, block, grid, 200.0, w, low).table for w in (100.0, 400.0)]
    assert (tables[0]["score"] < tables[1]["score"]).all()
    kept = localize_network(model, block, grid, 200.0, 400.0, NetworkConfig(min_score=0.05)).table
    assert len(kept) == (tables[1]["score"] >= 0.05).sum() > 0


def test_margins_must_leave_something():
    with pytest.raises(ConfigError, match="margin_frames"):
        NetworkConfig.from_dict({"window_frames": 8, "margin_frames": 4})
