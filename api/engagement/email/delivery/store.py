"""The SQL of handing letters over: take what is due under a lease, record how it ended, let go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from api.engagement.email.contract import Lane, LetterId, State
from api.engagement.email.rules import Outcome
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True)
class Destination:
    """A receiving domain whose letters we hand over now."""

    sender_domain: str
    domain: str
    pace: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter that we hand over now."""

    id: LetterId
    template: str
    category: str | None
    lane: Lane
    locale: str
    org_id: OrgId | None
    reply_route: str | None
    source_id: UUID | None
    sender_domain: str
    domain: str
    sealed: bytes
    attempts: int
    state: State
    created_at: datetime
    tried_since: datetime | None
    """From when its 48 hours count; None: from its creation."""
    counted_on: date | None
    """On which day of its sender's warm-up plan it was counted last."""


TAKE_DESTINATIONS = """
UPDATE email.destinations SET lease = $lease::uuid, due_at = $until
FROM (
    SELECT lane, sender_domain, domain FROM email.destinations
    WHERE lane = $lane AND due_at <= $now ORDER BY due_at LIMIT $limit FOR UPDATE SKIP LOCKED
) AS due
WHERE destinations.lane = due.lane AND destinations.sender_domain = due.sender_domain AND destinations.domain = due.domain
RETURNING destinations.sender_domain, destinations.domain, pace
"""
# A letter that is `sending` though its destination was free: whoever held it died, and did not say whether it was handed over.
TAKE_LETTERS = """
UPDATE email.letters SET
    state = CASE WHEN expires_at <= $now::timestamptz THEN 'expired' WHEN taken.suppressed THEN 'suppressed' ELSE 'sending' END,
    ended_at = CASE WHEN expires_at <= $now OR taken.suppressed THEN $now::timestamptz END,
    lease = CASE WHEN expires_at <= $now OR taken.suppressed THEN NULL ELSE $lease::uuid END,
    version = version + 1
FROM unnest($sender_domains::text[], $domains::text[], $paces::int[]) AS held (sender_domain, domain, pace),
LATERAL (
    SELECT waiting.id, waiting.lane <> 'security' AND EXISTS (
        SELECT FROM email.suppressions s WHERE s.address_hash = waiting.address_hash AND (
            (s.category IS NULL AND s.org_id IS NULL) OR (s.org_id IS NOT DISTINCT FROM waiting.org_id
                AND (s.category IS NULL OR s.category = waiting.category)))
    ) AS suppressed
    FROM email.letters AS waiting
    WHERE waiting.lane = $lane AND waiting.sender_domain = held.sender_domain AND waiting.domain = held.domain
        AND waiting.state IN ('queued', 'deferred', 'sending') AND waiting.due_at <= $now
    ORDER BY waiting.due_at LIMIT held.pace FOR UPDATE
) AS taken
WHERE letters.id = taken.id
RETURNING letters.id, template, category, lane, locale, org_id, reply_route, source_id, letters.sender_domain, letters.domain,
    sealed, attempts, state, created_at, tried_since, counted_on
"""


async def update_taken(
    tx: Transaction, lane: Lane, *, lease: UUID, until: datetime, limit: int
) -> list[tuple[Destination, list[Waiting]]]:
    """Hold up to `limit` receiving domains until a time, and return the letters that are due there."""
    held = await tx.all(Destination, TAKE_DESTINATIONS, lane=lane, lease=lease, until=until, limit=limit)
    if not held:
        return []
    letters = await tx.all(
        Waiting,
        TAKE_LETTERS,
        lane=lane,
        lease=lease,
        sender_domains=[each.sender_domain for each in held],
        domains=[each.domain for each in held],
        paces=[each.pace for each in held],
    )
    by_domain: dict[tuple[str, str], list[Waiting]] = {}
    for letter in letters:
        if letter.state == "sending":
            by_domain.setdefault((letter.sender_domain, letter.domain), []).append(letter)
    return [(each, by_domain.get((each.sender_domain, each.domain), [])) for each in held]


