"""What organization does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    public={
        "organization_preview": "the invitation's token is what it asks for",
    },
    no_idempotency_key={
        "organization_invite": "answers a secret",
        "organization_accept": "the token is its key",
        "organization_preview": "changes nothing",
    },
    dotted_fields={
        "SettingChanges": "a setting is called <service>.<what it sets>",
        "SettingLocks": "a setting is called <service>.<what it sets>",
    },
    no_uuid={
        "MemberPatch.external_id": "what the organization calls its member",
        "MemberView.external_id": "what the organization calls its member",
        "organization_list_members.external_id": "what the organization calls its member",
    },
)
