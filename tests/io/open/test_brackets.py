"""Brackets in folder names are literal; brackets in a pattern are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_ulm3d.io.open.files import find_files


@pytest.mark.parametrize("folder", ["run [1]", "a*b", "what?", "plain"])
@pytest.mark.parametrize("pattern", ["", "IQ*.npy", "IQ[12].npy"])
def test_folders_are_literal(tmp_path: Path, folder: str, pattern: str) -> None:
    (tmp_path / folder).mkdir()
    for number in (1, 2):
        np.save(tmp_path / folder / f"IQ{number}.npy", np.zeros((2, 3, 4)))
    found = find_files(tmp_path / folder / pattern)
    assert [path.name for path in found] == ["IQ1.npy", "IQ2.npy"]


def test_patterns_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("day1", "day2"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "iq.npy", np.zeros((2, 3, 4)))
    monkeypatch.chdir(tmp_path)
    assert len(find_files("day*/iq.npy")) == 2
