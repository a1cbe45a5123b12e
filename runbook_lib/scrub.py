"""Keep secrets out of everything that is written: the one place that knows them, and what takes them out.

Pure but for one thing: it holds the secrets of this process in memory. `journal` (every event and every file of a run),
`engine` (executed notebooks) and `lease` pass what they write through here first, and so does the kernel what it shows.
A file that is read back and acted on is never altered; it is refused, because a changed value would change the act.
"""

from __future__ import annotations

import base64
import html
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from runbook_lib.errors import JournalError

SHORTEST = 4
"""A shorter value cannot be told from ordinary text."""
_WHOLE_WORD = 8
"""A value shorter than this is taken out only where it stands alone."""
_NOT_BEFORE = r"(?!\(|\$|ssm:|secretsmanager:|env:|arn:|var\.|(?:true|false|null|none|yes|no)\b)"
_NAMES = (
    r"password|passwd|passphrase|(?<=_)pwd|secret_?access_?key|secret_?key|client_?secret|api_?key|private_?key"
    r"|access_?token|auth_?token|session_?token|security_?token|secret_?string"
)
_KEY = re.compile(
    rf"(?:^|[^a-z0-9])(?:{_NAMES})$|(?:Password|SecretString|SecretAccessKey|SessionToken)$", re.IGNORECASE
)
# what begins it (lower case, to look for quickly), the pattern with the secret as group `s`, what it is
_PATTERNS = tuple(
    (tuple(needles.split()), re.compile(pattern, flags), label)
    for needles, pattern, flags, label in (
        ("akia asia", r"(?P<s>(?:AKIA|ASIA)[A-Z0-9]{16})", 0, "AWS access key id"),
        (
            "private",
            r"(?P<s>-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|[A-Za-z0-9+/=\s\\]*))",
            re.DOTALL,
            "private key",
        ),
        ("://", r"[a-z][a-z0-9+.-]*://[^\s/:@\"']*:(?P<s>[^\s/@\"']+)@", re.IGNORECASE, "credential in a URL"),
        (
            "ghp_ gho_ ghs_ ghu_ github_pat glpat xox sk_live rk_live sk-ant",
            r"\b(?P<s>(?:ghp|gho|ghs|ghu|github_pat|glpat|xox[abeprs]|sk_live|rk_live|sk-ant)[_-][A-Za-z0-9_-]{10,})",
            0,
            "API token",
        ),
        ("eyj", r"\b(?P<s>eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*)", 0, "JSON Web Token"),
        (
            "authorization",
            r"authorization[\"'\\]*\s*[:=]\s*[\"'\\]*(?:bearer|basic|token)\s+(?!\()(?P<s>[^\s\"',;\\]+)",
            re.IGNORECASE,
            "authorization",
        ),
    )
)
# behind a colon only in quotes, or alone to the end of the line: "DB_PASSWORD: read from its reference" is prose
_NAMED = re.compile(
    rf"(?:{_NAMES})[\"'\\]*\s*(?:=\s*[\"'\\]*|:\s*(?:[\"'\\]+|(?=[^\s\\]+(?:\s*$|\\n))))"
    rf"{_NOT_BEFORE}(?P<s>[^\s\"',;&}}<>\\]{{{SHORTEST},}})",
    re.IGNORECASE | re.MULTILINE,
)
_NAMED_NEEDLES = ("password", "passwd", "passphrase", "_pwd", "secret", "api_key", "apikey", "private", "token")
_NEEDLES = tuple({*_NAMED_NEEDLES, *(needle for needles, _, _ in _PATTERNS for needle in needles)})
_READ_BACK = re.compile(
    r"parameters\b.*\.yaml|terraform/(?!plan\.json$).*|evidence/(?:task-mapping|machine-image)\.json"
)
_OF_FILES = re.compile(r"evidence/manifest-.*\.json|SHA256SUMS(?:\.sig|\.kms\.json)?")


