"""Traces of people in the kernel's own queues, for erasures of people who leave the platform.

Jobs and events hold ids and no names. Those that wait are needed to end what is under way, so they keep the ids until the last look
of an erasure. What was noted of faults is free text and goes at once.

The parameters are the fields of `Traced`. No index finds these rows, and none is worth it. A statement touches each row once.
"""

from dataclasses import dataclass

from cluster.base.ids import UserId
from cluster.people.privacy import ERASED


@dataclass(frozen=True, slots=True)
class Traced:
    """Whose traces are erased."""

    user_id: UserId
    texts: list[str]
    """The id and the addresses, in lower case."""
    nobody: str = ERASED


AT_ONCE = (
    # Finished jobs would stay for a day, keys of requests too.
    """DELETE FROM hub.jobs WHERE id = ANY(ARRAY(
           SELECT id FROM hub.jobs WHERE state IN ('succeeded', 'cancelled') AND hub.names(jobs::text, $texts)
           LIMIT 1000 FOR UPDATE))""",
    """DELETE FROM hub.idempotency_keys WHERE key_hash = ANY(ARRAY(
           SELECT key_hash FROM hub.idempotency_keys WHERE result_id = $user_id LIMIT 1000 FOR UPDATE))""",
    """UPDATE hub.jobs SET last_error = 'erased with a person' WHERE id = ANY(ARRAY(
           SELECT id FROM hub.jobs WHERE last_error <> 'erased with a person' AND hub.names(jobs::text, $texts)
           LIMIT 1000 FOR UPDATE))""",
    """UPDATE hub.parked_keys SET last_error = 'erased with a person'
       WHERE last_error <> 'erased with a person' AND (hub.names(key || ' ' || last_error, $texts) OR EXISTS (
           SELECT FROM hub.parked WHERE parked.consumer = parked_keys.consumer AND parked.key = parked_keys.key
               AND hub.names(envelope::text, $texts)))""",
    # Rows that an organization sent by an address that nobody had then: no column names the person.
    """UPDATE hub.bulk_rows SET key = '', problem = NULL WHERE ctid = ANY(ARRAY(
           SELECT ctid FROM hub.bulk_rows WHERE user_id IS NULL AND hub.names(concat(key, problem), $texts)
           LIMIT 1000 FOR UPDATE))""",
    # Who enqueued a job is for the record alone, and decides nothing.
    """UPDATE hub.jobs SET actor = replace(actor::text, $user_id::uuid::text, $nobody)::jsonb WHERE id = ANY(ARRAY(
           SELECT id FROM hub.jobs WHERE strpos(actor::text, $user_id::uuid::text) > 0 LIMIT 1000 FOR UPDATE))""",
)
AT_LAST = (
    # What waited to be done about or for somebody who left so long ago is not done any more.
    """DELETE FROM hub.jobs WHERE id = ANY(ARRAY(
           SELECT id FROM hub.jobs WHERE state <> 'running' AND hub.names(jobs::text, $texts) LIMIT 1000 FOR UPDATE))""",
    "DELETE FROM hub.parked WHERE key = $user_id::uuid::text",
    """DELETE FROM hub.parked_keys WHERE key = $user_id::uuid::text AND NOT EXISTS (
           SELECT FROM hub.parked WHERE parked.consumer = parked_keys.consumer AND parked.key = parked_keys.key)""",
    # Events of other keys stay in their order, and name nobody.
    """UPDATE hub.parked SET envelope = replace(envelope::text, $user_id::uuid::text, $nobody)::json
       WHERE strpos(envelope::text, $user_id::uuid::text) > 0""",
)
