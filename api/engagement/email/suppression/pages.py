"""The page of an unsubscribe link, as a person sees it."""

import html
from typing import Literal

from starlette.responses import HTMLResponse

Kind = Literal["ask", "done", "unknown"]

_WORDS: dict[str, dict[Kind, tuple[str, str]]] = {
    "en": {
        "ask": ("No more letters of this kind?", "Other letters, such as those about your account, still come."),
        "done": ("You get no more letters of this kind.", "Turn them on again in your profile, under notifications."),
        "unknown": (
            "This link does not work.",
            "Check that it is whole. Links work for 90 days; later, use your profile.",
        ),
    },
    "de": {
        "ask": ("Keine Briefe dieser Art mehr?", "Andere Briefe, etwa zu Ihrem Konto, kommen weiterhin."),
        "done": ("Sie bekommen keine Briefe dieser Art mehr.", "In Ihrem Profil schalten Sie sie wieder ein."),
        "unknown": (
            "Dieser Link gilt nicht.",
            "Prüfen Sie, ob er vollständig ist. Nach 90 Tagen hilft nur noch Ihr Profil.",
        ),
    },
}
_BUTTON = {"en": "Unsubscribe", "de": "Abbestellen"}
_PAGE = """<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<style>body{{font:18px/1.5 system-ui,sans-serif;max-width:32em;margin:3em auto;padding:0 1em}}</style>
<h1>{title}</h1><p>{text}</p>{form}</html>"""
_FORM = """<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click"><button>{button}</button></form>"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


def page(kind: Kind, locale: str | None) -> HTMLResponse:
    """Return the page in the language of the letter; `ask` has a button that posts to the same address."""
    language = (locale or "").partition("-")[0].lower()
    language = language if language in _WORDS else "en"
    title, text = _WORDS[language][kind]
    content = _PAGE.format(
        language=language,
        title=html.escape(title),
        text=html.escape(text),
        form=_FORM.format(button=_BUTTON[language]) if kind == "ask" else "",
    )
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(content, 404 if kind == "unknown" else 200, headers)