class Scrubber:
    """The secrets of one process, and how they are taken out of text and values."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}
        self._cores: tuple[str, ...] = ()
        self._known: re.Pattern[str] | None = None

    def add(self, secret: str, label: str) -> bool:
        """Learn a secret.

        Args:
            secret: Its value. Of a value with several lines, or of JSON, the parts count too.
            label: What to write in its place, for example its reference.

        Returns:
            False when it is too short to be told from ordinary text.
        """
        return self.add_all([secret], label)

    def add_all(self, secrets: Iterable[str], label: str) -> bool:
        """Learn several secrets of one kind; as `add`."""
        parts = {part for secret in secrets for part in _parts(secret) if len(part) >= SHORTEST}
        forms = {form for part in parts for form in _forms(part)} - self._labels.keys()
        if forms:
            self._labels |= dict.fromkeys(forms, label)
            self._cores = tuple({*self._cores, *(core for part in parts for core in _cores(part))})
            longest_first = sorted(self._labels, key=len, reverse=True)
            self._known = re.compile("|".join(map(_as_pattern, longest_first)))
        return bool(parts)

    def text(self, text: str, *, names: bool = True, patterns: bool = True) -> str:
        """Return a text without secrets.

        Args:
            text: The text.
            names: Whether a value counts as secret because of the name before it.
            patterns: Whether what looks like a credential counts, known or not.

        Returns:
            The same text, or one with `(secret: …)` in their places.
        """
        if self._known is not None and any(core in text for core in self._cores):
            text = self._known.sub(lambda match: f"(secret: {self._labels[match[0]]})", text)
        if not patterns:
            return text
        low = text.lower()
        for needles, pattern, label in _PATTERNS:
            if any(needle in low for needle in needles):
                text = pattern.sub(_replaces(label), text)
        if names and any(needle in low for needle in _NAMED_NEEDLES):
            text = _NAMED.sub(_replaces("by its name"), text)
        return text

    def value(self, value: Any) -> Any:
        """Return nested values without secrets.

        Args:
            value: Mappings, lists, tuples, text; anything else stays as it is.

        Returns:
            The value itself when it holds none, else a copy of plain mappings and lists.
        """
        return self._value(value) if self._may_hold_one(value) else value

    def _may_hold_one(self, value: Any) -> bool:
        """Return whether a thorough look is worth its time; nearly every event is harmless, and there are many."""
        text = value if isinstance(value, str) else json.dumps(value, default=str, skipkeys=True)
        if any(core in text for core in self._cores):
            return True
        low = text.lower()
        return any(needle in low for needle in _NEEDLES)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if type(value) in {list, tuple}:
            return type(value)([self._value(item) for item in value])
        return value

    def _mapping(self, mapping: Mapping[Any, Any]) -> dict[Any, Any]:
        clean = {self.text(key) if isinstance(key, str) else key: self._value(item) for key, item in mapping.items()}
        name = mapping.get("name", mapping.get("Name"))
        for key, item in clean.items():
            told = name if key in {"value", "Value"} and isinstance(name, str) else key
            if isinstance(item, str) and isinstance(told, str) and _KEY.search(told) and _is_value(item):
                clean[key] = "(secret: by its name)"
        return clean

    def file(self, path: str, content: bytes | str) -> bytes:
        """Return what may be written into a file of a run.

        Args:
            path: Path below the run folder.
            content: The bytes, or text.

        Returns:
            UTF-8 without secrets.

        Raises:
            JournalError: when the file is one that is read back and acted on, and holds a secret; nothing is written.
        """
        text = content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else content
        read_back = _READ_BACK.fullmatch(path) is not None
        clean = self.text(text, names=not read_back, patterns=_OF_FILES.fullmatch(path) is None)
        if read_back and clean != text:
            found = ", ".join(sorted(set(re.findall(r"\(secret: ([^)]*)\)", clean))))
            raise JournalError(
                f"{path} would hold a secret in clear ({found}), and is read back, so it cannot be changed; it was not "
                "written. Put the secret into SSM Parameter Store or Secrets Manager and name the reference in "
                "target.secrets"
            )
        return clean.encode("utf-8", "surrogateescape")


def _parts(secret: str) -> Iterator[str]:
    """Yield what of a secret may appear by itself: the whole, its lines, and the secret values of a JSON object."""
    yield secret
    if "\n" in secret:
        yield from (line.strip() for line in secret.splitlines() if len(line.strip()) >= _WHOLE_WORD)
    try:
        data = json.loads(secret)
    except ValueError:
        return
    if isinstance(data, dict):
        texts = {key: item for key, item in data.items() if isinstance(item, str)}
        yield from ({key: item for key, item in texts.items() if _KEY.search(key)} or texts).values()


def _forms(secret: str) -> Iterator[str]:
    """Yield how a secret looks in JSON, HTML, URLs, Python's and a shell's quotes, and base64 at any place."""
    yield from (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    yield json.dumps(json.dumps(secret)[1:-1])[1:-1]
    yield from (html.escape(secret), quote(secret, safe=""), quote_plus(secret), secret.replace("'", "'\\''"))
    yield secret.replace("'", "'\"'\"'")
    escaped = secret.encode("unicode_escape", "surrogatepass").decode()  # as Papermill writes parameters
    yield from (ascii(secret)[1:-1], escaped, escaped.replace('"', '\\"'))
    yield from _in_base64(secret)


def _in_base64(secret: str) -> Iterator[str]:
    """Yield how a secret looks in the base64 of a longer text, without the characters that it shares with that."""
    data = secret.encode("utf-8", "surrogateescape")
    for shift in range(3):
        form = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        inner = form[(0, 2, 3)[shift] : len(form) - (1 if (len(data) + shift) % 3 else 0)]
        if len(inner) >= _WHOLE_WORD:
            yield inner


def _cores(secret: str) -> Iterator[str]:
    """Yield a part of a secret that no way of writing it down changes; "", which every text holds, when it has none."""
    yield max(re.findall(r"[A-Za-z0-9]{3,}", secret), key=len, default="")
    yield from _in_base64(secret)


def _as_pattern(form: str) -> str:
    escaped = re.escape(form)
    return escaped if len(form) >= _WHOLE_WORD else rf"(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9])"


def _replaces(label: str) -> Callable[[re.Match[str]], str]:
    """Return what replaces the secret of a match and keeps what stands around it."""

    def replace(match: re.Match[str]) -> str:
        start, end = match.span("s")
        return f"{match[0][: start - match.start()]}(secret: {label}){match[0][end - match.start() :]}"

    return replace


def _is_value(text: str) -> bool:
    return len(text) >= SHORTEST and re.match(_NOT_BEFORE, text, re.IGNORECASE) is not None


SECRETS = Scrubber()
"""The secrets of this process. There is one, because whoever writes must not be able to forget it."""


def guard_kernel() -> None:
    """Let no message that this kernel sends carry a secret, whoever prints, raises or displays it.

    Changes:
        How the messages of the Jupyter kernel in this process are packed; nothing outside a kernel.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    session = getattr(getattr(shell, "kernel", None), "session", None)
    if session is None or getattr(session.pack, "scrubs", False):
        return
    pack = session.pack

    def scrubbed(message: Any) -> Any:
        return pack(SECRETS.value(message))

    scrubbed.scrubs = True  # type: ignore[attr-defined] # so that it is done once
    session.pack = scrubbed
