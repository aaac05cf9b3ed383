"""Session files: what was written comes back, folders may move, and anything else is refused."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import pytest

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.session_file import (
    MapView,
    SavedLayer,
    SavedSession,
    SavedShape,
    SavedView,
    read_session,
    stored_path,
    whole_path,
    write_session,
)

INF = float("inf")
FULL = SavedSession(
    results="results",
    acquisition=("raw/IQ001.mat", "/elsewhere/IQ002.mat"),
    config=PipelineConfig().with_settings(["clutter.svd_range=4,60", "load.rate_hz=260"]),
    maps=MapView(
        map="speed", min_length_frames=7, speed_mm_s=(2.5, INF), box_um=((0, 900), (-INF, INF), (-INF, 5.0)),
        region="ULM region", slab_um=120.0, cut=True,
    ),
    view=SavedView(
        ndisplay=2, order=(0, 2, 1, 3), point=(0.5, 10, 20, 30.25), center=(1, 2, 3), angles=(0, 20, 70),
        zoom=0.31, canvas=(600, 900), scale_bar=False, docks=("ULM workflow/Vessel maps",),
    ),
    layers=(
        SavedLayer(name="speed [mm/s]", role="map", colormap="inferno", gamma=0.4, opacity=0.5),
        SavedLayer(
            name='the "region"\n', role="region", edge_width_um=2.0,
            shapes=(SavedShape(kind="rectangle", corners_um=((1, 2, 3), (1, 2, 9), (4, 2, 9))),),
        ),
    ),
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.ulm3d.toml"


def test_what_is_written_is_read(path: Path) -> None:
    write_session(FULL, path)
    assert read_session(path) == FULL
    write_session(SavedSession(), path)
    assert read_session(path) == SavedSession()


def test_a_folder_may_be_moved_with_its_session(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    (lab / "mouse" / "results").mkdir(parents=True)
    (lab / "mouse" / "IQ001.mat").touch()
    session = lab / "mouse" / "results" / "session.ulm3d.toml"
    frames = stored_path(lab / "mouse" / "IQ001.mat", session)
    assert frames == "../IQ001.mat"
    shutil.move(lab, tmp_path / "archive")
    moved = tmp_path / "archive" / "mouse" / "results" / "session.ulm3d.toml"
    assert whole_path(frames, moved).is_file()
    assert whole_path(stored_path(session.parent, session), moved) == moved.parent
    assert stored_path("/nowhere/x.mat", session) == "/nowhere/x.mat"
    assert whole_path("/nowhere/x.mat", moved) == Path("/nowhere/x.mat")


def test_a_session_that_was_cut_short_is_refused(path: Path) -> None:
    write_session(FULL, path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(ResultsError, match="not a readable session"):
            read_session(path)


HEAD, END = "# A session of napari-ulm3d, whole to its last line.\n", "# The end.\n"
HARMFUL = {
    "pickle": pickle.dumps(Path("x")),
    "binary": bytes(range(256)),
    "nested": f"{HEAD}a = {'[' * 90_000}\n{END}".encode(),
    "large": f"{HEAD}{'#' * 3_000_000}\n{END}".encode(),
    "settings": f"{HEAD}[config.clutter]\nsvd_range = [9, 3]\n{END}".encode(),
    "unknown": f"{HEAD}run_this = 'rm'\n{END}".encode(),
    "words": f"{HEAD}layers = 'all'\n{END}".encode(),
    "point": f"{HEAD}[view]\npoint = [nan, 1.0]\n{END}".encode(),
    "zoom": f"{HEAD}[view]\nzoom = inf\n{END}".encode(),
    "order": f"{HEAD}[view]\norder = [0, 0, 7]\n{END}".encode(),
    "name": f"{HEAD}[[layers]]\nname = '{'x' * 9000}'\n{END}".encode(),
    "corner": f"{HEAD}[[layers]]\nname = 'a'\nshapes = [{{kind = 'line', corners_um = [[inf, 0, 0], [0, 0, 0]]}}]\n{END}".encode(),
    "other toml": b"[load]\nrate_hz = 3\n",
    "newer": f"{HEAD}version = 99\n{END}".encode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", HARMFUL)
def test_what_is_no_session_is_refused_in_a_sentence(path: Path, kind: str) -> None:
    path.write_bytes(HARMFUL[kind])
    with pytest.raises(ResultsError) as raised:
        read_session(path)
    said = str(raised.value)
    assert said.startswith(f"{path}: ")
    assert len(said) < 600
    assert said.rstrip().endswith(".")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ResultsError, match="not a file"):
        read_session(path)


def test_what_cannot_be_written_leaves_the_old_session(path: Path) -> None:
    write_session(FULL, path)
    shape = SavedShape(kind="polygon", corners_um=((0.123456789,) * 3,) * 20_000)
    large = FULL.model_copy(update={"layers": (SavedLayer(name="a", shapes=(shape,) * 5),)})
    with pytest.raises(ResultsError, match="too many corners"):
        write_session(large, path)
    assert read_session(path) == FULL
    with pytest.raises(ResultsError, match="Add this suffix"):
        write_session(FULL, path.with_name("session.toml"))
    with pytest.raises(ResultsError, match="does not exist"):
        write_session(FULL, path.parent / "no" / "s.ulm3d.toml")
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name]
