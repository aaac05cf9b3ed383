"""The evidence of a result in the viewer: plots of what it has, nothing of what it has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.maps import forecast_saturation
from napari_ulm3d.plugin.panels.parts.evidence import EvidenceBox, forecast_curves
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

GRID = Grid((4, 4, 4), (10.0, 10.0, 10.0))


def result(**parts: Any) -> Result:
    return Result(
        GRID, 100.0, 1.0, PipelineConfig(), Localizations.empty(), Tracks.empty(), **parts
    )


def test_what_a_result_has_is_shown_and_the_rest_is_hidden(qtbot: Any) -> None:
    box = EvidenceBox()
    qtbot.addWidget(box)
    box.show()
    assert box.chance.isHidden()
    assert box.motion.isHidden()
    chance = pd.DataFrame(
        {
            "length_frames": [2, 3, 4, 5],
            "tracks": [10.0, 5.0, 2.0, 0.0],
            "share_by_chance": [0.5, 0.2, 0.0, np.nan],
            "share_permuted": [0.6, 0.3, 0.1, np.nan],
        }
    )
    frame = np.arange(20)
    motion = pd.DataFrame({"frame": frame, "time_s": frame / 100.0})
    for k, name in enumerate(("z_um", "y_um", "x_um")):
        motion[name] = (k + 1) * np.sin(frame / 3)
    motion["broken"] = (frame >= 5) & (frame < 8)
    index = np.arange(10)
    maps = {
        name: VesselMap(name, GRID, index, np.full(10, value, np.float32))
        for name, value in (("density", 100.0), ("density_se", 10.0))
    }
    box.show_result(result(chance=chance, motion=motion, maps=maps), None)
    assert "density known to 20%: 100.0% of the voxels" in box.words.text()
    assert not box.chance.isHidden()
    by_chance, permuted = box.chance.curves
    assert by_chance.x.tolist() == [2, 3, 4]  # no length without tracks
    assert by_chance.y.tolist() == [50, 20, 0]
    assert permuted.dashed
    assert box.chance.places == [9]  # the shortest track that is kept
    left_out, *axes = box.motion.curves
    assert left_out.bars
    assert np.flatnonzero(left_out.y > left_out.y.min()).tolist() == [5, 6, 7]
    assert [curve.y.max() for curve in axes] == [motion[n].max() for n in ("z_um", "y_um", "x_um")]
    assert "3 of 20 frames left out" in box.motion_title.text()
    bent = motion.assign(deformation_um=5.0 + np.sin(frame))
    box.show_result(result(motion=bent), None)
    assert box.motion.curves[-1].dashed
    assert box.motion.curves[-1].y.tolist() == bent["deformation_um"].tolist()
    box.show_result(None, None)
    assert box.chance.isHidden()
    assert box.motion.isHidden()


def test_the_forecast_goes_on_where_the_curve_ends() -> None:
    time_s = np.linspace(0, 10, 100)
    reached = 5000 * (1 - np.exp(-time_s / 5))
    curve = pd.DataFrame({"time_s": time_s, "voxels_reached": reached.astype(int)})
    expected, low, high = forecast_curves(forecast_saturation(curve), 10_000)
    assert expected.dashed
    assert expected.x[0] == 10
    assert expected.y[0] == pytest.approx(curve["voxels_reached"].iloc[-1] / 100)
    assert (low.y <= expected.y).all()
    assert (expected.y <= high.y).all()
    assert low.y[-1] <= 50 <= high.y[-1] + 1  # of 5,000 that there are
    assert not forecast_curves(forecast_saturation(curve.head(1)), 10_000)
