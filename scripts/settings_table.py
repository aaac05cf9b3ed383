"""Write docs/settings.md from the settings' descriptions: `python scripts/settings_table.py`."""

from __future__ import annotations

from pathlib import Path

from napari_ulm3d.config import PipelineConfig, StageConfig, conditions_of, unit_of
from napari_ulm3d.config.execution import Execution

TARGET = Path(__file__).resolve().parents[1] / "docs" / "settings.md"


def settings_page() -> str:
    """The page, one table per stage."""
    lines = [
        "# Settings",
        "",
        "All settings of a run, in the order of the stages. Set them",
        "",
        "* on the command line with `--set section.key=value`,",
        "* in a file with one table per section, given as `--config settings.toml`,",
        '* in Python with `PipelineConfig().with_settings(["section.key=value"])`,',
        "* in napari with the widgets; the tooltip of each control gives its name here.",
        "",
        "<!-- Made by scripts/settings_table.py; edit the descriptions in napari_ulm3d/config/. -->",
    ]
    for name, field in PipelineConfig.model_fields.items():
        stage = field.annotation
        if isinstance(stage, type) and issubclass(stage, StageConfig):
            lines += _section(name, stage, f"{name}.")
    lines += _section("Workers and memory", Execution, "")
    return "\n".join(lines) + "\n"


def _section(title: str, stage: type[StageConfig], prefix: str) -> list[str]:
    """One table."""
    lines = [
        "",
        f"## {title}",
        "",
        " ".join((stage.__doc__ or "").split()),
        "",
        "| setting | default | unit | used if | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for key, info in stage.model_fields.items():
        cells = [
            f"`{prefix}{key}`",
            _shown(info.default, str(info.description)),
            unit_of(info),
            ", ".join(f"`{condition}`" for condition in conditions_of(info)),
            str(info.description),
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def _shown(value: object, description: str) -> str:
    if value is None:
        return "auto" if "auto:" in description else "none"
    if isinstance(value, tuple):
        return ", ".join(f"{item:g}" for item in value)
    return f"{value}".lower() if isinstance(value, bool) else f"{value}"


if __name__ == "__main__":
    TARGET.write_text(settings_page(), encoding="utf-8")
