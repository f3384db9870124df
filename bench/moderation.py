"""How long the screening of a text takes: as a call with its statement, and 1,000 patterns on the longest text alone."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median, quantiles

import asyncpg
import uvloop

from api.platform.moderation.contract import ClauseId, ModerationCalls, Place, RuleId
from api.platform.moderation.screening.matching import Matcher, Rule
from api.platform.moderation.screening.pieces import MAX_TEXT_BYTES
from bench.figures import Figure, hand_over, progress, quick
from bench.stack import own_host
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.settings import settings
from cluster.people.calls import client

_CALLS = 200 if quick() else 2_000
_TURNS = 3 if quick() else 15
_GOAL_CALL_MS = 20.0
_GOAL_PATTERNS_MS = 50.0
_CLAUSE = ClauseId(new_id())


def _vocabulary(seed: int) -> list[str]:
    source = random.Random(seed)
    return [
        "".join(source.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(source.randint(3, 9))) for _ in range(5_000)
    ]


def _patterns(words: list[str]) -> list[str]:
    """Make 1,000 patterns of the kinds that people write."""
    pairs = zip(words[:1_000], words[1_000:2_000], strict=True)
    kinds: list[Callable[[str, str], str]] = [
        lambda one, two: rf"\b{one}\s+(?:the\s+)?{two}[a-z]*\b",
        lambda one, two: rf"(?:{one}|{two})\d{{2,5}}",
        lambda one, two: rf"{one}.{{0,20}}{two}",
    ]
    return [kinds[number % 3](*pair) for number, pair in enumerate(pairs)]


def _text(words: list[str], seed: int, size_bytes: int) -> str:
    source = random.Random(seed)
    return " ".join(source.choice(words) for _ in range(size_bytes // 4))[:size_bytes]


def _rule(kind: str, entries: list[str]) -> Rule:
    return Rule(
        id=RuleId(new_id()),
        clause_id=_CLAUSE,
        clause="Bench",
        kind="patterns" if kind == "patterns" else "words",
        effect_kind="hold",
        entries=entries,
        places=[],
        least_strikes=0,
    )


def _longest_ms() -> tuple[float, float]:
    """Return how long 1,000 patterns take on a text of 64 KiB: the first time, and in the median of texts that follow."""
    words = _vocabulary(1)
    matcher = Matcher([_rule("patterns", _patterns(words))])
    # One word in 500 is one that patterns look for: people rarely write what rules are against.
    words = _vocabulary(3)[:4_990] + words[:10]
    taken: list[float] = []
    for turn in range(_TURNS + 1):
        text = _text(words, turn, MAX_TEXT_BYTES)
        begun = time.perf_counter()
        matcher.find({"/text": text}, kind="course", language="en", strikes=0)
        taken.append((time.perf_counter() - begun) * 1000)
    return taken[0], median(taken[1:])


async def run() -> list[Figure]:
    first_ms, patterns_ms = _longest_ms()
    progress(f"1,000 patterns on 64 KiB: {patterns_ms:.1f} ms, the first text {first_ms:.0f} ms")
    async with own_host("moderation"):
        call_ms = await _call_ms()
    return [
        Figure(name="screening a text of 2 KiB, p95", value=call_ms, unit="ms", goal=_GOAL_CALL_MS, better="less"),
        Figure(name="1,000 patterns on 64 KiB", value=patterns_ms, unit="ms", goal=_GOAL_PATTERNS_MS, better="less"),
        Figure(name="1,000 patterns on the first 64 KiB", value=first_ms, unit="ms"),
    ]


async def _call_ms() -> float:
    """Return the 95th percentile of calls by rules of 5,000 words and 200 patterns."""
    org_id, author = OrgId(new_id()), UserId(new_id())
    words = _vocabulary(2)
    raw = await asyncpg.connect(settings().postgres_url)
    try:
        clause_id = await raw.fetchval("SELECT id FROM moderation.clauses LIMIT 1")
        for kind, entries in (("words", [f"{each}x" for each in words]), ("patterns", _patterns(words)[:200])):
            await raw.execute(
                """INSERT INTO moderation.rules (id, org_id, clause_id, kind, effect_kind, label, entries, state, created_at,
                    updated_at) VALUES ($1, $2, $3, $4, 'hold', 'bench', $5, 'active', $6, $6)""",
                *(new_id(), org_id, clause_id, kind, entries, datetime.now(UTC)),
            )
    finally:
        await raw.close()
    place = Place(kind="course", org_id=org_id, language="en")
    taken: list[float] = []
    for turn in range(_CALLS):
        text = _text(words, turn, 2_048)
        begun = time.perf_counter()
        await client(ModerationCalls).screen({"/summary": text}, author, place)
        taken.append((time.perf_counter() - begun) * 1000)
    p95 = quantiles(taken, n=20)[-1]
    progress(f"{_CALLS} calls: median {median(taken):.2f} ms, p95 {p95:.2f} ms")
    return p95


if __name__ == "__main__":
    hand_over(uvloop.run(run()))
