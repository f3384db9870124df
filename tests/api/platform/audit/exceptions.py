"""What audit does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    no_id_filter={
        "audit_list_entries": "entries are looked up by what they are about: target_id, actor_id",
    },
    no_uuid={
        "ActorView.id": "people who are erased, and the platform",
        "EntryView.trace_id": "W3C Trace Context",
        "TargetView.id": "what an audit entry is about may be of any standard",
        "audit_list_entries.target_id": "what an audit entry is about may be of any standard",
    },
    may_scan={
        "store.LIST_CHECKPOINTS": "each missing one must be found",
        "store.COUNT_SEALED": "one row per organization, for the command audit verify",
    },
)
