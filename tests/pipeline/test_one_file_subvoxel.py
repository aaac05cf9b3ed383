"""A sub-voxel localizer is one file: dropped in, it can be chosen and run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from drop_in import PACKAGE, drop_in

NEAREST = Path(__file__).with_name("nearest.py")

CODE = """
import json, sys
import numpy as np
import napari_ulm3d.config as settings
light = sorted({"numba", "torch"} & set(sys.modules))
from napari_ulm3d.config.localize import LocalizeConfig
widths = settings.conditions_of(LocalizeConfig.model_fields["fwhm_voxels"])[0].values
rounds = settings.conditions_of(LocalizeConfig.model_fields["rounds"])[0].values
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.localize.conventional import localize
frames = np.full((3, 12, 10, 10), 1e-3, np.complex64)
frames[np.arange(3), 6, 5, np.arange(3) + 4] = 5
grid = Grid((12, 10, 10), (1.0, 1.0, 1.0))
found = localize(frames, grid, LocalizeConfig(localizer="nearest"), rate_hz=100.0)
print(json.dumps({
    "light": light, "widths": widths, "rounds": rounds,
    "voxels": found.localizations.positions_um.tolist(),
}))
"""


def test_one_file_is_enough(tmp_path: Path) -> None:
    where = drop_in(tmp_path / "code", "localize", "subvoxel", file=NEAREST)
    paths = [str(where), *filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")])]
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout.splitlines()[-1])
    assert said["light"] == []  # the word was known before anything compiled was imported
    assert "nearest" in said["widths"]
    assert "nearest" not in said["rounds"]
    np.testing.assert_allclose(said["voxels"], [[6, 5, 4], [6, 5, 5], [6, 5, 6]])
