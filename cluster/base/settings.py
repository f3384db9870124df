"""Settings of a process, read once from `HUB_*` environment variables; the only place that reads them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

_SECRET = re.compile(r"(?:([A-Za-z0-9_-]{1,16}):)?([^,:\s]{32,})")
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]*)):([0-9]{1,5})")
REPOSITORY = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the servers are and who we are. One field per server, the same on a laptop and in a cluster."""

    stack: str
    """Prefix of topics, consumer groups, Redis keys, buckets and database roles: two stacks share servers."""
    postgres_url: str
    """`postgresql://user:password@host:port/database` of a role that may create roles and schemas."""
    redis_url: str
    kafka_bootstrap: str
    kafka_user: str
    """Empty: the brokers ask for no name."""
    kafka_password: str
    kafka_mechanism: str
    """How the password is shown: `PLAIN` without TLS (a laptop's loopback), or `SCRAM-SHA-512` over TLS (MSK)."""
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str
    s3_region: str
    public_url: str
    """The origin that clients see, without a trailing slash."""
    secrets: Mapping[str, str]
    """By key id, newest first, the same in every process; a secret without an id has the id "". See `cluster.base.secrets`."""
    allowed_hosts: frozenset[str]
    """Further names that clients may send in `Host`, without ports; loopback names always do."""
    metrics_token: str
    """Bearer token of those who read `/metrics`; empty: only this machine may."""
    service_url: str
    """Template of the address of another service's host: `{service}`, `{namespace}` and `{port}` are filled in."""
    otlp_endpoint: str
    """OTLP/HTTP collector; empty: spans are not exported."""
    log_level: str
    log_folder: str
    """Where the logs of hosts go, a file for each kind of host; empty: to stderr."""
    local_mail: bool
    """Show letters on a page instead of sending them: for a laptop, where nobody else can reach it."""
    opensearch_url: str
    """Empty: there is none, and what needs it answers 503."""
    smtp_urls: tuple[str, ...]
    """Who takes letters, the first that answers: `smtp://user:password@host:587`, `smtps://host`, `ses://key:secret@region`."""
    mail_from: str
    """Who writes the platform's letters: `Name <address>`."""
    dns_server: str
    """`address:port` of who answers for DNS; empty: the system's resolver."""
    inbound_secret: str
    """Signs mail that the mail server hands over; empty: none is taken."""
    authserv_id: str
    """By which names, with spaces between, our mail servers write Authentication-Results (RFC 8601); empty: not believed."""
    ses_topics: frozenset[str]
    """ARNs of the SNS topics on which Amazon SES tells of letters and hands mail over; empty: none is believed."""
    smtp_listen: tuple[str, int] | None
    """Where workers listen for mail servers that have mail for us; None: nowhere."""
    smtp_certificate: str
    """A PEM file with the certificates by which mail servers know who listens (STARTTLS); empty: none."""
    smtp_key: str
    """A PEM file with the key of that certificate; empty: it is in the same file."""
    limits_requests: bool
    """Whether requests are counted against rate plans; what one process takes on at a time is limited all the same."""
    sms_url: str
    """Who sends text messages: `twilio://sid:token@api.twilio.com?from=+15550100`, `sns://region?sender=School`; empty: nobody."""
    fcm_account_file: str
    """The service account that sends to Android apps, as Google gives it (JSON); empty: nobody does."""
    fcm_origin: str
    apns_key_file: str
    """The key that signs for Apple apps, as Apple gives it (.p8); empty: nobody sends to them."""
    apns_key_id: str
    apns_team_id: str
    apns_topic: str
    """The bundle id of the app."""
    apns_origin: str
    scratch: str
    """A folder for large files while they are worked on; empty: the system's folder for temporary files."""
    outbound_loopback_port: int
    """The one port of this machine that requests to strangers may reach, without TLS: for tests. 0: none."""


