"""Writes docs/settings.md from the settings' own descriptions: `python scripts/settings_table.py`."""

from __future__ import annotations

from pathlib import Path

from napari_ulm3d.config import PipelineConfig, StageConfig, conditions_of, unit_of
from napari_ulm3d.config.execution import Execution

TARGET = Path(__file__).resolve().parents[1] / "docs" / "settings.md"


def settings_page() -> str:
    """The page, one table a stage."""
    lines = [
        "# Settings",
        "",
        "Every setting of a run, in the order of the stages. On the command line:",
        "`--set section.key=value`; in a file: `--config settings.toml` with one table a section;",
        'in Python: `PipelineConfig().with_settings(["section.key=value"])`.',
        "",
        "<!-- Made by scripts/settings_table.py; change the descriptions in napari_ulm3d/config/. -->",
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
        "| setting | default | unit | used when | what |",
        "| --- | --- | --- | --- | --- |",
    ]
    for key, info in stage.model_fields.items():
        cells = [
            f"`{prefix}{key}`",
            _shown(info.default),
            unit_of(info),
            ", ".join(f"`{condition}`" for condition in conditions_of(info)),
            str(info.description),
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"{item:g}" for item in value)
    return f"{value}".lower() if isinstance(value, bool) else f"{value}"


if __name__ == "__main__":
    TARGET.write_text(settings_page(), encoding="utf-8")
