"""The available network localizers, found without importing any of them.

A network of this package is a file in `napari_ulm3d/pipeline/localizers/networks/`; a network of
another package is an entry point in the group ``napari_ulm3d.localizers``::

    [project.entry-points."napari_ulm3d.localizers"]
    spots = "their_package.spots:LOCALIZER"

Its name becomes a value of the setting `localize.localizer`. PyTorch takes a second to import and
the settings need only the names, so the files of this package are parsed, not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from napari_ulm3d.config.methods.declared import declared
from napari_ulm3d.errors import ConfigError

__all__ = ["GROUP", "USUAL_NETWORK", "NetworkEntry", "network_entries", "networks_with"]

USUAL_NETWORK = "network"
"""The default network where one is needed and the settings name none: BubbleNet."""

GROUP = "napari_ulm3d.localizers"
_FOLDER = Path(__file__).parents[2] / "pipeline" / "localizers" / "networks"


@dataclass(frozen=True)
class NetworkEntry:
    """A network that can be selected.

    Attributes
    ----------
    name
        Its name in the settings.
    module, attribute
        Location of the object that localizes with it (`NetworkLocalizer`).
    settings
        Settings of the section `network` that it uses in addition to those of all networks; None:
        not declared.
    """

    name: str
    module: str
    attribute: str = "LOCALIZER"
    settings: frozenset[str] | None = None

    def load(self) -> Any:
        """Import the network.

        Raises
        ------
        ConfigError
            It cannot be imported.
        """
        try:
            return getattr(import_module(self.module), self.attribute)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"The localizer {self.name} cannot be loaded from {self.module} ({error}). Update "
                "or uninstall that package, or choose another localizer."
            ) from error


@cache
def network_entries() -> dict[str, NetworkEntry]:
    """All networks by name: those of this package first, then those of other packages.

    Raises
    ------
    TypeError
        A file of this package does not declare its name.
    """
    found = [_declared(path) for path in sorted(_FOLDER.glob("[!_]*.py"))]
    entries = {entry.name: entry for entry in found}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        theirs = NetworkEntry(point.name, point.module, point.attr or "LOCALIZER")
        entries.setdefault(point.name, theirs)
    return entries


def networks_with(setting: str) -> tuple[str, ...]:
    """Names of the networks that use a setting of the section `network`."""
    return tuple(
        name
        for name, entry in network_entries().items()
        if entry.settings is None or setting in entry.settings
    )


def _declared(path: Path) -> NetworkEntry:
    """Read a file's assignments to `NAME` and `SETTINGS`."""
    said = declared(path, ("NAME", "SETTINGS"))
    if "NAME" not in said:
        raise TypeError(f'{path.name} must define its name in the settings, as NAME = "spots"')
    settings = said.get("SETTINGS")
    return NetworkEntry(
        said["NAME"],
        f"napari_ulm3d.pipeline.localizers.networks.{path.stem}",
        settings=None if settings is None else frozenset(settings),
    )
