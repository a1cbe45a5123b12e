"""The live card of a run as HTML: in the colours of JupyterLab's theme, so in light and dark; pure."""

from __future__ import annotations

import re
from html import escape

from runbook_lib.report_card import LOOKING, Card
from runbook_lib.report_words import seconds

_SIGNS = {"running": "▶", LOOKING: "▶", "succeeded": "✓", "skipped": "✓", "planned": "○", "failed": "✗"}
_COLOURS = {"failed": "var(--jp-error-color1, #c62828)", "succeeded": "var(--jp-success-color1, #2e7d32)"}
_ACCENT = "var(--jp-brand-color1, #1976d2)"
_DOWN = "var(--jp-error-color1, #c62828)"
_TEXT = "color: var(--jp-ui-font-color1, inherit)"


def render_card(card: Card, *, kept: bool = False) -> str:
    """Return the card as it is now.

    Args:
        card: What it says.
        kept: Whether it stays in a notebook, where "now" would be read later.

    Returns:
        One `div`; every value is escaped, and it needs neither script nor style sheet.
    """
    colour = _DOWN if card.is_down else _COLOURS.get(card.status, _ACCENT)
    parts = (
        _head(card),
        _outage(card, kept=kept),
        _progress(card),
        _waiting(card),
        _error(card),
        _steps(card),
        _evidence(card),
    )
    style = f"border-left: 4px solid {colour}; padding: 0.2rem 0.8rem; line-height: 1.45; {_TEXT}; max-width: 60rem"
    return f'<div class="runbook-card" style="{style}">{"".join(parts)}</div>'


def _head(card: Card) -> str:
    mode = "" if card.execute else " · plans only; nothing will change"
    run = f'<div style="opacity: 0.8">run <code>{escape(card.run_id)}</code> · {escape(card.run_status)}{mode}</div>'
    if not card.step_id:
        return f"{run}<div>No step was called yet.</div>"
    sign = _SIGNS.get(card.status, "")
    said = f"{sign} <b>{escape(card.status)}</b> · {escape(card.title)} <code>{escape(card.step_id)}</code>"
    return f'{run}<div role="status">{said}</div>'


def _outage(card: Card, *, kept: bool) -> str:
    if card.down_s is None:
        return ""
    allowed = f" of {seconds(card.budget_s)} allowed" if card.budget_s is not None else ""
    over = card.budget_s is not None and card.down_s > card.budget_s
    if not card.is_down:
        return f"<div>The service was down for {seconds(card.down_s)}{allowed}.</div>"
    if kept:
        return (
            f'<div style="color: {_DOWN}">The service had been down for {seconds(card.down_s)} by then{allowed}.</div>'
        )
    text = f"<b>THE SERVICE IS DOWN for {seconds(card.down_s)}</b>{allowed}{': the budget is used up' if over else ''}"
    bar = _bar("outage", card.down_s, card.budget_s) if card.budget_s else ""
    return f'<div style="color: {_DOWN}" data-down-s="{card.down_s:.1f}">{text}</div>{bar}'


def _progress(card: Card) -> str:
    if not card.step_id:
        return ""
    if not card.runs:
        usual = f"; usually {seconds(card.expected_s)} ({card.expected_from})" if card.expected_s else ""
        return f"<div>Took {seconds(card.elapsed_s)}{usual}.</div>"
    if card.expected_s is None:
        return f"<div>{seconds(card.elapsed_s)} so far; no figure yet of how long it takes.</div>"
    usual = f"of about {seconds(card.expected_s)} ({card.expected_from})"
    return f"<div>{seconds(card.elapsed_s)} {usual}</div>{_bar('progress', card.elapsed_s, card.expected_s)}"


def _bar(label: str, value: float, limit: float) -> str:
    share = 100 * min(1.0, value / limit)
    style = "width: 100%; max-width: 30rem"
    return f'<progress aria-label="{label}" max="100" value="{share:.0f}" style="{style}"></progress>'


def _waiting(card: Card) -> str:
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(card.waiting))
    return f"<div><b>Waits for</b> {shown}</div>" if shown else ""


def _error(card: Card) -> str:
    if not card.error:
        return ""
    return f'<pre style="white-space: pre-wrap; overflow-wrap: anywhere; {_TEXT}">{escape(card.error)}</pre>'


def _steps(card: Card) -> str:
    """Return the steps of the notebook so far in one line, each with its state."""
    if len(card.steps) < 2:  # noqa: PLR2004 - the one step stands above
        return ""
    one_line = "white-space: nowrap"
    shown = " ".join(
        f'<span title="{escape(status)}" style="{one_line}">{_SIGNS.get(status, "·")}&nbsp;{escape(step_id)}</span>'
        for step_id, status in card.steps
    )
    return f'<div style="opacity: 0.8; font-size: 0.9em">{escape(card.notebook)}: {shown}</div>'


def _evidence(card: Card) -> str:
    if not card.evidence or card.runs:
        return ""
    rows = ", ".join(
        f"<code>{escape(path)}</code> <span style='opacity: 0.7'>SHA-256 {escape(digest[:12])}…</span>"
        for path, digest in dict(card.evidence).items()
    )
    return f"<div>Evidence: {rows}</div>"
