"""The stage as a whole: cuts, threads, settings, bad input."""

from __future__ import annotations

import numba
import numpy as np
import pandas as pd
import pytest
from localize_frames import GRID, bubbles, crowd, noise

from napari_ulm3d.config import LocalizeConfig
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.localize import Rejections, localize
from napari_ulm3d.localize.subvoxel.registry import LOCALIZERS
from napari_ulm3d.tables import Localizations

NAMES = list(LOCALIZERS)


def test_every_localizer_of_the_settings_is_registered() -> None:
    options = LocalizeConfig.model_fields["localizer"].annotation.__args__
    assert set(options) >= set(LOCALIZERS)


@pytest.mark.parametrize("localizer", NAMES)
def test_frames_may_come_in_any_cut(localizer: str) -> None:
    frames, _ = crowd(7, 8, seed=1)
    config = LocalizeConfig(localizer=localizer, max_bubbles=20)
    whole = localize(frames, GRID, config, rate_hz=260.0, first_frame=100)
    parts = [
        localize(frames[a:b], GRID, config, rate_hz=260.0, first_frame=100 + a)
        for a, b in ((0, 1), (1, 5), (5, 7))
    ]
    joined = Localizations.concat(part.localizations for part in parts)
    pd.testing.assert_frame_equal(whole.localizations.table, joined.table, check_exact=True)
    assert whole.rejections == sum((part.rejections for part in parts), Rejections())
    assert whole.localizations.frames.min() >= 100


@pytest.mark.parametrize("localizer", NAMES)
def test_the_number_of_threads_changes_no_bit(localizer: str) -> None:
    frames, _ = crowd(6, 8, seed=2)
    config = LocalizeConfig(localizer=localizer)
    before = numba.get_num_threads()
    try:
        tables = []
        for threads in {1, before}:
            numba.set_num_threads(threads)
            tables.append(localize(frames, GRID, config, rate_hz=1.0).localizations.table)
    finally:
        numba.set_num_threads(before)
    pd.testing.assert_frame_equal(tables[0], tables[-1], check_exact=True)


@pytest.mark.parametrize("localizer", NAMES)
@pytest.mark.parametrize("value", [0.0, 2.0])
def test_empty_frames_give_no_rows_and_the_right_columns(localizer: str, value: float) -> None:
    frames = np.full((3, *GRID.shape), value, np.complex64)
    result = localize(frames, GRID, LocalizeConfig(localizer=localizer), rate_hz=260.0)
    assert len(result.localizations) == 0
    assert result.localizations.table["frame"].dtype == np.int64
    assert result.rejections.total == 0
    none = localize(frames[:0], GRID, LocalizeConfig(localizer=localizer), rate_hz=260.0)
    assert len(none.localizations) == 0


@pytest.mark.parametrize("localizer", NAMES)
def test_rows_are_finite_sorted_and_inside_the_volume(localizer: str) -> None:
    frames, _ = crowd(5, 30, seed=3)
    config = LocalizeConfig(localizer=localizer, min_snr_db=4.0, min_fit_snr_db=0.0)
    table = localize(frames, GRID, config, rate_hz=260.0).localizations
    assert len(table) > 50
    assert np.isfinite(table.table.to_numpy(float)).all()
    assert table.table["score"].between(0, 1).all()
    assert GRID.contains(table.positions_um).all()
    keys = table.table[["frame", "z_um", "y_um", "x_um"]]
    pd.testing.assert_frame_equal(keys, keys.sort_values(list(keys.columns)), check_exact=True)
    np.testing.assert_allclose(table.table["time_s"], table.frames / 260.0)


def test_noise_alone_gives_hardly_any_bubble() -> None:
    frames = noise((20, *GRID.shape), 1.0, 4)
    result = localize(frames, GRID, LocalizeConfig(min_snr_db=7.0), rate_hz=1.0)
    assert len(result.localizations) <= 2
    assert result.rejections.faint > 200


def test_the_input_is_left_as_it_was() -> None:
    frames, _ = crowd(2, 8, seed=5)
    before = frames.copy()
    localize(frames, GRID, LocalizeConfig(), rate_hz=1.0)
    np.testing.assert_array_equal(frames, before)


def test_the_cap_holds_over_all_rounds() -> None:
    frames, _ = crowd(4, 20, seed=6)
    result = localize(frames, GRID, LocalizeConfig(max_bubbles=5), rate_hz=1.0)
    assert np.bincount(result.localizations.frames).max() <= 5
    assert result.rejections.over_cap > 0


def test_weak_correlation_is_rejected_and_counted() -> None:
    truth = np.array([[5.0, 5.0, 5.0], [14.0, 12.0, 10.0]])
    frames = bubbles(GRID.shape, truth, np.ones(2, complex))[None]
    correlation = np.full(frames.shape, 0.2j, np.complex64)
    correlation[0, 14, 12, 10] = -0.9
    config = LocalizeConfig(min_correlation=0.5)
    result = localize(frames, GRID, config, rate_hz=1.0, correlation=correlation)
    np.testing.assert_allclose(
        GRID.to_index(result.localizations.positions_um), truth[1:], atol=0.05
    )
    np.testing.assert_allclose(result.localizations.table["score"], 0.9)
    assert result.rejections.low_correlation >= 1
    with pytest.raises(ConfigError, match="min_correlation"):
        localize(frames, GRID, config, rate_hz=1.0)


def test_crowded_patches_can_be_rejected() -> None:
    truth = np.array([[5.0, 5.0, 5.0], [5.0, 8.0, 5.0], [15.0, 12.0, 11.0]])
    frames = bubbles(GRID.shape, truth, np.ones(3, complex), (2.0, 2.0, 2.0))[None]
    config = LocalizeConfig(localizer="centroid", max_maxima=1)
    result = localize(frames, GRID, config, rate_hz=1.0)
    assert len(result.localizations) == 1
    assert result.rejections == Rejections(crowded=2)


def test_positions_far_from_their_maximum_are_rejected() -> None:
    frames, _ = crowd(4, 10, seed=8)
    config = LocalizeConfig(localizer="radial", max_shift_voxels=0.2)
    result = localize(frames, GRID, config, rate_hz=1.0)
    assert result.rejections.far > 0


def test_values_that_are_not_finite_name_their_frame() -> None:
    for dtype in (np.complex64, np.float32):
        frames = np.ones((3, *GRID.shape), dtype)
        frames[1, 2, 3, 4] = np.nan
        with pytest.raises(InputError, match="Frame 41 "):
            localize(frames, GRID, LocalizeConfig(), rate_hz=1.0, first_frame=40)


def test_shapes_that_do_not_fit_are_told() -> None:
    frames = np.ones((2, *GRID.shape), np.complex64)
    with pytest.raises(InputError, match="do not match a grid"):
        localize(frames[:, :-1], GRID, LocalizeConfig(), rate_hz=1.0)
    with pytest.raises(InputError, match="correlation map"):
        localize(frames, GRID, LocalizeConfig(), rate_hz=1.0, correlation=frames[:1])
    with pytest.raises(ConfigError, match="rate"):
        localize(frames, GRID, LocalizeConfig(), rate_hz=0.0)


def test_rejections_add_up_and_read_well() -> None:
    total = Rejections(faint=3, over_cap=1) + Rejections(faint=2, far=4)
    assert total == Rejections(faint=5, over_cap=1, far=4)
    assert total.total == 10
    assert str(total) == "1 over cap, 4 far, 5 faint"
    assert str(Rejections()) == "none"
