"""Flags in flagd's language, so that a stock in-process provider decides as we do.

Source: flagd, "Flag definitions" and "Custom operations"; JsonLogic. Conditions first make sure of the type that they ask for,
because JsonLogic compares after conversion and we do not.
"""

from collections.abc import Mapping
from typing import Any

from cluster.people.flags import CompiledFlag
from cluster.people.flags.compiled import TARGETING_KEY, WHOLE, seeds_of

Logic = Any


def flag_of(flag: CompiledFlag, others: Mapping[str, CompiledFlag]) -> dict[str, Any]:
    """Return a flag as flagd reads it."""
    killed = flag.row.state == "killed"
    shown: dict[str, Any] = {
        "state": "ENABLED",
        "variants": flag.variants,
        "defaultVariant": flag.off if killed else flag.default,
        "metadata": {"state": flag.row.state},
    }
    if flag.fixed is None:
        shown["targeting"] = _targeting(flag, others, None)
    return shown


def _targeting(flag: CompiledFlag, others: Mapping[str, CompiledFlag], otherwise: Logic) -> Logic:
    """Return the expression of the variant; `otherwise`: what holds where no rule decides."""
    parts: list[Logic] = []
    for key, wanted in flag.prerequisites:
        other = others.get(key)
        decided = None if other is None else _variant(other, others)
        parts += [{"!": [{"in": [decided, sorted(wanted)]}]}, flag.off]
    rules: list[dict[str, Any]] = flag.row.definition.get("rules", [])
    for rule in rules:
        parts += [_applies(flag.row.key, rule), _serve(flag.row.key, rule)]
    return {"if": [*parts, otherwise]}


def _variant(flag: CompiledFlag, others: Mapping[str, CompiledFlag]) -> Logic:
    if flag.fixed is not None:
        return flag.fixed.variant
    return _targeting(flag, others, flag.default)


def _applies(key: str, rule: Mapping[str, Any]) -> Logic:
    by = rule.get("by") or TARGETING_KEY
    tests: list[Logic] = []
    if rule.get("when") is not None:
        tests.append(_condition(rule["when"]))
    steps: list[dict[str, Any]] = rule.get("steps") or []
    slot: list[int] | None = rule.get("slot")
    if steps or slot is not None or len(rule["serve"]) > 1:
        tests.append(_is_text({"var": [by]}))
    seed, _ = seeds_of(key, rule)
    if slot is not None:
        tests.append(_within(seed, by, slot[0], slot[1]))
    elif steps:
        cases: list[Logic] = []
        for step in reversed(steps):
            cases += [{">=": [{"var": ["$flagd.timestamp"]}, step["at"]]}, _within(seed, by, 0, step["share"])]
        tests.append({"if": [*cases, False]})
    return {"and": tests} if tests else True


def _within(seed: str, by: str, first: int, last: int) -> Logic:
    weights = [["out", first], ["in", last - first], ["out", WHOLE - last]]
    return {"===": [{"fractional": [_hashed(seed, by), *weights]}, "in"]}


def _serve(key: str, rule: Mapping[str, Any]) -> Logic:
    serve: list[dict[str, Any]] = rule["serve"]
    if len(serve) == 1:
        return serve[0]["variant"]
    _, seed = seeds_of(key, rule)
    by = rule.get("by") or TARGETING_KEY
    return {"fractional": [_hashed(seed, by), *([each["variant"], each["weight"]] for each in serve)]}


def _hashed(seed: str, by: str) -> Logic:
    return {"cat": [f"{seed}:", {"var": [by]}]}


def _condition(condition: Mapping[str, Any]) -> Logic:
    if "all" in condition:
        return {"and": [_condition(each) for each in condition["all"]]}
    if "any" in condition:
        return {"or": [_condition(each) for each in condition["any"]]}
    if "not" in condition:
        return {"!": [_condition(condition["not"])]}
    found: Logic = {"var": [condition["attribute"]]}
    values: list[Any] = condition["values"]
    match condition["operator"]:
        case "in":
            return {"or": [_text_in(found, values), {"some": [found, {"in": [{"var": [""]}, values]}]}]}
        case "starts_with" | "ends_with" as operator:
            return {"or": [{operator: [found, value]} for value in values]}
        case "is":
            # The word without its first letter tells true from 1, which some implementations take for equal.
            return {"and": [{"===": [found, values[0]]}, {"in": [str(values[0]).lower()[1:], {"cat": [found]}]}]}
        case "at_least":
            return {"and": [_is_number(found), {">=": [found, values[0]]}]}
        case _:
            return {"and": [_is_number(found), {"<": [found, values[0]]}]}


def _text_in(found: Logic, values: list[str]) -> Logic:
    return {"and": [_is_text(found), {"in": [found, values]}]}


def _is_text(found: Logic) -> Logic:
    """flagd's `starts_with` is null for whatever is no text."""
    return {"starts_with": [found, ""]}


def _is_number(found: Logic) -> Logic:
    words = ["True", "true", "False", "false"]
    return {"and": [{"===": [found, {"+": [found]}]}, {"!": [{"in": [{"cat": [found]}, words]}]}]}
