"""`./hub demo [FILM]`: teach a course with a film and learn it, over HTTP alone, and tell what happens.

The same steps as the design's main path. What it makes stays: sign in as the people it names and look around.
"""

import asyncio
import base64
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from api.media.video_processing.film.sample import make_demo_film

_CHUNK_BYTES = 4 * 1024 * 1024
_WATCH_LIMIT_S = 60.0
_HEAR_LIMIT_S = 20.0
_PASSWORD = "learning is a hub"  # noqa: S105 (the accounts are made for show)


class Refused(Exception):
    """A step of the demo was refused."""


class Demo:
    """One walk along the main path."""

    def __init__(self, url: str, console: Console) -> None:
        self.url = url
        self.console = console
        self.run_name = secrets.token_hex(3)

    def say(self, text: str) -> None:
        self.console.print(f"[bold]{text}[/bold]")

    async def ask(self, client: httpx.AsyncClient, method: str, path: str, json: Any = None, **options: Any) -> Any:
        """Send a request, show it, and return what it answered."""
        response = await client.request(method, path, json=json, **options)
        style = "green" if response.is_success else "red"
        shown = path if len(path) < 90 else path[:87] + "..."
        self.console.print(f"  [{style}]{response.status_code}[/{style}] {method} {shown}", highlight=False)
        if not response.is_success:
            raise Refused(f"{method} {path} answered {response.status_code}: {response.text[:1000]}")
        return response.json() if response.content else None

    async def person(self, name: str) -> tuple[httpx.AsyncClient, dict[str, Any]]:
        """Sign somebody up and in."""
        client = httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False)
        email = f"{name.lower()}-{self.run_name}@people.example"
        user = await self.ask(client, "POST", "/v1/users", {"email": email, "password": _PASSWORD, "name": name})
        session = await self.ask(client, "POST", "/v1/sessions", {"email": email, "password": _PASSWORD})
        client.headers["Authorization"] = f"Bearer {session['access_token']}"
        return client, user

    async def upload(self, client: httpx.AsyncClient, course_id: str, film: Path) -> str:
        """Upload a film by tus 1.0.0 and return the asset's id."""
        size = film.stat().st_size
        metadata = {
            "filename": film.name,
            "filetype": "video/mp4",
            "purpose": "course-media",
            "target": f"course:{course_id}",
        }
        encoded = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())
        tus = {"Tus-Resumable": "1.0.0"}
        created = await client.post(
            "/v1/uploads", headers={**tus, "Upload-Length": str(size), "Upload-Metadata": encoded}
        )
        if created.status_code != 201:
            raise Refused(f"POST /v1/uploads answered {created.status_code}: {created.text[:1000]}")
        location = httpx.URL(created.headers["location"]).path
        with Progress(
            TextColumn("  upload"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=self.console
        ) as bar:
            task = bar.add_task("upload", total=size)
            with film.open("rb") as source:
                offset = 0
                while chunk := source.read(_CHUNK_BYTES):
                    headers = {**tus, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
                    patched = await client.patch(location, content=chunk, headers=headers)
                    if patched.status_code != 204:
                        raise Refused(f"PATCH {location} answered {patched.status_code}: {patched.text[:1000]}")
                    offset += len(chunk)
                    bar.update(task, completed=offset)
        return location.rpartition("/")[2]

    async def until(self, client: httpx.AsyncClient, path: str, label: str, limit_s: float = 3600) -> dict[str, Any]:
        """Follow a state until it is final, with a progress bar."""
        deadline = time.monotonic() + limit_s
        with Progress(
            TextColumn(f"  {label}"), BarColumn(), TextColumn("{task.description}"), console=self.console
        ) as bar:
            task = bar.add_task("", total=1.0)
            while time.monotonic() < deadline:
                found: dict[str, Any] = (await client.get(path)).json()
                done = found["state"] in ("ready", "failed", "rejected", "cancelled")
                bar.update(task, completed=1.0 if done else found.get("progress", 0.0), description=found["state"])
                if found["state"] == "ready":
                    return found
                if done:
                    raise Refused(f"{path}: {found}")
                await asyncio.sleep(0.5)
        raise Refused(f"{path} took longer than {limit_s:.0f} s")

    async def watch(self, client: httpx.AsyncClient, run_id: str, block_id: str, duration_s: float) -> None:
        """Play the film: fetch its playlists and first segments, and send heartbeats as a player would."""
        playback = await self.ask(client, "POST", "/v1/playbacks", {"block_id": block_id, "run_id": run_id})
        async with httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False) as player:
            master_url = httpx.URL(self.url).join(playback["playback_url"])
            master = (await player.get(master_url)).raise_for_status().text
            media = [line for line in master.splitlines() if line and not line.startswith("#")]
            playlist = await player.get(master_url.join(media[-1]))
            segment = next(line for line in playlist.text.splitlines() if line and not line.startswith("#"))
            content = (await player.get(master_url.join(media[-1]).join(segment))).raise_for_status().content
            self.console.print(
                f"  played {len(media)} renditions; a segment of {len(content):,} bytes", highlight=False
            )
        started = time.monotonic()
        with Progress(TextColumn("  watching"), BarColumn(), console=self.console) as bar:
            task = bar.add_task("", total=duration_s)
            position = 0.0
            while position < duration_s and time.monotonic() - started < _WATCH_LIMIT_S:
                await asyncio.sleep(2)
                # Twice as fast as life; faster than 2.5 times is not believed.
                new = min((time.monotonic() - started) * 2, duration_s)
                beat = {"playback_id": playback["id"], "position_s": new, "watched": [[position, new]]}
                (await client.post("/v1/heartbeats", json=beat)).raise_for_status()
                position = new
                bar.update(task, completed=position)
        if position < duration_s:
            self.console.print(
                f"  stopped after {position:.0f} s of {duration_s:.0f} s: the film is long, you have seen how it goes"
            )

    async def walk(self, film: Path) -> None:
        """Walk the whole path."""
        ask = self.ask
        self.say("A teacher signs up, founds a school and drafts a course")
        teacher, _ = await self.person("Maria")
        slug = f"school-{self.run_name}"
        organization = await ask(teacher, "POST", "/v1/organizations", {"name": "Maria's school", "slug": slug})
        course = await ask(
            teacher,
            "POST",
            "/v1/courses",
            {
                "organization_id": organization["id"],
                "title": "Seeing",
                "summary": "A film and a text.",
                "language": "en",
            },
        )
        blocks = "/v1/blocks"
        module = await ask(teacher, "POST", blocks, _block(course, None, "module", "First module"))
        lesson = await ask(teacher, "POST", blocks, _block(course, module, "lesson", "First lesson"))
        text = await ask(
            teacher, "POST", blocks, _block(course, lesson, "text", "Read", {"markdown": "# Look\n\nThen watch."})
        )
        self.say(f"She uploads {film.name} ({film.stat().st_size / 1e6:.1f} MB) and it is made ready for every screen")
        asset_id = await self.upload(teacher, course["id"], film)
        await self.until(teacher, f"/v1/assets/{asset_id}", "checking")
        video = await ask(teacher, "POST", "/v1/videos", {"asset_id": asset_id})
        video = await self.until(teacher, f"/v1/videos/{video['id']}", "transcoding")
        heights = ", ".join(f"{rendition['height']}p" for rendition in video["renditions"])
        self.console.print(f"  {video['duration_s']:.1f} s in {heights}", highlight=False)
        watch = await ask(teacher, "POST", blocks, _block(course, lesson, "video", "Watch", {"video_id": video["id"]}))
        self.say("She publishes")
        await ask(teacher, "POST", f"/v1/courses/{course['id']}/publish")

        self.say("A learner finds the course, enrols, reads and watches")
        learner, tariq = await self.person("Tariq")
        await self.confirm(learner, tariq["email"])
        # With a typo.
        await self.search(learner, "seing", "course", course["id"])
        listing = await ask(learner, "GET", f"/v1/catalog/{course['id']}")
        run_id = listing["runs"][0]["id"]
        enrolment = await self.enrol(learner, run_id)
        await self.search(learner, "watch", "lesson", text["id"])
        await self.outline(learner, run_id)
        await self.told(learner)
        await ask(learner, "POST", "/v1/completions", {"enrollment_id": enrolment["id"], "block_id": text["id"]})
        await self.watch(learner, run_id, watch["id"], video["duration_s"])
        progress = await ask(learner, "GET", f"/v1/progress/{enrolment['id']}")
        self.console.print(
            f"  {progress['completed_blocks']} of {progress['total_blocks']} blocks, {progress['percent']} %"
        )
        for _ in range(40):
            enrolment = (await learner.get(f"/v1/enrollments/{enrolment['id']}")).json()
            if enrolment["state"] == "completed":
                break
            await asyncio.sleep(0.25)
        self.say(f"The enrolment is {enrolment['state']}")

        await self.judge(organization["id"], course["id"], teacher, learner)

        self.say("The school gives something new to everybody, and takes it back at once")
        await self.switch(teacher, learner, organization["id"])

        self.say("The school can see who did what")
        params = {"organization_id": organization["id"], "limit": "100"}
        entries = await ask(teacher, "GET", "/v1/audit-entries", params=params)
        self.console.print("  " + ", ".join(sorted({entry["action"] for entry in entries["items"]})), highlight=False)
        self.console.print(
            f"\nLook around: sign in at {self.url}/docs as maria-{self.run_name}@people.example or "
            f"tariq-{self.run_name}@people.example, password: {_PASSWORD}",
            soft_wrap=True,
        )
        await teacher.aclose()
        await learner.aclose()

    async def switch(self, teacher: httpx.AsyncClient, learner: httpx.AsyncClient, org_id: str) -> None:
        """Launch a flag and kill it, and show what a client of OFREP is told each time."""
        new = {
            "organization_id": org_id,
            "key": "new-player",
            "title": "The new player",
            "owner": "media",
            "public": True,
            "rules": [{"name": "Everybody", "percent": 100.0, "serve": [{"variant": "on"}]}],
        }
        flag = await self.ask(teacher, "POST", "/v1/flags", new)
        context = {"context": {"organization_id": org_id}}
        for verb, variant in (("launch", "on"), ("kill", "off")):
            await self.ask(teacher, "POST", f"/v1/flags/{flag['id']}/{verb}")
            # Another replica hears of it a moment later.
            for _ in range(20):
                response = await learner.post("/ofrep/v1/evaluate/flags/new-player", json=context)
                if response.is_success and response.json()["variant"] == variant:
                    break
                await asyncio.sleep(0.1)
            decided = await self.ask(learner, "POST", "/ofrep/v1/evaluate/flags/new-player", context)
            self.console.print(f"  {decided['key']} is {decided['variant']} ({decided['reason']})", highlight=False)

    async def judge(self, org_id: str, course_id: str, teacher: httpx.AsyncClient, learner: httpx.AsyncClient) -> None:
        """Have the course reported, locked with reasons, and unlocked by an appeal that another judge hears."""
        ask = self.ask
        self.say("The learner reports the course; a moderator locks it, with reasons")
        judges: list[httpx.AsyncClient] = []
        for name in ("Ines", "Omar"):
            judge, user = await self.person(name)
            grant = {"user_id": user["id"], "role": "moderator", "scope": "organization", "organization_id": org_id}
            await ask(teacher, "POST", "/v1/grants", grant)
            judges.append(judge)
        first, second = judges
        clauses = await ask(learner, "GET", "/v1/moderation-clauses", params={"limit": "100"})
        clause = next(each for each in clauses["items"] if each["code"] == "rights")
        report = {"kind": "course", "thing_id": course_id, "clause_id": clause["id"], "text": "The film is not hers."}
        await ask(learner, "POST", "/v1/moderation-reports", report)
        queue = await ask(first, "GET", "/v1/moderation-cases", params={"organization_id": org_id})
        case_id = queue["items"][0]["id"]
        await ask(first, "POST", f"/v1/moderation-cases/{case_id}/lease")
        facts = "The film shows a work, and nothing says that it may be shown."
        new = {"case_id": case_id, "actions": ["lock"], "clause_id": clause["id"], "facts": facts}
        decision = await ask(first, "POST", "/v1/moderation-decisions", new)
        statement = await ask(teacher, "GET", f"/v1/moderation-decisions/{decision['id']}")
        self.console.print(f"  {statement['clause_title']}: {statement['facts']}", highlight=False)
        self.say("The teacher appeals; somebody else hears it and reverses the decision")
        appeal = {"decision_id": decision["id"], "text": "I made the film."}
        path = f"/v1/appeals/{(await ask(teacher, 'POST', '/v1/appeals', appeal))['id']}"
        refused = await first.post(f"{path}/hear")
        self.console.print(f"  {refused.status_code} to the first judge: {refused.json()['title']}", highlight=False)
        await ask(second, "POST", f"{path}/hear")
        await ask(second, "POST", f"{path}/answer", {"outcome": "reversed", "answer": "She made the film."})
        for _ in range(40):
            course = (await teacher.get(f"/v1/courses/{course_id}")).json()
            if course["moderation_state"] is None:
                break
            await asyncio.sleep(0.25)
        for judge in judges:
            await judge.aclose()

    async def search(self, learner: httpx.AsyncClient, q: str, kind: str, document_id: str) -> None:
        """Find a document a moment after it was published."""
        for _ in range(80):
            response = await learner.get("/v1/search", params={"q": q, "kind": kind, "limit": 100})
            if response.status_code == 503 and "--full" in response.text:
                self.console.print("  there is no search here: ./hub up --full starts OpenSearch")
                return
            items = response.json()["items"] if response.is_success else []
            hit = next((item for item in items if item["id"] == document_id), None)
            if hit is not None:
                shown = next(iter(hit["passages"]), hit["title_html"])
                self.console.print(f"  GET /v1/search?q={q}&kind={kind} finds {shown}", highlight=False)
                return
            await asyncio.sleep(0.1)
        raise Refused(f"the search does not find the {kind}")

    async def enrol(self, learner: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
        """Enrol while an open page follows the learner's inbox, and hear live that something came."""
        async with learner.stream("GET", "/v1/live", params={"topic": "inbox:me"}) as page:
            events = page.aiter_lines()
            await _event(events, "subscribed")
            enrolment = await self.ask(learner, "POST", "/v1/enrollments", {"run_id": run_id})
            begun = time.monotonic()
            heard = await _event(events, "seq")
        took_s = time.monotonic() - begun
        self.console.print(f"  heard live, {took_s:.1f} s later: {heard['topic']} {heard['kind']}", highlight=False)
        return enrolment

    async def confirm(self, learner: httpx.AsyncClient, email: str) -> None:
        """Open the letter that came to somebody's address, and confirm the address; where letters go out, that is theirs to do."""
        for _ in range(40):
            response = await learner.get("/v1/emails/-/mailbox")
            if response.status_code == 404:
                return
            letter = next((each for each in response.json()["items"] if each["to"] == email), None)
            if letter is not None:
                self.console.print(f"  a letter came: {letter['subject']}", highlight=False)
                token = letter["fields"]["url"].partition("#")[2]
                await self.ask(learner, "POST", "/v1/users/me/verify-email", {"token": token})
                return
            await asyncio.sleep(0.25)
        raise Refused(f"no letter came to {email}")

    async def told(self, learner: httpx.AsyncClient) -> None:
        """Show what the learner was told, which reaches their inbox a moment after they enrolled."""
        for _ in range(40):
            count = (await learner.get("/v1/notifications/-/count")).json()
            if count["unread"]:
                break
            await asyncio.sleep(0.25)
        listed = await self.ask(learner, "GET", "/v1/notifications")
        for notification in listed["items"]:
            self.console.print(f"  told: {notification['title']}", highlight=False)

    async def outline(self, learner: httpx.AsyncClient, run_id: str) -> None:
        """Read the outline, which reaches the learner a moment after publishing."""
        for _ in range(20):
            response = await learner.get(f"/v1/outlines/{run_id}")
            if response.status_code == 200:
                break
            await asyncio.sleep(0.1)
        await self.ask(learner, "GET", f"/v1/outlines/{run_id}")


async def _event(events: AsyncIterator[str], member: str) -> dict[str, Any]:
    """Return the next server-sent event that has this member."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_HEAR_LIMIT_S):
            async for line in events:
                if line.startswith("data: ") and member in (event := json.loads(line[6:])):
                    return event
    raise Refused(f"GET /v1/live said nothing with {member!r} for {_HEAR_LIMIT_S} s")


def _block(
    course: dict[str, Any], parent: dict[str, Any] | None, kind: str, title: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    block = {
        "course_id": course["id"],
        "parent_id": None if parent is None else parent["id"],
        "type": kind,
        "title": title,
    }
    return block if body is None else {**block, "body": body}


async def main() -> int:
    console = Console()
    url = os.environ.get("HUB_PUBLIC_URL", "http://127.0.0.1:3000")
    with tempfile.TemporaryDirectory(prefix="hub-demo-") as folder:
        if len(sys.argv) > 1:
            film = Path(sys.argv[1])
            if not film.is_file():
                console.print(f"[red]there is no file {film}[/red]")
                return 2
        else:
            film = Path(folder) / "demo.mp4"
            console.print("[bold]No film given: one is generated[/bold]")
            await make_demo_film(film)
        try:
            await Demo(url, console).walk(film)
        except httpx.ConnectError:
            console.print(f"[red]nothing answers at {url}: ./hub up starts LearningHub[/red]")
            return 1
        except Refused as refused:
            console.print(f"[red]{refused}[/red]")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
