"""What moto works out anew for every request although it never changes is worked out once: a third of a call's time.

Changes no answer. Source: moto.core.responses and moto.moto_server.werkzeug_app of moto 5.2.
"""

from __future__ import annotations

from functools import lru_cache

from moto.core import responses
from moto.core.utils import method_names_from_class
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

HOST_NAMES = 1000


def apply() -> None:
    """Remember the operations of each response class, and which service answers for a host name.

    To be called last: an operation that is put on a class after its first request would not be found.

    Changes:
        One function and one method of moto.
    """
    responses.method_names_from_class = lru_cache(None)(method_names_from_class)
    # It lists moto's own folder, to learn which services there are, twice for each request.
    find = lru_cache(HOST_NAMES)(DomainDispatcherApplication.get_backend_for_host)
    DomainDispatcherApplication.get_backend_for_host = find
