"""What is typed in *Load acquisition*, and which source it is said of."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import click, dock, enter, idle

from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.session import session_of

Folders = Callable[..., Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Writes small acquisitions, with or without an acquisition.toml."""

    def write(name: str, sidecar: str = "", n_frames: int = 4) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        frames = np.random.default_rng(0).normal(size=(n_frames, 6, 5, 4))
        np.save(folder / "IQ.npy", frames.astype(np.complex64))
        if sidecar:
            (folder / "acquisition.toml").write_text(sidecar)
        return folder

    return write


def look(panel: Any, path: Path, qtbot: Any) -> None:
    enter(panel.path, str(path))
    idle(qtbot, panel)


def fill(panel: Any, qtbot: Any, **values: str) -> None:
    for name, text in values.items():
        enter(panel.form.controls[name], text)
    idle(qtbot, panel)


def box(panel: Any, name: str) -> Any:
    return panel.form.controls[name].box


def test_what_was_typed_for_one_source_is_not_said_of_the_next(
    viewer: Any, folders: Folders, qtbot: Any
) -> None:
    a = folders("a")
    b = folders("b", "voxel_um = [98.56, 150, 150]\nrate_hz = 260\n")
    panel = dock(viewer, "Load acquisition")
    look(panel, a, qtbot)
    fill(panel, qtbot, voxel_um="25 25 25", rate_hz="400")
    click(panel.open_button)
    idle(qtbot, panel)
    session = session_of(viewer)
    assert session.acquisition.rate_hz == 400

    look(panel, b, qtbot)
    assert box(panel, "voxel_um").text() == box(panel, "rate_hz").text() == ""
    voxel = panel.form.controls["voxel_um"]
    assert [box.placeholderText() for box in voxel.boxes] == ["98.56", "150", "150"]
    assert "Left blank: 98.56 150 150 (acquisition.toml)" in voxel.toolTip()
    assert "260 Hz (acquisition.toml)" in panel.recognized.text()
    # The acquisition that is open is still described by what it was opened with.
    assert session.config.load.rate_hz == 400
    click(panel.open_button)
    idle(qtbot, panel)
    assert session.acquisition.rate_hz == 260
    assert session.acquisition.grid.spacing_um == (98.56, 150, 150)
    assert session.config.load.rate_hz is None

    c = folders("c")  # says nothing, and inherits nothing
    look(panel, c, qtbot)
    assert "voxel size and frame rate" in panel.problem.text()
    assert not panel.open_button.isEnabled()


def test_a_dropped_source_inherits_nothing_typed(viewer: Any, folders: Folders, qtbot: Any) -> None:
    panel = dock(viewer, "Load acquisition")
    look(panel, folders("a"), qtbot)
    fill(panel, qtbot, voxel_um="25 25 25", rate_hz="400")
    b = folders("b", "voxel_um = [98.56, 150, 150]\nrate_hz = 260\n")
    viewer.open(str(b), plugin="napari-ulm3d")
    idle(qtbot, panel)
    assert session_of(viewer).acquisition.rate_hz == 260
    assert box(panel, "rate_hz").text() == ""
    assert panel.path.text() == str(b)


def test_an_override_is_orange_with_both_values(viewer: Any, folders: Folders, qtbot: Any) -> None:
    folder = folders("b", "voxel_um = [98.56, 150, 150]\nrate_hz = 260\nwavelength_um = 98\n")
    panel = dock(viewer, "Load acquisition")
    look(panel, folder, qtbot)
    assert "color" not in panel.recognized.text()
    fill(panel, qtbot, rate_hz="400")
    (row,) = [part for part in panel.recognized.text().split("<tr>") if ">Frame rate<" in part]
    assert "color:#e08a00" in row
    assert "400 Hz (entered; acquisition.toml says 260 Hz)" in row
    assert panel.recognized.text().count("color:") == 1
    fill(panel, qtbot, rate_hz="260")  # the same: nothing is overridden
    assert "color" not in panel.recognized.text()


def test_keep_for_this_folder_writes_the_sidecar(viewer: Any, folders: Folders, qtbot: Any) -> None:
    folder = folders("a", "# measured on Monday\nrate_hz = 100  # wrong\nfrequency_mhz = 15\n")
    panel = dock(viewer, "Load acquisition")
    look(panel, folder, qtbot)
    assert not panel.keep_button.isEnabled()
    fill(panel, qtbot, voxel_um="100 150 150", rate_hz="260", frequency_hz="15.6")
    click(panel.keep_button)
    idle(qtbot, panel)
    text = (folder / "acquisition.toml").read_text()
    assert "# measured on Monday" in text
    assert tomllib.loads(text) == {
        "voxel_um": [100, 150, 150], "rate_hz": 260, "frequency_hz": 15.6e6,
    }  # fmt: skip
    assert box(panel, "rate_hz").text() == ""
    assert "260 Hz (acquisition.toml)" in panel.recognized.text()
    assert not panel.keep_button.isEnabled()
    click(panel.open_button)
    idle(qtbot, panel)
    assert session_of(viewer).acquisition.rate_hz == 260
    again = dock(viewer, "ULM workflow").panels["Load"]  # another panel finds it as well
    look(again, folder, qtbot)
    assert again.problem.text() == ""


