"""Personal data that auth keeps: what somebody signs in with, and where from."""

from cluster.people.privacy import PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="auth.identities",
        person="user_id",
        columns=("user_id", "subject", "email", "secret_hash"),
        purpose="lets a person sign in",
        kept="as long as the account",
        erasure="delete",
    ),
    PersonalData(
        table="auth.sessions",
        person="user_id",
        columns=("user_id", "user_agent", "address"),
        purpose="shows a person where they are signed in, and ends sessions that are not theirs",
        kept="until 30 days after the session's end",
        erasure="delete",
    ),
    PersonalData(
        table="auth.mail_tokens",
        person="user_id",
        columns=("user_id", "email", "subject"),
        purpose="proves who reads an address's mail",
        kept="a day beyond the link's expiry",
        erasure="delete",
    ),
    PersonalData(
        table="auth.mails",
        person="user_id",
        columns=("user_id", "sealed"),
        purpose="brings links to the address of a person",
        kept="a day",
        erasure="delete",
    ),
)
