"""How to ask each operation of the API for something that it grants: one recipe per operationId.

A recipe makes what it needs, so that asking spoils nothing for others, and names who may ask. `also` are outsiders who may too.
`own`: everybody who is signed in asks about themselves alone, so only guests are refused.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.harness import PASSWORD, Person, done
from tests.platform.world import SENDING, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request that `by` may make."""

    by: Person
    ids: dict[str, Any] = field(default_factory=dict[str, Any])
    query: dict[str, Any] | None = None
    body: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])


Make = Callable[[World], Awaitable[Ask]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    make: Make
    also: frozenset[str] = frozenset()
    own: bool = False
    private: bool = False
    """Nobody else may know of it, not even the organization's owner and members: they get 404."""
    route: tuple[str, str] | None = None
    """Method and path of what the API document leaves to a standard."""
    hidden: bool = True
    """A guest learns nothing; else the operation is open, and what is asked for here is merely not there for them."""


RECIPES: dict[str, Recipe] = {}

OPEN = {
    "gateway_jwks": "public keys",
    "gateway_list_services": "the state of the platform is no secret",
    "auth_sign_in": "the password is what it asks for",
    "auth_refresh": "the refresh token is what it asks for",
    "auth_forgot": "answers the same to everybody",
    "auth_reset": "the mailed token is what it asks for",
    "user_sign_up": "open to all",
    "user_get_privacy_report": "the token is what it asks for",
    "organization_preview": "the invitation's token is what it asks for",
    "course_list_categories": "the same for everybody",
    "content_list_block_types": "what the code declares",
}
"""Operations without anything that belongs to somebody."""


def recipe(operation_id: str, *also: str, **options: Any) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        assert operation_id not in RECIPES, operation_id
        RECIPES[operation_id] = Recipe(make=make, also=frozenset(also), **options)
        return make

    return register


def simple(operation_id: str, who: str, *also: str, body: Any = None, own: bool = False, **ids: str) -> None:
    """Register a recipe for what the world has already: `ids` name its attributes."""

    async def make(world: World) -> Ask:
        return Ask(by=getattr(world, who), ids={name: _of(world, path) for name, path in ids.items()}, body=body)

    RECIPES[operation_id] = Recipe(make=make, also=frozenset(also), own=own)


def listing(operation_id: str, who: str, *also: str, own: bool = False, hidden: bool = True, **query: str) -> None:
    """Register a recipe for a list: `query` names attributes of the world."""

    async def make(world: World) -> Ask:
        return Ask(by=getattr(world, who), query={name: _of(world, path) for name, path in query.items()})

    RECIPES[operation_id] = Recipe(make=make, also=frozenset(also), own=own, hidden=hidden)


def _of(world: World, path: str) -> str:
    value: Any = world
    for name in path.split("."):
        value = getattr(value, name)
    return str(value)


async def version(by: Person, path: str) -> dict[str, str]:
    answer = await by.get(path)
    assert answer.status_code == 200, answer.text
    return {"If-Match": answer.headers["ETag"]}


# gateway


@recipe("gateway_get_operation")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"operation_id": await world.operation()})


@recipe("gateway_cancel_operation")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"operation_id": await world.operation()})


# user and auth

simple("user_get_user", "owner", user_id="owner.id")
listing("user_list_users", "operator", email="owner.email")
listing("auth_list_sessions", "owner", own=True)
simple("auth_get_identity", "owner", own=True)
simple("auth_reauthenticate", "owner", own=True, body={"password": PASSWORD})


@recipe("user_change_user")
async def _(world: World) -> Ask:
    path = f"/v1/users/{world.owner.id}"
    headers = await version(world.owner, path)
    return Ask(by=world.owner, ids={"user_id": world.owner.id}, body={"pronouns": "she/her"}, headers=headers)


@recipe("user_change_email", own=True)
async def _(world: World) -> Ask:
    person = await world.hub.person("changing")
    return Ask(by=person, body={"email": f"new-{person.email}", "password": PASSWORD})


@recipe("user_resend_verification", own=True)
async def _(world: World) -> Ask:
    return Ask(by=await world.hub.person("waiting"))


@recipe("user_verify_email", own=True)
async def _(world: World) -> Ask:
    person = await world.hub.person("verifying")
    return Ask(by=person, body={"token": await world.mailed(person)})


