"""FCM and APNs as apps see them: they check who speaks, refuse what is too long, and keep what a phone shows."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cluster.base.settings import settings
from tests.api.engagement.notification.vendors.port import Dropped, Reply, Request

MAX_BYTES = 4096
PROJECT, TOPIC, TEAM, KEY = "school-app", "example.school.app", "TEAM123456", "KEY1234567"
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


@dataclass(slots=True)
class App:
    """What came to an app; a message replaces what is shown of its collapse id."""

    token: str
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    shown: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def take(self, collapse: str, message: dict[str, Any], headers: dict[str, str]) -> None:
        self.messages.append(message)
        self.shown[collapse] = message
        self.headers.append(headers)


@dataclass(slots=True)
class Mood:
    """How a service is now: what it says to the next messages to an app, which it loses after taking them, and whether it hangs."""

    says: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    loses: set[str] = field(default_factory=set[str])
    mended: asyncio.Event | None = None
    asked: int = 0


def generate_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def generate_ec() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Fcm:
    """Source: Firebase, "Send messages with the FCM HTTP v1 API"; Google, "Using OAuth 2.0 for server to server applications"."""

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self.key = generate_rsa()
        self.origin = f"http://127.0.0.1:{settings().outbound_loopback_port}"
        self.now = now
        self.apps: dict[str, App] = {}
        self.mood = Mood()
        self.tokens: dict[str, float] = {}
        self.exchanges = 0
        self.closed = False
        """It gives no token."""
        self.account = folder / "account.json"
        self.account.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "project_id": PROJECT,
                    "private_key_id": "k1",
                    "private_key": pem(self.key),
                    "client_email": f"push@{PROJECT}.iam.gserviceaccount.com",
                    "token_uri": f"{self.origin}/token",
                }
            )
        )

    def app(self) -> App:
        made = App(f"{os.urandom(11).hex()}:APA91b{os.urandom(60).hex()}")
        self.apps[made.token] = made
        return made

    async def give_token(self, request: web.Request) -> web.Response:
        self.exchanges += 1
        if self.closed:
            return web.json_response({"error": "internal_failure"}, status=503)
        fields = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        if fields.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        try:
            claims = jwt.decode(
                fields["assertion"],
                public_pem(self.key),
                algorithms=["RS256"],
                audience=f"{self.origin}/token",
                issuer=f"push@{PROJECT}.iam.gserviceaccount.com",
                options={"require": ["iat", "exp"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return web.json_response({"error": "invalid_grant"}, status=400)
        if claims["scope"] != _SCOPE or not claims["iat"] - 60 <= self.now() < claims["exp"] <= claims["iat"] + 3600:
            return web.json_response({"error": "invalid_scope"}, status=400)
        token = os.urandom(16).hex()
        self.tokens[token] = self.now() + 3600
        return web.json_response({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    async def receive(self, request: web.Request) -> web.Response:
        self.mood.asked += 1
        if self.mood.mended is not None:
            await self.mood.mended.wait()
        content = await request.read()
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self.tokens.get(bearer, 0) <= self.now():
            return _fault(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR")
        if request.match_info["project"] != PROJECT:
            return _fault(403, "PERMISSION_DENIED", "")
        message = json.loads(content)["message"]
        token = message.pop("token")
        if len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_BYTES:
            return _fault(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")
        if any(not isinstance(value, str) for value in message["data"].values()):
            return _fault(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "message.data")
        if self.mood.says.get(token):
            return self.mood.says[token].pop(0)
        if token not in self.apps:
            return _fault(404, "NOT_FOUND", "UNREGISTERED")
        android = message["android"]
        assert android["notification"]["tag"] == android["collapse_key"]
        seconds = android["ttl"].removesuffix("s")
        assert seconds.isdigit()
        assert 0 <= int(seconds) <= 2419200
        self.apps[token].take(
            android["collapse_key"], message, {"ttl": android["ttl"], "priority": android["priority"]}
        )
        if token in self.mood.loses:
            self.mood.loses.discard(token)
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"name": f"projects/{PROJECT}/messages/{len(self.apps[token].messages)}"})


def _fault(status: int, name: str, code: str, field: str = "") -> web.Response:
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code},
        {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": field}]},
    ]
    error = {"code": status, "status": name, "message": name, "details": details}
    return web.json_response({"error": error}, status=status)


def fcm_fault(status: int, code: str, *, field: str = "", **headers: str) -> web.Response:
    """Return what FCM says of a fault."""
    made = _fault(status, code, code, field)
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


class Apns:
    """Source: Apple, "Sending notification requests to APNs", "Handling notification responses from APNs"."""

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self.key = generate_ec()
        self.origin = f"http://127.0.0.1:{settings().outbound_loopback_port}"
        self.now = now
        self.apps: dict[str, App] = {}
        self.ended: dict[str, int] = {}
        """When an app was taken off, in ms."""
        self.mood = Mood()
        self.bearers: dict[str, None] = {}
        self.key_file = folder / "key.p8"
        self.key_file.write_text(pem(self.key))

    def app(self) -> App:
        made = App(os.urandom(32).hex())
        self.apps[made.token] = made
        return made

    async def receive(self, request: Request) -> Reply:
        self.mood.asked += 1
        if self.mood.mended is not None:
            await self.mood.mended.wait()
        refusal = self._refuse(request)
        if refusal is not None:
            return refusal
        token = request.headers[":path"].removeprefix("/3/device/")
        if self.mood.says.get(token):
            return self.mood.says[token].pop(0)
        if token in self.ended:
            return apns_fault(410, "Unregistered", timestamp=self.ended[token])
        if token not in self.apps:
            return apns_fault(400, "BadDeviceToken")
        kept = {name: request.headers[name] for name in ("apns-expiration", "apns-priority")}
        self.apps[token].take(request.headers["apns-collapse-id"], json.loads(request.body), kept)
        if token in self.mood.loses:
            self.mood.loses.discard(token)
            raise Dropped
        return Reply(200, headers=(("apns-id", os.urandom(16).hex()),))

    def _refuse(self, request: Request) -> Reply | None:
        """Return what is said to a request that no app may get."""
        headers = request.headers
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if (headers[":method"], scheme) != ("POST", "bearer"):
            return apns_fault(403, "MissingProviderToken")
        try:
            if jwt.get_unverified_header(bearer)["kid"] != KEY:
                return apns_fault(403, "InvalidProviderToken")
            claims = jwt.decode(
                bearer, public_pem(self.key), algorithms=["ES256"], issuer=TEAM, options={"verify_iat": False}
            )
        except jwt.InvalidTokenError:
            return apns_fault(403, "InvalidProviderToken")
        if not 0 <= self.now() - claims["iat"] < 3600:
            return apns_fault(403, "ExpiredProviderToken")
        self.bearers[bearer] = None
        if headers.get("apns-topic") != TOPIC:
            return apns_fault(400, "TopicDisallowed")
        if headers.get("apns-push-type") != "alert" or headers.get("apns-priority") not in ("5", "10"):
            return apns_fault(400, "InvalidPushType")
        if not 0 < len(headers.get("apns-collapse-id", "").encode()) <= 64:
            return apns_fault(400, "BadCollapseId")
        if not headers.get("apns-expiration", "").isdigit():
            return apns_fault(400, "BadExpirationDate")
        return apns_fault(413, "PayloadTooLarge") if len(request.body) > MAX_BYTES else None


def apns_fault(status: int, reason: str, *, headers: tuple[tuple[str, str], ...] = (), **more: Any) -> Reply:
    """Return what APNs says of a fault."""
    return Reply(status, json.dumps({"reason": reason, **more}).encode(), headers)
