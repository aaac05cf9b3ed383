"""Refining maps: what goes in, what is refused, and that a prediction stays one."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import napari_ulm3d as ulm
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.cli import main
from napari_ulm3d.errors import Cancelled, ConfigError, InputError, ResultsError, UlmError
from napari_ulm3d.evaluate import dice
from napari_ulm3d.io.writers import read_map, write
from napari_ulm3d.maps import resolution
from napari_ulm3d.networks.registry import build
from napari_ulm3d.networks.weights import save_weights
from napari_ulm3d.refinement import image_map, refine
from napari_ulm3d.refinement.refining import expected_cost
from napari_ulm3d.volumes import VesselMap

SIZES = {"channels": (4, 6), "convolutions": 0}
ARCHITECTURES = {
    "complete": ("CompletionNet", {}),
    "superres": ("SuperResolutionNet", {"fine_channels": (4, 4)}),
    "segment": ("SegmentationNet", {}),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of small networks with the weights that they were drawn with, by task."""
    folder, files = tmp_path_factory.mktemp("weights"), {}
    torch.manual_seed(1)
    for task, (architecture, more) in ARCHITECTURES.items():
        network = build(architecture, {**SIZES, **more})
        for name, layer in network.named_modules():
            # Not what a smoothed map says, but something of all that they consider.
            if name.endswith("prior"):
                torch.nn.init.zeros_(layer.weight)
                torch.nn.init.constant_(layer.bias, 0.3)
            if name.endswith("head"):
                torch.nn.init.normal_(layer.weight, std=0.3)
        files[task] = folder / f"{task}.safetensors"
        save_weights(
            files[task],
            network,
            name=task,
            scores={"least": 0.45, "least_x2": 0.35},
            data={"data": {"voxel_um": (7, 14)}},
        )
    return files


