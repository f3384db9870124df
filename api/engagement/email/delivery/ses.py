"""Amazon SES as a carrier: `ses://region`, with `key:secret@` before the region where the machine has no role.

Source: Amazon SES API v2, SendEmail; Developer Guide, "Header fields" (it writes Message-ID and Date itself).
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, cast
from urllib.parse import SplitResult, parse_qs, unquote

from api.engagement.email.delivery.transport import CONNECTIONS, Outgoing, RelayAway
from api.engagement.email.rules import Reply

_CONNECT_S, _READ_S = 10.0, 60.0
"""Who gives up while SES still works on a letter sends it twice."""
_AWAY = frozenset(
    (
        *("SendingPausedException", "AccountSuspendedException", "LimitExceededException"),
        *("AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException"),
        *("SignatureDoesNotMatch", "ExpiredTokenException", "IncompleteSignature", "MissingAuthenticationToken"),
    )
)
"""It takes no letters of ours at all: nothing is wrong with this one."""
_SETUP = {
    "MailFromDomainNotVerifiedException": "4.7.1",
    "NotFoundException": "4.3.5",
}
"""Somebody has to set something up; until then letters wait (RFC 3463, 3.4 and 3.8)."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks SES, and where."""

    region: str
    key: str | None
    secret: str | None = field(repr=False)
    configuration_set: str | None
    endpoint: str | None


class Ses:
    """Hands letters to SES, which knows each by an id of its own."""

    ascii_only = True
    keeps_content = False
    rewrites_headers = True

    def __init__(self, url: SplitResult) -> None:
        if not url.hostname:
            raise RuntimeError("HUB_SMTP_URL names SES as ses://region or ses://key:secret@region")
        options = {name: values[0] for name, values in parse_qs(url.query).items()}
        key, secret = (None if part is None else unquote(part) for part in (url.username, url.password))
        self._account = Account(
            url.hostname, key, secret, options.get("configuration_set"), options.get("endpoint") or None
        )
        self.name = f"ses://{url.hostname}"

    async def deliver(self, outgoing: Outgoing) -> Reply:
        """Hand a message over, once.

        Raises:
            RelayAway: nothing was handed over.
        """
        return await asyncio.get_running_loop().run_in_executor(_threads(), self._deliver, outgoing)

    def _deliver(self, outgoing: Outgoing) -> Reply:
        from botocore import exceptions as failed

        account = self._account
        request: dict[str, Any] = {
            "Destination": {"ToAddresses": [outgoing.to]},
            "Content": {"Raw": {"Data": outgoing.message}},
            "FeedbackForwardingEmailAddress": outgoing.return_path,
        }
        if account.configuration_set is not None:
            request["ConfigurationSetName"] = account.configuration_set
        try:
            answer = _client(account).send_email(**request)
        except failed.ClientError as error:
            response = cast("dict[str, Any]", error.response)
            status = int(response["ResponseMetadata"]["HTTPStatusCode"])
            return reply_of(response["Error"]["Code"], response["Error"].get("Message", ""), status, outgoing.to)
        except (failed.EndpointConnectionError, failed.ConnectTimeoutError, failed.ProxyConnectionError) as error:
            raise RelayAway(f"{self.name}: {type(error).__name__}") from error
        except (failed.NoCredentialsError, failed.PartialCredentialsError, failed.SSLError) as error:
            raise RelayAway(f"{self.name}: {error}") from error
        except (failed.BotoCoreError, OSError) as error:
            return Reply(code=None, text=f"{type(error).__name__}: no answer", stage="data")
        carrier_id = str(answer["MessageId"])
        return Reply(code=250, text=f"2.0.0 taken as {carrier_id}", stage="data", carrier_id=carrier_id)

    async def close(self) -> None:
        return


def reply_of(code: str, message: str, status: int, to: str) -> Reply:
    """Tell what a refusal of SES means, in the words of SMTP. One that does not name the reader's address is our fault.

    Raises:
        RelayAway: it takes no letters of this account.
    """
    words = f"{code}: {message}"
    if code in _AWAY or (code == "TooManyRequestsException" and "daily" in message.lower()):
        raise RelayAway(f"ses: {words}")
    if code.startswith(("TooManyRequests", "Throttling")) or status == 429:
        return Reply(code=450, text=f"4.3.2 {words}", stage="data")
    if status >= 500:
        return Reply(code=None, text=words, stage="data")
    if code in _SETUP:
        return Reply(code=451, text=f"{_SETUP[code]} {words}", stage="data")
    if code == "MessageRejected" and "not verified" in message:
        return Reply(code=451, text=f"4.7.1 {words}", stage="data")
    named = to.lower() in message.lower() or "toaddresses" in message.lower()
    if code == "BadRequestException" and "address" in message.lower() and named:
        return Reply(code=553, text=f"5.1.3 {words}", stage="rcpt")
    return Reply(code=554, text=f"5.6.0 {words}", stage="data")


@cache
def _threads() -> ThreadPoolExecutor:
    """Return threads of our own: the loop's are fewer than our connections, and others need them."""
    return ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="ses")


@lru_cache(maxsize=4)
def _client(account: Account) -> Any:
    """Make a client. It never asks twice: SES would send the letter twice."""
    import boto3
    from botocore.config import Config

    return cast("Any", boto3).client(
        "sesv2",
        region_name=account.region,
        aws_access_key_id=account.key,
        aws_secret_access_key=account.secret,
        endpoint_url=account.endpoint,
        config=Config(
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"total_max_attempts": 1},
            max_pool_connections=CONNECTIONS,
        ),
    )
