"""Channels: the addresses of event streams, which say whose flags are followed and by whom.

A browser's EventSource sends no Authorization header, so the address is what authorises it: whom it names, for which
organization and until when, with a MAC. It is good for hearing that flags changed and for nothing else; what they decide is told
to whoever asks with their own token. The same caller gets the same address for hours, so that connections stay.
Source: OFREP, ADR 8 (the address is opaque to the client, and no log shows it).
"""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hmac import compare_digest

import msgspec

from api.platform.feature_flag.contract import ChannelNotFound
from cluster.base import sealing
from cluster.base.ids import OrgId
from cluster.base.principal import Principal

PATH = "/ofrep/v1/events"
PERIOD_S = 6 * 3600
"""An address is good for one to two of these."""
_PURPOSE = "channel"
_MAC_BYTES = 32
MOST_CHARACTERS = 2000


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who follows which flags."""

    principal: Principal
    org_id: OrgId | None
    """None: the flags of the platform alone."""
    until: int
    """Unix time."""

    @property
    def since(self) -> float:
        """When its session was authenticated, as a Unix time: what is revoked later ends it."""
        return 0.0 if self.principal.auth_time is None else self.principal.auth_time.timestamp()


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(Channel)


def make(caller: Principal, org_id: OrgId | None, now_s: float) -> str:
    """Return the channel of a caller, the same one for a period."""
    until = (int(now_s) // PERIOD_S + 2) * PERIOD_S
    content = _encoder.encode(Channel(principal=caller, org_id=org_id, until=until))
    return urlsafe_b64encode(sealing.mac("feature_flag", _PURPOSE, content) + content).rstrip(b"=").decode()


def read(text: str) -> Channel:
    """Return what a channel says.

    Raises:
        ChannelNotFound: it was not made here, or is over.
    """
    try:
        sent = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        mac, content = sent[:_MAC_BYTES], sent[_MAC_BYTES:]
        if any(compare_digest(mac, each) for each in sealing.macs("feature_flag", _PURPOSE, content)):
            channel = _decoder.decode(content)
            if channel.until > time.time():
                return channel
    except (ValueError, msgspec.MsgspecError):
        pass
    raise ChannelNotFound("ask POST /ofrep/v1/evaluate/flags again: its answer names another")
