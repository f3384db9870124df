"""A school with everything in it and the people who want in, made through the API alone."""

import base64
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.core.rbac.contract import RbacCalls
from api.media.video_processing.film.sample import Recipe as FilmRecipe
from api.media.video_processing.film.sample import make_film
from cluster.data import read
from cluster.people.calls import client
from cluster.people.relations import forget
from tests.files import upload
from tests.harness import PASSWORD, Hub, Person, School, done

_number = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A course with a lesson."""

    id: str
    run_id: str
    module_id: str
    lesson_id: str
    text_id: str

    @property
    def path(self) -> str:
        return f"/v1/courses/{self.id}"


@dataclass(slots=True, kw_only=True)
class World:
    """The school's people, its published course with a film, and means to make more of everything."""

    hub: Hub
    school: School
    owner: Person
    insider: Person
    """A member without a role."""
    learner: Person
    """Learns in the course, is no member."""
    peer: Person
    """Learns in the same run."""
    former: Person
    """Learned in the same run."""
    rival: Person
    """Owns another organization with a course."""
    suspended: Person
    """Administrates the school, but is suspended as a member; enrolled in the same run before."""
    removed: Person
    """Administrated the school and was removed; enrolled in the same run before."""
    lapsed: Person
    """Administrated the school until a moment ago."""
    bystander: Person
    """Has nothing anywhere; things are done about them."""
    operator: Person
    """Administrates the platform."""
    film: bytes
    course: Course = field(init=False)
    members_only: Course = field(init=False)
    """Published for members alone."""
    enrollment_id: str = field(init=False)
    asset_id: str = field(init=False)
    picture_id: str = field(init=False)
    """A file that a text of the course shows."""
    video_id: str = field(init=False)
    video_block_id: str = field(init=False)

    @property
    def members_only_tag(self) -> str:
        return f"for-{self.org_id[-12:]}"

    @property
    def org_id(self) -> str:
        return str(self.school.org_id)

    @property
    def outsiders(self) -> dict[str, Person]:
        return {
            "rival": self.rival,
            "peer": self.peer,
            "former": self.former,
            "guest": self.hub.guest,
            "suspended": self.suspended,
            "removed": self.removed,
            "lapsed": self.lapsed,
        }

    async def draft(self, **fields: Any) -> Course:
        """Make a course that is not published."""
        title = f"Course {next(_number)}"
        new = {"organization_id": self.org_id, "title": title, "language": "en", **fields}
        made = done(await self.owner.post("/v1/courses", new), 201)
        ids: list[str] = []
        for type in ("module", "lesson", "text"):
            ids.append((await self.block(made["id"], type, ids[-1] if ids else None))["id"])
        return Course(id=made["id"], run_id=made["default_run_id"], module_id=ids[0], lesson_id=ids[1], text_id=ids[2])

    async def published(self, **fields: Any) -> Course:
        course = await self.draft(**fields)
        await self.hub.settle()
        done(await self.owner.post(f"{course.path}/publish"))
        await self.hub.settle()
        return course

    async def block(self, course_id: str, type: str, parent_id: str | None, **fields: Any) -> dict[str, Any]:
        new = {"course_id": course_id, "parent_id": parent_id, "type": type, "title": type.title(), **fields}
        if type == "text":
            new.setdefault("body", {"markdown": "# One"})
        return done(await self.owner.post("/v1/blocks", new), 201)

    async def run(self, course: Course) -> str:
        """Open a further run, in which nobody learns."""
        new = {"course_id": course.id, "title": f"Run {next(_number)}"}
        run = done(await self.owner.post("/v1/runs", new), 201)
        await self.hub.settle()
        return run["id"]

    async def enrolment(self, run_id: str) -> str:
        """Let the learner and their peer into a run, and one more who leaves; return the learner's enrolment."""
        ids: list[str] = []
        for person in (self.learner, self.peer, self.former):
            answer = await person.post("/v1/enrollments", {"run_id": run_id})
            assert answer.status_code in (200, 201), answer.text
            ids.append(answer.json()["id"])
        done(await self.former.post(f"/v1/enrollments/{ids[2]}/cancel"))
        await self.hub.settle()
        forget(self.former.id)
        return ids[0]

    async def invitation(self, **fields: Any) -> dict[str, Any]:
        return done(await self.owner.post("/v1/invitations", {"organization_id": self.org_id, **fields}), 201)

    async def member(self, person: Person | None = None) -> dict[str, Any]:
        """Make somebody a member."""
        person = person or await self.hub.person("member")
        token = (await self.invitation())["token"]
        return done(await person.post("/v1/invitations/-/accept", {"token": token}))

    async def shut_out(self) -> None:
        """Let former administrators lose their rights: by suspension, by removal, by time."""
        for person, verb in ((self.suspended, "suspend"), (self.removed, "remove")):
            member = await self.member(person)
            await self._administrate(person)
            done(await person.post("/v1/enrollments", {"run_id": self.course.run_id}), 201)
            done(await self.owner.post(f"/v1/members/{member['id']}/{verb}"))
        await self._administrate(self.lapsed)
        async with read() as db:
            over = "UPDATE rbac.grants SET expires_at = now() - interval '1 s' WHERE user_id = $1"
            await db.run(over, self.lapsed.id)
        await self.hub.settle()
        for person in (self.suspended, self.removed, self.lapsed):
            forget(person.id)

    async def _administrate(self, person: Person) -> None:
        """Let somebody administrate the school, and prove that they do."""
        new = {"user_id": str(person.id), "role": "org_admin", "scope": "organization", "organization_id": self.org_id}
        done(await self.owner.post("/v1/grants", new), 201)
        await self.hub.broadcasts_arrived()
        done(await person.get(self.course.path))

    async def grant(self) -> dict[str, Any]:
        """Let the bystander teach a course."""
        return done(await self.owner.post("/v1/grants", await self.new_grant()), 201)

    async def new_grant(self) -> dict[str, Any]:
        return {
            "user_id": str(self.bystander.id),
            "role": "instructor",
            "scope": "course",
            "scope_id": (await self.draft()).id,
            "organization_id": self.org_id,
        }

    def new_role(self) -> dict[str, Any]:
        name = f"role_{next(_number)}"
        return {"organization_id": self.org_id, "name": name, "title": name, "permissions": ["role:read"]}

    async def role(self) -> dict[str, Any]:
        return done(await self.owner.post("/v1/roles", self.new_role()), 201)

    async def verified(self) -> Person:
        """Make somebody who has verified their address."""
        person = await self.hub.person("verified")
        done(await person.post("/v1/users/me/verify-email", {"token": await self.mailed(person)}))
        return person

    async def mailed(self, person: Person) -> str:
        """Return the token of the last letter to somebody."""
        return (await self.hub.letters(person.email))[0].token

    async def teacher(self, course: Course) -> Person:
        """Let somebody new teach a course."""
        person = await self.hub.person("teacher")
        done(await self.owner.put(f"{course.path}/staff/{person.id}", {"role": "instructor"}))
        return person

    async def begun_upload(self, course: Course, by: Person | None = None) -> str:
        """Begin to upload the film for a course; return where it goes."""
        begun = await (by or self.owner).client.post("/v1/uploads", headers=self.upload_headers(course))
        assert begun.status_code == 201, begun.text
        return begun.headers["location"]

    def upload_headers(self, course: Course) -> dict[str, str]:
        names = {
            "filename": "film.mp4",
            "filetype": "video/mp4",
            "purpose": "course-media",
            "target": f"course:{course.id}",
        }
        metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in names.items())
        return {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(self.film)), "Upload-Metadata": metadata}

    async def asset(self) -> str:
        """Upload the film for the course once more; return the asset."""
        location = await self.begun_upload(self.course)
        sent = await self.owner.client.patch(location, content=self.film, headers=SENDING)
        assert sent.status_code == 204, sent.text
        await self.hub.settle()
        return location.rpartition("/")[2]

    async def video(self) -> str:
        """Make a film that waits to be processed."""
        return done(await self.owner.post("/v1/videos", {"asset_id": await self.asset()}), 201)["id"]

    async def playback(self, person: Person | None = None) -> str:
        new = {"block_id": self.video_block_id, "run_id": self.course.run_id}
        return done(await (person or self.learner).post("/v1/playbacks", new), 201)["id"]

    async def operation(self) -> str:
        """Begin something that takes long."""
        course = await self.draft()
        return done(await self.owner.post(f"{course.path}/rerun"), 202)["id"]

    async def bulk(self) -> str:
        """Enrol somebody in a run by a bulk that can be undone."""
        member = await self.hub.person("pupil")
        await self.member(member)
        new = {"run_id": await self.run(self.course), "items": [{"user_id": str(member.id)}]}
        id = done(await self.owner.post("/v1/enrollments/-/bulk", new), 202)["id"]
        await self.hub.settle()
        return id

    async def privacy_request(self, person: Person | None = None) -> str:
        """Ask for somebody's own data, or as the owner for what the school keeps about somebody new."""
        new: dict[str, Any] = {"kind": "export"}
        if person is None:
            someone = await self.hub.person("leaving")
            new |= {"user_id": str(someone.id), "organization_id": self.org_id}
        return done(await (person or self.owner).post("/v1/privacy-requests", new), 201)["id"]

    async def session(self, person: Person) -> str:
        """Sign somebody in once more."""
        signed_in = await self.hub.guest.post("/v1/sessions", {"email": person.email, "password": PASSWORD})
        return done(signed_in, 201)["id"]