@recipe("auth_change_password", own=True)
async def _(world: World) -> Ask:
    person = await world.hub.person("changing")
    return Ask(by=person, body={"password": PASSWORD, "new_password": "another long enough sentence"})


@recipe("auth_get_session")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"session_id": await world.session()})


@recipe("auth_end_session")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"session_id": await world.session()})


# rbac


@recipe("rbac_list_grants")
async def _(world: World) -> Ask:
    grant = await world.grant()
    return Ask(by=world.owner, query={"organization_id": world.org_id, "user_id": grant["user_id"]})


@recipe("rbac_create_grant")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body=await world.new_grant())


@recipe("rbac_get_grant")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"grant_id": (await world.grant())["id"]})


@recipe("rbac_end_grant")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"grant_id": (await world.grant())["id"]})


@recipe("rbac_list_roles")
async def _(world: World) -> Ask:
    await world.role()
    return Ask(by=world.owner, query={"organization_id": world.org_id, "limit": 100})


@recipe("rbac_create_role")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body=world.new_role())


@recipe("rbac_explain")
async def _(world: World) -> Ask:
    about = {"user_id": str(world.bystander.id), "permission": "course:edit", "organization_id": world.org_id}
    return Ask(by=world.owner, query=about)


@recipe("rbac_get_role")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"role_id": (await world.role())["id"]})


@recipe("rbac_change_role")
async def _(world: World) -> Ask:
    id = (await world.role())["id"]
    headers = await version(world.owner, f"/v1/roles/{id}")
    return Ask(by=world.owner, ids={"role_id": id}, body={"title": "Another"}, headers=headers)


@recipe("rbac_delete_role")
async def _(world: World) -> Ask:
    id = (await world.role())["id"]
    return Ask(by=world.owner, ids={"role_id": id}, headers=await version(world.owner, f"/v1/roles/{id}"))


# organization

listing("organization_list_organizations", "owner", id="org_id")
simple("organization_get_organization", "owner", organization_id="org_id")
listing("organization_list_members", "owner", organization_id="org_id")


@recipe("organization_create_organization", own=True)
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"name": "New", "slug": f"new-{world.new_role()['name'].replace('_', '-')}"})


@recipe("organization_change_organization")
async def _(world: World) -> Ask:
    headers = await version(world.owner, f"/v1/organizations/{world.org_id}")
    return Ask(by=world.owner, ids={"organization_id": world.org_id}, body={"name": "Renamed"}, headers=headers)


@recipe("organization_suspend")
async def _(world: World) -> Ask:
    return Ask(by=world.operator, ids={"organization_id": (await world.hub.school()).org_id})


@recipe("organization_resume")
async def _(world: World) -> Ask:
    org_id = (await world.hub.school()).org_id
    assert (await world.operator.post(f"/v1/organizations/{org_id}/suspend")).status_code == 200
    return Ask(by=world.operator, ids={"organization_id": org_id})


@recipe("organization_transfer")
async def _(world: World) -> Ask:
    school = await world.hub.school()
    new = {"organization_id": str(school.org_id)}
    token = (await school.owner.post("/v1/invitations", new)).json()["token"]
    successor = await world.hub.person("successor")
    assert (await successor.post("/v1/invitations/-/accept", {"token": token})).status_code == 200
    return Ask(by=school.owner, ids={"organization_id": school.org_id}, body={"user_id": str(successor.id)})


@recipe("organization_get_member")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"member_id": (await world.member())["id"]})


@recipe("organization_change_member")
async def _(world: World) -> Ask:
    id = (await world.member())["id"]
    headers = await version(world.owner, f"/v1/members/{id}")
    return Ask(by=world.owner, ids={"member_id": id}, body={"display_name": "Ada"}, headers=headers)


@recipe("organization_suspend_member")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"member_id": (await world.member())["id"]})


@recipe("organization_reactivate")
async def _(world: World) -> Ask:
    id = (await world.member())["id"]
    assert (await world.owner.post(f"/v1/members/{id}/suspend")).status_code == 200
    return Ask(by=world.owner, ids={"member_id": id})


@recipe("organization_remove")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"member_id": (await world.member())["id"]})


@recipe("organization_leave")
async def _(world: World) -> Ask:
    person = await world.hub.person("leaving")
    return Ask(by=person, ids={"member_id": (await world.member(person))["id"]})


