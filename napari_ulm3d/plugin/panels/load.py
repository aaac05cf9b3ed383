"""Load: choose files, see what they contain, fill in what they lack, list their blocks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import UlmError
from napari_ulm3d.io import describe, open_acquisition
from napari_ulm3d.io.facts.sidecar import write_sidecar
from napari_ulm3d.io.open.acquisition import FileDescription
from napari_ulm3d.io.open.files import find_files
from napari_ulm3d.plugin.controls.form import SettingsForm
from napari_ulm3d.plugin.controls.section import Section
from napari_ulm3d.plugin.controls.words import label_of
from napari_ulm3d.plugin.jobs.job import Job, LatestJob, Stop, waits
from napari_ulm3d.plugin.panels.panel import Panel, button, heading, note
from napari_ulm3d.plugin.panels.parts.load.blocks_table import BlocksTable
from napari_ulm3d.plugin.panels.parts.load.file_facts import facts_table, hint_facts
from napari_ulm3d.plugin.panels.parts.load.layer_source import LayerSource
from napari_ulm3d.plugin.panels.parts.load.load_draft import LoadDraft
from napari_ulm3d.plugin.panels.parts.load.measured_box import MeasuredBox
from napari_ulm3d.plugin.panels.parts.load.reset_offer import ResetOffer
from napari_ulm3d.plugin.session import Session

if TYPE_CHECKING:
    from napari_ulm3d.plugin.layers.convert import LayerData

__all__ = ["LoadPanel"]

_FIRST = ("voxel_um", "rate_hz", "wavelength_um", "frequency_hz", "sound_speed_m_s")
_MORE = (
    "variable", "axes", "origin_um", "log_compressed_db", "frames_per_block",
)  # fmt: skip


class LoadPanel(Panel):
    """Opens files or a folder as the acquisition that the other widgets work on.

    Signals
    -------
    source_changed()
        Other files were chosen, or it has become clear whether they can be opened.
    """

    source_changed = Signal()
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
        self._opened: list[str] = []

        # First, because it concerns what has just been opened and would be scrolled out of view below.
        self.reset_offer = ResetOffer(self.session)
        self.column.addWidget(self.reset_offer)
        self.row(
            button("Files…", "Choose one file, or several consecutive ones.", self._choose_files),
            button("Folder…", "Choose a folder of files or a Zarr store.", self.choose_folder),
        )
        self.path = QLineEdit()
        self.path.setPlaceholderText("file, folder or pattern such as data/IQ*.mat")
        self.path.setToolTip("What to load; the files of a folder are read as consecutive blocks.")
        self.path.editingFinished.connect(self._on_typed)
        self.column.addWidget(self.path)
        self.setAcceptDrops(True)
        # Each source has its own values: those typed for one must not apply to the next.
        self.draft = LoadDraft(self.session, self)
        self.from_layer = LayerSource(self.session, self.draft.given)
        self.from_layer.told.connect(self.problem.say)
        self.column.addWidget(self.from_layer)
        self.column.addWidget(self.problem)

        self.recognized = note("No file chosen.")
        self.column.addWidget(self.recognized)
        self.column.addWidget(heading("Scale and frame rate"))
        editable = cast(Session, self.draft)
        self.form = SettingsForm(editable, "load", _FIRST)
        self.column.addWidget(self.form)
        self.more_form = SettingsForm(editable, "load", _MORE)
        self.more = Section("Reading options", self.more_form)
        self.column.addWidget(self.more)
        self.keep_button = button(
            "Remember for this folder",
            "Save the values you entered to acquisition.toml beside the data; they are "
            "used from then on.",
            self._keep,
        )
        self.open_button = button("Open", "Open the acquisition and show it in dB.", self._open)
        self.row(self.open_button, self.keep_button)
        self.kept = note()
        self.column.addWidget(self.kept)
        self.blocks_box = BlocksTable(self.session)
        self.blocks, self.blocks_title = self.blocks_box.table, self.blocks_box.title
        self.column.addWidget(self.blocks_box)
        self.measured_box = MeasuredBox(self.session)
        self.column.addWidget(self.measured_box)
        self.draft.config_changed.connect(self._on_config)
        self.session.acquisition_changed.connect(self._on_acquisition)
        self._on_acquisition()
        self._enable()

    # --- choosing ------------------------------------------------------------------------

    def set_paths(self, paths: list[str], load: LoadConfig | None = None) -> None:
        """Inspect these files or this folder; values typed for other files are forgotten.

        `load` holds the settings they were opened with, if they were opened before.
        """
        if paths != self._paths:
            self._paths = []  # do not inspect the files while the fields change
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

    def choose_folder(self) -> None:
        """Ask for the folder of an acquisition."""
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
        self.recognized.setText("Reading…")
        paths, load = list(self._paths), self.draft.given()
        self._describing.request(waits(lambda stop: describe(paths, load)))
        self._enable()

    def _on_described(self, found: FileDescription) -> None:
        self._found = found
        self.recognized.setText(facts_table(found))
        self.form.mark(found.missing)
        self.more_form.mark(found.missing)
        self._ask_for_the_plane(found)
        if found.shape is None:  # it cannot be read without further information
            self.more.expand()
        for form in (self.form, self.more_form):
            hint_facts(form, found)
        if found.missing:
            wanted = " and ".join(label_of(name, "?").lower() for name in found.missing)
            self.problem.say(f"The file does not give the {wanted}. Fill in the marked fields.")
        else:
            self.problem.say(found.problem)
        self._enable()

    def _ask_for_the_plane(self, found: FileDescription) -> None:
        """Ask for two numbers only, z and x, if the frames are 2-D."""
        flat = found.shape is not None and found.shape[2] == 1
        for form in (self.form, self.more_form):
            for control in form.controls.values():
                if len(control.boxes) == 3:
                    control.widget.native.leave_out(1 if flat else None)

    def _on_failed(self, problem: Any) -> None:
        self._found = None
        self.recognized.setText("")
        self.problem.say(problem)
        self._enable()

    def _on_config(self, section: str) -> None:
        if section == "load" and self._paths:
            self._describe()

    # --- opening -----------------------------------------------------------------------------

    def _open(self) -> None:
        paths, load = list(self._paths), self.draft.given()
        self._opened_with = load

        def work(stop: Stop) -> tuple[Acquisition, LayerData]:
            from napari_ulm3d.plugin.layers.convert import acquisition_layer

            acquisition = open_acquisition(paths, load)
            return acquisition, acquisition_layer(acquisition)

        self.problem.say(None)
        self._opening.start(waits(work))
        self._enable()

    def _on_opened(self, opened: tuple[Acquisition, LayerData]) -> None:
        from napari_ulm3d.plugin.layers.place import make_layer

        acquisition, layer = opened
        self._opened = list(self._paths)
        self.session.expect(acquisition, self._paths, self._opened_with)
        self.viewer.add_layer(make_layer(layer, "acquisition"))

    def _keep(self) -> None:
        """Save the values typed beside the data, and read them from there."""
        try:
            path = write_sidecar(find_files(self._paths)[0].parent, self.draft.given())
        except UlmError as error:
            self.problem.say(str(error))
            return
        self.problem.say(None)
        self.draft.begin()
        self.kept.setText(f"Wrote {path}")

    @property
    def waiting(self) -> bool:
        """Whether the chosen files can be opened and are not open yet."""
        return self.open_button.isEnabled() and self._paths != self._opened

    def _enable(self) -> None:
        ready = self._found is not None and self._found.problem is None
        self.open_button.setEnabled(ready and not self._opening.running)
        self.keep_button.setEnabled(bool(self._paths) and bool(_typed(self.draft)))
        self.open_button.setText("Opening…" if self._opening.running else "Open")
        self.source_changed.emit()

    def _on_acquisition(self) -> None:
        if self.session.paths:
            self._opened = list(self.session.paths)
        if self.session.paths and self.session.paths != self._paths:
            self.set_paths(list(self.session.paths), self.session.config.load)


def _typed(draft: LoadDraft) -> dict[str, Any]:
    """Typed values that describe the data, not the processing."""
    values = {name: value for name, value in draft.given() if value is not None}
    values.pop("frames_per_block", None)
    return values
