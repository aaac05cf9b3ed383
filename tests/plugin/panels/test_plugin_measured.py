"""Measure on the data: the table of what was found, and settings from it. No viewer is needed."""

from __future__ import annotations

from typing import Any

import pytest
from moving_speckle import WIDTH_UM, moving_speckle

pytest.importorskip("napari")

from napari.components import ViewerModel

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate import calibrate
from napari_ulm3d.config import PipelineConfig


@pytest.fixture(scope="module")
def acquisition() -> Acquisition:
    return moving_speckle(40.0, n_frames=60, side_um=1600)[0]


@pytest.fixture
def box(qtbot: Any, acquisition: Acquisition) -> Any:
    from napari_ulm3d.plugin.panels.parts.load.measured_box import MeasuredBox
    from napari_ulm3d.plugin.session import Session

    viewer = ViewerModel()
    session = Session(viewer)
    made = MeasuredBox(session)
    made.viewer = viewer  # kept alive: the session holds it weakly
    made.session = session
    qtbot.addWidget(made)
    assert made.isHidden()
    session.set_acquisition(acquisition)
    return made


def cells(box: Any) -> dict[str, Any]:
    return {box.table.item(k, 0).text(): box.table.item(k, 1) for k in range(box.table.rowCount())}


def test_what_is_found_is_shown_and_can_be_used(
    box: Any, qtbot: Any, acquisition: Acquisition
) -> None:
    assert not box.isHidden()
    assert box.found.isHidden()
    box.start_button.click()
    assert not box.cancel_button.isHidden()
    qtbot.waitUntil(lambda: box.measured is not None and not box.job.running)
    expected = calibrate(acquisition, PipelineConfig())
    found, config = cells(box), box.session.config
    assert not box.found.isHidden()
    assert int(found["first component kept"].text()) == expected.svd_first
    width = found["width of a bubble z, y, x, µm"]
    assert [float(w) for w in width.text().split(" x ")] == pytest.approx(
        expected.fwhm_um, rel=1e-3
    )
    assert {finding.name for finding in expected.findings} - set(found) <= {
        "width of a bubble", "working grid",
    }  # fmt: skip
    assert box.frames.pixmap().width() > 100
    assert box.psf.pixmap().width() > 20
    assert len(box.spectrum.curves[0].x) > 10
    assert len(box.noise.curves[0].x) == acquisition.grid.shape[0]
    assert config == PipelineConfig()  # nothing is set before it is asked for

    # A value that is edited is a setting from then on, in its own unit.
    width.setText("120 x 40 x 200")
    assert box.session.config.psf.fwhm_voxels == pytest.approx((3, 1, 5))
    other = expected.svd_first + 2
    found["first component kept"].setText(str(other))
    assert box.session.config.clutter.svd_range == (other, 200)
    # What cannot be is refused in one sentence, and the value is as before.
    width.setText("wide")
    assert "Enter it as 152 x 290 x 290" in box.problem.text()
    assert box.session.config.psf.fwhm_voxels == pytest.approx((3, 1, 5))

    box.use_button.click()
    assert box.problem.text()  # the row's own value stands again
    used = box.session.config
    assert used.load.frames_per_block == 200
    assert used.calibrate.thinning == expected.working.thinning
    assert used.psf.fwhm_voxels is not None
    assert used.psf.fwhm_voxels[2] * 40 == pytest.approx(WIDTH_UM[1], rel=0.25)


def test_measuring_can_be_cancelled(box: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_ulm3d.plugin.state import measured

    real = measured.measure

    def slow(*arguments: Any) -> Any:
        answer = real(*arguments)
        box.job.stop()
        return answer

    monkeypatch.setattr(measured, "measure", slow)
    with qtbot.waitSignal(box.job.ended):
        box.start_button.click()
    assert box.measured is None
    assert box.found.isHidden()
    assert box.cancel_button.isHidden()
    assert box.start_button.isEnabled()
    assert not box.problem.text()


def test_another_acquisition_has_other_findings(box: Any, qtbot: Any) -> None:
    with qtbot.waitSignal(box.job.ended):
        box.start_button.click()
    assert box.measured is not None
    box.session.set_acquisition(moving_speckle(50.0, n_frames=10, side_um=800)[0])
    assert box.measured is None
    assert box.found.isHidden()
