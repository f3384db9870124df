"""`./hub events`: look at what is parked or dead, and decide about it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from uuid import UUID

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from cluster.base.principal import platform
from cluster.base.settings import settings
from cluster.data import Connection, postgres
from cluster.events import parked, subscriptions

app = typer.Typer(no_args_is_help=True, help="Parked events and unfinished jobs.", add_completion=False)
console = Console(highlight=False)
T = TypeVar("T")

Consumer = Annotated[str, typer.Argument(help="The listening service")]
Key = Annotated[str, typer.Argument(help="The key (the subject's id) as `list` shows it")]


def _with_database(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` in one transaction, as the platform."""

    async def connected() -> T:
        await postgres.connect(settings().postgres_url, size=2, application="events")
        try:
            async with postgres.pool().acquire() as raw:
                async with postgres.transaction(raw, platform("hub")) as tx:
                    result = await work(tx)
                await tx.committed()
            return result
        finally:
            await postgres.disconnect()

    return asyncio.run(connected())


@app.command("list")
def list_parked(consumer: Annotated[str | None, typer.Argument(help="Only this listening service")] = None) -> None:
    """List parked keys, the dead ones first."""
    keys = _with_database(lambda db: parked.list_keys(db, consumer))
    if not keys:
        console.print("Nothing is parked.")
        return
    for key in keys:
        when = "dead" if key.dead else f"next at {key.retry_at:%H:%M:%S}Z"
        console.print(f"[bold]{key.consumer}[/] {key.key}", soft_wrap=True)
        console.print(
            f"  {key.waiting} events, first {key.first_type}, {key.attempts} attempts, {when}", soft_wrap=True
        )
        console.print(f"  [red]{escape(key.last_error)}[/]", soft_wrap=True)


@app.command()
def show(consumer: Consumer, key: Key) -> None:
    """Show the parked events of a key in full, in order."""
    for event in _with_database(lambda db: parked.list_events(db, consumer, key)):
        console.print(f"[bold]{event.type}[/bold] {event.event_id} parked at {event.parked_at:%Y-%m-%dT%H:%M:%SZ}")
        console.print_json(event.envelope)


@app.command()
def replay(
    consumer: Consumer, key: Annotated[str | None, typer.Argument(help="Only this key, else all of them")] = None
) -> None:
    """Try a key again now, from its first event; dead keys too."""
    count = _with_database(lambda db: parked.replay(db, consumer, key))
    console.print(f"{count} keys will be tried again within a second.")


@app.command()
def skip(consumer: Consumer, key: Key) -> None:
    """Drop the first event of a key for this service, for ever, and go on with those behind it."""
    skipped = _with_database(lambda db: parked.skip(db, consumer, key))
    if skipped is None:
        console.print("Nothing is parked there.")
        raise typer.Exit(1)
    console.print(f"Skipped {skipped.type} {skipped.event_id}:")
    console.print_json(skipped.envelope)


@app.command()
def resync(
    consumer: Consumer,
    type: Annotated[str | None, typer.Argument(help="Only this state event, such as course.changed")] = None,
) -> None:
    """Fill the projections of a service again from the present state of their sources. Safe beside live events."""
    found = _with_database(lambda db: subscriptions.delete_subscriptions(db, consumer, type))
    for each in found:
        console.print(f"{each.consumer} gets every {each.type} again; its worker host begins within a minute.")
    if not found:
        console.print("No worker host of this service projects that.")
        raise typer.Exit(1)


@app.command()
def jobs(
    state: Annotated[list[str] | None, typer.Option(help="queued, running, dead; may be repeated")] = None,
) -> None:
    """List jobs: by default those that are dead."""
    rows = _with_database(lambda db: parked.list_jobs(db, state or ["dead"]))
    if not rows:
        console.print("None.")
    for row in rows:
        console.print(f"[bold]{row.kind}[/] {row.id} {row.state}", soft_wrap=True)
        times = f"{row.attempts} of {row.max_attempts} attempts, {row.starts} starts without an end"
        console.print(f"  due {row.due_at:%Y-%m-%dT%H:%M:%SZ}, {times}", soft_wrap=True)
        console.print(f"  {escape(orjson.dumps(row.args).decode()[:500])}", soft_wrap=True)
        console.print(f"  [red]{escape(row.last_error or '')}[/]", soft_wrap=True)


@app.command("retry-job")
def retry_job(id: Annotated[UUID, typer.Argument()]) -> None:
    """Queue a dead job again."""
    _say(_with_database(lambda db: parked.retry_job(db, id)), "It runs within a second.", "No dead job has this id.")


@app.command("cancel-job")
def cancel_job(id: Annotated[UUID, typer.Argument()]) -> None:
    """Cancel a job that waits, runs or is dead."""
    _say(_with_database(lambda db: parked.cancel_job(db, id)), "Cancelled.", "No unfinished job has this id.")


def _say(done: bool, yes: str, no: str) -> None:
    console.print(yes if done else no)
    if not done:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
