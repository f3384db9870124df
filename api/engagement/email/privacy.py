"""Personal data of email: letters to people, and addresses that get none."""

from api.engagement.email.letter import logic
from cluster.jobs import JobRun
from cluster.people.erasure import Erasing
from cluster.people.privacy import FreeText, PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="email.letters",
        person="user_id",
        columns=(
            "user_id",
            "org_id",
            "template",
            "category",
            "lane",
            "locale",
            "sender_domain",
            "domain",
            "address_hash",
            "sealed",
            "reply_route",
            "reply_subject",
            "reply_until",
            "state",
            "reason",
            "created_at",
            "ended_at",
        ),
        purpose="brings letters to people, and tells whether they arrived",
        kept="address and words until 7 days after the end, for letters into accounts until they are handed over; the rest 90 days",
        erasure="delete",
        organization="org_id",
        merge="move",
        secret=("sealed", "address_hash"),
    ),
    PersonalData(
        table="email.received",
        person="user_id",
        columns=(
            "user_id",
            "org_id",
            "letter_id",
            "route",
            "subject_id",
            "state",
            "reason",
            "digest",
            "message_key",
            "sealed",
            "received_at",
        ),
        purpose="brings what a person answers by mail to whoever wrote to them",
        kept="the words 7 days, the rest 90 days",
        erasure="delete",
        organization="org_id",
        merge="move",
        secret=("sealed", "digest", "message_key"),
    ),
)
FREE_TEXT = (
    FreeText(
        table="email.attempts",
        columns=("status", "reply", "carrier"),
        holds="which mail server answered what, without the address; deleted with the letter",
    ),
    FreeText(
        table="email.destinations",
        columns=("sender_domain", "domain"),
        holds="domains of mail servers",
    ),
    FreeText(
        table="email.handed_over",
        columns=("carrier_id",),
        holds="an id that SES gave a letter; deleted with the letter",
    ),
    FreeText(
        table="email.letter_templates",
        columns=("template", "locale", "source"),
        holds="the words of letters, with fields in place of names",
    ),
    FreeText(
        table="email.senders",
        columns=("domain", "mail_from", "name", "records"),
        holds="the address and name in which an organization writes, and its DNS records",
    ),
    FreeText(table="email.warm_ups", columns=("time_zone",), holds="the name of a time zone"),
    FreeText(
        table="email.signing_keys",
        columns=("selector", "rsa", "rsa_public", "ed25519", "ed25519_public"),
        holds="keys of domains",
    ),
    FreeText(
        table="email.suppressions",
        columns=("category", "status"),
        holds="the name of a category, and a code of RFC 3463",
    ),
)


async def erase(run: JobRun, request: Erasing) -> None:
    """Delete letters to the person's addresses that name no account. That an address wants none stays, as a keyed hash."""
    await logic.erase(run, request)
