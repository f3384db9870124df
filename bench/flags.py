"""How many decisions a process takes by flags in a second, against flagd's own core in Python, in turns.

Both decide the same flag for the same contexts: two conditions, and a share of people by `fractional`.
"""

import time
from collections.abc import Callable
from typing import Any

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from api.platform.feature_flag.evaluation import flagd
from bench.figures import Figure, hand_over, quick, typical
from cluster.base.ids import new_id
from cluster.people.flags import CompiledFlag, FlagRow

_GOAL = 20.0
_TURNS = 1 if quick() else 7
_CONTEXTS = 200 if quick() else 5_000


def _flag() -> CompiledFlag:
    def rule(attribute: str, operator: str, *values: Any, **more: Any) -> dict[str, Any]:
        condition = {"attribute": attribute, "operator": operator, "values": list(values)}
        return {"by": "targetingKey", "when": condition, "serve": [{"variant": "on", "weight": 1}], **more}

    definition = {
        "variants": {"on": True, "off": False},
        "default_variant": "off",
        "off_variant": "off",
        "rules": [
            rule("plan", "in", "team", "pro"),
            rule("locale", "starts_with", "de", "en", steps=[{"at": 0, "share": 40_000}]),
        ],
    }
    return CompiledFlag(
        FlagRow(id=new_id(), key="bench", org_id=None, state="live", public=True, definition=definition, seq=1)
    )


def run() -> list[Figure]:
    flag, core = _flag(), FlagdCore()
    core.set_flags({"flags": {"bench": flagd.flag_of(flag, {})}})
    contexts: list[dict[str, Any]] = [
        {"targetingKey": f"person-{n}", "plan": ("free", "pro", "free")[n % 3], "locale": ("de", "fr", "en-GB")[n % 3]}
        for n in range(_CONTEXTS)
    ]
    theirs = [
        EvaluationContext(each["targetingKey"], {key: each[key] for key in ("plan", "locale")}) for each in contexts
    ]

    def ours() -> list[bool]:
        now_s = time.time()
        return [flag.variants[flag.decide(context, now_s, {}).variant] for context in contexts]

    def peers() -> list[bool]:
        return [core.resolve_boolean_value("bench", False, context).value for context in theirs]

    if ours() != peers():
        raise RuntimeError("they decide otherwise")
    rates = [(_rate(ours), _rate(peers)) for _ in range(_TURNS)]
    own, peer = (typical(each) for each in zip(*rates, strict=True))
    return [Figure(name="decisions, against flagd's core", value=own, unit="1/s", peer=peer, goal=_GOAL)]


def _rate(decide: Callable[[], list[bool]]) -> float:
    begun = time.perf_counter()
    decide()
    return _CONTEXTS / (time.perf_counter() - begun)


if __name__ == "__main__":
    hand_over(run())
