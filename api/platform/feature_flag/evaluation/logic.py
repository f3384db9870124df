"""Use cases of evaluation: what flags decide for a context that a client sends."""

import hashlib
from dataclasses import dataclass
from time import time
from typing import Any, cast
from uuid import UUID

import orjson

from api.platform.feature_flag.contract import EvaluationFlagNotFound, EvaluationInvalid, FlagNotFound
from api.platform.feature_flag.evaluation import channel, flagd, stream
from api.platform.feature_flag.evaluation.seen import holds, permission_for, seen_by
from api.platform.feature_flag.evaluation.stream import Stream
from api.platform.feature_flag.flag import logic as flag_logic
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.base.problems import Unavailable
from cluster.people import flags
from cluster.people.access import permit, within
from cluster.people.flags import CompiledFlag, Context, Keeper

MOST_CONTEXT_BYTES = 64 * 1024

Known = dict[tuple[str, OrgId | None], bool]
"""Permissions that were asked for in this request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What a bulk evaluation answers, and the tag of rules and context."""

    flags: list[dict[str, Any]]
    etag: str
    channel: str
    """Where the client hears that it should ask again."""


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
    keeper = running()
    org_id = _organization(context, key) if "." not in key else None
    flag = keeper.of(org_id).get(key)
    known: Known = {}
    if flag is None or not (flag.row.public or await holds(caller, permission_for(org_id), org_id, known)):
        details = "there is no such flag, or it is not for you"
        raise EvaluationFlagNotFound(details, key=key, errorCode="FLAG_NOT_FOUND", errorDetails=details)
    return await _evaluation(caller, keeper, flag, _known(caller, context), known)


async def evaluate_all(caller: Principal, context: Context, heard: str | None = None) -> Evaluated:
    """Evaluate the flags that the caller may ask for: the platform's and, with an organization in the context, its own.

    `heard`: the tag of rules of which an event stream told the client, perhaps from a process that had them earlier.

    Raises:
        EvaluationInvalid, Unavailable
    """
    keeper = running()
    if heard is not None and (seq := stream.seq_of(heard)) is not None:
        await keeper.catch_up(seq)
    org_id = _organization(context, None) if context.get("organization_id") is not None else None
    seen = await seen_by(caller, org_id)
    context = _known(caller, context)
    known: Known = {}
    answers = [await _evaluation(caller, keeper, flag, context, known) for flag in list(seen.flags(keeper))]
    answers.sort(key=lambda each: each["key"])
    follow = channel.make(caller, org_id, time())
    digest = hashlib.sha256(orjson.dumps([answers, context, follow], option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    return Evaluated(flags=answers, etag=f'"{digest}"', channel=follow)


async def follow(text: str, address: str, last_event_id: str | None) -> Stream:
    """Return a stream that tells its client when to ask again.

    Raises:
        ChannelNotFound, TooManyRequests, Unavailable: see `Streams.enter`.
    """
    return await stream.of(running()).enter(channel.read(text), address, last_event_id)


async def definitions(caller: Principal, org_id: OrgId | None) -> dict[str, Any]:
    """Return flags in flagd's language: all of the platform, or those of an organization and the platform's public ones.

    Raises:
        FlagNotFound, Forbidden
    """
    await permit(caller, "flag:read", within(org_id=org_id), missing=FlagNotFound)
    await flag_logic.ensure_declared()
    keeper = running()
    shown = {
        key: flagd.flag_of(flag, keeper.platform)
        for key, flag in sorted(keeper.platform.items())
        if org_id is None or flag.row.public
    }
    if org_id is not None:
        own = keeper.of(org_id)
        shown |= {key: flagd.flag_of(flag, own) for key, flag in sorted(own.items())}
    return {"flags": shown, "metadata": {"version": str(keeper.seq)}}


def running() -> Keeper:
    """Return what this process decides by.

    Raises:
        Unavailable: no rules were read yet.
    """
    keeper = flags.current()
    if keeper is None or not keeper.loaded:
        raise Unavailable("the rules are not here yet: repeat it shortly")
    return keeper


def _organization(context: Context, key: str | None) -> OrgId:
    try:
        return OrgId(UUID(context["organization_id"]))
    except (KeyError, ValueError, TypeError, AttributeError):
        raise invalid("organization_id in the context names whose flag it is", "INVALID_CONTEXT", key) from None


def _known(caller: Principal, context: Context) -> dict[str, Any]:
    """Return the context with what we know better: who asks is shared out by their own id unless they name another key."""
    own = flags.context_of(caller)
    return {**own, **context}


async def _evaluation(
    caller: Principal, keeper: Keeper, flag: CompiledFlag, context: Context, known: Known
) -> dict[str, Any]:
    flag.used = True
    outcome = flag.decide(context, time(), keeper.of(flag.row.org_id))
    if outcome.experiment is not None and outcome.unit is not None:
        # A client may ask for anybody; only servers of the owner say that somebody else was given a variant.
        themselves = caller.id is not None and outcome.unit == str(caller.id)
        if themselves or await holds(caller, "flag:read", flag.row.org_id, known):
            keeper.expose(outcome.experiment.id, outcome.unit, outcome.variant)
    return {
        "key": flag.row.key,
        "value": flag.variants[outcome.variant],
        "variant": outcome.variant,
        "reason": outcome.reason,
        "metadata": {"seq": flag.row.seq},
    }
