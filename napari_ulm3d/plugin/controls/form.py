"""Forms over the settings of a stage: labels, units, ranges and tooltips are the config's own."""

from __future__ import annotations

import html
import re
from collections.abc import Collection
from typing import Any, get_args, get_origin

from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_ulm3d.config import StageConfig, conditions_of, shown_unit
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.plugin.controls.control import Control, control_for
from napari_ulm3d.plugin.controls.weights import WeightsControl
from napari_ulm3d.plugin.session import Session

__all__ = ["SettingsForm", "label_of", "tooltip_of"]

_CAPITALS = {"svd": "SVD", "snr": "SNR", "fwhm": "FWHM", "psf": "PSF", "fsc": "FSC", "db": "dB"}
_UNIT_ENDINGS = ("_um", "_hz", "_db", "_mm_s", "_m_s", "_voxels", "_frames", "_s")


class SettingsForm(QWidget):
    """Some settings of one stage. What is edited here goes to the session, and back.

    A setting is shown while the conditions hold under which the config says it is used.

    Parameters
    ----------
    section
        Name of the stage in the settings.
    fields
        Which settings, in order; None: all.
    hint
        What stands in an empty field.
    """

    def __init__(
        self,
        session: Session,
        section: str,
        fields: Collection[str] | None = None,
        *,
        hint: str = "as the file says",
    ) -> None:
        super().__init__()
        self.session = session
        self.section = section
        self.controls: dict[str, Control] = {}
        self._labels: dict[str, QLabel] = {}
        model = type(session.section(section))
        names = list(fields or model.model_fields)
        self._when = {name: conditions_of(model.model_fields[name]) for name in names}
        self._others = {
            condition.setting.rpartition(".")[0]
            for conditions in self._when.values()
            for condition in conditions
        }
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setVerticalSpacing(3)
        outer.addLayout(self._form)
        for name in names:
            self._add(model, name, hint)
        self._problem = QLabel()
        self._problem.setWordWrap(True)
        self._problem.setStyleSheet("color: #ff7b72;")
        self._problem.hide()
        outer.addWidget(self._problem)
        session.config_changed.connect(self._on_config)
        self.refresh()

    def _add(self, model: type[StageConfig], name: str, hint: str) -> None:
        field = model.model_fields[name]
        control = WeightsControl() if name == "weights" else control_for(field, hint)
        control.setObjectName(f"{self.section}.{name}")
        label = QLabel(label_of(name, shown_unit(field)[0], many=_is_many(field.annotation)))
        label.setBuddy(control)
        for widget in (label, control):
            widget.setToolTip(tooltip_of(model, self.section, name))
        control.edited.connect(lambda value, name=name: self._on_edited(name, value))
        self.controls[name] = control
        self._labels[name] = label
        self._form.addRow(label, control)

    def mark(self, names: Collection[str]) -> None:
        """Point out settings that have to be filled in."""
        for name, label in self._labels.items():
            label.setStyleSheet("color: #ffb454; font-weight: bold;" if name in names else "")

    def refresh(self) -> None:
        """Show the session's settings."""
        values = self.session.section(self.section)
        for name, control in self.controls.items():
            control.show_value(getattr(values, name))
            used = all(condition.holds(self._look_up) for condition in self._when[name])
            self._form.setRowVisible(control, used)
        self._say("")

    def _look_up(self, setting: str) -> Any:
        """The value of a setting of this section, or of another one ("section.setting")."""
        section, _, name = setting.rpartition(".")
        return getattr(self.session.section(section or self.section), name)

    def _on_config(self, section: str) -> None:
        if section == self.section or section in self._others:
            self.refresh()

    def _on_edited(self, name: str, value: Any) -> None:
        try:
            self.session.change(self.section, **{name: value})
        except ConfigError as error:
            self._say(_plain(str(error)))
        else:
            self._say("")

    def _say(self, problem: str) -> None:
        self._problem.setText(problem)
        self._problem.setVisible(bool(problem))

    @property
    def problem(self) -> str:
        """What is wrong with the last edit; empty when nothing is."""
        return self._problem.text()


def label_of(name: str, unit: str = "", many: bool = False) -> str:
    """A setting's name for people: ``min_snr_db`` becomes "Min SNR", its unit if not elsewhere."""
    for ending in _UNIT_ENDINGS:
        if name.endswith(ending) and unit:
            name = name.removesuffix(ending)
            break
    words = [_CAPITALS.get(word, word) for word in name.split("_")]
    label = " ".join(words)
    label = label[0].upper() + label[1:]
    return f"{label} ({unit})" if unit and many else label


def tooltip_of(model: type[StageConfig], section: str, name: str) -> str:
    """A setting's description, unit, default, and its name in files and on the command line."""
    field = model.model_fields[name]
    unit = shown_unit(field)[0]
    lines = [html.escape(field.description or "")]
    if unit:
        lines.append(f"Unit: {html.escape(unit)}")
    default = field.default
    if default is not None:
        text = ", ".join(f"{v}" for v in default) if isinstance(default, tuple) else f"{default}"
        lines.append(f"Default: {html.escape(text)}")
    lines.append(f"<i>{section}.{name}</i>")
    return "<qt>" + "<br>".join(lines) + "</qt>"


def _is_many(annotation: Any) -> bool:
    """Whether the unit cannot stand in the field itself: several numbers, or free text."""
    parts = get_args(annotation)
    return get_origin(annotation) is tuple or type(None) in parts


def _plain(message: str) -> str:
    """Pydantic's wording without its preamble."""
    return re.sub(r"^Bad settings: ", "", message).replace("Value error, ", "")
