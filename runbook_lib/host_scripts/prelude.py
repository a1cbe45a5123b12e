"""What every host script stands on: running commands, answering in JSON, storing files for itself.

Sent to the host with each script; standard library only, syntax of Python 3.7.
It changes nothing but large answers, which it stores below /var/lib/runbook/output to be read in pages.
What few answers need is imported where it is used: starting is a part of every command inside an outage.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from typing import Callable

from digests import sha256

STORE = os.environ.get("RUNBOOK_STORE", "/var/lib/runbook")
LONGEST_ANSWER = 22000  # Systems Manager cuts an answer at 24,000 characters; a page of 20,000 fits


class Refused(Exception):  # noqa: N818 - it is an answer more than an error
    """The script will not, or could not, do what was asked; carries a kind and facts for the caller."""

    def __init__(self, kind: str, message: str, **details: object) -> None:
        self.kind = kind
        self.message = message
        self.details = details
        super().__init__(message)


def run(argv: list, timeout_s: float = 60.0, accept: tuple = (0,), text: str | None = None) -> tuple:
    """Run one command and return (exit code, standard output); an exit code not accepted is Refused.

    The text goes to standard input and never into the error, so it may hold a password.
    """
    try:
        done = subprocess.run(
            argv,
            input=text.encode() if text is not None else None,
            stdin=subprocess.DEVNULL if text is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError:
        raise Refused("command-missing", "%s is not installed on this host" % argv[0], argv=argv) from None
    except subprocess.TimeoutExpired:
        raise Refused(
            "command-timeout", "%s did not end in %g s" % (argv[0], timeout_s), argv=argv, timeout_s=timeout_s
        ) from None
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode not in accept:
        problem = done.stderr.decode("utf-8", "replace").strip()
        raise Refused(
            "command-failed",
            "%s ended with %d: %s" % (" ".join(argv[:4]), done.returncode, problem[-500:] or output[-500:]),
            argv=argv,
            exit_code=done.returncode,
            stdout=output[-2000:],
            stderr=problem[-2000:],
        )
    return done.returncode, output


def answer(main: Callable, arguments_json: str) -> int:
    """Call main with the decoded arguments, print one line of JSON, return the exit code."""
    try:
        document = {"ok": True, "result": main(json.loads(arguments_json))}
    except Refused as refusal:
        error = {"kind": refusal.kind, "message": refusal.message, "details": refusal.details}
        document = {"ok": False, "error": error}
    except Exception as error:  # noqa: BLE001 - a defect must reach the caller as data too
        import traceback  # noqa: PLC0415 - takes as long to import as json

        details = {"traceback": traceback.format_exc()[-4000:]}
        message = "%s: %s" % (type(error).__name__, error)
        document = {"ok": False, "error": {"kind": "defect", "message": message, "details": details}}
    text = json.dumps(document, separators=(",", ":"))
    if len(text) > LONGEST_ANSWER and document["ok"]:
        text = json.dumps({"ok": True, "paged": store_output(document["result"])})
    elif len(text) > LONGEST_ANSWER:
        text = json.dumps({"ok": False, "error": shortened(document["error"])})
    print(text)
    return 0 if document["ok"] else 1


def shortened(error: dict) -> dict:
    """Return an error that fits into one answer: its lists cut to what a person reads, else without details."""
    details = {key: value[:20] if isinstance(value, list) else value for key, value in error["details"].items()}
    short = dict(error, message=error["message"][:2000], details=dict(details, shortened=True))
    fits = len(json.dumps(short)) <= LONGEST_ANSWER
    return short if fits else dict(short, details={"shortened": True})


def store_output(result: object) -> dict:
    """Store a large result on this host; return where it is and how long it is."""
    import gzip  # noqa: PLC0415 - only for large answers

    content = base64.b64encode(gzip.compress(json.dumps(result, separators=(",", ":")).encode("ascii")))
    digest = sha256(content).hexdigest()
    path = os.path.join(STORE, "output", digest)
    write_atomically(path, content)
    return {"path": path, "characters": len(content), "sha256": digest}


def write_atomically(path: str, content: bytes) -> None:
    """Write a file below STORE whole or not at all, readable by root only."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    partial = "%s.%d.partial" % (path, os.getpid())
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)


def read_text(path: str, default: str = "") -> str:
    """Return a text file's content, or the default when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return default


def root_facts(path: str) -> dict:
    """Return mode (octal text, with setuid, setgid and sticky), uid and gid of a directory."""
    found = os.stat(path)
    return {"mode": "%04o" % (found.st_mode & 0o7777), "uid": found.st_uid, "gid": found.st_gid}
