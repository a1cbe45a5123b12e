"""Read YAML without losing what was written: every scalar keeps its text and line, duplicate keys are refused.

Pure: text in, values out. YAML 1.1 reads 012345670123 as an octal number, 12:30 as 750 and off as False; whoever
validates the values can say so, because the text is still there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
"""Where a value is: keys and list indices from the top."""


@dataclass(frozen=True)
class Document:
    """What a YAML text says.

    Args:
        data: The values, as YAML 1.1 reads them.
        texts: The text of each scalar as it was written, without quotes.
        lines: The line of each value, from 1.
        problems: What cannot be read at all; one text each.
    """

    data: Any = None
    texts: dict[Path, str] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_yaml(text: str, name: str) -> Document:
    """Return the values of a YAML text with where and how they were written.

    Args:
        text: One YAML document.
        name: What to call it in problems, usually the file's path.

    Returns:
        The document; its problems say what is wrong with the YAML itself.
    """
    try:
        node = _compose(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name} line {mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or "cannot be read"
        return Document(problems=[f"{where}: not YAML: {problem}. Fix: check indentation, colons and quotes there"])
    return _Reader(name).read(node)


def _compose(text: str) -> yaml.Node | None:
    """Return the nodes of a text: libyaml's, in a tenth of the time, unless it finds an error or is not there."""
    try:
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, AttributeError):
        return yaml.compose(text, Loader=yaml.SafeLoader)  # whose errors name the line where the mistake begins


class _Reader:
    """Turns the nodes of one YAML document into values."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.document = Document()
        self.loader = yaml.SafeLoader("")

    def read(self, node: yaml.Node | None) -> Document:
        data = None if node is None else self._value(node, ())
        found = self.document
        return Document(data, found.texts, found.lines, found.problems)

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self.document.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        self.document.texts[path] = node.value
        try:
            return self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self._refuse(node, path, f"{node.value!r} is no value of tag {node.tag}. Fix: write it in quotes")
            return node.value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            inner = (*path, key)
            if key_node.tag != "tag:yaml.org,2002:str":
                self._refuse(
                    key_node, inner, "keys are plain text; YAML reads this one otherwise. Fix: write it in quotes"
                )
            elif key in values:
                self._refuse(key_node, inner, "the key stands here twice. Fix: keep one of them")
            else:
                values[key] = self._value(value_node, inner)
        return values

    def _refuse(self, node: yaml.Node, path: Path, problem: str) -> None:
        self.document.problems.append(f"{self.name} line {node.start_mark.line + 1}: {dotted(path)}: {problem}")


def dotted(path: Path) -> str:
    """Return a path as an operator writes it, for example ``migration.target.subnet_ids[0]``.

    Args:
        path: Keys and list indices from the top.

    Returns:
        The path as text.
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


class Dumper(yaml.SafeDumper):
    """Writes text in quotes wherever any YAML version could read something else into it."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = bool(text) and text[0].isalpha() and all(char.isalnum() or char in "._-/" for char in text)
    safe = plain and text.lower() not in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if safe else '"')


Dumper.add_representer(str, _represent_text)


def write_yaml(data: Mapping[str, Any]) -> str:
    """Return values as YAML that every YAML version reads back the same.

    Args:
        data: JSON-able values.

    Returns:
        YAML text, keys in the given order.
    """
    return yaml.dump(dict(data), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)
