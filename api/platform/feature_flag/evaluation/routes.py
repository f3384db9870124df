"""HTTP of evaluation: OFREP 0.3, and flagd's definitions."""

from typing import Annotated, Any
from urllib.parse import urlsplit

import orjson
from fastapi import Header, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.platform.feature_flag.contract import ChannelNotFound, EvaluationFlagNotFound, EvaluationInvalid, FlagNotFound
from api.platform.feature_flag.evaluation import logic
from api.platform.feature_flag.evaluation.channel import MOST_CHARACTERS, PATH
from api.platform.feature_flag.evaluation.stream import INACTIVITY_DELAY_S
from cluster.base.ids import OrgId
from cluster.base.problems import BadRequest, Invalid, RequestTimeout, TooLarge, UnsupportedMediaType
from cluster.base.settings import settings
from cluster.http import Caller, Router, View
from cluster.http.bodies import require_json

router = Router("feature_flag")

_OF_BODIES = (RequestTimeout, TooLarge, UnsupportedMediaType)
_SENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"context": {"type": "object", "additionalProperties": True}},
                },
                "example": {"context": {"targetingKey": "01890a5d-ac96-774b-bcce-b302099a8057", "plan": "pro"}},
            }
        },
    }
}


class EvaluationView(View):
    """What a flag decides for a context."""

    key: str
    value: Any
    variant: str
    reason: str
    metadata: dict[str, Any]


class DefinitionsView(View):
    """Flags in flagd's language."""

    flags: dict[str, Any] = Field(description="By key: state, variants, defaultVariant and targeting")
    metadata: dict[str, str]


@router.post(
    "/ofrep/v1/evaluate/flags/{key}",
    public=True,
    raises=(EvaluationFlagNotFound, EvaluationInvalid, *_OF_BODIES),
    openapi_extra=_SENT,
)
async def evaluate_flag(caller: Caller, key: str, request: Request) -> EvaluationView:
    """Evaluate a flag for a context (OFREP). A flag of an organization needs `organization_id` in the context.

    Errors are problem documents with OFREP's `key`, `errorCode` and `errorDetails`.
    """
    return EvaluationView(**await logic.evaluate(caller, key, await _context(request)))


@router.post("/ofrep/v1/evaluate/flags", public=True, raises=(EvaluationInvalid, *_OF_BODIES), openapi_extra=_SENT)
async def evaluate_flags(caller: Caller, request: Request) -> Response:
    """Evaluate all flags that the caller may ask for (OFREP).

    The ETag is that of rules and context: `If-None-Match` answers 304. `eventStreams` names where the client hears that it should
    ask again (server-sent events); it repeats the event's `etag` as the parameter `flagConfigEtag`, so that a process which has not
    heard of the change yet looks first.
    """
    found = await logic.evaluate_all(caller, await _context(request), request.query_params.get("flagConfigEtag"))
    headers = {"ETag": found.etag, "Cache-Control": "no-cache", "Vary": "Authorization"}
    sent = request.headers.get("if-none-match", "")
    if found.etag in (each.strip().removeprefix("W/") for each in sent.split(",")):
        return Response(status_code=304, headers=headers)
    address = urlsplit(settings().public_url)
    streams = [
        {
            "type": "sse",
            "endpoint": {
                "origin": f"{address.scheme}://{address.netloc}",
                "requestUri": f"{address.path}{PATH}?channel={found.channel}",
            },
            "inactivityDelaySec": INACTIVITY_DELAY_S,
        }
    ]
    content = orjson.dumps({"flags": found.flags, "eventStreams": streams})
    return Response(content, media_type="application/json", headers=headers | {"Cache-Control": "no-store"})


@router.get(PATH, public=True, response_class=StreamingResponse, raises=(ChannelNotFound,))
async def follow_flags(
    channel: Annotated[str, Query(min_length=1, max_length=MOST_CHARACTERS, description="As `eventStreams` names it")],
    request: Request,
    last_event_id: Annotated[
        str | None, Header(description="The id of the last event received", max_length=100)
    ] = None,
) -> Response:
    """Follow flags as server-sent events (OFREP): `{"type": "refetchEvaluation", "etag"}` whenever rules changed.

    The address comes from `eventStreams` of `POST /ofrep/v1/evaluate/flags` and authorises this alone, for hours.
    Whoever comes without the id of the newest event is told at once.
    """
    return await logic.follow(channel, request.scope["state"]["address"], last_event_id)


@router.get("/v1/flags/-/flagd", raises=(FlagNotFound,))
async def get_flagd_definitions(caller: Caller, organization_id: OrgId | None = None) -> DefinitionsView:
    """Return the platform's flags in flagd's language, or an organization's beside the public ones of the platform.

    A stock in-process provider that reads them decides as we do.
    """
    found = await logic.definitions(caller, organization_id)
    return DefinitionsView(flags=found["flags"], metadata=found["metadata"])


async def _context(request: Request) -> dict[str, Any]:
    require_json(request)
    try:
        sent = await request.json() if await request.body() else {}
    except (BadRequest, Invalid) as error:
        raise logic.invalid(error.detail, "PARSE_ERROR") from None
    return logic.context_from(sent)