def test_the_frequency_is_typed_in_megahertz(viewer: Any, folders: Folders, qtbot: Any) -> None:
    panel = dock(viewer, "Load acquisition")
    look(panel, folders("a"), qtbot)
    control = panel.form.controls["frequency_hz"]
    assert control.isVisible()
    names = [label.text() for label in panel.form.findChildren(type(panel.recognized))]
    assert "Frequency (MHz)" in names
    assert "Wavelength (µm)" in names
    fill(panel, qtbot, voxel_um="100 150 150", rate_hz="260", frequency_hz="15.6")
    fill(panel, qtbot, sound_speed_m_s="1540")
    assert control.box.text() == "15.6"
    assert "98.718 µm (derived)" in panel.recognized.text()
    click(panel.open_button)
    idle(qtbot, panel)
    acquisition = session_of(viewer).acquisition
    assert acquisition.frequency_hz == 15.6e6
    assert acquisition.wavelength_um == pytest.approx(1540 / 15.6)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("frequency_hz", "15600000", "implausible"),
        ("voxel_um", "0.09856 0.15 0.15", "0.09856 mm would be"),
        ("wavelength_um", "98700000", "implausible"),
        ("rate_hz", "1e6", "between 0.01 and 100,000 Hz"),
        ("sound_speed_m_s", "1.54", "1.54 km/s would be 1,540 m/s"),
    ],
)
def test_a_value_in_another_unit_is_refused(
    viewer: Any, folders: Folders, qtbot: Any, name: str, text: str, said: str
) -> None:
    panel = dock(viewer, "Load acquisition")
    look(panel, folders("a"), qtbot)
    fill(panel, qtbot, **{name: text})
    assert said in panel.form.problem
    assert getattr(panel.draft.load, name) is None


@pytest.mark.slow
def test_anyones_layers_are_taken_over(viewer: Any, flow: Any, qtbot: Any) -> None:
    panel = dock(viewer, "Load acquisition")
    source = panel.from_layer
    assert not source.isVisible()
    magnitude = np.abs(flow.frames)
    bare = viewer.add_image(magnitude, name="theirs")
    assert source.isVisible()
    click(source.use_button)
    idle(qtbot, panel)
    assert "Fill in Voxel size and Frame rate" in panel.problem.text()
    fill(panel, qtbot, voxel_um="100 150 150", rate_hz="260")
    click(source.use_button)
    session = session_of(viewer)
    qtbot.waitUntil(lambda: session.acquisition is not None)
    idle(qtbot, panel)
    assert session.acquisition.rate_hz == 260
    assert session.acquisition.grid.spacing_um == (100.0, 150.0, 150.0)
    np.testing.assert_array_equal(session.acquisition.read(3, 5), magnitude[3:5])
    assert not bare.visible
    viewer.layers.remove(bare)
    # Tracks are a result at once: with maps, and on the grid of the acquisition.
    rows = [
        (k, frame, 200.0 + 20 * frame, 600.0, 300.0 + 100 * k)
        for k in range(4)
        for frame in range(20)
    ]
    viewer.add_tracks(rows, name="linked", scale=(1 / 260, 1, 1, 1), units=("s", *("um",) * 3))
    assert source.layers.currentText() == "linked"
    click(source.use_button)
    qtbot.waitUntil(lambda: session.result is not None)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    assert session.result.tracks.n_tracks == 4
    assert session.result.maps["density"].values.sum() > 0
    np.testing.assert_allclose(session.result.tracks.table["vz_mm_s"], 20 * 260 / 1000, rtol=1e-4)
    assert find_layer(viewer, "map") is not None
    assert find_layer(viewer, "tracks") is not None


def test_2d_frames_ask_for_two_numbers(viewer: Any, tmp_path: Path, qtbot: Any) -> None:
    frames = np.random.default_rng(0).normal(size=(5, 8, 1, 7)).astype(np.complex64)
    np.save(tmp_path / "IQ.npy", frames)
    (tmp_path / "acquisition.toml").write_text("axes = 'tzyx'\n")
    panel = dock(viewer, "Load acquisition")
    look(panel, tmp_path, qtbot)
    voxel = panel.form.controls["voxel_um"]
    assert [box.isVisible() for box in voxel.boxes] == [True, False, True]
    fill(panel, qtbot, voxel_um="50 60", rate_hz="400")
    click(panel.open_button)
    idle(qtbot, panel)
    assert session_of(viewer).acquisition.grid.spacing_um == (50.0, 60.0, 60.0)
