"""Change one value in the text of a YAML file and leave the rest of the text, comments too, as it is.

Pure. What comes out is read again and compared with what was meant; where it differs, as with anchors, the whole file
is written anew, which loses its comments.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from runbook_lib.parameters_yaml import Dumper, read_yaml, write_yaml

Keys = tuple[str, ...]


class Edited(NamedTuple):
    """A changed text.

    Args:
        text: The YAML text.
        comments_kept: Whether everything else in it is as it was.
    """

    text: str
    comments_kept: bool


def with_value(text: str, keys: Keys, value: Any) -> Edited:
    """Return a YAML text in which one value is another one.

    Args:
        text: A YAML document that is a mapping.
        keys: Where, from the top.
        value: JSON-able; None takes the key out, and sections that are empty without it.

    Returns:
        The text.
    """
    data = read_yaml(text, "").data
    wanted = _with_value(data if isinstance(data, dict) else {}, keys, value)
    try:
        edited = _edited(text, keys, value, wanted)
    except _CannotEditError:
        edited = ""
    if edited and read_yaml(edited, "").data == wanted:
        return Edited(edited, comments_kept=True)
    return Edited(write_yaml(wanted), comments_kept=False)


class _CannotEditError(Exception):
    """The text is written in a way in which no single value can be changed."""


def _with_value(data: Mapping[str, Any], keys: Keys, value: Any) -> dict[str, Any]:
    changed = dict(copy.deepcopy(data))
    key, rest = keys[0], keys[1:]
    if rest:
        inner = changed.get(key)
        value = _with_value(inner if isinstance(inner, dict) else {}, rest, value) or None
    if value is None:
        changed.pop(key, None)
    else:
        changed[key] = value
    return changed


def _edited(text: str, keys: Keys, value: Any, wanted: Mapping[str, Any]) -> str:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for depth, key in enumerate(keys):
        if not isinstance(node, yaml.MappingNode) or not node.value:
            raise _CannotEditError
        if node.flow_style and depth:  # such as {a: 1}: one line, written anew
            inner = _at(wanted, keys[:depth])
            return _edited(text, keys[:depth], inner, wanted) if inner is None else _replaced(text, node, inner)
        pair = next((pair for pair in node.value if pair[0].value == key), None)
        if pair is None:
            return text if value is None else _inserted(text, node, keys[depth:], value)
        if depth == len(keys) - 1:
            return _without(text, keys, wanted) if value is None else _replaced(text, pair[1], value)
        node = pair[1]
    raise _CannotEditError


def _at(data: Any, keys: Keys) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _replaced(text: str, node: yaml.Node, value: Any) -> str:
    """Return the text with the value of a node written anew, in the style it has."""
    start, end = node.start_mark.index, _end(text, node)
    is_block = isinstance(node, yaml.CollectionNode) and not node.flow_style
    new = _block(value, node.start_mark.column) if is_block and value else _inline(value)
    before = text[:start] + (" " if start == end and text[start - 1 : start] == ":" else "")
    return before + new + text[end:]


def _inserted(text: str, node: yaml.MappingNode, keys: Sequence[str], value: Any) -> str:
    """Return the text with a new key at the end of a section."""
    for key in reversed(keys[1:]):
        value = {key: value}
    line_end = _line_end(text, _end(text, node))
    indent = node.start_mark.column
    return f"{text[:line_end]}\n{' ' * indent}{_block({keys[0]: value}, indent)}{text[line_end:]}"


def _without(text: str, keys: Keys, wanted: Mapping[str, Any]) -> str:
    """Return the text without the lines of a key; of the section that it leaves empty, if it does."""
    while len(keys) > 1 and _at(wanted, keys[:-1]) is None:
        keys = keys[:-1]
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in keys:
        key_node, node = next(pair for pair in node.value if pair[0].value == key)
    start = text.rfind("\n", 0, key_node.start_mark.index) + 1
    end = _line_end(text, _end(text, node))
    return text[:start] + text[end + 1 :]


def _end(text: str, node: yaml.Node) -> int:
    """Return where a node's own text ends; YAML counts what follows a block as part of it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    end = int(node.end_mark.index)
    return len(text[:end].rstrip()) if end > node.start_mark.index else end


def _line_end(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found


def _inline(value: Any) -> str:
    written = yaml.dump(value, Dumper=Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1000)
    return str(written).removesuffix("\n").removesuffix("\n...")


def _block(value: Any, indent: int) -> str:
    written = yaml.dump(value, Dumper=Dumper, default_flow_style=None, sort_keys=False, allow_unicode=True, width=1000)
    if isinstance(value, list):
        written = "".join(f"- {_inline(item)}\n" for item in value)
    elif isinstance(value, dict):
        written = "".join(_entry(key, item) for key, item in value.items())
    return str(written).rstrip("\n").replace("\n", "\n" + " " * indent)


def _entry(key: str, value: Any) -> str:
    """Return one key of a section: sections below it on lines of their own, everything else on its line."""
    if isinstance(value, dict) and value:
        inner = "".join(_entry(name, item) for name, item in value.items())
        return f"{_inline(key)}:\n" + "".join(f"  {line}\n" for line in inner.splitlines())
    return f"{_inline(key)}: {_inline(value)}\n"
