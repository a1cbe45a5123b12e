"""What mkdocs asks while it builds the site: the search of a page in a folder uses a script of ours, nobody else's."""

from __future__ import annotations

from typing import Any

from mkdocs.utils import get_relative_url

SHIM = "https://unpkg.com/iframe-worker/shim"  # what mkdocs-material's `offline` would have a reader fetch


def on_post_page(output: str, *, page: Any, config: Any) -> str:
    """Return a page that loads our script in the place of the fetched one.

    Args:
        output: The page's HTML.
        page: The page.
        config: Settings of the site.

    Returns:
        HTML.
    """
    del config
    return output.replace(SHIM, get_relative_url("assets/file-worker.js", page.url))


def on_post_template(output_content: str, *, template_name: str, config: Any) -> str:
    """Return a page without a source, such as 404.html, in the same way.

    Args:
        output_content: The HTML.
        template_name: Its file.
        config: Settings of the site.

    Returns:
        HTML.
    """
    del config
    return output_content.replace(SHIM, get_relative_url("assets/file-worker.js", template_name))
