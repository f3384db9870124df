"""Use cases of evaluation: what flags decide for a context that a client sends."""

import hashlib
from dataclasses import dataclass
from time import time
from typing import Any, cast
from uuid import UUID

import orjson

from api.platform.feature_flag.contract import EvaluationFlagNotFound, EvaluationInvalid, FlagNotFound
from api.platform.feature_flag.evaluation import flagd
from api.platform.feature_flag.flag import logic as flag_logic
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.base.problems import Problem, Unavailable
from cluster.people import flags
from cluster.people.access import lacking, permit, within
from cluster.people.flags import CompiledFlag, Context, Keeper

MOST_CONTEXT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What a bulk evaluation answers, and the tag of rules and context."""

    flags: list[dict[str, Any]]
    etag: str


def context_from(sent: Any) -> dict[str, Any]:
    """Return the context of an OFREP request.

    Raises:
        EvaluationInvalid
    """
    if not isinstance(sent, dict) or not isinstance(cast("dict[str, Any]", sent).get("context", {}), dict):
        raise invalid('send {"context": {...}}', "INVALID_CONTEXT")
    context = cast("dict[str, Any]", sent.get("context", {}))
    if len(orjson.dumps(context)) > MOST_CONTEXT_BYTES:
        raise invalid(f"keep the context below {MOST_CONTEXT_BYTES // 1024} KiB", "INVALID_CONTEXT")
    key = context.get("targetingKey")
    if key is not None and not isinstance(key, str):
        raise invalid("targetingKey is a text", "INVALID_CONTEXT")
    return context


def invalid(details: str, code: str, key: str | None = None) -> EvaluationInvalid:
    """Return OFREP's 400."""
    return EvaluationInvalid(details, key=key, errorCode=code, errorDetails=details)


async def evaluate(caller: Principal, key: str, context: Context) -> dict[str, Any]:
    """Evaluate one flag.

    Raises:
        EvaluationFlagNotFound, EvaluationInvalid, Unavailable
    """
    keeper = _keeper()
    org_id = _organization(context, key) if "." not in key else None
    flag = keeper.of(org_id).get(key)
    if flag is None or not await _may_ask(caller, flag, {}):
        details = "there is no such flag, or it is not for you"
        raise EvaluationFlagNotFound(details, key=key, errorCode="FLAG_NOT_FOUND", errorDetails=details)
    return await _evaluation(caller, keeper, flag, _known(caller, context), {})


async def evaluate_all(caller: Principal, context: Context) -> Evaluated:
    """Evaluate the flags that the caller may ask for: the platform's and, with an organization in the context, its own.

    Raises:
        EvaluationInvalid, Unavailable
    """
    keeper = _keeper()
    org_id = _organization(context, None) if context.get("organization_id") is not None else None
    found = list(keeper.platform.values())
    if org_id is not None:
        found += keeper.of(org_id).values()
    seen: dict[OrgId | None, bool] = {}
    context = _known(caller, context)
    staff: dict[OrgId | None, bool] = {}
    answers = [
        await _evaluation(caller, keeper, flag, context, staff) for flag in found if await _may_ask(caller, flag, seen)
    ]
    answers.sort(key=lambda each: each["key"])
    digest = hashlib.sha256(orjson.dumps([answers, context], option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    return Evaluated(flags=answers, etag=f'"{digest}"')


async def definitions(caller: Principal, org_id: OrgId | None) -> dict[str, Any]:
    """Return flags in flagd's language: all of the platform, or those of an organization and the platform's public ones.

    Raises:
        FlagNotFound, Forbidden
    """
    await permit(caller, "flag:read", within(org_id=org_id), missing=FlagNotFound)
    await flag_logic.ensure_declared()
    keeper = _keeper()
    shown = {
        key: flagd.flag_of(flag, keeper.platform)
        for key, flag in sorted(keeper.platform.items())
        if org_id is None or flag.row.public
    }
    if org_id is not None:
        own = keeper.of(org_id)
        shown |= {key: flagd.flag_of(flag, own) for key, flag in sorted(own.items())}
    return {"flags": shown, "metadata": {"version": str(keeper.seq)}}


def _keeper() -> Keeper:
    keeper = flags.current()
    if keeper is None or not keeper.loaded:
        raise Unavailable("the rules are not here yet: repeat it shortly")
    return keeper


def _organization(context: Context, key: str | None) -> OrgId:
    try:
        return OrgId(UUID(context["organization_id"]))
    except (KeyError, ValueError, TypeError, AttributeError):
        raise invalid("organization_id in the context names whose flag it is", "INVALID_CONTEXT", key) from None


async def _may_ask(caller: Principal, flag: CompiledFlag, seen: dict[OrgId | None, bool]) -> bool:
    if flag.row.public:
        return True
    permission = "flag:read" if flag.row.org_id is None else "flag:evaluate"
    return await _holds(caller, permission, flag.row.org_id, seen)


async def _holds(caller: Principal, permission: str, org_id: OrgId | None, seen: dict[OrgId | None, bool]) -> bool:
    if org_id not in seen:
        try:
            seen[org_id] = not await lacking(caller, [permission], within(org_id=org_id))
        except Problem as problem:
            if problem.status == 503:
                raise
            seen[org_id] = False
    return seen[org_id]


def _known(caller: Principal, context: Context) -> dict[str, Any]:
    """Return the context with what we know better: who asks is shared out by their own id unless they name another key."""
    own = flags.context_of(caller)
    return {**own, **context}


async def _evaluation(
    caller: Principal, keeper: Keeper, flag: CompiledFlag, context: Context, staff: dict[OrgId | None, bool]
) -> dict[str, Any]:
    flag.used = True
    outcome = flag.decide(context, time(), keeper.of(flag.row.org_id))
    if outcome.experiment is not None and outcome.unit is not None:
        # A client may ask for anybody; only servers of the owner say that somebody else was given a variant.
        themselves = caller.id is not None and outcome.unit == str(caller.id)
        if themselves or await _holds(caller, "flag:read", flag.row.org_id, staff):
            keeper.expose(outcome.experiment.id, outcome.unit, outcome.variant)
    return {
        "key": flag.row.key,
        "value": flag.variants[outcome.variant],
        "variant": outcome.variant,
        "reason": outcome.reason,
        "metadata": {"seq": flag.row.seq},
    }
