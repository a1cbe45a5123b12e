"""Read systemd unit files as far as simulated hosts use them. Pure: texts in, facts out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from runbook_lib.sandbox.guest.words import split_simple

KINDS = ("service", "mount")
TYPES = {"simple", "exec", "oneshot", "notify", "forking"}


@dataclass
class Unit:
    """One unit: its settings by ``Section.Key``, each with all its values in order.

    Args:
        name: For example ``runbook-storage.service``.
        settings: What its file and its drop-ins say.
    """

    name: str
    settings: dict[str, list[str]] = field(default_factory=dict)

    def values(self, key: str) -> list[str]:
        """Return every value of a setting."""
        return self.settings.get(key, [])

    def words(self, key: str) -> list[str]:
        """Return the words of every value of a setting."""
        return [word for value in self.values(key) for word in value.split()]

    def last(self, key: str, default: str = "") -> str:
        """Return the last value of a setting."""
        values = self.values(key)
        return values[-1] if values else default

    def commands(self, key: str) -> list[tuple[bool, list[str]]]:
        """Return (whether a failure is ignored, argument list) for each command of a setting.

        Raises:
            ValueError: A command is not one simple command.
        """
        found = []
        for value in self.values(key):
            text = value.lstrip("-@+!:")
            found.append(("-" in value[: len(value) - len(text)], split_simple(text)))
        return found

    def environment(self) -> dict[str, str]:
        """Return what ``Environment=`` sets."""
        pairs = [word for value in self.values("Service.Environment") for word in split_words(value)]
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def split_words(text: str) -> list[str]:
    """Return the words of a setting; double quotes hold blanks together."""
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', text)]


def parse(name: str, texts: Iterable[str]) -> Unit:
    """Read a unit from its file and its drop-ins, in their order.

    Args:
        name: With its suffix.
        texts: The file first, then the drop-ins. An empty value clears the list, as in systemd.
    """
    unit = Unit(name)
    for text in texts:
        section = ""
        for raw in text.replace("\\\n", " ").splitlines():
            line = raw.strip()
            if not line or line[0] in "#;":
                continue
            if line.startswith("["):
                section = line.strip("[]")
                continue
            key, _, value = line.partition("=")
            name_of_setting = f"{section}.{key.strip()}"
            if value.strip():
                unit.settings.setdefault(name_of_setting, []).append(value.strip())
            else:
                unit.settings[name_of_setting] = []
    return unit


def full_name(name: str) -> str:
    """Return a unit's name with its suffix; ``service`` is the default."""
    return name if name.rpartition(".")[2] in {*KINDS, "target", "timer", "socket"} else f"{name}.service"


def seconds(text: str, default: float) -> float:
    """Return a systemd time span in seconds."""
    if text in {"", "infinity", "0"}:
        return default
    scale = {"": 1.0, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "ms": 0.001, "h": 3600.0}
    return sum(float(number) * scale.get(unit, 1.0) for number, unit in re.findall(r"([\d.]+)\s*([a-z]*)", text))
