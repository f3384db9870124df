"""Let services hear requests about personal data: what a process does once its handlers and jobs are loaded."""

from collections.abc import Iterable

from cluster.people.erasure import register_erasures
from cluster.people.export import register_exports


def register(services: Iterable[str]) -> None:
    """Give each of these services with a `privacy.py` its part in erasures and exports; repeating it changes nothing."""
    names = tuple(services)
    register_erasures(names)
    register_exports(names)