@cache
def settings() -> Settings:
    """Read the environment once.

    Raises:
        RuntimeError: a setting without a default is missing; the message names all of them.
    """
    required = (
        "POSTGRES_URL",
        "REDIS_URL",
        "KAFKA_BOOTSTRAP",
        "S3_ENDPOINT",
        "S3_ACCESS_KEY",
        "S3_SECRET_KEY",
        "SECRET",
    )
    missing = [f"HUB_{name}" for name in required if not os.environ.get(f"HUB_{name}")]
    if missing:
        raise RuntimeError(
            f"missing settings: {', '.join(missing)}; `./hub up` sets them, in a cluster the manifest does"
        )
    env = {name: os.environ[f"HUB_{name}"] for name in required}
    public_url = os.environ.get("HUB_PUBLIC_URL", "http://127.0.0.1:3000").rstrip("/")
    return Settings(
        stack=os.environ.get("HUB_STACK", "hub"),
        postgres_url=env["POSTGRES_URL"],
        redis_url=env["REDIS_URL"],
        kafka_bootstrap=env["KAFKA_BOOTSTRAP"],
        kafka_user=os.environ.get("HUB_KAFKA_USER", ""),
        kafka_password=os.environ.get("HUB_KAFKA_PASSWORD", ""),
        kafka_mechanism=os.environ.get("HUB_KAFKA_MECHANISM", "PLAIN"),
        s3_endpoint=env["S3_ENDPOINT"],
        s3_access_key=env["S3_ACCESS_KEY"],
        s3_secret_key=env["S3_SECRET_KEY"],
        s3_region=os.environ.get("HUB_S3_REGION", "us-east-1"),
        public_url=public_url,
        secrets=_secrets(env["SECRET"]),
        allowed_hosts=frozenset(os.environ.get("HUB_ALLOWED_HOSTS", "").lower().split()),
        metrics_token=os.environ.get("HUB_METRICS_TOKEN", ""),
        service_url=os.environ.get("HUB_SERVICE_URL", public_url),
        otlp_endpoint=os.environ.get("HUB_OTLP_ENDPOINT", ""),
        log_level=os.environ.get("HUB_LOG_LEVEL", "info"),
        log_folder=os.environ.get("HUB_LOG_FOLDER", ""),
        local_mail=os.environ.get("HUB_LOCAL_MAIL") == "1",
        opensearch_url=os.environ.get("HUB_OPENSEARCH_URL", "").rstrip("/"),
        smtp_urls=tuple(os.environ.get("HUB_SMTP_URL", "").split()),
        mail_from=os.environ.get("HUB_MAIL_FROM") or f"LearningHub <no-reply@{urlsplit(public_url).hostname}>",
        dns_server=os.environ.get("HUB_DNS_SERVER", ""),
        inbound_secret=os.environ.get("HUB_INBOUND_SECRET", ""),
        authserv_id=os.environ.get("HUB_AUTHSERV_ID", ""),
        ses_topics=frozenset(os.environ.get("HUB_SES_TOPICS", "").split()),
        smtp_listen=_address(os.environ.get("HUB_SMTP_LISTEN", "")),
        smtp_certificate=os.environ.get("HUB_SMTP_CERTIFICATE", ""),
        smtp_key=os.environ.get("HUB_SMTP_KEY", ""),
        limits_requests=os.environ.get("HUB_RATE_LIMITS", "on") != "off",
        sms_url=os.environ.get("HUB_SMS_URL", ""),
        fcm_account_file=os.environ.get("HUB_FCM_ACCOUNT_FILE", ""),
        fcm_origin=os.environ.get("HUB_FCM_ORIGIN", "https://fcm.googleapis.com"),
        apns_key_file=os.environ.get("HUB_APNS_KEY_FILE", ""),
        apns_key_id=os.environ.get("HUB_APNS_KEY_ID", ""),
        apns_team_id=os.environ.get("HUB_APNS_TEAM_ID", ""),
        apns_topic=os.environ.get("HUB_APNS_TOPIC", ""),
        apns_origin=os.environ.get("HUB_APNS_ORIGIN", "https://api.push.apple.com"),
        scratch=os.environ.get("HUB_SCRATCH", ""),
        outbound_loopback_port=int(os.environ.get("HUB_OUTBOUND_LOOPBACK_PORT", "0")),
    )


def _secrets(text: str) -> Mapping[str, str]:
    """Read `id:secret,id:secret`, or one plain secret.

    Raises:
        RuntimeError: it has another form, or an id stands twice.
    """
    entries = [_SECRET.fullmatch(entry) for entry in text.split(",")]
    found = {entry[1] or "": entry[2] for entry in entries if entry is not None}
    if len(found) < len(entries):
        raise RuntimeError(
            "HUB_SECRET is one secret, or several as id:secret,id:secret, newest first, each id once; "
            "a secret has at least 32 characters without comma, colon and space"
        )
    return found


def _address(text: str) -> tuple[str, int] | None:
    """Read `host:port`, `[address]:port` or `:port`, which is every address of the machine.

    Raises:
        RuntimeError: it has another form.
    """
    if not text:
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[3]) < 65536:
        raise RuntimeError("HUB_SMTP_LISTEN is host:port, or :port for every address: 0.0.0.0:2525")
    return found[1] or found[2] or "", int(found[3])
