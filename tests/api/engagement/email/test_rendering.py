"""Templates: MJML and Liquid become subject, HTML and text, and end."""

import pytest

from api.engagement.email.contract import LetterTemplate, TemplateRefused
from api.engagement.email.template.rendering import compile_source
from api.engagement.email.template.sources import sources
from api.engagement.email.template.texts import render
from cluster.base.registry import offers
from cluster.people.wording import fallbacks


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            "<mj-title>x</mj-title><mj-text>"
            + "{% for a in (1..100000) %}" * 2
            + "x"
            + "{% endfor %}" * 2
            + "</mj-text>",
            "Limit",
        ),
        ("<mj-title>x</mj-title><mj-text>{{ unknown }}</mj-text>", "unknown"),
        ("<mj-title>x</mj-title><mj-text>{% if %}</mj-text>", "Error"),
        ("<mj-title>x</mj-title><mj-text>open", "it is not MJML"),
        ("<mj-text>x</mj-text>", "it has no <mj-title>"),
        ("<mj-title>{{ name }}</mj-title><mj-text>x</mj-text>", "line break"),
        ("<mj-title></mj-title><mj-text>x</mj-text>", "1 to 200 characters"),
        ('<mj-title>x</mj-title><mj-include path="/etc/passwd" />', "includes another file"),
        ("<mj-title>x</mj-title><mj-text>" + "<div>" * 100_000 + "</mj-text>", "at most 100,000 bytes"),
        ("<mj-title>x</mj-title><mj-text>" + "<b>" * 10_000 + "</mj-text>", "nested more than"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_by_name(source: str, why: str) -> None:
    with pytest.raises(TemplateRefused, match=why):
        compile_source(source).render({"name": "a\nb"}, sender="us", unsubscribe=None, locale="en")


def test_every_offered_template_renders_in_each_of_its_locales() -> None:
    for offer in offers(LetterTemplate):
        name = offer.name
        found = sources(name)
        assert "en" in found, name
        for locale in found:
            rendered = render(name, locale, {field: f"<{field}>" for field in offer.fields})
            assert all(f"<{field}>" in rendered.subject + rendered.text for field in offer.fields), (name, locale)


def test_a_locale_falls_back_to_its_language_and_then_to_english() -> None:
    assert fallbacks("de-AT") == ["de-AT", "de", "en"]
    assert render("auth.reset", "de-AT", {"url": "x"}).subject == "Wählen Sie ein neues Passwort"
    assert render("auth.reset", "tlh", {"url": "x"}).subject == "Choose a new password"