@recipe("organization_list_invitations")
async def _(world: World) -> Ask:
    await world.invitation()
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("organization_invite")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"organization_id": world.org_id})


@recipe("organization_accept")
async def _(world: World) -> Ask:
    person = await world.verified()
    return Ask(by=person, body={"token": (await world.invitation(email=person.email))["token"]})


@recipe("organization_get_invitation")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"invitation_id": (await world.invitation())["id"]})


@recipe("organization_revoke")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"invitation_id": (await world.invitation())["id"]})


# audit

listing("audit_list_entries", "owner", organization_id="org_id")


# uploads, films


@recipe("media_begin_upload", route=("post", "/v1/uploads"))
async def _(world: World) -> Ask:
    return Ask(by=world.owner, headers=world.upload_headers(world.course))


@recipe("media_go_on_with_upload", route=("patch", "/v1/uploads/{upload_id}"))
async def _(world: World) -> Ask:
    ids = {"upload_id": (await world.begun_upload(world.course)).rpartition("/")[2]}
    return Ask(by=world.owner, ids=ids, content=world.film, headers=SENDING)


@recipe("media_ask_about_upload", route=("head", "/v1/uploads/{upload_id}"))
async def _(world: World) -> Ask:
    ids = {"upload_id": (await world.begun_upload(world.course)).rpartition("/")[2]}
    return Ask(by=world.owner, ids=ids, headers={"Tus-Resumable": "1.0.0"})


@recipe("media_end_upload", route=("delete", "/v1/uploads/{upload_id}"))
async def _(world: World) -> Ask:
    ids = {"upload_id": (await world.begun_upload(world.course)).rpartition("/")[2]}
    return Ask(by=world.owner, ids=ids, headers={"Tus-Resumable": "1.0.0"})


@recipe("media_list_assets")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, query={"target": f"course:{world.course.id}"})


simple("media_get_asset", "owner", asset_id="asset_id")
simple("media_get_content", "owner", asset_id="asset_id")


@recipe("media_delete_asset")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"asset_id": await world.asset()})


listing("video_processing_list_videos", "owner", course_id="course.id")
simple("video_processing_get_video", "owner", video_id="video_id")
simple("video_processing_watch_video", "owner", video_id="video_id")
simple("video_processing_get_poster", "owner", video_id="video_id")


@recipe("video_processing_create_video")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"asset_id": await world.asset()})


@recipe("video_processing_cancel_video")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"video_id": await world.video()})


@recipe("video_processing_retry_video")
async def _(world: World) -> Ask:
    video_id = await world.video()
    assert (await world.owner.post(f"/v1/videos/{video_id}/cancel")).status_code == 200
    return Ask(by=world.owner, ids={"video_id": video_id})


@recipe("video_streaming_start_playback", "peer")
async def _(world: World) -> Ask:
    return Ask(by=world.learner, body={"block_id": world.video_block_id, "run_id": world.course.run_id})


@recipe("video_streaming_list_playbacks", own=True)
async def _(world: World) -> Ask:
    return Ask(by=world.learner, query={"id": str(await world.playback())})


@recipe("video_streaming_preview", route=("post", "/v1/playbacks"))
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"video_id": world.video_id})


@recipe("video_streaming_get_playback", private=True)
async def _(world: World) -> Ask:
    return Ask(by=world.learner, ids={"playback_id": await world.playback()})


# user: privacy requests


@recipe("user_create_privacy_request", own=True)
async def _(world: World) -> Ask:
    return Ask(by=await world.hub.person("leaving"), body={"kind": "export"})


@recipe("user_list_privacy_requests")
async def _(world: World) -> Ask:
    await world.privacy_request()
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("user_get_privacy_request")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"request_id": await world.privacy_request()})


@recipe("user_confirm_privacy_request")
async def _(world: World) -> Ask:
    person = await world.hub.person("leaving")
    return Ask(by=person, ids={"request_id": await world.privacy_request(person)})


@recipe("user_cancel_privacy_request")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"request_id": await world.privacy_request()})


@recipe("user_get_privacy_archive")
async def _(world: World) -> Ask:
    person = await world.hub.person("leaving")
    request_id = await world.privacy_request(person)
    done(await person.post(f"/v1/privacy-requests/{request_id}/confirm"))
    await world.hub.settle()
    return Ask(by=person, ids={"request_id": request_id})
