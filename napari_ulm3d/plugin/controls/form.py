"""Forms for the settings of a stage, with labels, units, ranges and tooltips from the config.

This is where an edited control changes a setting, and a setting updates its control.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_ulm3d.config import conditions_of, shown_unit
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.plugin.controls.control import Control, control_for, is_several
from napari_ulm3d.plugin.controls.tint import tint
from napari_ulm3d.plugin.controls.words import label_of, sentence_of, tooltip_of
from napari_ulm3d.plugin.session import Session
from napari_ulm3d.plugin.state.setting_texts import unset_text

__all__ = ["SettingsForm"]


class SettingsForm(QWidget):
    """Some settings of one stage, kept in step with the session.

    The controls are created when the form is first shown: most forms of a workflow are folded away.
    A setting is shown while its conditions of use in the config hold. A value
    that is refused stays in its field, with the reason below it, until it is corrected or becomes
    valid when another setting changes.

    Parameters
    ----------
    section
        Name of the stage in the settings.
    fields
        Which settings, in order; None: all.
    """

    def __init__(
        self,
        session: Session,
        section: str,
        fields: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        self.session = session
        self.section = section
        self._controls: dict[str, Control] = {}
        self._filled = False
        self._marked: Collection[str] = ()
        self._labels: dict[str, QLabel] = {}
        self._model = type(session.section(section))
        self._names = list(fields or self._model.model_fields)
        self._when = {name: conditions_of(self._model.model_fields[name]) for name in self._names}
        self._others = {
            condition.setting.rpartition(".")[0]
            for conditions in self._when.values()
            for condition in conditions
        }
        # Displayed values that the session accepted, and those that it refused.
        self._taken: dict[str, Any] = {}
        self._refused: dict[str, Any] = {}
        self._used: dict[str, bool] = {}
        self._form = QFormLayout(self)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setVerticalSpacing(3)
        session.config_changed.connect(self._on_config)

    @property
    def controls(self) -> dict[str, Control]:
        """The control of each setting."""
        self._fill()
        return self._controls

    def _fill(self) -> None:
        if self._filled:
            return
        self._filled = True
        for name in self._names:
            self._add(name)
        self.mark(self._marked)
        self.refresh()

    def sizeHint(self) -> QSize:
        """Create the controls when Qt first asks for the size."""
        self._fill()
        return super().sizeHint()

    def minimumSizeHint(self) -> QSize:
        """Create the controls when Qt first asks for the size."""
        self._fill()
        return super().minimumSizeHint()

    def showEvent(self, event: Any) -> None:
        """Create the controls if Qt has not asked for the size before."""
        self._fill()
        super().showEvent(event)

    def _add(self, name: str) -> None:
        field = self._model.model_fields[name]
        control = control_for(field, unset_text(f"{self.section}.{name}"))
        control.setObjectName(f"{self.section}.{name}")
        control.label = label_of(name, shown_unit(field)[0])
        label = QLabel(label_of(name, shown_unit(field)[0], many=is_several(field)))
        label.setBuddy(control.box)
        for widget in (label, control):
            widget.setToolTip(tooltip_of(self._model, self.section, name))
        control.edited.connect(lambda value, name=name: self._on_edited(name, value))
        self._controls[name] = control
        self._labels[name] = label
        self._form.addRow(label, control)

    def mark(self, names: Collection[str]) -> None:
        """Highlight settings that must be filled in."""
        self._marked = names
        for name, label in self._labels.items():
            tint(label, "caution" if name in names else None, "font-weight: bold;")

    def forget(self) -> None:
        """Discard refused values: they were typed for another source."""
        for name in list(self._refused):
            self._accept(name)
        for control in self._controls.values():
            control.take_back()
        self._taken.clear()
        self.refresh()

    def refresh(self) -> None:
        """Show the session's settings, except refused values that are still being corrected."""
        values = self.session.section(self.section)
        for name, control in self._controls.items():
            value = getattr(values, name)
            known = name in self._taken and self._taken[name] == value
            if not (known and name in self._refused):
                self._taken[name] = value
                self._accept(name)
                control.show_value(value)
            used = all(condition.holds(self._look_up) for condition in self._when[name])
            if used != self._used.get(name, True):
                self._form.setRowVisible(control, used)
            self._used[name] = used

    def _look_up(self, setting: str) -> Any:
        """The value of a setting in this section or in another one ("section.setting")."""
        section, _, name = setting.rpartition(".")
        return getattr(self.session.section(section or self.section), name)

    def _on_config(self, section: str) -> None:
        if section == self.section or section in self._others:
            self.refresh()

    def _on_edited(self, name: str, value: Any) -> None:
        self._refused[name] = value
        # A value refused before may be valid together with this one.
        for changes in (dict(self._refused), {name: value}):
            try:
                self.session.change(self.section, **changes)
            except ConfigError as error:
                reason = error
            else:
                for changed in changes:
                    self._accept(changed)
                return
        self.controls[name].say(self._reason(name, reason))

    def _accept(self, name: str) -> None:
        if name in self._refused:
            del self._refused[name]
            self.controls[name].say("")

    def _reason(self, name: str, error: ConfigError) -> str:
        own = [fault for fault in error.faults if fault.where[:1] == (name,)] or error.faults
        label = self.controls[name].label
        return " ".join(sentence_of(fault, self._model, label) for fault in own) or str(error)

    @property
    def problem(self) -> str:
        """The error messages with the names of their settings; empty if there are none."""
        return " ".join(
            f"{self.section}.{name}: {control.fault}"
            for name, control in self._controls.items()
            if control.fault
        )
