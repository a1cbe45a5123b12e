# ruff: noqa: INP001 - a file of a container image, alone in its folder
"""Ask the guestbook in this container whether it can read its database; exit 0 or 1."""

import os
import sys
from http.client import HTTPConnection

connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8080")), timeout=2)
try:
    connection.request("GET", "/health")
    answer = connection.getresponse()
    answer.read()
    sys.exit(0 if answer.status == 200 else 1)  # noqa: PLR2004 - HTTP OK
except OSError as error:
    sys.exit(f"the guestbook does not answer: {error}")
finally:
    connection.close()
