"""Export: tracks, maps, pictures and movies of the view, settings, and code to repeat the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QPlainTextEdit,
)

from napari_ulm3d.errors import UlmError
from napari_ulm3d.io.writers import suffixes_for, write
from napari_ulm3d.plugin.controls.save_dialog import ask_where_to_save
from napari_ulm3d.plugin.controls.words import label_of_map
from napari_ulm3d.plugin.jobs.job import Job, Stop, waits
from napari_ulm3d.plugin.panels.panel import Panel, button, heading, note
from napari_ulm3d.plugin.panels.parts.export.movie import MovieBox
from napari_ulm3d.plugin.panels.parts.export.picture import PictureBox
from napari_ulm3d.plugin.panels.saving import open_session, save_button
from napari_ulm3d.plugin.state.commands import command_line, python_lines
from napari_ulm3d.plugin.state.results import Result

__all__ = ["ExportPanel"]

_TABLES = ("tracks", "localizations")
# Alternative suffixes of formats already offered.
_SAME_AS_OTHERS = (".ome.tiff", ".tif", ".tiff")


class ExportPanel(Panel):
    """Exports files for other programs, and code to repeat the run without the viewer."""

    title = "Export"

    def build(self) -> None:
        self._job = Job(self)
        self._job.finished.connect(self._on_written)
        self._job.failed.connect(lambda problem: self.problem.say(problem))
        self._job.ended.connect(self._refresh)
        self._folder = ""  # folder of the last file saved
        self.what = QComboBox()
        self.what.setToolTip("Table or map to export, with the current track filters applied.")
        self.export_button = button(
            "Export…",
            "Choose a file; its suffix sets the format: .vtp for ParaView, .nii.gz for "
            "medical image viewers.",
            self._export,
        )
        self.row(self.what, self.export_button)
        self.report_button = button(
            "Export report…",
            "One HTML page of the run in its results folder: maps, vessels, quality, settings, and "
            "the command that repeats it.",
            self._export_report,
        )
        self.row(self.report_button)

        self.column.addWidget(heading("Screenshot"))
        self.picture = PictureBox(self)
        self.column.addWidget(self.picture)

        self.column.addWidget(heading("Movie"))
        self.movie = MovieBox(self)
        self.column.addWidget(self.movie)

        self._build_kept()
        self.column.addWidget(heading("Run without the viewer"))
        self.line = _code(70, "Paste this into a terminal.")
        self.column.addWidget(self.line)
        self.row(button("Copy command", "Copy to the clipboard.", lambda: _copy(self.line)))
        self.python = _code(130, "Paste these lines into Python or a notebook.")
        self.column.addWidget(self.python)
        self.row(button("Copy Python", "Copy to the clipboard.", lambda: _copy(self.python)))
        self.status = note()
        self.column.addWidget(self.status)
        self.session.result_changed.connect(self._refresh)
        self.session.acquisition_changed.connect(self._refresh)
        self.session.config_changed.connect(self._refresh)
        self._refresh()

    def _build_kept(self) -> None:
        """Settings and session."""
        self.column.addWidget(heading("Settings"))
        self.row(
            button(
                "Save…", "Save all settings as a TOML file for the command line.", self._save_toml
            ),
            button(
                "Load…",
                "Load settings from a TOML file or from the run.toml of a results folder.",
                self._load_toml,
            ),
            button("Defaults", "Reset all settings to their defaults.", self._reset),
        )
        self.column.addWidget(heading("Session"))
        self.session_button = save_button(self.session)
        self.row(
            self.session_button,
            button(
                "Open session…",
                "Restore a saved session: layers, appearance, settings, filters, regions and view.",
                lambda: open_session(self.viewer),
            ),
        )

    # --- what there is to export ----------------------------------------------------------------

    def showEvent(self, event: Any) -> None:
        """Update the list of what can be exported."""
        super().showEvent(event)
        self._refresh()

    def _refresh(self, *_: Any) -> None:
        result = self.session.shown
        names = [] if result is None else self._parts(result)
        before = self.what.currentData()
        if names != [self.what.itemData(k) for k in range(self.what.count())]:
            self.what.clear()
            for name in names:
                self.what.addItem(label_of_map(name), name)
            if before in names:
                self.what.setCurrentIndex(names.index(before))
        self.export_button.setEnabled(bool(names) and not self._job.running)
        self.report_button.setEnabled(result is not None and not self._job.running)
        config = self.session.config if self.session.result is None else self.session.result.config
        self.line.setPlainText(command_line(self._files(), config))
        self.python.setPlainText(python_lines(self._files(), config))

    def _parts(self, result: Result) -> list[str]:
        names = [name for name in _TABLES if len(getattr(result, name))]
        return names + list(result.maps)

    def _files(self) -> list[str]:
        return self.session.files or ["FILES"]

    # --- writing -------------------------------------------------------------------------------

    def ask_where(self, title: str, name: str, suffixes: Sequence[str]) -> str | None:
        """Ask where to write a file; None if cancelled."""
        path = ask_where_to_save(self, title, name, suffixes, self._folder)
        if path is not None:
            self._folder = str(Path(path).parent)
        return path

    def _export(self) -> None:
        result, name = self.session.shown, self.what.currentData()
        self.problem.say(None)
        if result is None or not name:
            return
        part = getattr(result, name) if name in _TABLES else result.maps[name]
        suffixes = [s for s in suffixes_for(type(part)) if s not in _SAME_AS_OTHERS]
        path = self.ask_where(f"Export {name.replace('_', ' ')}", name, suffixes)
        if path is None:
            return

        def work(stop: Stop) -> str:
            write(part, path)
            return path

        self.status.setText("Writing…")
        self._job.start(waits(work))
        self._refresh()

    def _export_report(self) -> None:
        result = self.session.result
        self.problem.say(None)
        folder = None if result is None else result.folder
        if folder is None:
            self.problem.say(
                "A report is made from a results folder, and this result is in memory only. Choose a "
                "folder in Localize & track and run the whole series."
            )
            return
        if result is not None and result.edits and not result.keeps_edits:
            self.problem.say(
                "The report would leave out your edits of the tracks, which are in memory only. "
                "Discard them in Curate tracks, or edit a copy of the results folder."
            )
            return
        path = self.ask_where("Report", "report", [".html"])
        if path is None:
            return

        def work(stop: Stop) -> str:
            from napari_ulm3d.report import write_report

            write_report(folder, path, overwrite=True)  # the dialog asked before replacing it
            return path

        self.status.setText("Measuring vessels and writing…")
        self._job.start(waits(work))
        self._refresh()

    def _on_written(self, path: str) -> None:
        self.status.setText(f"Wrote {path}")

    def _save_toml(self) -> None:
        path = self.ask_where("Settings", "run", [".toml"])
        if path is not None:
            self._try(lambda: self.session.config.to_toml(path), path)

    def _load_toml(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Settings", "", "*.toml")
        if path:
            self._try(lambda: self.session.load_config(Path(path)), "")

    def _reset(self) -> None:
        self.session.reset_config()

    def _try(self, action: Callable[[], Any], path: str) -> None:
        self.problem.say(None)
        try:
            action()
        except UlmError as error:
            self.problem.say(str(error))
        except OSError as error:
            self.problem.say(
                f"{path}: cannot be written ({error.strerror or error}). Choose another location."
            )
        else:
            self.status.setText(f"Wrote {path}" if path else "Settings loaded.")


def _code(height: int, tooltip: str) -> QPlainTextEdit:
    box = QPlainTextEdit()
    box.setReadOnly(True)
    box.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
    box.setFixedHeight(height)
    box.setToolTip(tooltip)
    return box


def _copy(box: QPlainTextEdit) -> None:
    QApplication.clipboard().setText(box.toPlainText())
