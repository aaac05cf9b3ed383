"""The advice in messages about files works when it is followed."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import typer.main
import zarr

import napari_ulm3d.io
from napari_ulm3d import open_acquisition
from napari_ulm3d.cli import main
from napari_ulm3d.cli.app import app
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError

IQ = np.random.default_rng(2).normal(size=(8, 6, 5, 7, 2)).astype(np.float32)
MOVIE = np.abs(IQ[..., 0])
SAID = LoadConfig(voxel_um=(50, 60, 70), rate_hz=100)
OPTION = re.compile(r"--[a-z][a-z-]+")


def advice() -> dict[str, set[str]]:
    """All texts in io/ that mention an option, by file, with the options."""
    found: dict[str, set[str]] = {}
    root = Path(napari_ulm3d.io.__file__).parent
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for option in OPTION.findall(node.value):
                    found.setdefault(f"{path.relative_to(root).as_posix()}", set()).add(option)
    return found


def option_names() -> set[str]:
    group = typer.main.get_command(app)
    commands = group.commands.values()  # type: ignore[attr-defined]
    return {o for command in commands for p in command.params for o in p.opts}


def test_every_advised_option_exists() -> None:
    assert set().union(*advice().values()) <= option_names()


# Situations in which a message advises an option, by the file with the text.
Situation = Callable[[Path], Path]


def trailing_pair(path: Path) -> Path:
    np.save(path / "a.npy", IQ[:, :, 0])
    return path / "a.npy"


def trailing_pair_of_volumes(path: Path) -> Path:
    scipy.io.savemat(path / "a.mat", {"x": IQ.transpose(1, 3, 2, 0, 4)})
    return path / "a.mat"


def trailing_pair_in_a_stack(path: Path) -> Path:
    np.save(path / "a.npy", IQ[None, :, :, 0])
    return path / "a.npy"


def pages_without_names(path: Path) -> Path:
    tifffile.imwrite(path / "a.tif", MOVIE)
    return path / "a.tif"


def two_channels(path: Path) -> Path:
    tifffile.imwrite(
        path / "a.tif", abs(IQ[:, :, 0]).transpose(0, 3, 1, 2), metadata={"axes": "TCYX"}
    )
    return path / "a.tif"


def names_of_no_axis(path: Path) -> Path:
    group = zarr.open_group(str(path / "a.zarr"), mode="w")
    group.create_array("m", data=MOVIE, dimension_names=["pose", "z", "y", "x"])
    return path / "a.zarr"


def a_plane(path: Path) -> Path:
    np.save(path / "a.npy", MOVIE[0, :, 0])
    return path / "a.npy"


def a_stack_of_one(path: Path) -> Path:
    np.save(path / "a.npy", MOVIE[None, :, :, 0])
    return path / "a.npy"


def a_lone_half(path: Path) -> Path:
    np.save(path / "a_real.npy", IQ[..., 0])
    return path / "a_real.npy"


def images_in_groups(path: Path) -> Path:
    root = zarr.open_group(str(path / "a.zarr"), mode="w")
    for name in "01":
        group = root.create_group(name)
        group.create_array("0", data=MOVIE)
        axes = [{"name": n} for n in "tzyx"]
        group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    return path / "a.zarr"


def unlike_blocks(path: Path) -> Path:
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = MOVIE.transpose(1, 3, 2, 0), MOVIE[:, 1:].transpose(1, 3, 2, 0)
    scipy.io.savemat(path / "a.mat", {"IQ": cells})
    return path / "a.mat"


def two_movies(path: Path) -> Path:
    np.savez(path / "a.npz", first=MOVIE, second=MOVIE)
    return path / "a.npz"


def two_planes(path: Path) -> Path:
    np.savez(path / "a.npz", first=MOVIE[0, 0], second=MOVIE[0, 0])
    return path / "a.npz"


def nothing_of_numbers(path: Path) -> Path:
    with h5py.File(path / "a.h5", "w") as file:
        file["IQ"] = np.zeros((0, 4, 5), np.float32)
        file["other"] = MOVIE
    return path / "a.h5"


SITUATIONS: list[tuple[Situation, list[str], str]] = [
    (trailing_pair, [], "stored/layout.py"),
    (trailing_pair_of_volumes, [], "stored/layout.py"),
    (trailing_pair_in_a_stack, [], "stored/layout.py"),
    (pages_without_names, [], "stored/layout.py"),
    (two_channels, [], "stored/layout.py"),
    (names_of_no_axis, [], "stored/layout.py"),
    (a_plane, [], "stored/layout.py"),
    (a_stack_of_one, [], "open/series.py"),
    (a_lone_half, [], "open/opening.py"),
    (images_in_groups, [], "formats/zarr/images.py"),
    (unlike_blocks, [], "stored/blocks.py"),
    (two_movies, [], "stored/choosing.py"),
    (two_planes, [], "stored/choosing.py"),
    (nothing_of_numbers, ["--variable", "IQ"], "open/opening.py"),
    (two_movies, ["--variable", "first", "--axes", "tzx"], "stored/axes.py"),
    (two_movies, ["--variable", "first", "--axes", "tzxc"], "stored/axes.py"),
    (trailing_pair, ["--axes", "ctzx"], "stored/axes.py"),
]
#: Values for advice that only names the option, or for options requested one after the other.
FREE = {"--variable": ["other", "first"], "--axes": ["zx"]}
#: Covered by tests of the results folder, of `missing_error`, of links and tags below, and others.
ELSEWHERE = {
    "results.py", "export.py", "facts/resolve.py", "open/acquisition.py",
    "formats/uff/reader.py", "formats/nifti/reader.py", "formats/tiff/described.py",
    "formats/hdf5/safety.py",
}  # fmt: skip


def test_every_file_that_advises_an_option_is_covered() -> None:
    assert set(advice()) <= {where for _, _, where in SITUATIONS} | ELSEWHERE


def told(path: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The problem reported by `info`; "" if the file would open."""
    said = ["--voxel-um", "50", "50", "50", "--rate", "100"]
    code = main(["info", str(path), *said, *options])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    if code:
        return captured.err
    return captured.out.partition("cannot be opened as it is: ")[2]


