"""The templates that services offer, and their sources in the services' folders."""

from functools import cache
from pathlib import Path

from api.engagement.email.contract import LetterTemplate
from cluster.base.registry import offers_by_service
from cluster.base.services import table
from cluster.base.settings import REPOSITORY


@cache
def templates() -> dict[str, LetterTemplate]:
    """Return every template that is offered, by name.

    Raises:
        ValueError: its name does not begin with its service, or two have it.
    """
    found: dict[str, LetterTemplate] = {}
    for service, offer in offers_by_service(LetterTemplate):
        if not offer.name.startswith(f"{service}.") or offer.name in found:
            raise ValueError(f"{offer.name} of {service}: a template is called <service>.<letter>, each name once")
        found[offer.name] = offer
    return found


@cache
def sources(name: str) -> dict[str, str]:
    """Return the sources of an offered template by locale."""
    service, _, letter = name.partition(".")
    folder: Path = REPOSITORY / table()[service].package.replace(".", "/") / "letters"
    return {path.name.split(".")[-2]: path.read_text() for path in sorted(folder.glob(f"{letter}.*.mjml"))}
