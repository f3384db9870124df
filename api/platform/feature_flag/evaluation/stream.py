"""Event streams of OFREP: a client hears that it should ask for its flags again.

A stream has no queue: it knows which rules it told of last, and tells of those that hold now, so that a slow reader gets the newest
and nothing else. An event's id is the tag of the rules, the same from every process: whoever comes back with it, to any of them,
has missed nothing or is told at once. Changes come from the keeper of this process, which polls while broadcasts are late.
Source: OFREP, ADR 8; HTML, section 9.2 (Server-sent events).
"""

import asyncio
import logging
import random
import re
from collections import Counter
from contextlib import suppress
from contextvars import Context
from time import monotonic, time
from typing import Any

from starlette.responses import Response

from api.platform.feature_flag.contract import ChannelNotFound
from api.platform.feature_flag.evaluation.channel import Channel
from api.platform.feature_flag.evaluation.seen import Rules, Seen, rules_of, seen_by
from cluster.base.ids import OrgId
from cluster.base.networks import network_of
from cluster.base.problems import TooManyRequests, Unavailable
from cluster.http.asgi import Message, Receive, Scope, Send
from cluster.people import flags, identity, live
from cluster.people.flags import Keeper
from cluster.signals import broadcast

log = logging.getLogger(__name__)

