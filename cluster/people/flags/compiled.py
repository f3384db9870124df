"""Deciding by rules that are compiled to closures: no statement, no await, microseconds.

The context is a flat JSON object: `targetingKey` names who asks, further attributes are what is known of them. What a rule asks
for and the context lacks, or has with another type, does not match. Every rule can be said in flagd's language (JsonLogic and
`fractional`) with the same decision.
Source: flagd, "Fractional operation": MurmurHash3 x86-32 of the canonical CBOR of the key, times the sum of weights, >> 32.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple, TypeGuard

from mmh3 import mmh3_32_uintdigest

from cluster.people.flags.offer import FlagRow

Context = Mapping[str, Any]
Test = Callable[[Context], bool]
WHOLE = 100_000
"""All of a percentage: shares are counted in thousandths of a percent."""
TARGETING_KEY = "targetingKey"
MOST_PREREQUISITES = 3
MOST_DEPTH = 5
"""Of conditions in conditions, and of prerequisites of prerequisites."""


class Outcome(NamedTuple):
    """What a flag decides: the variant, OpenFeature's reason, and the rule that decided, by its place among the rules."""

    variant: str
    reason: str
    rule: int | None = None
    experiment: "Experimental | None" = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experimental:
    """The experiment to which a rule belongs."""

    id: str
    unit: str
    """The attribute with the unit's id."""


class CompiledFlag:
    """A flag of which this process decides."""

    __slots__ = ("default", "fixed", "off", "prerequisites", "row", "rules", "used", "variants")

    def __init__(self, row: FlagRow) -> None:
        """Compile the definition.

        Raises:
            ValueError, KeyError, TypeError: this release does not understand it.
        """
        definition = row.definition
        self.row = row
        self.variants: dict[str, Any] = definition["variants"]
        self.default: str = definition["default_variant"]
        self.off: str = definition["off_variant"]
        self.prerequisites: list[tuple[str, frozenset[str]]] = [
            (each["flag"], frozenset(each["variants"])) for each in definition.get("prerequisites", ())
        ]
        rules: list[dict[str, Any]] = definition.get("rules", [])
        self.rules = [CompiledRule(row.key, index, rule) for index, rule in enumerate(rules)]
        named = {self.default, self.off}.union(*(rule.variants for rule in self.rules))
        if not named <= self.variants.keys():
            raise ValueError(f"no such variant: {', '.join(sorted(named - self.variants.keys()))}")
        self.used = False
        self.fixed: Outcome | None = None
        """What it decides for everybody."""
        if row.state == "killed":
            self.fixed = Outcome(self.off, "DISABLED")
        elif not self.rules and not self.prerequisites:
            self.fixed = Outcome(self.default, "STATIC")

    def decide(self, context: Context, now_s: float, others: "Mapping[str, CompiledFlag]", depth: int = 0) -> Outcome:
        """Return the variant for a context. `others` are the flags of the same owner, for prerequisites."""
        if self.fixed is not None:
            return self.fixed
        for key, wanted in self.prerequisites:
            other = others.get(key)
            if (
                other is None
                or depth > MOST_DEPTH
                or other.decide(context, now_s, others, depth + 1).variant not in wanted
            ):
                return Outcome(self.off, "TARGETING_MATCH")
        for rule in self.rules:
            outcome = rule.decide(context, now_s)
            if outcome is not None:
                return outcome
        return Outcome(self.default, "DEFAULT")


