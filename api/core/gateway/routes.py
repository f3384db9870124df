"""HTTP of the gateway: pages, the API document, verification keys and the directory of services."""

from base64 import urlsafe_b64encode
from typing import Literal

from fastapi import Request, Response

from api.core.gateway import logic, pages
from api.core.gateway.cors_origin.routes import router as cors_origins
from api.core.gateway.limit.routes import router as limits
from api.core.gateway.live.routes import router as live
from api.core.gateway.maintenance.routes import router as maintenance
from api.core.gateway.operation.routes import router as operations
from api.core.gateway.rate_override.routes import router as rate_overrides
from api.core.gateway.rate_plan.routes import router as rate_plans
from api.core.gateway.usage.routes import router as usage
from cluster.http import Router, View
from cluster.people import identity

router = Router("gateway")
for part in (live, operations, limits, rate_plans, rate_overrides, maintenance, cors_origins, usage):
    router.include_router(part)


class ServiceView(View):
    """A service of the platform."""

    name: str
    namespace: str
    areas: list[str]
    health: Literal["healthy", "unhealthy"]


class Directory(View):
    items: list[ServiceView]


class Jwk(View):
    """A public key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    kid: str
    x: str
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"


class JwkSet(View):
    """The keys that access tokens are verified with (RFC 7517, section 5)."""

    keys: list[Jwk]


@router.get("/", public=True, response_class=Response, include_in_schema=False)
async def home() -> Response:
    return pages.home()


@router.get("/docs", public=True, response_class=Response, include_in_schema=False)
async def docs() -> Response:
    return pages.docs()


@router.get("/docs/events", public=True, response_class=Response, include_in_schema=False)
async def events() -> Response:
    return pages.events()


@router.get("/docs/{name}", public=True, response_class=Response, include_in_schema=False)
async def docs_asset(name: str, request: Request) -> Response:
    return pages.docs_asset(name, request.headers.get("accept-encoding", ""))


@router.get("/openapi.json", public=True, response_class=Response, include_in_schema=False)
async def openapi(request: Request) -> Response:
    return pages.openapi(request.headers.get("accept-encoding", ""))


@router.get("/asyncapi.json", public=True, response_class=Response, include_in_schema=False)
async def asyncapi(request: Request) -> Response:
    return pages.asyncapi(request.headers.get("accept-encoding", ""))


@router.get("/problems/", public=True, response_class=Response, include_in_schema=False)
async def problem_index() -> Response:
    return pages.problem_index()


@router.get("/problems/{slug}", public=True, response_class=Response, include_in_schema=False)
async def problem_page(slug: str) -> Response:
    return pages.problem_page(slug)


@router.get("/.well-known/jwks.json", public=True)
async def jwks(response: Response) -> JwkSet:
    """Return the public keys of access tokens."""
    response.headers["Cache-Control"] = "public, max-age=60"
    return JwkSet(
        keys=[
            Jwk(kty="OKP", crv="Ed25519", kid=key.kid, x=urlsafe_b64encode(key.public_key).rstrip(b"=").decode())
            for key in await identity.verification_keys()
        ]
    )


@router.get("/v1/gateway/-/services", public=True)
async def list_services() -> Directory:
    """List the services and their health."""
    return Directory(items=[ServiceView.of(each) for each in await logic.list_services()])
