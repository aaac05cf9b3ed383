"""The manifest: valid, complete, and pointing at things that are there."""

from __future__ import annotations

from importlib import import_module, util
from pathlib import Path

import pytest

import napari_ulm3d
from napari_ulm3d.io.formats.registry import known_suffixes

npe2 = pytest.importorskip("npe2")

MANIFEST = Path(napari_ulm3d.__file__).with_name("napari.yaml")


@pytest.fixture(scope="module")
def manifest() -> object:
    return npe2.PluginManifest.from_file(MANIFEST)


def test_every_command_points_at_something(manifest) -> None:
    pytest.importorskip("qtpy")
    if util.find_spec("PySide6") is None:
        pytest.skip("PySide6 is not installed")
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(import_module(module), name)), command.id


# Formats of everybody's, which napari reads itself.
SHARED = {".npy", ".tif", ".tiff", ".btf"}


def test_readers_cover_every_format_that_is_not_everybodys(manifest) -> None:
    (reader,) = manifest.contributions.readers
    own = {f"*{suffix}" for suffix in set(known_suffixes()) - SHARED}
    assert own <= set(reader.filename_patterns)
    assert reader.accepts_directories


def offered(name: str) -> bool:
    """Whether napari, with this plugin alone, would offer it for a file."""
    manager = npe2.PluginManager()
    manager.register(npe2.PluginManifest.from_file(MANIFEST))
    return bool(list(manager.iter_compatible_readers([name])))


@pytest.mark.parametrize(
    "name", ["cells.tif", "rgb.tiff", "photo.TIF", "one.npy", "table.csv", "cells.ome.tif"]
)
def test_other_peoples_files_are_left_to_others(name: str) -> None:
    assert not offered(name)


@pytest.mark.parametrize(
    "name",
    ["IQ001.npy", "IQ012.tif", "density.ome.tif", "velocity_z.ome.tif", "tracks.csv",
     "localizations.csv", "IQ001.mat", "mouse.h5"],
)  # fmt: skip
def test_files_named_as_ours_are_offered(name: str) -> None:
    assert offered(name)


def test_every_widget_is_in_the_menu(manifest) -> None:
    names = {widget.display_name for widget in manifest.contributions.widgets}
    assert names == {
        "ULM workflow",
        "Load acquisition",
        "Clutter & PSF",
        "Sparsify",
        "Localize & track",
        "Vessel maps",
        "Refine map",
        "Compare & measure",
        "Export",
        "Run history",
        "Log",
        "Vessels",
        "Keyboard shortcuts",
        "Curate tracks",
    }
    assert len(manifest.contributions.sample_data) == 6


def test_every_shortcut_is_in_the_menu_and_none_is_naparis(manifest) -> None:
    from napari.utils.shortcuts import default_shortcuts
    from qtpy.QtGui import QKeySequence

    from napari_ulm3d.plugin.keys import SHORTCUTS

    titles = {command.id: command.title for command in manifest.contributions.commands}
    listed = {
        titles[item.command]
        for menu in manifest.contributions.menus.values()
        for item in menu
        if hasattr(item, "command")
    }
    assert {f"{one.label} ({one.keys})" for one in SHORTCUTS} <= listed
    keys = {QKeySequence(one.keys).toString() for one in SHORTCUTS}
    assert len(keys) == len(SHORTCUTS)
    theirs = {
        QKeySequence(str(key)).toString() for found in default_shortcuts.values() for key in found
    }
    assert not keys & theirs


def test_writers_offer_tables_and_volumes(manifest) -> None:
    offered = {
        (kind, suffix)
        for writer in manifest.contributions.writers
        for kind in writer.layer_types
        for suffix in writer.filename_extensions
    }
    assert {("tracks", ".csv"), ("tracks", ".parquet"), ("tracks", ".vtp")} <= offered
    assert {("image", ".ome.tif"), ("image", ".nii.gz")} <= offered
