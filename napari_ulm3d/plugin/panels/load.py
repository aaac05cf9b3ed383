"""Load: which files, what is in them, what they do not say, and their blocks."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any, cast

from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
)

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import LoadConfig, shown_unit
from napari_ulm3d.errors import UlmError
from napari_ulm3d.io import describe, open_acquisition
from napari_ulm3d.io.facts.sidecar import write_sidecar
from napari_ulm3d.io.open.acquisition import FileDescription
from napari_ulm3d.io.open.files import find_files
from napari_ulm3d.plugin.controls.form import SettingsForm
from napari_ulm3d.plugin.controls.section import Section
from napari_ulm3d.plugin.controls.words import label_of
from napari_ulm3d.plugin.jobs.job import Job, LatestJob, Stop, waits
from napari_ulm3d.plugin.layers.convert import LayerData, acquisition_layer
from napari_ulm3d.plugin.layers.place import make_layer
from napari_ulm3d.plugin.panels.panel import Panel, button, heading, note
from napari_ulm3d.plugin.panels.parts.load_draft import LoadDraft
from napari_ulm3d.plugin.session import Session

__all__ = ["LoadPanel"]

_FIRST = ("voxel_um", "rate_hz", "wavelength_um", "frequency_hz", "sound_speed_m_s")
_MORE = (
    "variable", "axes", "origin_um", "log_compressed_db", "frames_per_block",
)  # fmt: skip
_MOST_BLOCKS = 2000
# Readable on the dark and on the light theme.
_ORANGE = "#e08a00"
_FACTS = (
    ("Spacing", "voxel_um", "um (z, y, x)", 1.0),
    ("Origin", "origin_um", "um (z, y, x)", 1.0),
    ("Rate", "rate_hz", "Hz", 1.0),
    ("Wavelength", "wavelength_um", "um", 1.0),
    ("Frequency", "frequency_hz", "MHz", 1e6),
    ("Speed of sound", "sound_speed_m_s", "m/s", 1.0),
)
_FROM = {"the file": "from the file", "derived": "from the others"}
# Facts that are listed even where nobody says them.
_WANTED = ("voxel_um", "rate_hz", "wavelength_um")


class LoadPanel(Panel):
    """Files or a folder to an acquisition that the other widgets work on."""

    title = "Load"

    def build(self) -> None:
        self._paths: list[str] = []
        self._describing = LatestJob(self)
        self._describing.finished.connect(self._on_described)
        self._describing.failed.connect(self._on_failed)
        self._opening = Job(self)
        self._opening.finished.connect(self._on_opened)
        self._opening.failed.connect(self._on_failed)
        self._opening.ended.connect(self._enable)
        self._found: FileDescription | None = None
        self._typed = ""
        self._opened_with = LoadConfig()

        self.row(
            button("Files…", "One file, or several that follow each other.", self._choose_files),
            button("Folder…", "A folder of files, or a Zarr store.", self._choose_folder),
        )
        self.path = QLineEdit()
        self.path.setPlaceholderText("file, folder or pattern such as data/IQ*.mat")
        self.path.setToolTip("What to load; a folder's files are consecutive blocks.")
        self.path.editingFinished.connect(self._on_typed)
        self.column.addWidget(self.path)
        self.setAcceptDrops(True)

        self.recognized = note("Nothing chosen yet.")
        self.column.addWidget(self.recognized)
        self.column.addWidget(heading("What the file does not say"))
        # Each source has its own: what was typed for one is not said of the next.
        self.draft = LoadDraft(self.session, self)
        editable = cast(Session, self.draft)
        self.form = SettingsForm(editable, "load", _FIRST)
        self.column.addWidget(self.form)
        self.more_form = SettingsForm(editable, "load", _MORE)
        self.more = Section("How to read it", self.more_form)
        self.column.addWidget(self.more)
        self.keep_button = button(
            "Keep for this folder",
            "Write what was typed to acquisition.toml beside the data; it is read from then on.",
            self._keep,
        )
        self.open_button = button("Open", "Open it and show it in dB.", self._open)
        self.row(self.open_button, self.keep_button)
        self.kept = note()
        self.column.addWidget(self.kept)
        self.blocks_title = heading("Blocks")
        self.column.addWidget(self.blocks_title)
        self.blocks = QTableWidget(0, 3)
        self.blocks.setHorizontalHeaderLabels(["Block", "Frames", "File"])
        self.blocks.setToolTip("Frames filtered together. Click one to go there.")
        self.blocks.verticalHeader().hide()
        self.blocks.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.blocks.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.blocks.horizontalHeader().setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        self.blocks.setMinimumHeight(110)
        self.blocks.setMaximumHeight(160)
        self.blocks.cellClicked.connect(self._go_to_block)
        self.column.addWidget(self.blocks)
        self.draft.config_changed.connect(self._on_config)
        self.session.acquisition_changed.connect(self._on_acquisition)
        self._on_acquisition()
        self._enable()

    # --- choosing ------------------------------------------------------------------------

    def set_paths(self, paths: list[str], load: LoadConfig | None = None) -> None:
        """Look at these files, or this folder; what was typed for other ones is forgotten.

        `load` is what they were opened with, where they were.
        """
        if paths != self._paths:
            self._paths = []  # nothing is looked at while the fields change
            self.draft.begin(load)
            for form in (self.form, self.more_form):
                form.forget()
        self._paths = paths
        first = Path(paths[0]) if paths else Path()
        text = str(first) if len(paths) < 2 else f"{first} and {len(paths) - 1} more"
        self._typed = text
        self.kept.setText("")
        self.path.setText(text)
        self.path.setToolTip("\n".join(paths[:30]))
        self._describe()

    def _choose_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Files of one acquisition, in order")
        if paths:
            self.set_paths(list(paths))

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of one acquisition")
        if path:
            self.set_paths([path])

    def _on_typed(self) -> None:
        text = self.path.text().strip()
        if text and text != self._typed:
            self.set_paths([text])

    def dragEnterEvent(self, event: Any) -> None:
        """Accept files dropped on the panel."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Take all files dropped as one acquisition."""
        paths = [url.toLocalFile() for url in event.mimeData().urls()]
        if paths:
            self.set_paths(sorted(paths))
            event.acceptProposedAction()

    # --- what is in it ---------------------------------------------------------------------

    def _describe(self) -> None:
        if not self._paths:
            return
        self._found = None
        self.recognized.setText("Looking…")
        paths, load = list(self._paths), self.draft.given()
        self._describing.request(waits(lambda stop: describe(paths, load)))
        self._enable()

    def _on_described(self, found: FileDescription) -> None:
        self._found = found
        self.recognized.setText(_table(found))
        self.form.mark(found.missing)
        self.more_form.mark(found.missing)
        if found.shape is None:  # it cannot be read without being told how
            self.more.expand()
        for form in (self.form, self.more_form):
            _hint(form, found)
        if found.missing:
            wanted = " and ".join(label_of(name, "?").lower() for name in found.missing)
            self.problem.say(f"The file does not say the {wanted}. Fill in the marked fields.")
        else:
            self.problem.say(found.problem)
        self._enable()

    def _on_failed(self, problem: Any) -> None:
        self._found = None
        self.recognized.setText("")
        self.problem.say(problem)
        self._enable()

    def _on_config(self, section: str) -> None:
        if section == "load":
            if self._paths:
                self._describe()
            self._show_blocks()

    # --- opening -----------------------------------------------------------------------------

    def _open(self) -> None:
        paths, load = list(self._paths), self.draft.given()
        self._opened_with = load

        def work(stop: Stop) -> tuple[Acquisition, LayerData]:
            acquisition = open_acquisition(paths, load)
            return acquisition, acquisition_layer(acquisition)

        self.problem.say(None)
        self._opening.start(waits(work))
        self._enable()

    def _on_opened(self, opened: tuple[Acquisition, LayerData]) -> None:
        acquisition, layer = opened
        self.session.expect(acquisition, self._paths, self._opened_with)
        self.viewer.add_layer(make_layer(layer, "acquisition"))

    def _keep(self) -> None:
        """Write what was typed beside the data, and take it from there."""
        try:
            path = write_sidecar(find_files(self._paths)[0].parent, self.draft.given())
        except UlmError as error:
            self.problem.say(str(error))
            return
        self.problem.say(None)
        self.draft.begin()
        self.kept.setText(f"Wrote {path}")

    def _enable(self) -> None:
        ready = self._found is not None and self._found.problem is None
        self.open_button.setEnabled(ready and not self._opening.running)
        self.keep_button.setEnabled(bool(self._paths) and bool(_typed(self.draft)))
        self.open_button.setText("Opening…" if self._opening.running else "Open")

    # --- blocks -------------------------------------------------------------------------------

    def _on_acquisition(self) -> None:
        if self.session.paths and self.session.paths != self._paths:
            self.set_paths(list(self.session.paths), self.session.config.load)
        self._show_blocks()

    def _show_blocks(self) -> None:
        acquisition = self.session.acquisition
        shown = acquisition is not None
        self.blocks.setVisible(shown)
        self.blocks_title.setVisible(shown)
        if acquisition is None:
            return
        blocks = acquisition.blocks(self.session.config.load.frames_per_block)
        self.blocks_title.setText(
            f"Blocks of {acquisition.name}: {len(blocks)}, {acquisition.n_frames} frames, "
            f"{acquisition.duration_s:.2f} s"
        )
        self.blocks.setRowCount(min(len(blocks), _MOST_BLOCKS))
        for row, block in enumerate(blocks[:_MOST_BLOCKS]):
            last = block.first_frame + block.n_frames - 1
            cells = (str(block.index), f"{block.first_frame}-{last}", Path(block.source.name).name)
            for column, text in enumerate(cells):
                self.blocks.setItem(row, column, QTableWidgetItem(text))
        self.blocks.resizeColumnToContents(0)
        self.blocks.resizeColumnToContents(1)

    def _go_to_block(self, row: int, column: int) -> None:
        acquisition = self.session.acquisition
        if acquisition is None or self.viewer.dims.ndim < 4:
            return
        block = acquisition.blocks(self.session.config.load.frames_per_block)[row]
        self.viewer.dims.set_point(0, block.first_frame / acquisition.rate_hz)


