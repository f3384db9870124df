"""Personal data that rbac keeps: who may do what, and who let them."""

from cluster.people.privacy import PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="rbac.grants",
        person="user_id",
        columns=("user_id", "role", "scope", "scope_id"),
        purpose="decides what a person may do",
        kept="while the grant lasts, and as its history afterwards",
        erasure="delete",
    ),
    PersonalData(
        table="rbac.grants",
        person="granted_by",
        columns=("granted_by",),
        purpose="tells who gave a role",
        kept="as long as the grant",
        erasure="clear",
    ),
    PersonalData(
        table="rbac.suspensions",
        person="user_id",
        columns=("user_id",),
        purpose="lets a suspended member's roles rest",
        kept="while the suspension lasts",
        erasure="delete",
    ),
)
