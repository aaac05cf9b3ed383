"""Conditions of a setting: the values of other settings under which it has an effect."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

__all__ = ["Condition", "check_conditions", "conditions_of", "shown_unit", "unit_of"]


@dataclass(frozen=True)
class Condition:
    """A setting has an effect only while another setting has one of these values.

    Attributes
    ----------
    setting
        The other setting, in the same section or another one, e.g. ``"localize.localizer"``.
    values
        The values under which the condition holds.
    """

    setting: str
    values: tuple[Any, ...]

    def holds(self, look_up: Callable[[str], Any]) -> bool:
        """Whether the other setting has such a value; `look_up` returns a setting by its name."""
        return look_up(self.setting) in self.values

    def __str__(self) -> str:
        values = [str(value).lower() if isinstance(value, bool) else value for value in self.values]
        return f"{self.setting} = {' or '.join(f'{value}' for value in values)}"


def conditions_of(field: FieldInfo) -> tuple[Condition, ...]:
    """All conditions that must hold for a setting to have an effect; empty: it always has."""
    when: Any = _extra(field).get("when", {})
    return tuple(Condition(setting, tuple(values)) for setting, values in when.items())


def unit_of(field: FieldInfo) -> str:
    """The unit of a setting; empty if it has none."""
    return str(_extra(field).get("unit", ""))


def shown_unit(field: FieldInfo) -> tuple[str, float]:
    """The unit in which the viewer shows a setting, and its size in the setting's own unit."""
    name, size = _extra(field).get("shown") or (unit_of(field), 1.0)
    return "µm" if name == "um" else str(name), float(size)


def check_conditions(model: type[BaseModel]) -> None:
    """Check that the conditions of a model's settings can be met.

    Conditions on other sections are checked by the models that hold those sections. Unless it is
    `complete`, a model may contain one section without the other, as the training settings do.

    Raises
    ------
    TypeError
        A condition refers to a setting or a value that does not exist.
    """
    for name, field in model.model_fields.items():
        for condition in conditions_of(field):
            if "." not in condition.setting:
                _check(f"{model.__name__}.{name}", condition, model.model_fields, condition.setting)
    sections = {
        name: section
        for name, field in model.model_fields.items()
        if isinstance(section := field.annotation, type) and issubclass(section, BaseModel)
    }
    for section_name, section in sections.items():
        for name, field in section.model_fields.items():
            for condition in conditions_of(field):
                of, dot, setting = condition.setting.rpartition(".")
                if dot and (of in sections or getattr(model, "complete", False)):
                    siblings = sections[of].model_fields if of in sections else {}
                    _check(f"{section_name}.{name}", condition, siblings, setting)


def _check(
    whose: str, condition: Condition, siblings: Mapping[str, FieldInfo], setting: str
) -> None:
    if setting not in siblings:
        raise TypeError(f"{whose} depends on {condition.setting}, which is not a setting")
    choices = _choices(siblings[setting].annotation)
    strange = [value for value in condition.values if value not in choices]
    if strange or not condition.values:
        raise TypeError(
            f"{whose} depends on {condition.setting} being one of {condition.values}; "
            f"it can be {', '.join(map(repr, choices)) or 'anything, so no choice'}"
        )


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The possible values of a setting that is a choice."""
    if annotation is bool:
        return (False, True)
    if annotation is type(None):
        return (None,)
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(value for part in get_args(annotation) for value in _choices(part))
    return ()


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    extra = field.json_schema_extra
    return extra if isinstance(extra, dict) else {}
