"""The available sub-voxel localizers, found without importing any of them.

Each is a file in `napari_ulm3d/localize/subvoxel/` that assigns its name in the settings to
`NAME`, the function to `LOCALIZER`, and to `SETTINGS` the settings of the section `localize` that
it uses in addition to those of all localizers.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from napari_ulm3d.config.methods.declared import declared

__all__ = ["subvoxel_modules", "subvoxel_with"]

_PACKAGE = "napari_ulm3d.localize.subvoxel"
_FOLDER = Path(__file__).parents[2] / "localize" / "subvoxel"


@cache
def _found() -> dict[str, tuple[str, frozenset[str]]]:
    found = {}
    for path in sorted(_FOLDER.glob("[!_]*.py")):
        said = declared(path, ("NAME", "SETTINGS"))
        if "NAME" in said:
            settings = frozenset(said.get("SETTINGS", ()))
            found[said["NAME"]] = (f"{_PACKAGE}.{path.stem}", settings)
    return found


def subvoxel_modules() -> dict[str, str]:
    """Module of each sub-voxel localizer by name."""
    return {name: module for name, (module, _) in _found().items()}


def subvoxel_with(setting: str) -> tuple[str, ...]:
    """Names of the sub-voxel localizers that use a setting of the section `localize`."""
    return tuple(name for name, (_, settings) in _found().items() if setting in settings)
