"""Standard errors and intervals of maps, against repeated independent draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.maps import MapAccumulator, MemoryBound, accumulate, intervals
from napari_ulm3d.tables import Tracks

GRID = Grid((4, 8, 12), (40.0, 40.0, 40.0), (0.0, 0.0, 0.0))
PLAIN = MapConfig(resolution_factor=2.0, fsc=False, confidence="interval")
SMOOTH = PLAIN.replace(smoothing_um=20.0)


def vessel_tracks(rng, per_acquisition=600, rows=12):
    """Bubbles that cross two vessels along x at the speed of their place in them, on and off."""
    n = rng.poisson(per_acquisition)
    radius, middle = 45.0, np.array([[80.0, 100.0], [80.0, 240.0]])
    angle, far = rng.uniform(0, 2 * np.pi, n), radius * np.sqrt(rng.random(n))
    across = middle[rng.integers(0, 2, n)] + far[:, None] * np.column_stack(
        [np.cos(angle), np.sin(angle)]
    )
    speed = 10 * (1 - (far / radius) ** 2) + rng.gamma(4, 0.5, n)
    begin = rng.uniform(-300, 480, n)
    table = pd.DataFrame({"track_id": np.repeat(np.arange(n), rows)})
    frame = np.tile(np.arange(rows), n)
    table["frame"], table["time_s"] = frame, rng.random(n).repeat(rows) + frame / 100
    table["z_um"], table["y_um"] = across.repeat(rows, 0).T
    table["x_um"] = begin.repeat(rows) + 25.0 * frame
    table["vz_mm_s"] = table["vy_mm_s"] = 0.0
    table["vx_mm_s"] = table["speed_mm_s"] = speed.repeat(rows)
    table["score"] = 1.0
    return Tracks(table)


def dense(maps, name):
    return maps[name].dense().ravel().astype(float)


def coverage(config, draws, seed):
    """Shares of voxels whose interval holds what many other draws say, and the errors' ratio."""
    rng = np.random.default_rng(seed)
    number, speed, square, weighed = 0.0, 0.0, 0.0, 0.0
    for _ in range(draws):
        maps = accumulate(vessel_tracks(rng), GRID, config.replace(confidence="none"))
        density = dense(maps, "density")
        number, square = number + density, square + density**2
        speed, weighed = speed + density * dense(maps, "speed"), weighed + density
    mean, true_speed = number / draws, speed / np.maximum(weighed, 1e-9)
    spread = np.sqrt(square / draws - mean**2)
    seen = mean > 2
    inside, ratios = {"density": [], "speed": []}, []
    for _ in range(10):
        maps = accumulate(vessel_tracks(rng), GRID, config)
        for name, truth in (("density", mean), ("speed", true_speed)):
            low, high = dense(maps, f"{name}_low"), dense(maps, f"{name}_high")
            known = seen & (high > 0) if name == "speed" else seen
            # A voxel that no track reached has an upper limit of its own.
            high = np.where((high == 0) & (name == "density"), -np.log(0.05), high)
            inside[name].append(((low <= truth) & (truth <= high))[known].mean())
        ratios.append(
            np.sqrt((dense(maps, "density_se")[seen] ** 2).mean() / (spread[seen] ** 2).mean())
        )
    return {name: np.mean(shares) for name, shares in inside.items()}, np.mean(ratios)


@pytest.mark.parametrize(
    ("config", "draws"), [(PLAIN, 120), pytest.param(SMOOTH, 120, marks=pytest.mark.slow)]
)
def test_intervals_hold_what_repeated_acquisitions_say(config, draws):
    shares, ratio = coverage(config, draws, seed=3)
    assert 0.85 <= shares["density"] <= 0.95, shares
    assert 0.85 <= shares["speed"] <= 0.95, shares
    assert 0.9 < ratio < 1.1


@pytest.mark.slow
def test_errors_without_smoothing_are_those_of_many_resamples():
    """The closed form against numpy's own draws of a bootstrap over tracks."""
    tracks = vessel_tracks(np.random.default_rng(1), 500)
    found = accumulate(tracks, GRID, PLAIN)
    number, speed = dense(found, "density"), dense(found, "speed")
    # What every single track does in every voxel.
    crossed, pace = [], []
    for _, rows in tracks.table.groupby("track_id"):
        own = accumulate(Tracks(rows.reset_index(drop=True)), GRID, PLAIN)
        crossed.append(dense(own, "density"))
        pace.append(dense(own, "speed"))
    crossed, pace = np.array(crossed), np.array(pace)
    rng = np.random.default_rng(2)
    drawn = rng.multinomial(len(crossed), np.full(len(crossed), 1 / len(crossed)), 2000)
    counts = drawn @ crossed
    often = number >= 10
    with np.errstate(invalid="ignore"):
        means = (drawn @ (crossed * pace)) / counts
    np.testing.assert_allclose(dense(found, "density_se")[often], counts[:, often].std(0), rtol=0.1)
    np.testing.assert_allclose(dense(found, "speed_se")[often], means[:, often].std(0), rtol=0.15)
    assert speed[often].min() > 0


@pytest.mark.parametrize("config", [PLAIN, SMOOTH])
def test_errors_know_neither_the_order_nor_the_memory(config, tmp_path):
    tracks = vessel_tracks(np.random.default_rng(4), 300)
    whole = accumulate(tracks, GRID, config)
    halves = MapAccumulator(GRID, config, MemoryBound(1000, tmp_path))
    odd = tracks.table["track_id"] % 2 == 1
    for part in (odd, ~odd):
        halves.add(Tracks(tracks.table[part].reset_index(drop=True)))
    pieces = halves.maps()
    assert whole.keys() == pieces.keys()
    assert "speed_high" in whole
    for name, vessel_map in whole.items():
        np.testing.assert_array_equal(vessel_map.index, pieces[name].index)
        np.testing.assert_array_equal(vessel_map.values, pieces[name].values)


def test_what_has_no_error_has_no_interval():
    maps = accumulate(
        vessel_tracks(np.random.default_rng(5)), GRID, PLAIN.replace(confidence="none")
    )
    assert "density_se" not in maps
    with pytest.raises(ConfigError, match=r"maps\.confidence=error"):
        intervals(maps)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        intervals(maps, 90)
    one = accumulate(vessel_tracks(np.random.default_rng(6), 1), GRID, PLAIN)
    assert one["density_se"].values.max() == 1
    assert not one["speed_se"].index.size
    assert not one["speed_low"].index.size


def test_levels_nest():
    maps = accumulate(vessel_tracks(np.random.default_rng(7)), GRID, PLAIN)
    narrow, wide = intervals(maps, 0.5), intervals(maps, 0.99)
    for name in ("density", "speed"):
        assert (
            narrow[f"{name}_low"].values
            >= wide[f"{name}_low"].dense().ravel()[narrow[f"{name}_low"].index]
        ).all()
        assert (narrow[f"{name}_high"].values < wide[f"{name}_high"].values).all()