def line_map(shape=(12, 10, 14), spacing=(10.0, 10.0, 10.0), **more) -> VesselMap:
    data = np.zeros(shape, np.float32)
    data[2:10, shape[1] // 2, 5] = [1, 2, 3, 1, 1, 2, 1, 1]
    return VesselMap.from_dense("density", data, Grid(shape, spacing, (5.0, -3.0, 2.0)), "tracks")


@pytest.mark.parametrize("task", list(ARCHITECTURES))
def test_a_refined_map_says_that_it_is_predicted(weights, task):
    source = line_map()
    refined = refine(source, task, factor=4, weights=weights[task])
    p = refined.probability
    assert refined.predicted
    assert p.predicted
    assert refined.mask().predicted
    assert p.prediction["task"] == task
    assert p.prediction["weights_sha256"] == refined.weights["sha256"]
    assert len(refined.weights["sha256"]) == 64
    assert ((p.values > 0) & (p.values <= 1)).all()
    assert refined.least == 0.45
    step = 4 if task == "superres" else 1
    assert p.shape == tuple(step * n for n in source.shape)
    np.testing.assert_allclose(p.grid.extent_um, source.grid.extent_um)
    if task == "segment":
        assert np.array_equal(p.index, source.index)
        assert refined.kind is None  # no velocities were given


def test_a_factor_may_have_a_threshold_of_its_own(weights):
    found = {
        factor: refine(line_map(), "superres", factor=factor, weights=weights["superres"]).least
        for factor in (2, 4)
    }
    assert found == {2: 0.35, 4: 0.45}
    assert refine(line_map(), "superres", least=0.2, weights=weights["superres"]).least == 0.2
    assert refine(line_map(), "complete", weights=weights["complete"]).least == 0.45


def test_what_measures_a_map_refuses_a_predicted_one(weights):
    refined = refine(line_map(), weights=weights["complete"])
    with pytest.raises(InputError, match="predicted"):
        resolution(refined.probability, refined.probability)
    with pytest.raises(InputError, match="predicted"):
        dice(refined.mask(), line_map())
    with pytest.raises(InputError, match="predicted already"):
        refine(refined.probability, weights=weights["complete"])


def test_the_file_of_a_prediction_says_so(weights, tmp_path):
    refined = refine(line_map(), weights=weights["complete"])
    write(refined.probability, tmp_path / "p.ome.tif")
    again = read_map(tmp_path / "p.ome.tif")
    assert again.predicted
    assert dict(again.prediction) == dict(refined.probability.prediction)
    np.testing.assert_array_equal(again.values, refined.probability.values)
    write(line_map(), tmp_path / "m.ome.tif")
    assert not read_map(tmp_path / "m.ome.tif").predicted
    with pytest.raises(InputError, match="predicted already"):
        refine(tmp_path / "p.ome.tif", weights=weights["complete"])


def test_added_voxels_are_those_without_a_measurement(weights):
    refined = refine(line_map(), weights=weights["complete"])
    added, mask = refined.added(1e-6), refined.mask(1e-6)
    measured = np.isin(mask.index, line_map().index)
    assert np.array_equal(added.index, mask.index[~measured])
    fine = refine(line_map(), "superres", weights=weights["superres"])
    places = np.stack(np.unravel_index(fine.mask(1e-6).index, fine.probability.shape), 1) // 2
    inside = np.isin(np.ravel_multi_index(tuple(places.T), line_map().shape), line_map().index)
    assert fine.added(1e-6).index.size == (~inside).sum()


def test_speeds_are_read_where_all_are_there(weights):
    density = line_map()
    maps = {"density": density}
    for name in ("speed", "velocity_z", "direction"):
        maps[name] = replace(density, name=name, values=np.ones(density.index.size, np.float32))
    with_speed = refine(maps, "segment", weights=weights["segment"])
    without = refine(density, "segment", weights=weights["segment"])
    assert not np.allclose(with_speed.probability.values, without.probability.values)
    assert set(np.unique(with_speed.kind.values)) <= {1.0, 2.0, 3.0}
    assert any("napari-ulm3d vessels" in note for note in with_speed.notes)
    assert not without.notes
    two = {name: maps[name] for name in ("density", "speed")}
    np.testing.assert_allclose(
        refine(two, "segment", weights=weights["segment"]).probability.values,
        without.probability.values,
    )


def test_a_box_is_refined_as_the_whole_is(weights):
    shape, rng = (40, 8, 40), np.random.default_rng(0)
    data = (rng.random(shape) < 0.03).astype(np.float32)
    whole = VesselMap.from_dense("density", data, Grid(shape, (10.0,) * 3), "tracks")
    box = ((0.0, 90.0), (0.0, 200.0), (0.0, 90.0))
    part = refine(whole, weights=weights["complete"], box=box).probability
    full = refine(whole, weights=weights["complete"]).probability
    z, y, x = np.unravel_index(full.index, shape)
    inside = (z <= 9) & (x <= 9) & (y <= 20)
    assert np.array_equal(part.index, full.index[inside])
    np.testing.assert_allclose(part.values, full.values[inside], atol=1e-5)


def test_progress_is_told_and_cancelling_stops(weights):
    told = []
    refine(line_map(), weights=weights["complete"], progress=lambda s, _: told.append(s))
    assert told == sorted(told)
    assert told[-1] == 1.0
    with pytest.raises(Cancelled):
        refine(line_map(), weights=weights["complete"], cancelled=lambda: True)


def test_cancelling_stops_within_the_network(weights):
    asked = []

    def cancelled():
        asked.append(None)
        return len(asked) > 5

    told = []
    with pytest.raises(Cancelled):
        refine(
            line_map(),
            weights=weights["complete"],
            cancelled=cancelled,
            progress=lambda s, _: told.append(s),
        )
    assert 0.2 < told[-1] < 0.9
    refine(line_map(), weights=weights["complete"])  # nothing of it stays with the network


def test_the_cost_is_told_beforehand(weights):
    small = expected_cost(line_map(), weights=weights["complete"])
    assert small.voxels == line_map().index.size
    assert "8 non-empty voxels" in small.text()
    wide = expected_cost(line_map((60, 50, 70)), weights=weights["complete"])
    # The dense network pays for the grid, the sparse one for what is in it.
    assert wide.dense_mb > 10 * small.dense_mb - 700
    assert wide.memory_mb == pytest.approx(small.memory_mb, rel=0.2)
    fine = expected_cost(line_map(), "superres", factor=4, weights=weights["superres"])
    assert fine.seconds >= small.seconds
    with pytest.raises(ConfigError, match="power of two"):
        expected_cost(line_map(), "superres", factor=3, weights=weights["superres"])


def test_a_finer_map_is_put_on_coarser_cubes_first(weights):
    source = line_map((16, 12, 16), (2.0, 4.0, 2.0))
    refined = refine(source, weights=weights["complete"])
    assert refined.probability.grid.spacing_um == (6.0, 6.0, 6.0)
    assert any("6 um" in note for note in refined.notes)
    assert refined.measured.values.max() == 3.0


def test_uneven_voxels_become_cubes(weights):
    source = line_map((12, 3, 14), (10.0, 40.0, 10.0))
    refined = refine(source, "segment", weights=weights["segment"])
    # A voxel 40 um long becomes four.
    assert refined.measured.grid.shape == (12, 12, 14)
    assert refined.measured.index.size == 4 * source.index.size


@pytest.mark.parametrize("task", list(ARCHITECTURES))
def test_maps_of_nothing_of_one_voxel_and_of_a_plane(weights, task):
    grid = Grid((9, 5, 7), (10.0,) * 3)
    nothing = VesselMap.from_dense("density", np.zeros(grid.shape), grid, "tracks")
    assert refine(nothing, task, weights=weights[task]).probability.index.size == 0
    one = np.zeros(grid.shape)
    one[4, 2, 3] = 1
    assert refine(
        VesselMap.from_dense("density", one, grid, "tracks"), task, weights=weights[task]
    ).probability.values.size
    plane = line_map((12, 1, 14), (10.0, 80.0, 10.0))
    refined = refine(plane, task, weights=weights[task])
    assert refined.probability.shape[1] == 1
    assert refined.probability.grid.spacing_um[1] == 80.0


def test_a_full_volume_is_refined_with_a_note(weights):
    data = np.ones((16, 12, 12), np.float32)
    full = VesselMap.from_dense("density", data, Grid(data.shape, (10.0,) * 3), "a.u.")
    refined = refine(full, "segment", weights=weights["segment"])
    assert refined.probability.index.size == data.size
    assert any("Apply a threshold" in note for note in refined.notes)


BAD = {
    "NaN": (lambda d: np.where(d > 0, np.nan, d), "NaN"),
    "infinite": (lambda d: np.where(d > 0, np.inf, d), "infinite"),
    "negative": (lambda d: -d, "negative"),
    "complex": (lambda d: d.astype(complex), "complex"),
    "four axes": (lambda d: d[None], "4 axes"),
    "one axis": (lambda d: d.ravel(), "1 axes"),
    "no voxels": (lambda d: d[:0], "z, y, x"),
    "text": (lambda d: d.astype(str), "real numbers"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_hostile_images_are_refused_in_a_sentence(name):
    make, match = BAD[name]
    with pytest.raises(InputError, match=match) as error:
        image_map(make(line_map().dense()), (10.0, 10.0, 10.0))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, np.nan, 1), (-1, 1, 1), (1, 1)])
