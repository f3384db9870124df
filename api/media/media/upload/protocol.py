"""The tus protocol, version 1.0.0, as an ASGI application: headers in, use case, headers out.

Source: https://tus.io/protocols/resumable-upload. Errors are problem documents.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from email.utils import format_datetime
from functools import partial
from typing import Any
from uuid import UUID

from starlette.datastructures import Headers
from starlette.responses import Response

from api.media.media.contract import (
    AssetId,
    AssetNotFound,
    TusVersionUnsupported,
    UploadHeaderInvalid,
    UploadPurpose,
    UploadStalled,
)
from api.media.media.upload import headers as tus
from api.media.media.upload import logic
from cluster.base.principal import Principal
from cluster.base.problems import Problem, Unavailable, UnsupportedMediaType
from cluster.base.registry import offers
from cluster.data import idempotency
from cluster.http import once, problem_of, problem_response
from cluster.http.rendering import MethodNotAllowed

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/v1/uploads"
MAX_IDLE_S = 60.0


class _ClientLeft(logic.Interrupted):
    """The client is gone; nobody waits for an answer."""


class _ClientStalled(logic.Interrupted):
    """The client sent nothing for `MAX_IDLE_S`."""


async def uploads(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request at or below `/v1/uploads`."""
    try:
        response = await _answer(scope, receive)
    except _ClientLeft:
        return
    except _ClientStalled:
        response = problem_response(
            UploadStalled("ask with HEAD where it stands, and go on", headers={"Connection": "close"})
        )
    except Exception as error:
        response = problem_response(problem_of(error))
    response.headers["Tus-Resumable"] = tus.VERSION
    await response(scope, receive, send)


async def _answer(scope: Scope, receive: Receive) -> Response:
    headers = Headers(scope=scope)
    caller: Principal = scope["state"]["principal"]
    method: str = scope["method"]
    if method == "POST":
        # For clients that may send nothing but GET and POST.
        method = headers.get("x-http-method-override", method).upper()
    rest: str = scope["path"].removeprefix(PREFIX).strip("/")
    allowed = ("OPTIONS", "POST") if not rest else ("OPTIONS", "HEAD", "PATCH", "DELETE")
    if method not in allowed:
        raise MethodNotAllowed(f"the path takes {', '.join(allowed)}", headers={"Allow": ", ".join(allowed)})
    if method == "OPTIONS":
        return _discovery()
    if headers.get("tus-resumable") != tus.VERSION:
        raise TusVersionUnsupported
    if method == "POST":
        return await _create(caller, headers, receive)
    try:
        asset_id = AssetId(UUID(rest))
    except ValueError:
        raise AssetNotFound from None
    match method:
        case "HEAD":
            return _standing(await logic.progress(caller, asset_id))
        case "PATCH":
            progress = await _append(caller, asset_id, headers, receive)
            return Response(status_code=204, headers=_moved(progress))
        case _:
            await logic.end(caller, asset_id)
            return Response(status_code=204)


def _discovery() -> Response:
    largest = max((purpose.max_bytes for purpose in offers(UploadPurpose)), default=0)
    return Response(
        status_code=204,
        headers={
            "Tus-Version": tus.VERSION,
            "Tus-Extension": ",".join(tus.EXTENSIONS),
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
            "Tus-Max-Size": str(largest),
        },
    )


async def _create(caller: Principal, headers: Headers, receive: Receive) -> Response:
    if "upload-defer-length" in headers:
        raise UploadHeaderInvalid(
            "say the length now: deferring it is not offered", pointer="/header/upload-defer-length"
        )
    size = tus.parse_number("Upload-Length", headers.get("upload-length"))
    metadata = tus.parse_metadata(headers.get("upload-metadata"))
    new = logic.NewUpload(
        size_bytes=size,
        purpose=metadata.get("purpose", ""),
        target=tus.parse_target(metadata.get("target")),
        filename=metadata.get("filename") or metadata.get("name", ""),
        declared_type=metadata.get("filetype") or metadata.get("type"),
    )
    idempotency.begin(
        headers.get("idempotency-key"),
        principal=caller,
        method="POST",
        path=PREFIX,
        query=b"",
        body=f"{size} {headers.get('upload-metadata')}".encode(),
    )
    # Read before the upload is made: a request whose headers cannot be read makes none.
    checksum = tus.parse_checksum(headers.get("upload-checksum"))
    response = Response(status_code=201)
    progress = await once(response, logic.begin(caller, new), partial(logic.progress, caller))
    # The body of a repeated request was dealt with by the first one; the offset says how much of it arrived.
    with_bytes = headers.get("content-type") == tus.OFFSET_TYPE and "idempotent-replayed" not in response.headers
    if with_bytes:
        progress = await _receive_first(caller, progress.asset.id, headers, receive, checksum)
    response.headers["Location"] = f"{PREFIX}/{progress.asset.id}"
    response.headers.update(_moved(progress))
    return response


async def _append(caller: Principal, asset_id: AssetId, headers: Headers, receive: Receive) -> logic.Progress:
    if headers.get("content-type") != tus.OFFSET_TYPE:
        raise UnsupportedMediaType(f"send {tus.OFFSET_TYPE}")
    offset = tus.parse_number("Upload-Offset", headers.get("upload-offset"))
    return await _receive(
        caller, asset_id, offset, headers, receive, tus.parse_checksum(headers.get("upload-checksum"))
    )


async def _receive_first(
    caller: Principal, asset_id: AssetId, headers: Headers, receive: Receive, checksum: tus.Checksum | None
) -> logic.Progress:
    """Take the bytes that came with a creation. The upload exists: its client must learn its path, or its room is freed."""
    try:
        return await _receive(caller, asset_id, 0, headers, receive, checksum)
    except (Unavailable, _ClientStalled):
        # Answered as 201 with the offset that counts: the client goes on from there.
        return await logic.progress(caller, asset_id)
    except _ClientLeft:
        # Only a key finds the upload again.
        if "idempotency-key" not in headers:
            await logic.end(caller, asset_id)
        raise
    except Problem:
        await logic.end(caller, asset_id)
        raise


async def _receive(
    caller: Principal,
    asset_id: AssetId,
    offset: int,
    headers: Headers,
    receive: Receive,
    checksum: tus.Checksum | None,
) -> logic.Progress:
    length = headers.get("content-length")
    return await logic.receive(
        caller,
        asset_id,
        offset=offset,
        body=_body(receive),
        declared_bytes=None if length is None else tus.parse_number("Content-Length", length),
        checksum=checksum,
    )


async def _body(receive: Receive) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            async with asyncio.timeout(MAX_IDLE_S):
                message = await receive()
        except TimeoutError:
            raise _ClientStalled from None
        if message["type"] == "http.disconnect":
            raise _ClientLeft
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body"):
            return


def _standing(progress: logic.Progress) -> Response:
    asset = progress.asset
    metadata = {"filename": asset.filename, "filetype": asset.content_type, "purpose": asset.purpose}
    return Response(
        status_code=200,
        headers={
            **_moved(progress),
            "Upload-Length": str(asset.size_bytes),
            "Upload-Metadata": tus.render_metadata(metadata),
            "Cache-Control": "no-store",
        },
    )


def _moved(progress: logic.Progress) -> dict[str, str]:
    moved = {"Upload-Offset": str(progress.offset_bytes)}
    if progress.expires_at is not None:
        moved["Upload-Expires"] = format_datetime(progress.expires_at, usegmt=True)
    return moved
