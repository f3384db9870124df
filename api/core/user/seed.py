"""The demo school's people: signed up once, signed in each time."""

from cluster.seed import PASSWORD, School, made

AFTER = ()


async def seed(school: School) -> None:
    for person in school.people():
        new = {"email": person.email, "password": PASSWORD, "name": person.name}
        answer = await person.client.post("/v1/users", json=new)
        if answer.status_code != 409:
            await made(answer)
        session = await made(
            await person.client.post("/v1/sessions", json={"email": person.email, "password": PASSWORD})
        )
        person.client.headers["Authorization"] = f"Bearer {session['access_token']}"
        person.id = session["user_id"]
