"""The fields of the parameters form, made from the schema of the parameters: the same that the tables are made from.

Pure. A field knows its key, kind, unit, meaning, default, limits, and which ids of AWS it can be chosen from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from runbook_lib import parameters

Keys = tuple[str, ...]

_UNITS = {"s": "seconds", "days": "days", "h": "hours", "mib": "MiB", "percent": "%"}
_AWS = {
    ("source", "instance_id"): "instances",
    ("volume", "volume_id"): "volumes",
    ("target", "vpc_id"): "vpcs",
    ("target", "subnet_ids"): "subnets",
    ("target", "load_balancer", "subnet_ids"): "subnets",
}


@dataclass(frozen=True)
class Field:
    """One parameter, as a form shows it.

    Args:
        keys: Where it is below `migration`.
        kind: `text`, `number`, `switch`, `choice`, `list` (one text a line) or `yaml` (a mapping, as YAML).
        meaning: What it is, one or two sentences.
        required: Whether a file must have it, once its section is there.
        default: Its value when the file has none; None for none.
        unit: Of a number, such as `seconds`; "" for none.
        options: The values of a choice.
        limits: Of a number, such as `1 to 3650`; "" for none.
        source: Which ids of AWS it can be chosen from: `instances`, `volumes`, `vpcs`, `subnets`, or "".
        when: The key and value of the choice that this field depends on, or None.
    """

    keys: Keys
    kind: str
    meaning: str
    required: bool = False
    default: Any = None
    unit: str = ""
    options: tuple[str, ...] = ()
    limits: str = ""
    source: str = ""
    when: tuple[Keys, str] | None = None

    @property
    def label(self) -> str:
        """The key as it stands in the file, below its section."""
        return ".".join(self.keys[1:]) or self.keys[0]

    @property
    def section(self) -> str:
        """The section of the form it stands in; "" for what is in none."""
        return self.keys[0] if len(self.keys) > 1 else ""


@cache
def fields() -> tuple[Field, ...]:
    """Return every parameter, in the order of the file."""
    schema = parameters.schema()
    return tuple(_walk(schema["$defs"]["Parameters"], schema["$defs"], (), None))


def _walk(
    section: Mapping[str, Any],
    definitions: Mapping[str, Any],
    above: Keys,
    when: tuple[Keys, str] | None,
    *,
    optional: bool = False,
) -> Iterator[Field]:
    """Yield the fields of a section and of the sections below it."""
    choices = {option: key for key, value in section["properties"].items() for option in value.get("enum", ())}
    for key, value in section["properties"].items():
        keys = (*above, key)
        inner = [definitions[name] for name in _references(value)]
        if len(inner) > 1:
            yield from _alternatives(inner, definitions, keys, value)
        elif inner:
            depends = ((*above, choices[key]), key) if key in choices else when
            can_be_absent = key not in choices and value.get("default", "") is None
            yield from _walk(inner[0], definitions, keys, depends, optional=can_be_absent)
        elif "const" not in value:
            yield _field(keys, value, when, required=not optional and key in section.get("required", ()))


def _alternatives(
    sections: list[dict[str, Any]], definitions: Mapping[str, Any], keys: Keys, value: Mapping[str, Any]
) -> Iterator[Field]:
    """Yield the choice between sections, which their key `type` makes, and the fields of each."""
    names = tuple(section["properties"]["type"]["const"] for section in sections)
    choice = (*keys, "type")
    yield Field(choice, "choice", value["description"], required=True, options=names)
    for name, section in zip(names, sections, strict=True):
        yield from _walk(section, definitions, keys, (choice, name))


def _references(value: Mapping[str, Any]) -> list[str]:
    options = [value, *value.get("anyOf", ()), *value.get("oneOf", ())]
    return [option["$ref"].rpartition("/")[2] for option in options if "$ref" in option]


def _field(keys: Keys, value: Mapping[str, Any], when: tuple[Keys, str] | None, *, required: bool) -> Field:
    kinds = [option for option in value.get("anyOf", [value]) if option.get("type") != "null"]
    only = kinds[0]
    kind = {"integer": "number", "boolean": "switch", "array": "list", "object": "yaml"}.get(only["type"], "text")
    default = value.get("default")
    return Field(
        keys,
        "choice" if "enum" in only else kind,
        value["description"].replace("\n", " "),
        required=required,
        default=list(default) if isinstance(default, tuple) else default,
        unit="CPU units"
        if keys[-1] == "cpu"
        else _UNITS.get(keys[-1].rpartition("_")[2], "")
        if kind == "number"
        else "",
        options=tuple(only.get("enum", ())),
        limits=_limits(only),
        source=_AWS.get(keys, ""),
        when=when,
    )


def _limits(value: Mapping[str, Any]) -> str:
    least, most = value.get("minimum"), value.get("maximum")
    if least is None and most is None:
        return ""
    return f"{least} to {most}" if most is not None else f"{least} or more"