def _table(found: FileDescription) -> str:
    """What was recognized, a line a fact."""
    rows = [("Format", found.format + (f", {found.n_files} files" if found.n_files > 1 else ""))]
    if found.variable is not None and found.shape is not None:
        t, z, y, x = found.shape
        rows += [
            ("Array", f"{found.variable}, stored {found.axes}, {found.kind}"),
            ("Frames", f"{t} of {z} x {y} x {x} voxels (z, y, x)"),
        ]
    rows = [(label, html.escape(text)) for label, text in rows]
    rows += [
        (label, _fact(found, name, unit, size)) for label, name, unit, size in _FACTS
        if name in _WANTED or name in found.origins
    ]  # fmt: skip
    body = "".join(
        f"<tr><td style='padding-right:8px'>{html.escape(k)}</td><td>{v}</td></tr>" for k, v in rows
    )
    notes = "".join(f"<li>{html.escape(text)}</li>" for text in found.notes)
    return f"<table>{body}</table>" + (f"<small><ul>{notes}</ul></small>" if notes else "")


def _fact(found: FileDescription, name: str, unit: str, size: float) -> str:
    """A physical quantity with where it came from; an override in orange, with both values."""
    value, origin = getattr(found, name), found.origins.get(name)
    if value is None:
        return "not known"
    text = f"{_numbers(value, size)} {unit}"
    if origin is None:
        return html.escape(text)
    if origin.source != "given":
        return html.escape(f"{text} ({_FROM.get(origin.source, origin.source)})")
    if origin.instead is None:
        return html.escape(f"{text} (typed)")
    other = f"{_numbers(origin.instead, size)} {unit}"
    text = html.escape(f"{text} (typed; {origin.instead_from} says {other})")
    return f"<span style='color:{_ORANGE}'>{text}</span>"


def _numbers(value: Any, size: float = 1.0) -> str:
    return ", ".join(f"{v / size:.5g}" for v in (value if isinstance(value, tuple) else (value,)))


def _typed(draft: LoadDraft) -> dict[str, Any]:
    """What was typed that belongs to the data and not to the processing."""
    values = {name: value for name, value in draft.given() if value is not None}
    values.pop("frames_per_block")
    return values


def _hint(form: SettingsForm, found: FileDescription) -> None:
    """Show in empty fields what stands in the file."""
    for name, control in form.controls.items():
        if not hasattr(found, name) or LoadConfig.model_fields[name].default is not None:
            continue
        value, origin = getattr(found, name), found.origins.get(name)
        several = len(control.boxes) > 1
        if value is None:
            control.set_hints(*("zyx" if several else ("not known",)), whole="not known")
            continue
        _, size = shown_unit(LoadConfig.model_fields[name])
        said = origin.source if origin is not None else "the file"
        text = value if isinstance(value, str) else _numbers(value, size).replace(",", "")
        whole = f"{text} ({_FROM.get(said, said)})"
        control.set_hints(*(text.split() if several else (whole,)), whole=whole)
