"""A network is one file: dropped in here, or brought by another package, it can be chosen and run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from drop_in import PACKAGE, drop_in

from napari_ulm3d.config.methods.networks import GROUP, NetworkEntry, network_entries
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.pipeline.localizers import network_named

SPOTS = Path(__file__).with_name("spots.py")


def dropped_in(folder: Path) -> Path:
    """A copy of this package, of links, with the file among its networks."""
    return drop_in(folder, "pipeline", "localizers", "networks", file=SPOTS)


def other_package(folder: Path) -> Path:
    """An installed package that brings the file as an entry point."""
    (folder / "their_spots.py").write_text(SPOTS.read_text())
    metadata = folder / "their_spots-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-spots\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\nspots = their_spots:LOCALIZER\n")
    return folder


CODE = """
import json, sys
from importlib.util import find_spec
from pathlib import Path
import numpy as np

import napari_ulm3d.config as settings
from napari_ulm3d.cli import main
light = sorted({"torch", "napari", "qtpy"} & set(sys.modules))
out = Path(sys.argv[1])

import torch
from napari_ulm3d.networks.registry import build
from napari_ulm3d.networks.weights import load_network, save_weights
net = build("Spots", {"width": 1})
with torch.no_grad():
    net.filter.weight[:], net.filter.bias[:] = 1.0, 0.0
save_weights(out / "spots.safetensors", net, name="made")
assert type(load_network(out / "spots.safetensors")[0]).__name__ == "Spots"

rng = np.random.default_rng(0)
frames = (rng.normal(size=(20, 12, 10, 10, 2)) @ [0.02, 0.02j]).astype(np.complex64)
frames[np.arange(20), 6, 5, np.arange(20) // 3 + 2] += 5
np.save(out / "IQ.npy", frames)
code = main([
    "run", str(out / "IQ.npy"), "--axes", "tzyx", "--voxel-um", "100", "100", "100", "--rate", "100",
    "--wavelength-um", "200", "--localizer", "spots", "--weights", str(out / "spots.safetensors"),
    "--out", str(out / "r"), "--set", "clutter.method=none", "--set", "psf.source=analytic", "--set", "sparsify.threshold=0.05",
    "--set", "network.min_score=0.2", "--device", "cpu",
])
from napari_ulm3d.io.results import ResultsFolder
results = ResultsFolder.open(out / "r")

from napari_ulm3d.pipeline.localizers import cost, measured_network
from napari_ulm3d.acquisition import Acquisition
measured = measured_network(results.config)
acquisition = Acquisition.from_array(frames, (100.0,) * 3, 100.0)

field, choices = settings.LocalizeConfig.model_fields["localizer"], ["spots"]
if find_spec("napari") and find_spec("qtpy"):
    from qtpy.QtWidgets import QApplication
    app = QApplication([])
    from napari_ulm3d.plugin.controls.control import widget_for
    choices = list(widget_for(field).choices)
print(json.dumps({
    "light": light,
    "code": code,
    "localizer": results.config.localize.localizer,
    "found": len(results.localizations()),
    "choices": choices,
    "speed": measured.rate.voxels_per_s,
    "whose": measured.whose,
    "cost": cost(measured, 50, acquisition, results.config).memory_bytes,
    "shown": [name for name, field in settings.NetworkConfig.model_fields.items()
              if all("spots" in one.values for one in settings.conditions_of(field))],
}))
"""


@pytest.mark.parametrize("bring", [dropped_in, pytest.param(other_package, marks=pytest.mark.slow)])
def test_one_file_is_enough(bring, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    where = bring(tmp_path / "code")
    paths = [str(where), *filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "QT_QPA_PLATFORM": "offscreen",
    }
    run = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout.splitlines()[-1])
    assert said["light"] == []  # its word was known before PyTorch was imported
    assert said["code"] == 0
    assert said["localizer"] == "spots"
    assert said["found"] >= 15  # a bubble stands out in each of 20 frames
    assert "spots" in said["choices"]
    assert said["whose"] == "network of spots made"
    assert said["speed"] > 0
    assert said["cost"] > 0
    assert {"weights", "precision", "min_score"} <= set(said["shown"])
    # A file of this package says which settings it looks at; another package's need not.
    assert ("trajectory_score" in said["shown"]) == (bring is other_package)


def test_there_are_no_others_here() -> None:
    assert {entry.module.partition(".")[0] for entry in network_entries().values()} == {
        "napari_ulm3d",
        *(point.module.partition(".")[0] for point in entry_points(group=GROUP)),
    }


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (NetworkEntry("spots", "not_installed_at_all"), "cannot be loaded from not_installed"),
        (NetworkEntry("spots", "json"), "cannot be loaded from json .*LOCALIZER"),
        (NetworkEntry("spots", "json", "dumps"), "json:dumps is not a NetworkLocalizer"),
    ],
)
def test_what_cannot_be_used_is_named(
    entry: NetworkEntry, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(network_entries(), "spots", entry)
    with pytest.raises(ConfigError, match=f"{said}.* choose another localizer"):
        network_named("spots")
