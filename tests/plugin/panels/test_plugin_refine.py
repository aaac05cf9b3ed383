"""Refine map: what is offered, a preview, the whole, cancelling, and layers that say predicted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)
pytest.importorskip("torch")

import torch
from napari.components import ViewerModel
from napari.layers import Image, Labels
from plugin_hands import click, dock

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import InputError, UlmError
from napari_ulm3d.networks.registry import build
from napari_ulm3d.networks.weights import save_weights
from napari_ulm3d.plugin.jobs.refine_map import layer_map, refinable
from napari_ulm3d.plugin.layers.convert import map_layer
from napari_ulm3d.plugin.layers.place import find_layer, make_layer
from napari_ulm3d.plugin.layers.predicted import PREDICTED, PREDICTION
from napari_ulm3d.volumes import VesselMap


@pytest.fixture
def network(tmp_path: Any) -> str:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    model = build("CompletionNet", {"channels": (4, 6), "convolutions": 0})
    save_weights(path, model, name="small", scores={"least": 0.2})
    return str(path)


def stack() -> np.ndarray:
    data = np.zeros((30, 24, 28), np.uint8)
    data[4:26, 10:13, 12:15] = 7
    return data


def density() -> VesselMap:
    data = stack().astype(np.float32)
    return VesselMap.from_dense("density", data, Grid(data.shape, (10.0,) * 3), "tracks")


def test_layers_of_others_become_maps_in_micrometres():
    image = Image(stack(), scale=(0.01, 0.02, 0.02), translate=(1, 0, 0), units=("mm",) * 3)
    found = layer_map(image)
    np.testing.assert_allclose(found.grid.spacing_um, (10, 20, 20))
    np.testing.assert_allclose(found.grid.origin_um, (1000, 0, 0))
    assert found.unit == "tracks"  # one value alone: a mask
    labels = Labels(stack().astype(int) * np.arange(1, 31)[:, None, None], scale=(5, 5, 5))
    assert set(layer_map(labels).values) == {1.0}
    plane = layer_map(Image(stack()[:, 11], scale=(10, 10)))
    assert plane.shape == (30, 1, 28)
    with pytest.raises(InputError, match="negative"):
        layer_map(Image(stack().astype(float) - 1))


def _layer(rng: np.random.Generator) -> Image | Labels:
    """A layer of someone else: any axes, type, scale, unit, and values."""
    shape = tuple(int(n) for n in rng.integers(1, 9, rng.choice([2, 3, 3, 3, 4])))
    data = np.where(rng.random(shape) < rng.choice([0, 0.1, 1]), rng.exponential(3, shape), 0)
    for value in (np.nan, np.inf, -1.0, 1e300):
        if rng.random() < 0.1:
            data.flat[rng.integers(data.size)] = value
    more: dict[str, Any] = {
        "scale": 10.0 ** rng.uniform(-4, 3, len(shape)) * rng.choice([1, 1, 1, -1], len(shape)),
        "translate": rng.normal(0, 100, len(shape)),
        "units": (str(rng.choice(["pixel", "um", "mm", "nm", "s"])),) * len(shape),
    }
    if rng.random() < 0.3:
        whole = np.nan_to_num(data, posinf=7, neginf=0).clip(-3, 1000).astype(np.int32)
        return Labels(whole, **more)
    kind = str(rng.choice(["f4", "f8", "u1", "i2"], p=[0.4, 0.3, 0.15, 0.15]))
    with np.errstate(invalid="ignore", over="ignore"):
        return Image(data.astype(kind), **more)


def _layers_become_maps_or_are_refused(seeds: range) -> tuple[int, int]:
    """Number of layers that became maps, and of those refused."""
    said, maps = [], 0
    for seed in seeds:
        layer = _layer(np.random.default_rng(seed))
        if not refinable(layer):
            assert layer.ndim not in (2, 3)
            continue
        try:
            found = layer_map(layer)
        except UlmError as error:
            said.append(str(error))
            continue
        maps += 1
        shown = np.asarray(layer.data, float)
        assert np.isfinite(shown).all()
        assert found.index.size == np.count_nonzero(shown)
        assert found.values.min(initial=0) >= 0
        assert np.isfinite(found.grid.spacing_um).all()
    assert all(20 < len(text) < 400 and "\n" not in text for text in said)
    return maps, len(said)


def test_any_layer_becomes_a_map_or_is_refused_in_a_sentence():
    maps, refused = _layers_become_maps_or_are_refused(range(20))
    assert maps
    assert refused


@pytest.mark.slow
def test_five_hundred_layers_become_maps_or_are_refused():
    maps, refused = _layers_become_maps_or_are_refused(range(1000, 1500))
    assert min(maps, refused) > 50


def test_what_cannot_be_refined_is_not_offered():
    assert refinable(Image(stack()))
    assert refinable(Labels(stack().astype(int)))
    assert not refinable(Image(np.zeros((4, 5, 6, 7))))
    assert not refinable(Image(np.zeros((5, 6, 3)), rgb=True))
    assert refinable(make_layer(map_layer(density()), "map"))
    predicted = replace(density(), prediction={"task": "complete"})
    assert not refinable(make_layer(map_layer(predicted), "map"))
    assert not refinable(make_layer(map_layer(replace(density(), signed=True)), "map"))
    assert ViewerModel().add_points(np.zeros((2, 3))) is not None
    assert not refinable(ViewerModel().add_points(np.zeros((2, 3))))


def test_a_map_is_previewed_refined_and_marked_as_predicted(viewer, qtbot, network):
    panel = dock(viewer, "Refine map")
    assert not panel.refine_button.isEnabled()
    assert "Nothing to refine" in panel.cost.text()
    layer = viewer.add_image(stack(), scale=(10, 10, 10), name="light sheet")
    qtbot.waitUntil(lambda: panel.source.count() == 1)
    panel.task.setCurrentIndex(0)
    panel.use_weights(network)
    qtbot.waitUntil(lambda: "198 non-empty voxels" in panel.cost.text())
    assert "dense" in panel.cost.text()
    viewer.dims.set_point((0, 1, 2), (100, 110, 120))
    click(panel.preview_button)
    qtbot.waitUntil(lambda: find_layer(viewer, PREDICTED) is not None)
    qtbot.waitUntil(lambda: not panel._placer.busy)
    assert "preview" in find_layer(viewer, PREDICTED).name
    click(panel.refine_button)
    qtbot.waitUntil(lambda: "preview" not in find_layer(viewer, PREDICTED).name)
    qtbot.waitUntil(lambda: not panel._placer.busy)
    shown = find_layer(viewer, PREDICTED)
    assert "predicted" in shown.name
    assert shown.metadata[PREDICTION]["weights"] == "small"
    np.testing.assert_allclose(shown.scale, (10, 10, 10))
    assert "predicted" in panel.status.text()
    # Measured and predicted voxels have hues of their own, and nothing covers the measured ones.
    measured = viewer.layers["measured"]
    assert np.ptp(measured.colormap.colors[-1][:3]) == 0
    assert np.ptp(shown.colormap.map(np.array([0.9]))[0][:3]) > 0.5
    assert shown.colormap.map(np.array([0.0]))[0][3] == 0
    panel.least.setValue(70)
    assert shown.contrast_limits[0] == pytest.approx(0.7)
    assert "0.70" in panel.least_text.text()
    # A prediction is not offered as a source.
    names = [panel.source.itemText(k) for k in range(panel.source.count())]
    assert names == [layer.name]
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: panel.source.count() == 0)
    assert not panel.refine_button.isEnabled()
    viewer.add_image(stack().astype(float) - 1, name="signed", scale=(10, 10, 10))
    qtbot.waitUntil(lambda: "negative" in panel.cost.text())
    click(panel.refine_button)
    qtbot.waitUntil(lambda: "negative" in panel.problem.text())
    assert panel.refine_button.isEnabled()
