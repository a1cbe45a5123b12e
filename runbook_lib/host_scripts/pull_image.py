"""Pull an image, so that no pull happens inside the outage.

Changes: docker's image store; with `login`, docker's credentials of that ECR registry (they expire in 12 hours).
"""

from __future__ import annotations

import time

from inspect_image import main as inspect_image
from prelude import Refused, run


def main(arguments: dict) -> dict:
    """Pull the image and return its identity; an image that docker has already is pulled again only by tag."""
    image, started = arguments["image"], time.monotonic()
    before = inspect_image({"image": image})
    pulled = not (before["present"] and "@sha256:" in image)
    if pulled:
        if arguments.get("login"):
            log_in(image.split("/")[0], arguments["login"])
        run(["docker", "pull", image], timeout_s=float(arguments.get("timeout_s") or 900))
    after = inspect_image({"image": image})
    if not after["present"]:
        raise Refused("no-image", "docker pull ended well but %s is not there" % image, image=image)
    facts = {key: after[key] for key in ("image_id", "repo_digests", "architecture", "size_bytes")}
    return dict(facts, image=image, pulled=pulled, duration_s=round(time.monotonic() - started, 3))


def log_in(registry: str, region: str) -> None:
    """Log docker in to an ECR registry with the host's role; the password goes through standard input only."""
    password = run(["aws", "ecr", "get-login-password", "--region", region])[1]
    run(["docker", "login", "--username", "AWS", "--password-stdin", registry], text=password)
