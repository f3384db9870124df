"""Who sees whose progress."""

from dataclasses import replace
from itertools import permutations

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress import store
from api.learning.progress.store import Learner
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import PLATFORM
from cluster.data import write
from tests.api.learning.course.conftest import Draft, add_lesson
from tests.api.learning.progress.conftest import learner_in, mark, progress_of
from tests.harness import Hub, Person, done, problem


async def test_progress_is_seen_by_its_learner_and_the_staff_alone(hub: Hub, published: Draft) -> None:
    run_id = published.course["default_run_id"]
    viewer, other = await learner_in(hub, run_id), await learner_in(hub, run_id)
    await hub.settle()
    path = f"/v1/progress/{viewer.enrollment_id}"
    mine = done(await viewer.person.get(path))
    assert done(await published.owner.get(path)) == mine
    assistant = await hub.person("assistant")
    done(await published.owner.put(f"{published.path}/staff/{assistant.id}", {"role": "assistant"}))
    await hub.settle()
    await hub.broadcasts_arrived()
    assert done(await assistant.get(path)) == mine
    problem(await other.person.get(path), 403)
    for outsider in (await hub.person("stranger"), (await hub.school()).owner):
        problem(await outsider.get(path), 404, "progress-not-found")
    problem(await hub.guest.get(path), 401)
    problem(await viewer.person.get("/v1/progress/0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e6f"), 404, "progress-not-found")
    problem(await viewer.person.get("/v1/progress/x"), 422)


async def test_staff_list_a_run_and_a_learner_only_themselves(hub: Hub, published: Draft) -> None:
    run_id = published.course["default_run_id"]
    viewers = [await learner_in(hub, run_id) for _ in range(3)]
    await hub.settle()
    text = (await progress_of(viewers[0]))["blocks"][0]["block_id"]
    await mark(viewers[1], text)
    await hub.settle()

    async def listed(person: Person, **filters: object) -> list[tuple[str, int]]:
        items = await person.all("/v1/progress", run_id=run_id, **filters)
        return [(item["enrollment_id"], item["percent"]) for item in items]

    newest_first = [(each.enrollment_id, 100 * (each is viewers[1])) for each in reversed(viewers)]
    assert await listed(published.owner, limit=2) == newest_first
    assert await listed(published.owner, id=viewers[1].enrollment_id) == [newest_first[1]]
    assert await listed(viewers[0].person) == [newest_first[2]]
    assert await listed(await hub.person("stranger")) == []
    problem(await hub.guest.get("/v1/progress", params={"run_id": run_id}), 401)
    problem(await published.owner.get("/v1/progress"), 422)


async def test_reading_costs_the_same_for_one_and_for_many(hub: Hub, published: Draft) -> None:
    run_id = published.course["default_run_id"]
    await add_lesson(published.owner, published.id, "# Two")
    viewers = [await learner_in(hub, run_id) for _ in range(3)]
    await hub.settle()
    await progress_of(viewers[0])
    with hub.statements() as counted:
        await progress_of(viewers[0])
    assert len([sql for sql in counted.sql if " progress." in sql]) == 3
    counts: list[int] = []
    for limit in (1, 3):
        with hub.statements() as counted:
            done(await published.owner.get("/v1/progress", params={"run_id": run_id, "limit": limit}))
        counts.append(len([sql for sql in counted.sql if " progress." in sql]))
    assert counts == [2, 2]


async def test_news_of_an_enrolment_may_come_in_any_order() -> None:
    learner = Learner(
        enrollment_id=EnrollmentId(new_id()),
        org_id=OrgId(new_id()),
        course_id=new_id(),
        run_id=new_id(),
        user_id=UserId(new_id()),
    )
    news = [
        replace(learner, learns=True, enrollment_version=1),
        replace(learner, learns=False, enrollment_version=2),
        replace(learner, learns=True, enrollment_version=3),
        replace(learner, learns=False, enrollment_version=4),
    ]
    for order in permutations(news):
        async with write(PLATFORM) as tx:
            await tx.run("DELETE FROM progress.learners WHERE enrollment_id = $1", learner.enrollment_id)
            for each in order:
                await store.upsert_learner(tx, each)
            assert await store.find_learner(tx, learner.enrollment_id) == news[-1]
