"""What gateway does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    public={
        "gateway_jwks": "verifiers have no token",
        "gateway_list_services": "the state of the platform is no secret",
        "gateway_get_limits": "guests have limits too",
        "gateway_get_price": "guests may ask what a call costs",
    },
    outside_v1={
        "gateway_jwks": "RFC 7517 and RFC 8615 say where keys are looked for",
    },
    no_plural={
        "gateway": "its one path is about the platform itself",
        "live": "one connection for everything",
    },
    streamed={
        "gateway_report": "CSV",
        "gateway_follow": "server-sent events",
    },
    short_lists={
        "gateway_get_limits": "a caller has a handful of buckets",
        "gateway_list_services": "as many as the code declares",
    },
    no_idempotency_key={
        "gateway_get_price": "it changes nothing",
    },
    no_id_filter={
        "gateway_list_rows": "a row is a number, not an id",
        "gateway_list_usage": "an hour of a route has no id",
    },
)