class CompiledRule:
    """Whoever matches, and lies in the share of it, gets a variant."""

    __slots__ = (
        "_by",
        "_experiment",
        "_index",
        "_only",
        "_serve_seed",
        "_share_seed",
        "_slot",
        "_steps",
        "_test",
        "_weights",
    )

    def __init__(self, key: str, index: int, rule: Mapping[str, Any]) -> None:
        when = rule.get("when")
        self._index = index
        self._test: Test | None = None if when is None else compile_condition(when)
        self._by: str = rule.get("by") or TARGETING_KEY
        share_seed, serve_seed = seeds_of(key, rule)
        self._share_seed = f"{share_seed}:".encode()
        self._serve_seed = f"{serve_seed}:".encode()
        self._steps: list[tuple[float, int]] = [(step["at"], step["share"]) for step in reversed(rule.get("steps", ()))]
        """Latest first."""
        slot: list[int] | None = rule.get("slot")
        self._slot = None if slot is None else (slot[0], slot[1])
        serve: list[dict[str, Any]] = rule["serve"]
        self._only: str | None = serve[0]["variant"] if len(serve) == 1 else None
        bounds = accumulate(each["weight"] for each in serve)
        self._weights: list[tuple[int, str]] = [
            (bound, each["variant"]) for bound, each in zip(bounds, serve, strict=True)
        ]
        experiment = rule.get("experiment_id")
        self._experiment = None if experiment is None else Experimental(id=experiment, unit=self._by)

    @property
    def variants(self) -> set[str]:
        return {variant for _, variant in self._weights}

    def decide(self, context: Context, now_s: float) -> Outcome | None:
        """Return what it decides; None: it is not for this context."""
        if self._test is not None and not self._test(context):
            return None
        if self._only is not None and not self._steps and self._slot is None:
            return Outcome(self._only, "TARGETING_MATCH", self._index, self._experiment)
        unit = context.get(self._by)
        if type(unit) is not str:
            return None
        key = unit.encode()
        if self._steps or self._slot is not None:
            first, last = self._slot or (0, self._share(now_s))
            if last < WHOLE or first > 0:
                place = bucket(self._share_seed + key, WHOLE)
                if not first <= place < last:
                    return None
        if self._only is not None:
            return Outcome(self._only, "SPLIT", self._index, self._experiment, unit)
        place = bucket(self._serve_seed + key, self._weights[-1][0])
        for bound, variant in self._weights:
            if place < bound:
                return Outcome(variant, "SPLIT", self._index, self._experiment, unit)
        return None

    def explain(self, context: Context, now_s: float) -> str:
        """Return in words why it decides or does not."""
        if self._test is not None and not self._test(context):
            return "its condition does not hold"
        unit = context.get(self._by)
        needs_unit = self._only is None or self._steps or self._slot is not None
        if needs_unit and type(unit) is not str:
            return f"the context has no text {self._by}, by which people are shared out"
        if needs_unit and (self._steps or self._slot is not None):
            first, last = self._slot or (0, self._share(now_s))
            place = bucket(self._share_seed + str(unit).encode(), WHOLE)
            inside = "inside" if first <= place < last else "outside"
            return f"{self._by} stands at {place / 1000:.3f} %, {inside} of {first / 1000:g} to {last / 1000:g} %"
        return "it is for everybody who is meant"

    def _share(self, now_s: float) -> int:
        for at, share in self._steps:
            if now_s >= at:
                return share
        return 0


def seeds_of(key: str, rule: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is hashed before a unit's id, for the share of a rule and for its variants.

    They differ, so that a larger share takes people in and moves nobody from one variant to another.
    """
    seed = rule.get("seed") or key
    return rule.get("slot_seed") or f"{seed}:share", f"{seed}:serve"


def bucket(text: bytes, weights: int) -> int:
    """Return the place of a text among that many, always the same one."""
    return (mmh3_32_uintdigest(_cbor_head(len(text)) + text) * weights) >> 32


def _cbor_head(length: int) -> bytes:
    """Return the head of a text string of so many bytes (RFC 8949, section 3: major type 3)."""
    if length < 24:
        return bytes((0x60 | length,))
    if length < 0x100:
        return bytes((0x78, length))
    if length < 0x10000:
        return b"\x79" + length.to_bytes(2)
    return b"\x7a" + length.to_bytes(4)


def compile_condition(condition: Mapping[str, Any], depth: int = 0) -> Test:
    """Compile a condition to a function of the context.

    Raises:
        ValueError, KeyError, TypeError: this release does not understand it.
    """
    if depth > MOST_DEPTH:
        raise ValueError(f"conditions nest deeper than {MOST_DEPTH}")
    for name, combined in (("all", _all), ("any", _any)):
        if name in condition:
            return combined([compile_condition(each, depth + 1) for each in condition[name]])
    if "not" in condition:
        test = compile_condition(condition["not"], depth + 1)
        return lambda context: not test(context)
    return _OPERATORS[condition["operator"]](condition["attribute"], condition["values"])


def _all(tests: list[Test]) -> Test:
    def test(context: Context) -> bool:
        for each in tests:  # noqa: SIM110 (a generator would take twice as long)
            if not each(context):
                return False
        return True

    return test


def _any(tests: list[Test]) -> Test:
    def test(context: Context) -> bool:
        for each in tests:  # noqa: SIM110 (as above)
            if each(context):
                return True
        return False

    return test


def _in(name: str, values: list[str]) -> Test:
    wanted = frozenset(values)

    def test(context: Context) -> bool:
        found = context.get(name)
        if type(found) is str:
            return found in wanted
        if isinstance(found, list):
            for each in found:
                if type(each) is str and each in wanted:
                    return True
        return False

    return test


def _starts_with(name: str, values: list[str]) -> Test:
    starts = tuple(values)
    return lambda context: type(found := context.get(name)) is str and found.startswith(starts)


def _ends_with(name: str, values: list[str]) -> Test:
    ends = tuple(values)
    return lambda context: type(found := context.get(name)) is str and found.endswith(ends)


def _is(name: str, values: list[bool]) -> Test:
    (wanted,) = values
    return lambda context: context.get(name) is wanted


def _at_least(name: str, values: list[float]) -> Test:
    (bound,) = values
    return lambda context: _is_number(found := context.get(name)) and found >= bound


def _below(name: str, values: list[float]) -> Test:
    (bound,) = values
    return lambda context: _is_number(found := context.get(name)) and found < bound


def _is_number(found: object) -> TypeGuard[float]:
    return type(found) is int or type(found) is float


_OPERATORS: dict[str, Callable[[str, list[Any]], Test]] = {
    "in": _in,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "is": _is,
    "at_least": _at_least,
    "below": _below,
}
