"""Services in processes that share nothing but servers: `course` stands alone, the rest in another process."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from api.core.rbac.contract import RbacCalls
from api.learning.content.contract import ContentCalls
from api.learning.course.contract import CourseCalls, CourseId
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.problems import Problem
from cluster.base.services import Service, table
from cluster.base.settings import REPOSITORY
from cluster.people import calls, identity
from cluster.people.access import GrantSource
from cluster.people.calls import RemoteUnavailable, client
from cluster.servers.home import free_port
from tests.harness import PASSWORD, done, problem

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True, slots=True)
class Apart:
    """Two processes, each a client of the other."""

    course_url: str
    rest_url: str
    course: "subprocess.Popen[bytes]"


@pytest.fixture(scope="module")
async def apart(process: None) -> AsyncIterator[Apart]:
    course_port, rest_port = free_port(), free_port()
    course_url, rest_url = f"http://127.0.0.1:{course_port}", f"http://127.0.0.1:{rest_port}"
    rest = [name for name in table() if name != "course"]
    started = [
        _start(rest_url, "deployments.serve_one", "course", "--port", str(course_port)),
        _start(course_url, "tests.cluster.apart", str(rest_port), *rest),
    ]

    def base(service: Service) -> str:
        return course_url if service.name == "course" else rest_url

    try:
        await _ready(course_url, started[0])
        await _ready(rest_url, started[1])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(calls, "_local", {})
            patch.setattr(calls, "_base", base)
            yield Apart(course_url, rest_url, started[0])
    finally:
        for one in started:
            one.kill()
            one.wait()


def _start(service_url: str, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if name != "HUB_CALLS_CODEC"}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env={**environment, "HUB_SERVICE_URL": service_url},
    )


async def _ready(url: str, started: "subprocess.Popen[bytes]") -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        for _ in range(2000):
            assert started.poll() is None, "the process ended"
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    pytest.fail(f"{url} did not become ready")


async def test_a_problem_arrives_as_what_was_raised_and_only_services_may_call(apart: Apart) -> None:
    user_id, org_id = UserId(new_id()), OrgId(new_id())
    with pytest.raises(Problem) as raised:
        await client(RbacCalls).grant(user_id, "no-such-role", "organization", org_id, org_id)
    here = raised.value
    assert type(here).__module__ == "api.core.rbac.contract"
    assert here.status < 500
    assert here.detail

    assert await client(GrantSource).grants_of(user_id) == []

    with pytest.raises(RemoteUnavailable, match="time for this request is used up"):
        await _after_the_deadline(user_id)

    body = msgspec.msgpack.encode({"user_id": user_id})
    url = f"{apart.rest_url}/v1/roles/-/calls/"
    async with httpx.AsyncClient(timeout=30) as http:
        for_rbac = {"Authorization": f"Bearer {identity.issue_service_token('rbac')}"}
        done_directly = await http.post(url + "grants_of", content=body, headers=for_rbac)
        assert (done_directly.status_code, msgspec.msgpack.decode(done_directly.content)) == (200, [])
        for token in ("nonsense", identity.issue_service_token("course")):
            wrong = await http.post(url + "grants_of", content=body, headers={"Authorization": f"Bearer {token}"})
            assert wrong.status_code == 401, wrong.text
        assert (await http.post(url + "grants_of", content=body)).status_code in (401, 403)
        person = await _sign_in_at(apart.rest_url)
        assert (await http.post(url + "grants_of", content=body, headers=person)).status_code in (401, 403)
        # Another version of the caller: not the client's fault, and over when the rollout is.
        for method, content in (("no_such_call", body), ("grants_of", b"\xc1"), ("_actor", body)):
            unknown = await http.post(url + method, content=content, headers=for_rbac)
            assert unknown.status_code == 503, unknown.text


async def test_a_fault_inside_a_call_is_not_blamed_on_the_caller(apart: Apart) -> None:
    """A LookupError of the answering service is its fault: the caller sees it as unavailable, never as a bad request."""
    with pytest.raises(Problem) as raised:
        await client(ContentCalls).freeze(new_id())
    assert raised.value.status in (404, 503)


async def test_a_course_is_published_and_joined_across_processes_until_one_dies(apart: Apart) -> None:
    async with (
        httpx.AsyncClient(base_url=apart.course_url, timeout=30) as course,
        httpx.AsyncClient(base_url=apart.rest_url, timeout=30) as rest,
    ):
        teacher, learner = await _sign_in(rest, "teacher"), await _sign_in(rest, "learner")
        slug = f"apart-{new_id().hex[-12:]}"
        school = done(await rest.post("/v1/organizations", json={"name": "Apart", "slug": slug}, headers=teacher), 201)
        new = {"organization_id": school["id"], "title": "Algebra", "summary": "Letters.", "language": "en"}
        made = done(await course.post("/v1/courses", json=new, headers=teacher), 201)
        parent = None
        for kind, body in (("module", {}), ("lesson", {}), ("text", {"body": {"markdown": "# One"}})):
            block = {"course_id": made["id"], "parent_id": parent, "type": kind, "title": kind.title(), **body}
            parent = done(await rest.post("/v1/blocks", json=block, headers=teacher), 201)["id"]
        published = done(await course.post(f"/v1/courses/{made['id']}/publish", headers=teacher))
        assert published["published_revision"] == 1
        problem(await course.post(f"/v1/courses/{made['id']}/publish", headers=learner), 403, "forbidden")

        enrolled = done(await rest.post("/v1/enrollments", json={"course_id": made["id"]}, headers=learner), 201)
        assert (enrolled["run_id"], enrolled["state"]) == (made["default_run_id"], "active")

        open_runs = await client(CourseCalls).list_open_runs(CourseId(new_id()), datetime.now(UTC))
        assert open_runs == []

        apart.course.kill()
        apart.course.wait()
        late = await _sign_in(rest, "late")
        refused = await rest.post("/v1/enrollments", json={"course_id": made["id"]}, headers=late)
        problem(refused, 503, "remote-unavailable")
        assert int(refused.headers["retry-after"]) > 0
        with pytest.raises(RemoteUnavailable, match="course does not answer"):
            await client(CourseCalls).list_open_runs(CourseId(new_id()), datetime.now(UTC))
        # What does not need it goes on.
        assert done(await rest.get(f"/v1/enrollments/{enrolled['id']}", headers=learner)) == enrolled


async def _after_the_deadline(user_id: UserId) -> None:
    async def call() -> None:
        calls.set_deadline("0")
        await client(GrantSource).grants_of(user_id)

    await asyncio.create_task(call())


async def _sign_in_at(url: str) -> dict[str, str]:
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        return await _sign_in(http, "somebody")


async def _sign_in(http: httpx.AsyncClient, name: str) -> dict[str, str]:
    email = f"{name}-{new_id().hex[-12:]}@people.example"
    done(await http.post("/v1/users", json={"email": email, "password": PASSWORD, "name": name.title()}), 201)
    session = done(await http.post("/v1/sessions", json={"email": email, "password": PASSWORD}), 201)
    return {"Authorization": f"Bearer {session['access_token']}"}
