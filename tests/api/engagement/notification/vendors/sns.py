"""SNS, as far as text messages go: it checks signatures (SigV4) and keeps what was sent to each number.

Source: AWS, "Create a signed AWS API request"; SNS API reference.
"""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import web

ACCESS, SECRET, REGION = "AKIATEST", "s3cret", "eu-west-1"


@dataclass(slots=True)
class Sns:
    sent: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    opted_out: set[str] = field(default_factory=set[str])
    says: dict[str, list[web.Response]] = field(default_factory=dict[str, list[web.Response]])
    loses: set[str] = field(default_factory=set[str])
    mended: asyncio.Event | None = None
    asked: int = 0

    async def receive(self, request: web.Request) -> web.Response:
        content = await request.read()
        if not _is_signed(request, content):
            return sns_fault(403, "SignatureDoesNotMatch")
        fields = dict(parse_qsl(content.decode()))
        number = fields.get("PhoneNumber") or fields["phoneNumber"]
        if fields["Action"] == "CheckIfPhoneNumberIsOptedOut":
            out = str(number in self.opted_out).lower()
            return _answer(fields["Action"], f"<isOptedOut>{out}</isOptedOut>")
        self.asked += 1
        if self.mended is not None:
            await self.mended.wait()
        if self.says.get(number):
            return self.says[number].pop(0)
        self.sent.setdefault(number, []).append(fields["Message"])
        if number in self.loses:
            self.loses.discard(number)
            assert request.transport is not None
            request.transport.abort()
        return _answer(fields["Action"], "<MessageId>m1</MessageId>")


def _answer(action: str, result: str) -> web.Response:
    inner = f"<{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
    text = f'<{action}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/">{inner}</{action}Response>'
    return web.Response(text=text, content_type="text/xml")


def sns_fault(status: int, code: str) -> web.Response:
    """Return what SNS says of a fault."""
    text = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error><RequestId>r</RequestId></ErrorResponse>"
    )
    return web.Response(status=status, text=text, content_type="text/xml")


def _is_signed(request: web.Request, content: bytes) -> bool:
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(",")) if rest else {}
    if scheme != "AWS4-HMAC-SHA256":
        return False
    access, _, scope = parts["Credential"].partition("/")
    names = parts["SignedHeaders"].split(";")
    headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names)
    canonical = f"POST\n/\n\n{headers}\n{parts['SignedHeaders']}\n{hashlib.sha256(content).hexdigest()}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{request.headers['X-Amz-Date']}\n{scope}\n{digest}"
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    return access == ACCESS and {"host", "x-amz-date"} <= set(names) and signature == parts["Signature"]
