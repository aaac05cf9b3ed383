"""The localization method and its settings."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ulm3d.config import LocalizeConfig, NetworkConfig
from napari_ulm3d.plugin.controls.form import SettingsForm
from napari_ulm3d.plugin.controls.section import Section
from napari_ulm3d.plugin.panels.parts.device import DeviceBox
from napari_ulm3d.plugin.session import Session

__all__ = ["Methods"]

_LOCALIZE = ("localizer", "min_snr_db", "min_fit_snr_db", "min_correlation", "max_bubbles")
_NETWORK = ("weights", "min_score", "trajectory_score")


class Methods(QWidget):
    """Choice of the method; only the settings it uses are shown.

    Attributes
    ----------
    form
        The method and the main settings of conventional methods.
    more
        Their other settings.
    network, network_form
        Shown for networks: everything about them, and their main settings.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        column = _column(self)
        self.form = SettingsForm(session, "localize", _LOCALIZE)
        column.addWidget(self.form)
        rest = [name for name in LocalizeConfig.model_fields if name not in _LOCALIZE]
        self.more = Section("More settings", SettingsForm(session, "localize", rest))
        column.addWidget(self.more)
        rest = [name for name in NetworkConfig.model_fields if name not in _NETWORK]
        self.network = QWidget()
        inner = _column(self.network)
        self.network_form = SettingsForm(session, "network", _NETWORK)
        inner.addWidget(self.network_form)
        inner.addWidget(DeviceBox(session))
        inner.addWidget(Section("More network settings", SettingsForm(session, "network", rest)))
        column.addWidget(self.network)
        session.config_changed.connect(self._on_config)
        self._on_config("localize")

    def _on_config(self, section: str) -> None:
        if section == "localize":
            by_network = self._session.config.localize.by_network
            self.network.setVisible(by_network)
            self.more.setVisible(not by_network)


def _column(widget: QWidget) -> QVBoxLayout:
    column = QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(6)
    return column
