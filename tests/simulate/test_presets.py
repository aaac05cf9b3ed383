"""Settings: presets, standard sets, random draws, files, and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate import (
    PRESETS,
    STANDARD_SETS,
    RandomizationConfig,
    SimulationConfig,
    preset,
    randomize,
    simulate,
    standard_config,
)
from napari_ulm3d.simulate.config import GridConfig, NoiseConfig
from napari_ulm3d.simulate.standard import TEST_SEEDS, is_test_seed
from napari_ulm3d.simulate.vessels import make_network, read_network


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_consistent(name: str) -> None:
    config = preset(name)
    assert config.name == name
    stated = {"15": 15.6e6, "7.": 7.8e6}[config.probe.split(", ")[-1][:2]]
    assert config.frequency_hz == pytest.approx(stated, rel=0.01)
    # The image of a bubble must be sampled with at least about 1.5 voxels per width.
    resolved = [
        w / v
        for w, v, n in zip(config.psf.fwhm_um, config.grid.voxel_um, config.grid.shape, strict=True)
        if n > 1
    ]
    assert min(resolved) >= 1.45
    assert PRESETS[name].source
    assert PRESETS[name].description


def test_the_mouse_brain_is_that_of_open_3dulm() -> None:
    config = preset("mouse-brain-15MHz")
    assert config.grid.shape == (40, 36, 32)
    assert config.grid.voxel_um == (98.56, 150.0, 150.0)
    assert (config.rate_hz, config.wavelength_um) == (260.0, 98.56)


def test_unknown_names_list_known_ones() -> None:
    with pytest.raises(ConfigError, match="mouse-brain-15MHz"):
        preset("moose")
    with pytest.raises(ConfigError, match="standard-40"):
        standard_config("standard-41")
    with pytest.raises(ConfigError, match="999"):
        standard_config("standard-40", sample=1000)


def test_standard_sets_have_their_own_seeds() -> None:
    names = [name for name in STANDARD_SETS if not name.startswith("cortex")]
    seeds = [standard_config(name, sample).seed for name in names for sample in (0, 1, 999)]
    assert len(set(seeds)) == len(seeds)
    assert all(is_test_seed(seed) for seed in seeds)
    for name in names:
        assert standard_config(name).bubbles.n_bubbles == int(name.rsplit("-", 1)[1])


def test_standard_sets_are_as_stated() -> None:
    config = standard_config("standard-160")
    assert (config.grid.shape, config.n_frames, config.rate_hz) == ((40, 36, 32), 400, 260.0)
    assert (config.noise.snr_db, config.clutter.level_db) == (18.0, 25.0)
    assert standard_config("paper2d-20").grid.shape == (32, 1, 32)
    volume = standard_config("paper3d-30")
    assert (volume.grid.shape, volume.n_frames, volume.rate_hz) == ((32, 32, 32), 512, 1000.0)
    assert volume.clutter.level_db is None


@pytest.mark.parametrize("name", ["standard-10", "paper2d-5"])
def test_standard_sets_have_their_bubbles_in_view(name: str) -> None:
    simulation = simulate(standard_config(name).replace(n_frames=40))
    wanted = simulation.config.bubbles.n_bubbles
    per_frame = simulation.truth.groupby("frame").size()
    assert per_frame.mean() == pytest.approx(wanted, rel=0.1)
    assert simulation.grid.contains(simulation.truth[["z_um", "y_um", "x_um"]]).all()


def test_cortex_set_needs_its_vessels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NAPARI_ULM3D_VASCULATURE", raising=False)
    with pytest.raises(ConfigError, match="NAPARI_ULM3D_VASCULATURE"):
        standard_config("cortex-40")
    with pytest.raises(ConfigError, match="no such network file"):
        standard_config("cortex-40", vasculature=tmp_path / "none.swc")


def test_cortex_set_fills_the_view(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shared_data / "vasculature" / "mouse_cortex_flow" / "FlowEstimateV1_NetworkNew.dat"
    monkeypatch.setenv("NAPARI_ULM3D_VASCULATURE", str(path))
    config = standard_config("cortex-40").replace(n_frames=5)
    simulation = simulate(config)
    low, high = simulation.network.bounds_um
    extent = np.array(config.grid.grid.extent_um)
    assert ((high - low) > 0.5 * extent).all()
    assert simulation.truth.groupby("frame").size().mean() == pytest.approx(40, rel=0.1)
    np.testing.assert_array_equal(simulation.truth, simulate(config).truth)


def test_networks_of_unknown_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.swc"):
        read_network(str(tmp_path / "vessels.obj"))


def test_the_network_follows_the_seed_and_the_speed() -> None:
    config = preset("paper2d")
    one, same = make_network(config), make_network(config)
    np.testing.assert_array_equal(one.nodes_um, same.nodes_um)
    other = make_network(config.replace(seed=1))
    assert other.n_segments != one.n_segments or not np.allclose(other.nodes_um, one.nodes_um)
    assert 2 * one.mean_speed_mm_s.max() == pytest.approx(config.vessels.flow.max_speed_mm_s)
    kept = make_network(config.replace(seed=1, vessels=config.vessels.replace(seed=0)))
    np.testing.assert_array_equal(kept.nodes_um, one.nodes_um)


def test_settings_survive_a_file_with_none_in_it(tmp_path: Path) -> None:
    config = preset("paper3d").replace(noise=NoiseConfig(snr_db=None), seed=4)
    config.to_toml(tmp_path / "s.toml")
    assert SimulationConfig.from_toml(tmp_path / "s.toml") == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sed = 1", "sed"),
        ("[noise]\nsnr_db = 'loud'", "noise.snr_db"),
        ("n_frames = 0", "n_frames"),
        ("n_frames = ", "TOML"),
        ("[vessels]\nsource = 'file'", "path"),
    ],
)
def test_bad_settings_are_named_with_their_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        SimulationConfig.from_toml(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ConfigError, match="no such"):
        SimulationConfig.from_toml(tmp_path / "absent.toml")


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_random_settings_lie_in_their_ranges(seed: int) -> None:
    ranges = RandomizationConfig(clutter_share=0.5)
    config = randomize(seed, ranges)
    assert config == randomize(seed, ranges)
    assert config.seed == seed
    wave = config.wavelength_um
    assert 50 <= wave <= 200
    assert 0.4 - 1e-9 <= config.grid.voxel_um[0] / wave <= 1.0 + 1e-9
    assert 1.2 - 1e-9 <= config.psf.fwhm_um[0] / wave <= 2.6 + 1e-9
    assert 1.6 - 1e-9 <= config.psf.fwhm_um[2] / wave <= 4.0 + 1e-9
    assert 8 <= (config.noise.snr_db or 0) <= 26
    assert config.clutter.level_db is None or 10 <= config.clutter.level_db <= 35
    assert 2 <= config.bubbles.n_bubbles <= 200


def test_random_settings_vary_and_avoid_the_test_seeds() -> None:
    drawn = [randomize(seed, RandomizationConfig(clutter_share=0.5)) for seed in range(30)]
    assert len({config.wavelength_um for config in drawn}) == 30
    assert {config.clutter.level_db is None for config in drawn} == {True, False}
    for seed in (TEST_SEEDS.start, standard_config("paper3d-10").seed):
        with pytest.raises(ConfigError, match="test sets"):
            randomize(seed)


def test_random_planes_keep_their_slice() -> None:
    base = preset("paper2d")
    config = randomize(1, RandomizationConfig(base=base))
    assert config.grid.voxel_um[1] == base.grid.voxel_um[1]
    assert config.psf.fwhm_um[1] == base.psf.fwhm_um[1]
    assert config.motion.rms_um[1] == 0


def test_a_share_of_the_samples_is_planar() -> None:
    ranges = RandomizationConfig()
    some = ranges.replace(planar_share=0.3, planar_shape=(50, 40), planar_bubbles=(3.0, 6.0))
    drawn = [(randomize(seed, some), randomize(seed, ranges)) for seed in range(100)]
    planes = [(plane, volume) for plane, volume in drawn if plane.grid.shape[1] == 1]
    assert 15 < len(planes) < 45
    # The others are what they are without planes.
    assert all(a == b for a, b in drawn if a.grid.shape[1] > 1)
    for plane, volume in planes:
        assert plane.grid.shape == (50, 1, 40)
        assert plane.wavelength_um == volume.wavelength_um
        thickness = plane.grid.voxel_um[1] / plane.wavelength_um
        assert 3 <= thickness <= 6
        assert plane.psf.fwhm_um[1] == plane.grid.voxel_um[1]
        assert 3 <= plane.bubbles.n_bubbles <= 6
        assert plane.motion.rms_um[1] == 0


def test_random_settings_draw_measured_vessels() -> None:
    ranges = RandomizationConfig(networks=("a.swc", "b.swc"), measured_share=1.0)
    paths = {randomize(seed, ranges).vessels.path for seed in range(20)}
    assert paths == {"a.swc", "b.swc"}


def test_ranges_must_ascend() -> None:
    with pytest.raises(ValueError, match="ascend"):
        RandomizationConfig(snr_db=(20.0, 10.0))


@pytest.fixture
def command():  # type: ignore[no-untyped-def]
    import typer

    from napari_ulm3d.cli.simulate import simulate as function

    app = typer.Typer()
    app.command()(function)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_the_command_writes_a_simulation(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    grid = GridConfig(shape=(12, 1, 12), voxel_um=(98.56, 400.0, 98.56))
    preset("paper2d").replace(grid=grid, n_frames=6).to_toml(tmp_path / "s.toml")
    result = command(
        "--config", str(tmp_path / "s.toml"), "--bubbles", "3", "--frames", "5", "--seed", "9",
        "--snr", "20", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    written = SimulationConfig.from_toml(tmp_path / "out" / "simulation.toml")
    assert (written.n_frames, written.bubbles.n_bubbles, written.seed) == (5, 3, 9)
    assert written.noise.snr_db == 20
    assert (tmp_path / "out" / "IQ001.mat").is_file()
    assert "5 frames" in result.output


def test_the_command_lists_names(command) -> None:  # type: ignore[no-untyped-def]
    result = command("--list")
    assert result.exit_code == 0
    assert "mouse-brain-15MHz" in result.output
    assert "paper3d-30" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--out"),
        (("--out", "x"), "--preset, --set"),
        (("--out", "x", "--preset", "paper2d", "--set", "paper2d-1"), "one of"),
        (("--out", "x", "--set", "paper2d-1", "--bubbles", "3"), "fixed"),
        (("--out", "x", "--preset", "paper2d", "--sample", "2"), "--seed"),
        (("--out", "x", "--set", "paper2d-1", "--network", "a.swc"), "--network"),
        (("--out", "x", "--preset", "paper2d", "--format", "dicom"), "dicom"),
    ],
)
def test_the_command_reports_errors(command, arguments: tuple[str, ...], said: str) -> None:  # type: ignore[no-untyped-def]
    result = command(*arguments)
    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)


@pytest.mark.parametrize("scale", ["cover", "inside", "as-is"])
def test_every_choice_survives_toml(tmp_path: Path, scale: str) -> None:
    base = preset("mouse-brain-15MHz")
    vessels = base.vessels.replace(source="file", path="brain.swc", scale=scale)
    config = base.replace(vessels=vessels)
    config.to_toml(tmp_path / "simulation.toml")
    assert SimulationConfig.from_toml(tmp_path / "simulation.toml") == config
