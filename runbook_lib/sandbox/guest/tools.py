"""The few programs that container images bring besides Python: curl, test, sleep, sh -c with && and ||.

There is no shell language here: ``sh -c`` knows simple commands joined by ``&&`` and ``||``, ``exit N``, and refuses
everything else, redirections and expansions above all.
"""

from __future__ import annotations

import os
import posixpath
import sys
import time

from .words import Refused, split_chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NOT_FOUND = 127
CURL_REFUSED, CURL_HTTP, CURL_TIMEOUT = 7, 22, 28
CURL_SILENT = set("fsSLkv")


def main(arguments: list[str]) -> int:
    """Run one program; return its exit code.

    Args:
        arguments: Name and arguments.
    """
    program = PROGRAMS.get(posixpath.basename(arguments[0]))
    if program is None:
        sys.stderr.write(f"{arguments[0]}: not found\n")
        return NOT_FOUND
    return program(arguments[1:])


def shell(arguments: list[str]) -> int:
    """Run ``sh -c TEXT``: simple commands joined by ``&&`` and ``||``."""
    if arguments[:1] != ["-c"] or len(arguments) < 2:  # noqa: PLR2004 - the option and its text
        sys.stderr.write("sh: the sandbox's containers know only: sh -c 'COMMAND && COMMAND || COMMAND'\n")
        return 2
    try:
        chain = split_chain(arguments[1])
    except Refused as error:
        sys.stderr.write(f"sh: {error}\n")
        return 2
    code = 0
    for sign, words in chain:
        if (sign == "&&" and code != 0) or (sign == "||" and code == 0):
            continue
        if words[0] == "exit":
            return int(words[1]) if len(words) > 1 else code
        code = _run(words)
    return code


def _run(words: list[str]) -> int:
    if posixpath.basename(words[0]) in PROGRAMS:
        return main(words)
    import subprocess  # noqa: PLC0415 - only for programs that are not here

    try:
        return subprocess.run(words, check=False).returncode
    except FileNotFoundError:
        sys.stderr.write(f"sh: {words[0]}: not found\n")
        return NOT_FOUND


def curl(arguments: list[str]) -> int:
    """Get one URL: ``curl [-fsSLkv] [-o FILE] [-m S] URL``."""
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    fails, url, output, timeout_s = False, "", "", 300.0
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in {"-o", "--output"}:
            output = rest.pop(0)
        elif word in {"-m", "--max-time", "--connect-timeout"}:
            timeout_s = float(rest.pop(0))
        elif word in {"--fail", "--silent", "--show-error"} or (word[:1] == "-" and set(word[1:]) <= CURL_SILENT):
            fails = fails or word == "--fail" or (not word.startswith("--") and "f" in word)
        elif word.startswith("-"):
            sys.stderr.write(f"curl: option {word}: is unknown to the sandbox\n")
            return 2
        else:
            url = word if "://" in word else "http://" + word
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        if fails:
            sys.stderr.write(f"curl: (22) The requested URL returned error: {error.code}\n")
            return CURL_HTTP
        body = error.read()
    except TimeoutError:
        return CURL_TIMEOUT
    except OSError as error:
        sys.stderr.write(f"curl: (7) Failed to connect: {error}\n")
        return CURL_REFUSED
    return _write(output, body)


def _write(output: str, body: bytes) -> int:
    if output:
        with open(output, "wb") as file:  # noqa: PTH123 - mapped
            file.write(body)
    else:
        sys.stdout.buffer.write(body)
    return 0


def test(arguments: list[str]) -> int:
    """Answer ``test [!] -e|-f|-d|-s|-r|-w|-x|-L PATH``, ``test A = B``, ``test -n|-z TEXT``."""
    words = [one for one in arguments if one != "]"]
    if words[:1] == ["!"]:
        code = test(words[1:])
        return code if code > 1 else 1 - code
    checks: dict[str, Callable[[str], bool]] = {
        "-e": posixpath.exists,
        "-f": posixpath.isfile,
        "-d": posixpath.isdir,
        "-L": posixpath.islink,
        "-s": lambda path: posixpath.exists(path) and posixpath.getsize(path) > 0,
        "-r": lambda path: os.access(path, os.R_OK),
        "-w": lambda path: os.access(path, os.W_OK),
        "-x": lambda path: os.access(path, os.X_OK),
        "-n": bool,
        "-z": lambda text: not text,
    }
    if len(words) == 2 and words[0] in checks:  # noqa: PLR2004 - operator and operand
        return int(not checks[words[0]](words[1]))
    if len(words) == 3 and words[1] in {"=", "!="}:  # noqa: PLR2004 - operand, operator, operand
        return int((words[0] == words[2]) != (words[1] == "="))
    sys.stderr.write(f"test: the sandbox does not know: {' '.join(arguments)}\n")
    return 2


def sleep(arguments: list[str]) -> int:
    """Sleep for seconds, or for ever with ``infinity``."""
    while arguments == ["infinity"]:
        time.sleep(3600)
    time.sleep(sum(float(one.removesuffix("s")) for one in arguments))
    return 0


def cat(arguments: list[str]) -> int:
    """Print files."""
    code = 0
    for name in arguments:
        try:
            with open(name, "rb") as file:  # noqa: PTH123 - mapped
                sys.stdout.buffer.write(file.read())
        except OSError as error:
            sys.stderr.write(f"cat: {name}: {error.strerror}\n")
            code = 1
    return code


def echo(arguments: list[str]) -> int:
    """Print words."""
    sys.stdout.write(" ".join(arguments) + "\n")
    return 0


PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "sh": shell,
    "curl": curl,
    "test": test,
    "[": test,
    "sleep": sleep,
    "cat": cat,
    "echo": echo,
    "true": lambda _: 0,
    "false": lambda _: 1,
}
