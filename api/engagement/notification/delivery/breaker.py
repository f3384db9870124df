"""Breakers of hosts: a push service that does not answer is left alone for a while."""

from collections import OrderedDict

from cluster.base.breaker import Breaker

FAILURES = 5
"""In a row, until a host counts as away."""
_MOST_HOSTS = 10_000

_breakers: OrderedDict[str, Breaker] = OrderedDict()


def breaker_of(host: str) -> Breaker:
    """Return the breaker of a host; those that were asked for longest ago are forgotten when there are too many."""
    breaker = _breakers.get(host)
    if breaker is None:
        breaker = _breakers[host] = Breaker(FAILURES)
        if len(_breakers) > _MOST_HOSTS:
            _breakers.popitem(last=False)
    _breakers.move_to_end(host)
    return breaker
