"""Sparsify with a network in view: what survives, what it costs, the mask network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)
pytest.importorskip("torch")

import torch
from network_hands import by_network, linked_as_set, open_sample
from plugin_hands import choose, click, dock, drag, enter, idle
from qtpy.QtCore import Qt

from napari_ulm3d.evaluate import bubbles_kept, read_truth
from napari_ulm3d.filtering import correlation_map
from napari_ulm3d.networks import build, save_weights
from napari_ulm3d.pipeline.blocks import acquisition_psf, filter_block
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.state.preview import block_at, for_network
from napari_ulm3d.plugin.state.quantity import quantity_of
from napari_ulm3d.sparsify import local_contrast_db, sparsify_block


@pytest.mark.slow
def test_true_bubbles_that_survive_follow_the_threshold(viewer: Any, qtbot: Any) -> None:
    session = open_sample(viewer)
    panel = dock(viewer, "Sparsify")
    idle(qtbot, panel)
    truth = read_truth(session.truth_path)
    seen = []
    for threshold in (0.05, 0.6):
        drag(panel.histogram, 0, threshold)
        idle(qtbot, panel)
        mask = find_layer(viewer, "kept voxels").data.astype(bool)
        here = truth.positions_um[truth.frames == session.frame]
        here = here[session.acquisition.grid.contains(here)]
        n = int(bubbles_kept(mask, here, session.acquisition.grid).sum())
        assert panel.survivors.text().startswith(f"{n} of {len(here)} true bubbles kept")
        seen.append(n)
    assert seen[0] > seen[1]


def test_fainter_voxels_next_to_bright_ones_join_the_overlay(viewer: Any, qtbot: Any) -> None:
    session = open_sample(viewer)
    panel = dock(viewer, "Sparsify")
    idle(qtbot, panel)
    before = find_layer(viewer, "kept voxels").data.astype(bool)
    enter(panel.form.controls["near_threshold"], "0.03")
    idle(qtbot, panel)
    assert session.config.sparsify.near_threshold == 0.03
    after = find_layer(viewer, "kept voxels").data.astype(bool)
    assert after[before].all()
    assert after.sum() > before.sum()
    assert f"{after.sum():,} of " in panel.kept.text()


def test_the_cost_says_sparse_and_dense(viewer: Any, weights: Path, qtbot: Any) -> None:
    session = open_sample(viewer)
    session.change("network", weights=str(weights))
    session.change("localize", localizer="network")
    panel = dock(viewer, "Sparsify")
    idle(qtbot, panel)
    text = panel.costs.text()
    assert "Sparse:" in text
    assert "Dense:" in text
    assert "tiny on the" in text
    measured = panel.costs.measured
    assert measured.rate.voxels_per_s > 100
    from napari_ulm3d.pipeline.localizers import cost

    acquisition, config = session.acquisition, session.config
    n_all = acquisition.grid.size
    sparse, dense = (cost(measured, n, acquisition, config) for n in (n_all / 20, n_all))
    assert dense.seconds == pytest.approx(20 * sparse.seconds)
    assert dense.memory_bytes == pytest.approx(20 * sparse.memory_bytes)
    assert str(dense) in text


@pytest.mark.slow
def test_the_cost_is_that_of_the_chosen_network(viewer: Any, qtbot: Any) -> None:
    from napari_ulm3d.networks.memory import trajectory_bytes
    from napari_ulm3d.networks.shipped import find_weights, load_weights
    from napari_ulm3d.pipeline.localizers import cost

    session = open_sample(viewer)
    panel = dock(viewer, "Sparsify")
    idle(qtbot, panel)
    assert "with the bubble network" in panel.costs.text()
    session.change("localize", localizer="trajectory")
    idle(qtbot, panel)
    assert "with the trajectory network sparse-3d-small on the CPU" in panel.costs.text()
    settings = load_weights(
        find_weights(None, "sparse-3d-small"), ("SparseDeepSTULM",)
    ).network.config
    rate = panel.costs.measured.rate
    made = cost(panel.costs.measured, 1000, session.acquisition, session.config)
    frames = rate.window_frames
    steps = -(-frames // settings.head_time_stride)
    law = trajectory_bytes(settings, 1000 * frames, 1000 * steps)
    assert made.memory_bytes == law * rate.at_once
    n_frames = session.acquisition.n_frames
    assert made.seconds == pytest.approx(1000 * n_frames / rate.voxels_per_s)


@pytest.mark.slow
def test_a_score_below_the_cut_of_the_weights_asks_for_a_run(
    loaded: Any, weights: Path, qtbot: Any
) -> None:
    panel = dock(loaded, "Localize & track")
    by_network(panel, weights)
    click(panel.window_button)
    idle(qtbot, panel)
    session = session_of(loaded)
    assert session.result.trained_score == 0.3  # of the card: the settings name none
    assert not panel.linking.isVisible()
    enter(panel.network_form.controls["min_score"], "0.2")
    qtbot.waitUntil(lambda: linked_as_set(session))
    idle(qtbot, panel)
    assert "score of 0.3 or more" in panel.linking.text()
    assert panel.linking.isVisible()
    enter(panel.network_form.controls["min_score"], "0.4")
    qtbot.waitUntil(lambda: linked_as_set(session))
    idle(qtbot, panel)
    assert not panel.linking.isVisible()
    assert session.result.localizations.table["score"].min() >= 0.4


def test_a_mask_network_is_seen(loaded: Any, flow: Any, qtbot: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "mask.safetensors"
    save_weights(path, build("MaskCNN", {"channels": 4}).eval(), name="mask")
    session = session_of(loaded)
    session.change("sparsify", weights=str(path))
    panel = dock(loaded, "Sparsify")
    idle(qtbot, panel)
    choose(panel.form.controls["strategy"], "learned")
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    assert panel.form.controls["weights"].isVisible()
    config = for_network(session.config)
    blocks = session.acquisition.blocks(20)
    psf, _ = acquisition_psf(session.acquisition, config, blocks[0])
    block = blocks[session.frame // 20]
    frames = filter_block(block, session.acquisition, config).frames
    kept = sparsify_block([correlation_map(frames, psf)], config.sparsify)
    expected = kept.dense()[session.frame - block.first_frame] != 0
    shown = find_layer(loaded, "kept voxels").data.astype(bool)
    assert 0 < expected.mean() < 1
    # The mask is a threshold on a sum that may round otherwise on frames cut otherwise.
    assert np.mean(shown != expected) < 0.002


def _of_frame(session: Any, frame: int) -> np.ndarray[Any, Any]:
    """|c|^2 of a frame, computed without the preview."""
    config, acquisition = for_network(session.config), session.acquisition
    block = block_at(acquisition, config, frame)
    at = frame - block.first_frame
    filtered = filter_block(block, acquisition, config).frames[at : at + 1]
    psf, _ = acquisition_psf(acquisition, config, block_at(acquisition, config, 0))
    return np.abs(correlation_map(filtered, psf)[0]) ** 2


def _not_in_this_thread(compute: Callable[..., Any]) -> Callable[..., Any]:
    here = threading.get_ident()

    def computed(*arguments: Any) -> Any:
        assert threading.get_ident() != here, "computed again"
        return compute(*arguments)  # the frame after that

    return computed


@pytest.mark.parametrize("strategy", ["threshold", "contrast"])
def test_a_step_to_the_next_frame_computes_nothing(
    viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    session = open_sample(viewer)
    session.change("sparsify", strategy=strategy)
    panel = dock(viewer, "Sparsify")
    idle(qtbot, panel)
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: panel.kept.text().startswith(f"Frame {session.frame}:"))
    idle(qtbot, panel)
    following = session.frame + 1
    expected = _of_frame(session, following)
    for compute in (correlation_map, quantity_of):
        name = f"napari_ulm3d.plugin.state.preview.{compute.__name__}"
        monkeypatch.setattr(name, _not_in_this_thread(compute))
    draws: list[int] = []
    canvas = viewer.window._qt_viewer.canvas._scene_canvas
    canvas.events.draw.connect(lambda event: draws.append(session.frame))
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Right)
    # At once, so that the frame and its overlay are drawn together.
    assert not draws
    assert panel.kept.text().startswith(f"Frame {following}:")
    monkeypatch.undo()
    mask = find_layer(viewer, "kept voxels").data.astype(bool)
    if strategy == "contrast":
        values = local_contrast_db(np.sqrt(expected), session.config.sparsify.patch_voxels)
        shown, ends = np.clip(values, -20, 30), (-20, 30)
        # A voxel at the bar may fall on either side: the square root is rounded.
        assert np.mean(mask != (values >= session.config.sparsify.min_snr_db)) < 1e-3
    else:
        shown, ends = expected, (0, 1)
        np.testing.assert_array_equal(mask, expected >= session.config.sparsify.threshold)
    counts = np.histogram(shown, 100, ends)[0]
    drawn = panel.histogram.curves[0]
    np.testing.assert_allclose(drawn.y, counts, atol=2)
    assert drawn.y.sum() == expected.size
    np.testing.assert_allclose(np.diff(drawn.x), (ends[1] - ends[0]) / 100, rtol=1e-4)


def test_a_frame_that_was_asked_for_before_does_not_replace_a_later_one(
    viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_sample(viewer)
    panel = dock(viewer, "Sparsify")
    idle(qtbot, panel)
    block = session.preview.block_index(session.config, 0)
    other = next(k for k in range(600) if session.preview.block_index(session.config, k) != block)
    viewer.dims.set_current_step(0, other)  # another block: takes a while
    viewer.dims.set_current_step(0, 1)
    qtbot.waitUntil(lambda: panel.kept.text().startswith("Frame 1:"))
    idle(qtbot, panel)
    assert panel.kept.text().startswith("Frame 1:")
    mask = find_layer(viewer, "kept voxels").data.astype(bool)
    bar = session.config.sparsify.threshold
    np.testing.assert_array_equal(mask, _of_frame(session, 1) >= bar)


def test_looking_ahead_gives_way_and_stays_within_its_share(
    viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ulm3d.errors import Cancelled

    session = open_sample(viewer)
    preview, config = session.preview, for_network(session.config)
    with pytest.raises(Cancelled):
        preview.look_ahead(config, 10, 1, lambda: True)
    assert preview.quantity_at_once(config, 10) is None
    preview.quantity(config, 10)
    preview.look_ahead(config, 10, 1, lambda: False)
    kept = [key[-1] for key in preview._kept["quantity"]]
    assert 10 in kept
    assert {5, 11, 30} <= set(kept)
    assert len(kept) <= 40
    # One frame on, only the farthest one is missing.
    made: list[int] = []

    def counted(frames: Any, psf: Any) -> Any:
        made.append(1)
        return correlation_map(frames, psf)

    monkeypatch.setattr("napari_ulm3d.plugin.state.preview.correlation_map", counted)
    preview.quantity(config, 11)
    preview.look_ahead(config, 11, 1, lambda: False)
    assert len(made) == 1
    assert {6, 10, 12, 40} <= {key[-1] for key in preview._kept["quantity"]}