def advised(message: str) -> list[list[str]]:
    """The options advised by a message, one list per solution."""
    ways = []
    for match in re.finditer(r"(--[a-z-]+)(?: ('[^']*'|[a-z0-9][\w.{}()]*))?", message):
        option, value = match.groups()
        value = value and value.rstrip(".")
        if value is not None and (value.startswith("'") or option == "--axes" or value.isdigit()):
            ways.append([option, shlex.split(value)[0]])
    if not ways:
        ways = [[o, v] for o in OPTION.findall(message) for v in FREE[o]]
    return ways


@pytest.mark.parametrize(
    ("situation", "given", "where"),
    SITUATIONS,
    ids=[f"{s.__name__} {' '.join(g)}".strip() for s, g, _ in SITUATIONS],
)
def test_the_advice_of_a_message_works(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    situation: Situation,
    given: list[str],
    where: str,
) -> None:
    path = situation(tmp_path)
    message = told(path, given, capsys)
    assert "--" in message, message
    ways = advised(message)
    assert ways, message
    outcomes = []
    for way in ways:
        kept = [g for g in given if way[0] not in given] if way[0] in given else given
        if way[0] in given and "--variable" in given and way[0] != "--variable":
            i = given.index("--variable")
            kept = given[i : i + 2]
        again = told(path, [*kept, *way], capsys)
        if again and "--axes" in again and way[0] == "--variable":
            # After naming the array, the axes are requested.
            again = told(path, [*kept, *way, *advised(again)[0]], capsys)
        outcomes.append(again)
    if any(way[1] in FREE[way[0]] for way in ways if way[0] == "--variable"):
        assert "" in outcomes, outcomes
    else:
        assert outcomes == [""] * len(ways), (ways, outcomes)


def test_the_file_that_a_link_names_opens_as_advised(tmp_path, capsys) -> None:
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["scan/IQ"] = MOVIE
        file["other"] = MOVIE
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["IQ"] = h5py.ExternalLink("frames.h5", "/scan/IQ")
    message = told(tmp_path / "link.h5", [], capsys)
    found = re.search(r"Open (\S+) with --variable (\S+)\.", message)
    assert found is not None, message
    assert told(tmp_path / found[1], ["--variable", found[2]], capsys) == ""


def test_a_spacing_in_resolution_tags_is_named_and_can_be_given(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", MOVIE[:, :, 0], resolution=(200, 400), resolutionunit="CENTIMETER"
    )
    config = LoadConfig(axes="tzx", rate_hz=100, voxel_um=(25, 50, 50))
    acquisition = open_acquisition(tmp_path / "a.tif", config)
    assert any("give --voxel-um" in note for note in acquisition.notes)
    assert acquisition.grid.spacing_um == (25, 50, 50)


def test_five_axes_of_complex_numbers_have_no_letters(tmp_path: Path) -> None:
    """An axis of I and Q is one of real numbers, so no letters could be typed for these."""
    np.save(tmp_path / "a.npy", np.ones((2, 9, 6, 5, 7), np.complex64))
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path / "a.npy", SAID)
    assert "--axes" not in error.value.remedy
    assert "Save one array" in error.value.remedy


def test_subfolders_with_files_are_named(tmp_path: Path) -> None:
    for name in ("day10", "day2", "day1"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "IQ.npy", np.ones((9, 6, 5, 7), np.complex64))
    (tmp_path / "notes").mkdir()
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path, SAID)
    assert error.value.remedy == "Name one of its subfolders, which have some: day1, day2, day10."
    assert open_acquisition(tmp_path / "day1", SAID).n_frames == 9
