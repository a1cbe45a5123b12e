"""A program beside which Terraform runs: its AWS provider, started, with only the schemas that are asked for.

Each Terraform process asks for the schemas of all of the provider's thousand resource types, and reading them takes
most of its CPU time. Between the two this hands every call on as it is, but for that one: it is asked once, and
answered with the named types. A type that is not named is unknown to Terraform, which says so.

    python lean_provider.py PROVIDER TYPE ...

It prints how Terraform reaches it, as the provider does, and both end with whoever started it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc

NAMES = "TF_REATTACH_PROVIDERS="
PDEATHSIG = 1
SCHEMAS = "/tfplugin5.Provider/GetSchema"
UNARY = "/tfplugin5.Provider/"
OF_RESOURCES, OF_DATA_SOURCES, OF_EPHEMERAL_RESOURCES = 2, 3, 8
"""Fields of the answer that are maps by type; source: tfplugin5.proto, GetProviderSchema.Response."""
BYTES, VARINT = 2, 0
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def main(program: str, types: list[str]) -> None:
    """Start the provider and stand before it until it ends."""
    provider = subprocess.Popen([program, "-debug"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                preexec_fn=die_with_parent)  # noqa: PLW1509  # fmt: skip
    assert provider.stdout is not None
    told = (line.partition(NAMES)[2].strip() for line in provider.stdout if NAMES in line)
    asyncio.run(stand_before(provider, json.loads(shlex.split(next(told))[0]), frozenset(types)))


async def stand_before(provider: subprocess.Popen[str], where: dict[str, Any], types: frozenset[str]) -> None:
    """Say where Terraform finds us instead, and hand its calls on."""
    ((name, reached),) = where.items()
    target = grpc.aio.insecure_channel(f"unix:{reached['Addr']['String']}", options=UNLIMITED)
    server = grpc.aio.server(options=UNLIMITED)
    server.add_generic_rpc_handlers((Between(target, types),))
    address = {"Network": "unix", "String": f"{reached['Addr']['String']}-lean"}
    server.add_insecure_port(f"unix:{address['String']}")
    await server.start()
    told = json.dumps({name: {**reached, "Pid": os.getpid(), "Addr": address}})
    print(NAMES + shlex.quote(told), flush=True)  # noqa: T201
    await asyncio.to_thread(provider.wait)


class Between(grpc.GenericRpcHandler):
    """Every call of Terraform, handed on to the provider.

    Args:
        target: The provider.
        types: The types whose schemas are answered with.
    """

    def __init__(self, target, types):
        self._target = target
        self._types = types
        self._schemas = b""
        self._asking = asyncio.Lock()

    def service(self, handler_call_details):
        """Return what handles a call."""
        method = handler_call_details.method
        if method == SCHEMAS:
            return grpc.unary_unary_rpc_method_handler(self._answer_schemas)
        if method.startswith(UNARY):
            handler = functools.partial(handed_on, self._target.unary_unary(method))
            return grpc.unary_unary_rpc_method_handler(handler)
        call = self._target.stream_stream(method)

        async def stream(requests, _context):
            async for answer in call(requests):
                yield answer

        return grpc.stream_stream_rpc_method_handler(stream)

    async def _answer_schemas(self, request, context):
        async with self._asking:
            if not self._schemas:
                answer = await handed_on(self._target.unary_unary(SCHEMAS), request, context)
                self._schemas = lean(answer, self._types)
        return self._schemas


async def handed_on(call, request, context):
    """Return the provider's answer, or fail as it failed."""
    try:
        return await call(request)
    except grpc.RpcError as error:
        await context.abort(error.code(), error.details())


def lean(answer: bytes, types: frozenset[str]) -> bytes:
    """Return the answer without the schemas of types that are not named."""
    kept = bytearray()
    for number, field, value in fields(answer):
        is_map = number in {OF_RESOURCES, OF_DATA_SOURCES, OF_EPHEMERAL_RESOURCES}
        if not is_map or next(text.decode() for key, _field, text in fields(value) if key == 1) in types:
            kept += field
    return bytes(kept)


def fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield each field of a protocol buffer: its number, all of it, and its value where that is bytes."""
    at = 0
    while at < len(message):
        begin = at
        tag, at = varint(message, at)
        length, at = varint(message, at)
        assert tag & 7 in {BYTES, VARINT}, tag
        end = at + length if tag & 7 == BYTES else at
        yield tag >> 3, message[begin:end], message[at:end]
        at = end


def varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and where it ends."""
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def die_with_parent() -> None:
    """Be killed when whoever started this is gone."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