def test_a_hopeless_scale_is_refused(spacing):
    with pytest.raises(InputError, match="scale"):
        image_map(np.ones((3, 3, 3)), spacing)


def _refine_or_refuse(weights, seed):
    """One image at random: shape, spacing, values, type and layout; the refusal, if it is one."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 12, rng.choice([1, 2, 3, 3, 3, 3, 4])))
    share = rng.choice([0, 0.001, 0.05, 0.3, 1])
    data = np.where(rng.random(shape) < share, rng.exponential(3, shape), 0)
    for value in (np.nan, np.inf, -np.inf, -1, 1e38, 1e-38, 1e300):
        if rng.random() < 0.07:
            data.flat[rng.integers(data.size)] = value
    if rng.random() < 0.1:
        data = data[..., :0]
    if rng.random() < 0.3:
        data = np.asfortranarray(np.swapaxes(data, 0, -1))
    spacing = 10.0 ** rng.uniform(-1, 3, 3)
    if rng.random() < 0.7:
        spacing[:] = rng.uniform(4, 60)
    if rng.random() < 0.08:
        spacing[rng.integers(3)] = rng.choice([0, -1, np.nan, np.inf])
    if rng.random() < 0.08:
        spacing = spacing[:2]
    kinds = ["f4", "f8", "f2", "i4", "u1", "?", "c8", "U3", "O", "datetime64[s]"]
    kind = rng.choice(kinds, p=[0.4, 0.2, 0.05, 0.08, 0.08, 0.07, 0.03, 0.03, 0.03, 0.03])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN as whole numbers
        image = (np.nan_to_num(data) if kind.startswith("date") else data).astype(kind)
    task = rng.choice(list(ARCHITECTURES))
    factor, least = (
        int(rng.choice([2, 2, 4, 4, 8, 3])),
        rng.choice([None, 0.5, 0.0, np.nan, 2.0], p=[0.7, 0.15, 0.05, 0.05, 0.05]),
    )
    try:
        source = image_map(image, spacing)
        refined = refine(source, task, factor=factor, least=least, weights=weights[task])
    except UlmError as error:
        return str(error)
    p = refined.probability
    assert np.isfinite(p.values).all()
    assert ((p.values >= 0) & (p.values <= 1)).all()
    assert p.predicted
    assert np.isfinite(image.astype(float)).all()
    assert image.astype(float).min() >= 0
    assert image.ndim in (2, 3)
    if not image.any():
        assert not p.index.size
    return ""


def _many(weights, seeds):
    refused = [_refine_or_refuse(weights, seed) for seed in seeds]
    said = [text for text in refused if text]
    assert all(20 < len(text) < 400 and "\n" not in text for text in said)
    assert 0.2 < len(said) / len(refused) < 0.8


def test_mutated_maps_are_refined_or_refused(weights):
    _many(weights, range(60))


@pytest.mark.slow
def test_five_hundred_mutated_maps_are_refined_or_refused(weights):
    _many(weights, range(1000, 1500))


def test_settings_out_of_range_are_refused(weights):
    with pytest.raises(ConfigError, match="complete, superres, segment"):
        refine(line_map(), "sharpen")
    with pytest.raises(ConfigError, match="power of two"):
        refine(line_map(), "superres", factor=3)
    with pytest.raises(ConfigError, match="least probability"):
        refine(line_map(), least=0.0, weights=weights["complete"])
    with pytest.raises(InputError, match="CompletionNet is needed"):
        refine(line_map(), weights=weights["segment"])
    with pytest.raises(InputError, match="signed"):
        refine(replace(line_map(), signed=True), weights=weights["complete"])
    with pytest.raises(InputError, match="no density"):
        refine({"speed": line_map()}, weights=weights["complete"])
    with pytest.raises(InputError, match="box is empty"):
        refine(line_map(), weights=weights["complete"], box=((5, 5), (0, 9), (0, 9)))


def test_the_command_writes_a_prediction(weights, tmp_path, capsys):
    write(line_map(), tmp_path / "density.ome.tif")
    line = ["refine", str(tmp_path / "density.ome.tif"), "--task", "superres", "--factor", "2"]
    line += ["--weights", str(weights["superres"]), "--out", str(tmp_path / "fine.ome.tif")]
    assert main(line) == 0
    assert "Predicted" in capsys.readouterr().out
    assert read_map(tmp_path / "fine.ome.tif").predicted
    assert main(line) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*line, "--overwrite"]) == 0


def test_the_command_reads_images_and_says_what_they_lack(weights, tmp_path, capsys):
    np.save(tmp_path / "stack.npy", line_map().dense())
    line = ["refine", str(tmp_path / "stack.npy"), "--weights", str(weights["complete"])]
    line += ["--out", str(tmp_path / "out.nii.gz")]
    assert main(line) == 2
    assert "--voxel-um" in capsys.readouterr().err
    assert main([*line, "--voxel-um", "10", "10", "10"]) == 0
    assert (tmp_path / "out.nii.gz").is_file()
    assert main(["refine", str(tmp_path / "no.tif"), "--out", str(tmp_path / "o.tif")]) == 2
    assert main(["refine", str(tmp_path / "stack.npy"), "--out", str(tmp_path / "o.jpg")]) == 2


def test_a_nifti_volume_is_read_as_z_y_x(weights, tmp_path):
    pytest.importorskip("nibabel")
    write(line_map(), tmp_path / "map.nii.gz")
    refined = refine(tmp_path / "map.nii.gz", "segment", weights=weights["segment"])
    assert refined.measured.shape == line_map().shape
    np.testing.assert_array_equal(refined.measured.index, line_map().index)
    np.testing.assert_allclose(refined.measured.grid.spacing_um, (10.0,) * 3, rtol=1e-5)


def test_it_is_a_public_name(tmp_path):
    assert ulm.refine is refine
    (tmp_path / "run.toml").write_text("[result]\n")  # a run that wrote nothing else
    with pytest.raises(ResultsError, match="did not finish"):
        refine(ulm.ResultsFolder(tmp_path))
