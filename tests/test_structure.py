"""One finds one's way: small files, folders that can be taken in at a glance."""

from __future__ import annotations

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
