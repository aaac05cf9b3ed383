"""Load, clutter & PSF and sparsify, by mouse and keyboard."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import add, choose, click, dock, drag, enter, idle
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.filtering import (
    analytic_psf,
    clutter_filter,
    correlation_map,
    power_doppler,
    svd_spectrum,
)
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.state import preview as preview_module
from napari_ulm3d.plugin.state.preview import Preview, kept_in
from napari_ulm3d.sparsify import sparsify

SVD = (4, 60)


@pytest.fixture
def loaded(viewer: Any, flow: Any) -> Any:
    """A viewer with the small flow, and settings that suit its 60 frames."""
    add(viewer, flow.acquisition)
    session = session_of(viewer)
    session.change("clutter", svd_range=SVD)
    session.change("psf", carrier="none", source="analytic")
    return viewer


def test_load_asks_for_what_is_missing_and_opens(
    viewer: Any, flow: Any, folder_of: Any, qtbot: Any
) -> None:
    folder = folder_of(flow.acquisition, n_files=2, sidecar=False)
    panel = dock(viewer, "Load acquisition")
    assert not panel.open_button.isEnabled()
    enter(panel.path, str(folder))
    idle(qtbot, panel)
    idle(qtbot, panel)
    assert "voxel size and frame rate" in panel.problem.text()
    enter(panel.form.controls["voxel_um"], "100 150 150")
    idle(qtbot, panel)
    assert "rate" in panel.problem.text()
    enter(panel.form.controls["rate_hz"], "260")
    enter(panel.form.controls["wavelength_um"], "100")
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    assert "20 x 18 x 16 voxels" in panel.recognized.text()
    click(panel.open_button)
    idle(qtbot, panel)
    (layer,) = viewer.layers
    np.testing.assert_allclose(layer.scale, (1 / 260, 100, 150, 150))
    session = session_of(viewer)
    assert session.paths == [str(folder)]
    assert session.config.load.voxel_um == (100.0, 150.0, 150.0)
    assert panel.blocks.rowCount() == 2
    assert panel.blocks.item(1, 1).text() == "30-59"


def test_load_refuses_nonsense_with_a_reason(viewer: Any, qtbot: Any) -> None:
    panel = dock(viewer, "Load acquisition")
    enter(panel.form.controls["rate_hz"], "fast")
    assert "rate_hz" in panel.form.problem
    enter(panel.form.controls["rate_hz"], "-5")
    assert "greater than 0" in panel.form.problem
    assert session_of(viewer).config.load.rate_hz is None
    enter(panel.path, "/no/such/file.mat")
    idle(qtbot, panel)
    assert "does not exist" in panel.problem.text()


def test_clicking_a_block_goes_to_its_first_frame(viewer: Any, flow: Any, qtbot: Any) -> None:
    add(viewer, flow.acquisition)
    panel = dock(viewer, "Load acquisition")
    session = session_of(viewer)
    session.change("load", frames_per_block=20)
    cell = panel.blocks.visualItemRect(panel.blocks.item(2, 1)).center()
    QTest.mouseClick(
        panel.blocks.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, cell
    )
    assert session.frame == 40


def test_cuts_are_dragged_and_typed_in_step(loaded: Any, flow: Any, qtbot: Any) -> None:
    panel = dock(loaded, "Clutter & PSF")
    idle(qtbot, panel)
    assert "components 4 to 60 of 60" in panel.status.text()
    values, _ = svd_spectrum(flow.frames)
    drawn = panel.spectrum.curves[0].y
    np.testing.assert_allclose(drawn[:20], 20 * np.log10(values[:20] / values[0]), atol=0.1)
    drag(panel.spectrum, 0, 20)
    idle(qtbot, panel)
    session = session_of(loaded)
    assert session.config.clutter.svd_range == (20, 60)
    assert panel.form.controls["svd_range"].boxes[0].value() == 20
    assert "components 20 to 60" in panel.status.text()
    enter(panel.form.controls["svd_range"], "6")
    idle(qtbot, panel)
    assert session.config.clutter.svd_range == (6, 60)
    assert panel.spectrum.places == [6.0, 60.0]
    QTest.keyClick(panel.spectrum, Qt.Key.Key_Right)
    assert session.config.clutter.svd_range == (7, 60)
    enter(panel.form.controls["svd_range"], "70")  # past the last: refused with a reason
    assert "ascend" in panel.form.problem
    assert session.config.clutter.svd_range == (7, 60)
    # The cut is among the first components: half of the axis is theirs.
    left, right = (panel.spectrum.pixel_of(place).x() for place in (1, 60))
    assert panel.spectrum.pixel_of(60**0.5).x() == pytest.approx((left + right) / 2, abs=1)
    # What is chosen where nothing is typed stands in the boxes.
    panel.form.controls["svd_range"].take_back()
    session.change("clutter", svd_range=None)
    idle(qtbot, panel)
    first, last = panel._seen.filtered.components
    boxes = panel.form.controls["svd_range"].boxes
    assert [box.placeholderText() for box in boxes] == [str(first), str(last)]
    assert "chosen for block 0" in panel.form.controls["svd_range"].toolTip()
    widths = [f"{width:.2f}" for width in panel._seen.psf.fwhm_voxels]
    boxes = panel.psf_form.controls["fwhm_voxels"].boxes
    assert [box.placeholderText() for box in boxes] == widths


def test_power_doppler_is_the_cores(loaded: Any, flow: Any, qtbot: Any) -> None:
    panel = dock(loaded, "Clutter & PSF")
    idle(qtbot, panel)
    click(panel.show_power)
    layer = find_layer(loaded, "power doppler preview")
    config = session_of(loaded).config
    power = power_doppler(clutter_filter(flow.frames.copy(), 260.0, config.clutter).frames)
    np.testing.assert_allclose(layer.data, 10 * np.log10(power / power.max()), atol=1e-3)
    np.testing.assert_allclose(layer.scale, (100, 150, 150))
    click(panel.show_power)
    assert find_layer(loaded, "power doppler preview") is None


def test_the_method_chooses_the_controls(loaded: Any, qtbot: Any) -> None:
    panel = dock(loaded, "Clutter & PSF")
    idle(qtbot, panel)
    assert not panel.form.controls["bandpass_hz"].isVisible()
    choose(panel.form.controls["method"], "svd+bandpass")
    idle(qtbot, panel)
    assert panel.form.controls["bandpass_hz"].isVisible()
    assert "Hz kept" in panel.status.text()
    choose(panel.form.controls["method"], "none")
    idle(qtbot, panel)
    assert not panel.spectrum.isVisible()
    assert not panel.form.controls["svd_range"].isVisible()


def test_a_psf_that_cannot_be_estimated_is_told(loaded: Any, qtbot: Any) -> None:
    panel = dock(loaded, "Clutter & PSF")
    idle(qtbot, panel)
    session_of(loaded).change("psf", min_bubbles=100_000)
    choose(panel.psf_form.controls["source"], "data")
    idle(qtbot, panel)
    assert "isolated" in panel.problem.text()
    assert panel.problem.more.isVisible()


def correlation_of(flow: Any, config: PipelineConfig, frame: int) -> Any:
    filtered = clutter_filter(flow.frames.copy(), 260.0, config.clutter).frames
    psf = analytic_psf(config.psf, flow.acquisition.grid, 100.0)
    return correlation_map(filtered[frame : frame + 1], psf)


@pytest.mark.parametrize("strategy", ["threshold", "contrast"])
def test_the_overlay_is_what_the_core_keeps(
    loaded: Any, flow: Any, qtbot: Any, strategy: str
) -> None:
    panel = dock(loaded, "Sparsify")
    idle(qtbot, panel)
    session = session_of(loaded)
    choose(panel.form.controls["strategy"], strategy)
    idle(qtbot, panel)
    drag(panel.histogram, 0, 0.4 if strategy == "threshold" else 5.0)
    idle(qtbot, panel)
    setting = "threshold" if strategy == "threshold" else "min_snr_db"
    value = getattr(session.config.sparsify, setting)
    assert value == pytest.approx(0.4 if strategy == "threshold" else 5.0, rel=0.1)
    assert panel.form.controls[setting].boxes[0].value() == pytest.approx(value, abs=1e-3)
    layer = find_layer(loaded, "kept voxels")
    for frame in (session.frame, 11):
        loaded.dims.set_point(0, frame / 260.0)
        idle(qtbot, panel)
        assert session.frame == frame
        kept = sparsify(correlation_of(flow, session.config, frame), session.config.sparsify)
        expected = kept.dense()[0] != 0
        np.testing.assert_array_equal(layer.data.astype(bool), expected)
        assert f"Frame {frame}: {len(kept):,} of 5,760" in panel.kept.text()
    np.testing.assert_allclose(layer.scale, (100, 150, 150))


def test_top_k_is_over_the_block(loaded: Any, flow: Any, qtbot: Any) -> None:
    panel = dock(loaded, "Sparsify")
    idle(qtbot, panel)
    choose(panel.form.controls["strategy"], "topk")
    idle(qtbot, panel)
    enter(panel.form.controls["top_k"], "3000")
    idle(qtbot, panel)
    session = session_of(loaded)
    filtered = clutter_filter(flow.frames.copy(), 260.0, session.config.clutter).frames
    psf = analytic_psf(session.config.psf, flow.acquisition.grid, 100.0)
    kept = sparsify(correlation_map(filtered, psf), session.config.sparsify)
    expected = kept.dense()[session.frame] != 0
    layer = find_layer(loaded, "kept voxels")
    np.testing.assert_array_equal(layer.data.astype(bool), expected)
    assert len(kept) == 3000


@pytest.mark.slow
def test_of_equal_voxels_the_overlay_keeps_those_that_a_run_keeps(
    viewer: Any, flow: Any, qtbot: Any
) -> None:
    """Every frame comes twice, so every correlation is there twice: the earlier one is kept."""
    frames = np.repeat(flow.frames[:6], 2, axis=0)
    acquisition = Acquisition.from_array(frames, flow.acquisition.grid.spacing_um, 260.0)
    add(viewer, acquisition)
    session = session_of(viewer)
    session.change("clutter", method="none")
    session.change("psf", carrier="none", source="analytic")
    panel = dock(viewer, "Sparsify")
    idle(qtbot, panel)
    choose(panel.form.controls["strategy"], "topk")
    idle(qtbot, panel)
    psf = analytic_psf(session.config.psf, acquisition.grid, 100.0)
    correlation = correlation_map(frames, psf)
    for top_k in (301, 300, 2_000_000):  # an odd number cuts a pair in two
        enter(panel.form.controls["top_k"], str(top_k))
        idle(qtbot, panel)
        kept = sparsify(correlation, session.config.sparsify)
        counted = 0
        for frame in range(len(frames)):
            viewer.dims.set_point(0, frame / 260.0)
            idle(qtbot, panel)
            layer = find_layer(viewer, "kept voxels")
            np.testing.assert_array_equal(layer.data != 0, kept_in(kept, frame))
            counted += np.count_nonzero(layer.data)
            if top_k > 301:
                break
        assert counted == len(kept) or top_k > 301


@pytest.mark.parametrize("n_hidden", [1, 6])
def test_a_learned_mask_is_that_of_the_run(flow: Any, tmp_path: Path, n_hidden: int) -> None:
    torch = pytest.importorskip("torch")
    from napari_ulm3d.networks.mask_cnn import MaskCNN, MaskCNNConfig
    from napari_ulm3d.networks.weights import save_weights

    torch.manual_seed(0)
    network = MaskCNN(MaskCNNConfig(layers=n_hidden + 1))
    save_weights(tmp_path / "mask.safetensors", network)
    config = PipelineConfig().with_settings(
        ["clutter.method=none", "psf.source=analytic", "psf.carrier=none",
         "sparsify.strategy=learned", f"sparsify.weights={tmp_path / 'mask.safetensors'}"]
    )  # fmt: skip
    preview = Preview(flow.acquisition)
    whole = sparsify(correlation_map(flow.frames, preview.psf(config)), config.sparsify)
    assert 0 < whole.occupancy < 1
    for frame in (0, 7, 8, 31, 59):
        np.testing.assert_array_equal(preview.learned(config, frame), kept_in(whole, frame))


@dataclass(frozen=True)
class _Counted:
    """A source that notes what is read of it."""

    source: Any
    reads: list[tuple[int, int]]
    name: str = "counted"

    @property
    def shape(self) -> Any:
        return self.source.shape

    @property
    def dtype(self) -> Any:
        return self.source.dtype

    def read(self, start: int, stop: int) -> Any:
        self.reads.append((start, stop))
        return self.source.read(start, stop)


def test_a_block_is_read_once_for_all_previews(flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = flow.acquisition.sources
    reads: list[tuple[int, int]] = []
    acquisition = replace(flow.acquisition, sources=(_Counted(source, reads),))
    config = PipelineConfig().with_settings(["load.frames_per_block=30", "motion.method=rigid"])
    for keeps, expected in ((True, 1), (False, 3)):
        monkeypatch.setattr(preview_module, "_KEPT_BYTES", 1 << 30 if keeps else 0)
        preview = Preview(acquisition)
        preview.psf(config)
        reads.clear()
        filtered = preview.filtered(config, 40)[1].frames
        spectrum = preview.spectrum(config, 40)
        motion = preview.motion(config, 40)[1]
        assert reads == [(30, 60)] * expected
        if keeps:
            first = filtered, spectrum, motion.displacement_um
    for found, known in zip((filtered, spectrum, motion.displacement_um), first, strict=True):
        np.testing.assert_array_equal(found, known)


def test_the_overlay_can_be_taken_away(loaded: Any, qtbot: Any) -> None:
    panel = dock(loaded, "Sparsify")
    idle(qtbot, panel)
    assert find_layer(loaded, "kept voxels") is not None
    click(panel.show_overlay)
    assert find_layer(loaded, "kept voxels") is None


def test_every_setting_has_a_tooltip_from_the_config(viewer: Any) -> None:
    panel = dock(viewer, "ULM workflow")
    from napari_ulm3d.plugin.controls.form import SettingsForm

    for title in panel.panels:
        assert panel.panels[title] is not None  # a panel is made when it is asked for
    forms = panel.findChildren(SettingsForm)
    shown = {(form.section, name) for form in forms for name in form.controls}
    for section, name in shown:
        field = type(getattr(PipelineConfig(), section)).model_fields[name]
        control = next(
            f.controls[name] for f in forms if f.section == section and name in f.controls
        )
        unit = (field.json_schema_extra or {}).get("unit", "")
        assert unit in control.toolTip()
        assert f"{section}.{name}" in control.toolTip()
    everything = {
        (section, name)
        for section in (
            "load",
            "clutter",
            "psf",
            "motion",
            "sparsify",
            "localize",
            "network",
            "link",
            "maps",
        )
        for name in type(getattr(PipelineConfig(), section)).model_fields
    }
    assert shown == everything
