"""Every host command but Python: send the arguments to the sandbox and print its answer.

One connection, no heavy imports: a command takes about 15 ms. The answer carries exit code, output and errors.
"""

from __future__ import annotations

import _socket
import binascii
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNREACHABLE = 125


def main(arguments: list[str]) -> None:
    """Run one host command.

    Args:
        arguments: The command's name and its arguments.
    """
    view = os.environ["RUNBOOK_SANDBOX_VIEW"]
    instance_id = os.environ["RUNBOOK_SANDBOX_HOST"].rpartition("/")[2]
    stdin = sys.stdin.buffer.read() if wants_stdin(arguments) else b""
    head = [instance_id, view, os.getcwd(), str(len(arguments)), *arguments]  # noqa: PTH109 - start fast
    body = b"\0".join(os.fsencode(one) for one in head) + b"\0" + stdin
    try:
        answer = post(f"/_sandbox/hosts/{instance_id}/call", body)
    except OSError as error:
        sys.stderr.write(f"{arguments[0]}: the sandbox does not answer: {error}\n")
        sys.exit(UNREACHABLE)
    try:
        first, _, rest = binascii.a2b_base64(answer.partition(b'"answer"')[2].split(b'"')[1]).partition(b"\n")
        code, length = (int(one) for one in first.split())
    except (ValueError, IndexError):
        sys.stderr.write(f"{arguments[0]}: the sandbox answered: {answer[:400].decode(errors='replace')}\n")
        sys.exit(UNREACHABLE)
    write(1, rest[:length])
    write(2, rest[length:])
    os._exit(code)


def wants_stdin(arguments: list[str]) -> bool:
    """Return whether the command reads its standard input: ``docker exec -i`` and nothing else."""
    return arguments[:2] == ["docker", "exec"] and any(one in {"-i", "--interactive"} for one in arguments[2:4])


def post(path: str, body: bytes) -> bytes:
    """Send the call in base64, as JSON without the ``json`` module; return the body of the answer."""
    host, _, port = os.environ["RUNBOOK_SANDBOX_API"].partition(":")
    connection: Any = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    connection.connect((host, int(port)))
    body = b'{"call": "' + binascii.b2a_base64(body, newline=False) + b'"}'
    head = f"POST {path} HTTP/1.0\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    connection.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    chunks = []
    while chunk := connection.recv(1 << 16):
        chunks.append(chunk)
    connection.close()
    return b"".join(chunks).partition(b"\r\n\r\n")[2]


def write(descriptor: int, data: bytes) -> None:
    """Write everything, however often it takes."""
    while data:
        data = data[os.write(descriptor, data) :]