UPDATE_HELD = "UPDATE email.destinations SET due_at = $until WHERE lease = $lease"


async def update_held(tx: Transaction, lease: UUID, until: datetime) -> int:
    """Hold for longer what is held; return how many domains."""
    return await tx.run(UPDATE_HELD, lease=lease, until=until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """How one try ended."""

    letter_id: LetterId
    state: State
    outcome: Outcome
    reason: str | None
    code: int | None
    status: str | None
    reply: str
    carrier: str | None = None
    carrier_id: str | None = None
    soft: bool = False
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A letter whose try was recorded."""

    id: LetterId
    template: str
    org_id: OrgId | None
    user_id: UserId | None
    address_hash: bytes
    state: State
    soft: bool
    version: int
    status: str | None


UPDATE_TRIED = """
WITH tried AS (
    SELECT * FROM unnest($ids::uuid[], $states::text[], $outcomes::text[], $reasons::text[], $codes::int[],
        $statuses::text[], $replies::text[], $carriers::text[], $carrier_ids::text[], $softs::boolean[], $dues::timestamptz[])
        AS tried (id, state, outcome, reason, code, status, reply, carrier, carrier_id, soft, due_at)
), updated AS (
    UPDATE email.letters SET
        state = tried.state, reason = tried.reason, attempts = attempts + 1, soft = tried.soft,
        due_at = coalesce(tried.due_at, letters.due_at), lease = NULL, version = version + 1,
        ended_at = CASE WHEN tried.state = 'deferred' THEN NULL ELSE $now::timestamptz END,
        sealed = CASE WHEN lane = 'security' AND tried.state = 'sent' AND NOT $keep::boolean THEN NULL ELSE sealed END
    FROM tried WHERE letters.id = tried.id AND letters.lease = $lease AND letters.state = 'sending'
    RETURNING letters.id, template, org_id, user_id, address_hash, letters.state, letters.soft, version, attempts
), noted AS (
    INSERT INTO email.attempts (letter_id, number, outcome, code, status, reply, carrier, made_at)
    SELECT id, attempts, tried.outcome, tried.code, tried.status, tried.reply, carrier, $now::timestamptz
    FROM updated JOIN tried USING (id)
), handed_over AS (
    INSERT INTO email.handed_over (carrier_id, letter_id)
    SELECT carrier_id, id FROM updated JOIN tried USING (id) WHERE carrier_id IS NOT NULL ON CONFLICT (carrier_id) DO NOTHING
)
SELECT updated.id, template, org_id, user_id, address_hash, updated.state, updated.soft, version, tried.status
FROM updated JOIN tried USING (id)
"""


async def update_tried(tx: Transaction, tried: Sequence[Tried], *, lease: UUID, keep: bool) -> list[Recorded]:
    """Record how tries ended; a letter that somebody else holds by now is left alone. `keep`: its words stay."""
    return await tx.all(
        Recorded,
        UPDATE_TRIED,
        ids=[each.letter_id for each in tried],
        states=[each.state for each in tried],
        outcomes=[each.outcome for each in tried],
        reasons=[each.reason for each in tried],
        codes=[each.code for each in tried],
        statuses=[each.status for each in tried],
        replies=[each.reply for each in tried],
        carriers=[each.carrier for each in tried],
        carrier_ids=[each.carrier_id for each in tried],
        softs=[each.soft for each in tried],
        dues=[each.due_at for each in tried],
        lease=lease,
        keep=keep,
    )


FIND_HANDED_OVER = "SELECT letter_id FROM email.handed_over WHERE carrier_id = $carrier_id"


async def find_handed_over(db: Connection, carrier_id: str) -> LetterId | None:
    """Find the letter that a carrier knows by an id of its own: a notice of SES names it in `mail.messageId`."""
    return await db.value(FIND_HANDED_OVER, carrier_id=carrier_id)


UPDATE_GIVEN_BACK = """
UPDATE email.letters SET state = CASE WHEN attempts = 0 THEN 'queued' ELSE 'deferred' END, lease = NULL, version = version + 1
WHERE id = ANY($ids::uuid[]) AND lease = $lease AND state = 'sending'
"""


async def update_given_back(tx: Transaction, ids: Sequence[LetterId], lease: UUID) -> None:
    """Let letters wait again that were taken and not tried."""
    await tx.run(UPDATE_GIVEN_BACK, ids=list(ids), lease=lease)


UPDATE_POSTPONED = """
UPDATE email.letters SET state = CASE WHEN attempts = 0 THEN 'queued' ELSE 'deferred' END, lease = NULL, due_at = $due_at,
    tried_since = CASE WHEN attempts = 0 THEN $due_at ELSE tried_since END, version = version + 1
WHERE id = ANY($ids::uuid[]) AND lease = $lease AND state = 'sending'
"""


async def update_postponed(tx: Transaction, ids: Sequence[LetterId], lease: UUID, due_at: datetime) -> None:
    """Let letters wait until a time that were taken and not tried."""
    await tx.run(UPDATE_POSTPONED, ids=list(ids), lease=lease, due_at=due_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A receiving domain that we let go."""

    sender_domain: str
    domain: str
    pace: int
    rest_s: float


LOCK_DESTINATIONS = """
SELECT 1 FROM email.destinations JOIN unnest($sender_domains::text[], $domains::text[]) AS held (sender_domain, domain)
    USING (sender_domain, domain)
WHERE lane = $lane ORDER BY sender_domain, domain FOR UPDATE OF destinations
"""
UPDATE_RELEASED = """
UPDATE email.destinations SET lease = NULL, pace = held.pace, due_at = (
    SELECT greatest(letters.due_at, $now::timestamptz + held.rest_s * interval '1 second') FROM email.letters
    WHERE letters.lane = $lane AND letters.sender_domain = held.sender_domain AND letters.domain = held.domain
        AND letters.state IN ('queued', 'deferred', 'sending')
    ORDER BY letters.due_at LIMIT 1)
FROM unnest($sender_domains::text[], $domains::text[], $paces::int[], $rests::float8[])
    AS held (sender_domain, domain, pace, rest_s)
WHERE destinations.lane = $lane AND destinations.sender_domain = held.sender_domain
    AND destinations.domain = held.domain AND destinations.lease = $lease
"""


async def update_released(tx: Transaction, lane: Lane, lease: UUID, released: Sequence[Released]) -> None:
    """Let domains go; the next of their letters says when they are due.

    Whoever sends letters holds the row until they are committed: the second statement sees them.
    """
    domains = {
        "lane": lane,
        "sender_domains": [each.sender_domain for each in released],
        "domains": [each.domain for each in released],
    }
    await tx.rows(LOCK_DESTINATIONS, **domains)
    await tx.run(
        UPDATE_RELEASED,
        **domains,
        lease=lease,
        paces=[each.pace for each in released],
        rests=[each.rest_s for each in released],
    )


FIND_NEXT_DUE = """
SELECT due_at FROM email.destinations WHERE lane = $lane AND due_at IS NOT NULL ORDER BY due_at LIMIT 1
"""


async def find_next_due(db: Connection, lane: Lane) -> datetime | None:
    """Find when the next domain of a lane is due."""
    return await db.value(FIND_NEXT_DUE, lane=lane)


COUNT_SOFT = """
SELECT count(*) FROM (
    SELECT 1 FROM email.letters WHERE address_hash = $address_hash AND ended_at > $after AND state = 'bounced' AND soft
    LIMIT 100) AS soft
"""


async def count_soft(db: Connection, address_hash: bytes, after: datetime) -> int:
    """Count the letters to an address that bounced since, though the address may exist."""
    return await db.value(COUNT_SOFT, address_hash=address_hash, after=after)
