"""In which languages there are documents: a word is asked for in the forms of these alone, because each costs."""

import time
from typing import Any

from api.analytics.search.engine.form import analyzer_of
from cluster.data.opensearch import opensearch

MOST = 6
"""Languages of which words are asked for in every form, those with the most documents."""
_KEPT_S, _EMPTY_KEPT_S = 60.0, 1.0
_kept: dict[str, tuple[float, tuple[str, ...]]] = {}


async def analyzers_in_use(indexes: str) -> tuple[str, ...]:
    """Return the analyzers of the commonest languages, at most a minute late: what is plain is found at once."""
    until, found = _kept.get(indexes, (0.0, ()))
    if time.monotonic() > until:
        body = {"size": 0, "aggs": {"languages": {"terms": {"field": "language", "size": 50}}}}
        answer: Any = await opensearch().search(
            index=indexes, body=body, params={"ignore_unavailable": "true", "request_timeout": 5}
        )
        buckets = answer.get("aggregations", {}).get("languages", {}).get("buckets", ())
        analyzers = (analyzer_of(bucket["key"]) for bucket in buckets)
        found = tuple(dict.fromkeys(each for each in analyzers if each is not None))[:MOST]
        # An index that is empty is being filled.
        _kept[indexes] = (time.monotonic() + (_KEPT_S if found else _EMPTY_KEPT_S), found)
    return found


def forget() -> None:
    """Look again before the next question."""
    _kept.clear()