SENDING = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}


async def new_world(hub: Hub, folder: Path) -> World:
    """Make a school with a published course that has a film, and learners; and the rival's school likewise."""
    await make_film(folder / "film.mp4", FilmRecipe(duration_s=1, width=128, height=96, sound=False))
    names = ("insider", "learner", "peer", "former", "suspended", "removed", "lapsed", "bystander", "operator")
    people = [await hub.person(name) for name in names]
    insider, learner, peer, former, suspended, removed, lapsed, bystander, operator = people
    # The first administrator of a platform comes from its command line.
    await client(RbacCalls).grant(operator.id, "platform_admin", "platform", None, None)
    school, other = await hub.school(), await hub.school("rival")
    world = World(
        hub=hub,
        school=school,
        owner=school.owner,
        insider=insider,
        learner=learner,
        peer=peer,
        former=former,
        rival=other.owner,
        suspended=suspended,
        removed=removed,
        lapsed=lapsed,
        bystander=bystander,
        operator=operator,
        film=(folder / "film.mp4").read_bytes(),
    )
    await world.member(insider)
    course = world.course = await world.draft()
    await hub.settle()
    world.asset_id = await world.asset()
    world.picture_id = await upload(world.owner, f"course:{course.id}", "course-file")
    picture = {"body": {"markdown": f"![One](asset:{world.picture_id})"}}
    done(await world.owner.patch(f"/v1/blocks/{course.text_id}", picture, headers={"If-Match": '"1"'}))
    world.video_id = done(await world.owner.post("/v1/videos", {"asset_id": world.asset_id}), 201)["id"]
    await hub.settle()
    film = done(await world.owner.get(f"/v1/videos/{world.video_id}"))
    assert film["state"] == "ready", film
    block = await world.block(course.id, "video", course.lesson_id, body={"video_id": world.video_id})
    world.video_block_id = block["id"]
    done(await world.owner.post(f"{course.path}/publish"))
    await hub.settle()
    world.enrollment_id = await world.enrolment(course.run_id)
    world.members_only = await world.published(visibility="organization", tags=[world.members_only_tag])
    await world.shut_out()
    theirs = {"organization_id": str(other.org_id), "title": "Theirs", "language": "en"}
    done(await other.owner.post("/v1/courses", theirs), 201)
    await hub.settle()
    return world