INACTIVITY_DELAY_S = 120
"""After which a client that nobody looks at leaves."""
MOST_OF_PERSON = 20
MOST_OF_NETWORK = 500
"""Of guests at one address: a school has one."""
MOST_OF_GUESTS = 5_000
"""Of all guests in one process."""
PING_S = 15.0
UNWRITABLE_S = 10.0
RIGHTS_EVERY_S = 300.0
_RIGHTS_AGAIN_S = 5.0
"""After nobody could say."""
RETRY_MS = 2000
_GAP_S = 30.0
_LOOK_S = 0.25
_SPREAD_PER_S = 2000
_SPREAD_S = 0.5
"""Of many streams that tell the same, the last one does so this much later: their clients ask again at once."""
_LEAVE_EARLY_S = 600
"""Before a channel is over its clients are told to ask for another, not all of them at once."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_TAG = re.compile(r'"?(\d{1,18})-([0-9a-f]{32})"?', re.ASCII)


def seq_of(tag: str) -> int | None:
    """Return up to which change the process had all of them that told of this tag; None: it is none."""
    found = _TAG.fullmatch(tag)
    return None if found is None else int(found[1])


class Stream(Response):
    """One client that follows flags."""

    media_type = "text/event-stream"

    def __init__(
        self, streams: "Streams", channel: Channel, seen: Seen, caller: str, last_event_id: str | None
    ) -> None:
        super().__init__()
        self.channel = channel
        self.seen = seen
        self.caller = caller
        """Whose streams are counted together."""
        self.wake = asyncio.Event()
        self.check_at = monotonic() + RIGHTS_EVERY_S
        self.sent_at = monotonic()
        self.sending_since: float | None = None
        self.abort: asyncio.Task[Any] | None = None
        self.leaves_at = channel.until - random.uniform(0, _LEAVE_EARLY_S)  # noqa: S311 (no secret)
        self._streams = streams
        self._closing: str | None = None
        """What is sent last."""
        known = _TAG.fullmatch(last_event_id or "")
        self._told = "" if known is None else known[2]

    def close(self, goodbye: str = "") -> None:
        """End it when what is being sent has gone."""
        if self._closing is None:
            self._closing = goodbye
        self.wake.set()

    async def check(self) -> None:
        """Look again what its client may ask for."""
        try:
            seen = await seen_by(self.channel.principal, self.channel.org_id)
            self._streams.sees(self, seen)
            self.wake.set()
        except Exception as error:
            # As it was, for now.
            self.check_at = min(self.check_at, monotonic() + _RIGHTS_AGAIN_S)
            log.debug("rights of a stream wait", extra={"error": repr(error)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI)
        task = self.abort = asyncio.current_task()
        assert task is not None
        leaving = asyncio.create_task(_left(receive), name="flags left")
        leaving.add_done_callback(lambda _: self.close())
        try:
            self.sending_since = monotonic()
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            await self._send(send, f"retry: {RETRY_MS}\n\n")
            while self._closing is None:
                self.wake.clear()
                if text := self._news():
                    await self._send(send, text)
                else:
                    await self.wake.wait()
            with suppress(OSError):
                await self._send(send, self._closing, more=False)
        except asyncio.CancelledError:
            # The client did not read.
            if self._closing is None or task.uncancel():
                raise
        finally:
            leaving.cancel()
            self._streams.leave(self)

    def _news(self) -> str:
        keeper = self._streams.keeper
        rules = self._streams.rules(self.seen)
        if rules.digest != self._told:
            self._told = rules.digest
            return event(f"{keeper.seq}-{rules.digest}")
        return ": ping\n\n" if monotonic() - self.sent_at >= PING_S else ""

    async def _send(self, send: Send, text: str, *, more: bool = True) -> None:
        self.sending_since = monotonic()
        await send(_body(text, more=more))
        self.sending_since, self.sent_at = None, monotonic()


class Streams:
    """All streams of one process, as long as its flags are kept by one keeper."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self._streams: set[Stream] = set()
        self._count: Counter[str] = Counter()
        self._followers: Counter[Seen] = Counter()
        self._guests = 0
        self._rules: dict[Seen, Rules] = {}
        """Of what is followed, and of nothing else: anybody may name an organization that there is none of."""
        self._looking: asyncio.Task[None] | None = None
        self._checks: set[asyncio.Task[None]] = set()
        keeper.watch(self._changed)

    @property
    def count(self) -> int:
        return len(self._streams)

    async def enter(self, channel: Channel, address: str, last_event_id: str | None) -> Stream:
        """Return a stream for a client.

        Raises:
            ChannelNotFound: its session is over.
            TooManyRequests: this caller has too many.
            Unavailable: this process is about to end or has too many guests, or nobody can say what the caller may see.
        """
        if live.current().draining:
            raise Unavailable("this server is about to restart; connect again", retry_after_s=1)
        principal = channel.principal
        caller = str(principal.id) if principal.id is not None else f"guests of {network_of(address) or address}"
        most = MOST_OF_NETWORK if principal.id is None else MOST_OF_PERSON
        if self._count[caller] >= most:
            raise TooManyRequests(f"close one of your {most} event streams", retry_after_s=15)
        if principal.id is None and self._guests >= MOST_OF_GUESTS:
            raise Unavailable("too many guests follow flags here; ask for them without a stream", retry_after_s=15)
        self._count[caller] += 1
        self._guests += principal.id is None
        try:
            if principal.id is not None:
                try:
                    await identity.ensure_stands(principal, channel.since)
                except identity.InvalidToken:
                    raise ChannelNotFound("this session was ended; sign in again") from None
            seen = await seen_by(principal, channel.org_id)
            stream = Stream(self, channel, seen, caller, last_event_id)
        except BaseException:
            self._uncount(caller, guest=principal.id is None)
            raise
        self._streams.add(stream)
        self._followers[seen] += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="flag streams", context=Context())
        return stream

    def leave(self, stream: Stream) -> None:
        """Count a stream out."""
        if stream in self._streams:
            self._streams.discard(stream)
            self._uncount(stream.caller, guest=stream.channel.principal.id is None)
            self._unfollow(stream.seen)

    def sees(self, stream: Stream, seen: Seen) -> None:
        """Let a stream tell of other flags from now on."""
        if stream in self._streams:
            self._followers[seen] += 1
            self._unfollow(stream.seen)
            stream.seen = seen

    def rules(self, seen: Seen) -> Rules:
        """Return the rules that hold now for these flags, worked out once for all who see the same."""
        found, now_s = self._rules.get(seen), time()
        if found is None or found.until <= now_s:
            found = rules_of(self.keeper, seen, now_s)
            if seen in self._followers:
                self._rules[seen] = found
        return found

    def hear_access(self, message: dict[str, Any]) -> None:
        """Look again at the rights of one person, or of everybody in an organization."""
        person, org = message.get("user_id"), message.get("org_id")
        for stream in self._streams:
            if person is not None:
                concerned = str(stream.channel.principal.id) == person
            else:
                concerned = org is None or str(stream.channel.org_id) == org
            if concerned:
                stream.check_at = monotonic()

    def hear_gap(self) -> None:
        """Look again at everybody's rights, soon and not at once."""
        for stream in self._streams:
            stream.check_at = monotonic() + random.uniform(0, _GAP_S)  # noqa: S311 (no secret)

    def _unfollow(self, seen: Seen) -> None:
        self._followers[seen] -= 1
        if self._followers[seen] <= 0:
            del self._followers[seen]
            self._rules.pop(seen, None)

    def _uncount(self, caller: str, *, guest: bool) -> None:
        self._guests -= guest
        self._count[caller] -= 1
        if self._count[caller] <= 0:
            del self._count[caller]

    def _changed(self, owners: set[OrgId | None]) -> None:
        everybody = None in owners
        self._rules = (
            {} if everybody else {each: rules for each, rules in self._rules.items() if each.org_id not in owners}
        )
        concerned = [stream for stream in self._streams if everybody or stream.channel.org_id in owners]
        loop, within_s = asyncio.get_running_loop(), min(_SPREAD_S, len(concerned) / _SPREAD_PER_S)
        for stream in concerned:
            loop.call_later(random.uniform(0, within_s), stream.wake.set)  # noqa: S311 (no secret)

    async def _look(self) -> None:
        """Look after all streams, as long as there are some."""
        while self._streams:
            await asyncio.sleep(_LOOK_S)
            ends = live.current().draining or flags.current() is not self.keeper
            now, now_s = monotonic(), time()
            if stepped := {seen.org_id for seen, rules in self._rules.items() if rules.until <= now_s}:
                self._changed(stepped)
            for stream in list(self._streams):
                self._look_after(stream, now, now_s, ends=ends)

    def _look_after(self, stream: Stream, now: float, now_s: float, *, ends: bool) -> None:
        if ends:
            stream.close(f"retry: {random.randint(200, 5000)}\n\n")  # noqa: S311 (no secret)
        elif identity.is_over(stream.channel.principal, stream.channel.since):
            stream.close()
        elif now_s >= stream.leaves_at:
            stream.close(event(None))
        elif now - stream.sent_at >= PING_S:
            stream.wake.set()
        if stream.sending_since is not None and now - stream.sending_since > UNWRITABLE_S and stream.abort is not None:
            stream.close()
            stream.abort.cancel()
        if stream.abort is None and now - stream.sent_at > UNWRITABLE_S:
            # Its client left before it began.
            self.leave(stream)
        if now >= stream.check_at:
            stream.check_at = now + RIGHTS_EVERY_S
            check = asyncio.create_task(stream.check(), name="flag stream rights", context=Context())
            self._checks.add(check)
            check.add_done_callback(self._checks.discard)


def event(tag: str | None) -> str:
    """Return what tells a client to ask again; None: whatever it has."""
    if tag is None:
        return 'data: {"type":"refetchEvaluation"}\n\n'
    return f'id: {tag}\ndata: {{"type":"refetchEvaluation","etag":"\\"{tag}\\""}}\n\n'


_current: Streams | None = None


def of(keeper: Keeper) -> Streams:
    """Return the streams of this process."""
    global _current
    if _current is None or _current.keeper is not keeper:
        _current = Streams(keeper)
        broadcast.listen("access", _hear_access, on_gap=_hear_gap)
    return _current


async def _hear_access(message: dict[str, Any]) -> None:
    if _current is not None:
        _current.hear_access(message)


async def _hear_gap() -> None:
    if _current is not None:
        _current.hear_gap()


def _body(text: str, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": text.encode(), "more_body": more}


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
