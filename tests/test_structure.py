"""One finds one's way: small files, folders that can be taken in at a glance."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path for name in ("napari_ulm3d", "benchmarks") for path in (ROOT / name).rglob("*.py")
)
FOLDERS = sorted({path.parent for path in SOURCES})


def test_no_file_is_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > 400}
    assert not long, "split by idea, and name each file after its own"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_no_folder_is_crowded(folder: Path) -> None:
    files = sorted(path.name for path in folder.glob("*.py"))
    assert len(files) <= 15, "group files of one subject in a folder"
    assert (folder / "__init__.py").read_text(encoding="utf-8").startswith('"""'), (
        "a folder says in a line what it holds"
    )


_MOST_LINES, _MOST_PARAMETERS = 70, 8
_LONGER = {
    "evaluate/report.py evaluate": "public: each of the nine is named in the call",
    "localize/network.py localize_network": "public: the network, its input, its grid and how to compute",
    "localize/subvoxel/gaussian.py _fit_frame": "compiled: one pass over the arrays of a frame",
    "localize/subvoxel/gaussian.py _fit_frames": "compiled: the arrays of all frames, in and out",
    "localize/subvoxel/joint.py sweep": "compiled, over the arrays of the model",
    "localize/subvoxel/joint.py weights": "compiled: fills five arrays of a window",
    "localize/subvoxel/joint_model.py prune": "compiled, over the arrays of the model",
    "localize/subvoxel/joint_model.py refine": "compiled, over the arrays of the model",
    "localize/subvoxel/joint_model.py restart": "compiled, over the arrays of the model",
    "maps/traverse.py _walk": "compiled: what changes is handed in and out one by one, for speed",
    "plugin/controls/fields/number_box.py __init__": "a widget: each is named in the call",
    "refinement/refining.py refine": "public: each of the ten is named in the call",
    "simulate/flow/transport.py advance": "compiled, over the columns of one population",
    "synthesis/kernels.py evidence": "compiled, over the arrays of the bubbles",
    "synthesis/kernels.py profile_samples": "compiled, over the arrays of the bubbles",
    "synthesis/kernels.py sweep": "compiled, over the arrays of the bubbles",
    "synthesis/refine.py refine_localizations": "public: each is named in the call",
    "synthesis/selection.py _drop_doubles": "compiled, over the arrays of the bubbles",
    "synthesis/windows.py swap": "compiled: two images in their windows",
    "synthesis/windows.py window": "compiled: fills five arrays of a window",
    "io/formats/tiff/deflate.py _put_zeros": "compiled: the state of the bits, and four code tables",
}


def _functions(path: Path) -> dict[str, tuple[int, int]]:
    """Lines of the body without the docstring, and number of parameters, of every function."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        count = sum(argument.arg not in ("self", "cls") for argument in arguments)
        name = f"{path.relative_to(ROOT / 'napari_ulm3d').as_posix()} {node.name}"
        found[name] = (lines, count)
    return found


def test_no_function_is_long_or_takes_much() -> None:
    """But for the few above, each with its reason; a reason that is no longer needed goes."""
    sizes: dict[str, tuple[int, int]] = {}
    for path in (ROOT / "napari_ulm3d").rglob("*.py"):
        sizes |= _functions(path)
    large = {
        name: size
        for name, size in sizes.items()
        if size[0] > _MOST_LINES or size[1] > _MOST_PARAMETERS
    }
    assert set(large) == set(_LONGER), {n: large.get(n) for n in set(large) ^ set(_LONGER)}


def _private(tree: ast.Module) -> list[str]:
    """Private names of others that a file reaches into: attributes, also by string, and modules."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            parent = isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()"
            names = [] if own or parent else [node.attr]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            names = [arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant)]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("napari."):
            names = [*str(node.module).split("."), *(alias.name for alias in node.names)]
        else:
            continue
        found += [name for name in names if name.startswith("_") and not name.endswith("__")]
    return found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("viewer.window._qt_viewer", ["_qt_viewer"]),
        ("getattr(window, '_qt_window', None)", ["_qt_window"]),
        ("from napari._qt.utils import x", ["_qt"]),
        ("self._job.start(); super()._close(); type(self).__name__", []),
    ],
)
def test_private_names_are_found(code: str, found: list[str]) -> None:
    assert _private(ast.parse(code)) == found


def test_one_file_alone_reaches_into_napari() -> None:
    folder = ROOT / "napari_ulm3d" / "plugin"
    files = [path for path in folder.rglob("*.py") if path.name != "napari_private.py"]
    found = {
        str(path.relative_to(ROOT)): _private(ast.parse(path.read_text("utf-8"))) for path in files
    }
    assert not {name: names for name, names in found.items() if names}, (
        "what napari does not offer in public goes through plugin/napari_private.py"
    )
