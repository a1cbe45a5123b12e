"""Give every guest its own addresses: what it binds to all or local addresses lands on its loopback address.

Changes only this process: methods of ``socket.socket``. Nothing outside 127.0.0.0/8 can be reached.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

LOCAL = ("", "0.0.0.0", "127.0.0.1", "localhost", "<any>")
METADATA = ("169.254.169.254", 80)


class Network:
    """The addresses of one guest.

    Args:
        api: Address and port of the sandbox's server, for instance metadata.
        files: The path mapping, whose view has ``address``, ``ports`` (container port to [address, port]) and
            ``hostname``; sockets in the file system need it too.
    """

    def __init__(self, api: tuple[str, int], files: Any) -> None:
        self._api = api
        self._files = files

    @property
    def _data(self) -> dict[str, Any]:
        return self._files.view.data  # type: ignore[no-any-return]

    def install(self, module: ModuleType) -> None:
        """Replace the methods of ``socket.socket`` that take an address."""
        kind = module.socket
        kind.bind = self._wrapped(kind.bind, self._bound)
        kind.connect = self._connect(kind.connect, kind.bind)
        kind.connect_ex = self._wrapped(kind.connect_ex, self._reached)
        module.gethostname = lambda: self._data["hostname"]  # type: ignore[attr-defined]

    def _wrapped(self, original: Callable[..., Any], translate: Callable[[Any], Any]) -> Callable[..., Any]:
        def method(this: Any, address: Any) -> Any:
            return original(this, translate(address))

        return method

    def _connect(self, original: Callable[..., Any], bind: Callable[..., Any]) -> Callable[..., Any]:
        def connect(this: Any, address: Any) -> None:
            if isinstance(address, tuple) and tuple(address[:2]) == METADATA:
                # The server knows the caller by its address.
                bind(this, (self._data["host_address"], 0))
                original(this, self._api)
                return
            original(this, self._reached(address))

        return connect

    def _bound(self, address: Any) -> Any:
        if not isinstance(address, tuple):
            return self._files.real(address)
        return self._here(int(address[1])) if address[0] in LOCAL else tuple(address)

    def _reached(self, address: Any) -> Any:
        if not isinstance(address, tuple):
            return self._files.real(address)
        host, port = str(address[0]), int(address[1])
        if host in LOCAL or host == self._data["hostname"]:
            return self._here(port)
        if ":" in host:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        if not host.startswith("127."):
            raise OSError(errno.ENETUNREACH, "Network is unreachable: the sandbox reaches only loopback addresses")
        return tuple(address)

    def _here(self, port: int) -> tuple[str, int]:
        address, mapped = self._data["ports"].get(str(port), (self._data["address"], port))
        return str(address), int(mapped)
