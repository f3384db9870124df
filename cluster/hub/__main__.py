"""Run LearningHub on this machine: set it up, start and stop it, look into it, check it."""

import asyncio
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from cluster.base.settings import REPOSITORY
from cluster.hub import check as checks
from cluster.hub import logs as log_files
from cluster.hub import status as running_processes
from cluster.hub.up import Failed, alone, start, stop
from cluster.servers import Home, delete, environment, state
from cluster.servers.home import DEFAULT, write_whole

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
audit = typer.Typer(no_args_is_help=True, help="Look after the audit trail.")
app.add_typer(audit, name="audit")
privacy = typer.Typer(no_args_is_help=True, help="Look after erasures.")
app.add_typer(privacy, name="privacy")
console = Console(highlight=False)


@app.command()
def up(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Where to listen; kept. At first 3000.")] = None,
    servers_only: Annotated[bool, typer.Option(envvar="HUB_ONLY_SERVERS", help="Start the servers alone.")] = False,
    lite: Annotated[
        bool | None, typer.Option("--lite/--full", help="Without OpenSearch: less memory, no search. Kept.")
    ] = None,
) -> None:
    """Start LearningHub in the background; what is up already stays as it is."""
    home = Home(DEFAULT)
    with alone(home):
        fresh = start(home, port=port, servers_only=servers_only, console=console, lite=lite)
    if servers_only:
        console.print(f"{'The servers are up' if fresh else 'Already running'}. Their addresses: ./hub env")
        return
    console.print(
        f"\n{'LearningHub is up' if fresh else 'Already running'} at [bold]{environment(home)['HUB_PUBLIC_URL']}[/]"
    )
    _introduce()
    console.print(
        "Try next: [bold]./hub demo[/] teaches a course with a film in it. Also: ./hub status, ./hub down",
        soft_wrap=True,
    )


@app.command()
def down() -> None:
    """Stop everything. The data stay."""
    home = Home(DEFAULT)
    with alone(home), console.status("Stopping"):
        ran = stop(home)
    console.print("Stopped" if ran else "Nothing was running")


@app.command()
def status() -> None:
    """Show what runs, where, and how much memory it takes. Fails unless all is well."""
    if not running_processes.show(Home(DEFAULT), console):
        raise typer.Exit(1)


@app.command()
def logs(
    name: Annotated[
        str | None, typer.Argument(help="postgres, valkey, kafka, s3, opensearch, serve, supervisor, ...")
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is added.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many lines of each log.")] = 40,
) -> None:
    """Show the log of one process, or of all."""
    try:
        log_files.show(Home(DEFAULT).logs, name, lines=lines, follow=follow)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Stop everything and delete all data: accounts, courses, films."""
    if not yes:
        if not sys.stdin.isatty():
            raise Failed("nothing was deleted: nobody is here to ask. ./hub reset --yes deletes without asking")
        typer.confirm("Delete all data of this checkout's LearningHub?", abort=True)
    home = Home(DEFAULT)
    with alone(home):
        stop(home)
        delete(home)
    console.print("Deleted. The next ./hub up starts with nothing")


@app.command()
def env() -> None:
    """Print the settings of the running servers: eval "$(./hub env)"."""
    for name, value in environment(Home(DEFAULT)).items():
        print(f"export {name}={shlex.quote(value)}")


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    _reach()
    from cluster.data.migrations import migrate

    for name in (done := asyncio.run(migrate())):
        console.print(f"ran {name}")
    console.print(f"{len(done)} migrations ran" if done else "The schema is up to date")


@app.command()
def seed() -> None:
    """Make the demo school; what of it exists stays."""
    _reach()
    from cluster.seed import seed

    school = asyncio.run(seed(os.environ["HUB_PUBLIC_URL"], lambda part: console.print(f"made {part}")))
    write_whole(_demo_accounts(), json.dumps(school))
    _introduce()


@app.command()
def serve(service: Annotated[str, typer.Argument(help="Its name, such as course.")]) -> None:
    """Run one service by itself and restart it on changes; the servers must be up."""
    from cluster.hub.serve import SOURCES, rerun, service_named

    port = service_named(service).port
    _reach()
    door = os.environ.get("HUB_PUBLIC_URL")
    console.print(
        f"{service} comes to [bold]http://127.0.0.1:{port}[/]; tokens come from {door}/v1/sessions", soft_wrap=True
    )
    rerun((sys.executable, "-m", "deployments.serve_one", "--migrate", service), SOURCES)


@app.command()
def new(
    service: Annotated[str, typer.Argument(metavar="NAMESPACE/SERVICE")],
    things: Annotated[str | None, typer.Option(help="The plural, where an s does not make it: quizzes.")] = None,
    of: Annotated[str, typer.Option(help="Whose the things are: org or person.")] = "org",
) -> None:
    """Write the rooms of a new service, with tests that pass."""
    _become("cluster.hub.scaffold", service, "--of", of, *(("--things", things) if things else ()))


@app.command()
def check() -> None:
    """Run every static check: style, types, imports, spelling, generated files."""
    if not checks.check(console):
        raise typer.Exit(1)


@app.command()
def generate(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when a file is stale.")] = False,
    allow_break: Annotated[
        bool, typer.Option("--allow-break", help="Lock contracts although another release does not understand them.")
    ] = False,
) -> None:
    """Write every file that is derived from the services and the service table."""
    chosen = {"--check": check, "--allow-break": allow_break}
    _become("deployments.generate", *(option for option, on in chosen.items() if on))


@app.command()
def lock(
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Take the newest versions that fit.")] = False,
) -> None:
    """Write requirements.lock, requirements-test.lock and jars.lock. The last needs Maven."""
    from cluster.hub.lock import lock_jars, lock_packages

    lock_packages(upgrade=upgrade)
    lock_jars()


@app.command(context_settings=_PASS_ON)
def events(context: typer.Context) -> None:
    """Show parked and dead events; replay or skip them."""
    _become("cluster.hub.events", *context.args)


@app.command(context_settings=_PASS_ON)
def psql(context: typer.Context) -> None:
    """Open psql on the database; arguments go to psql."""
    from cluster.servers.postgres import psql

    _reach()
    launch = psql(os.environ["HUB_POSTGRES_URL"])
    os.execve(launch.argv[0], [*launch.argv, *context.args], dict(launch.env))  # noqa: S606 - no shell is wanted


@audit.command("verify")
def audit_verify() -> None:
    """Check that no entry of the audit trail was changed or removed."""
    _become("api.platform.audit.verify")


@privacy.command("replay")
def privacy_replay() -> None:
    """After a backup was restored: erase again who was erased since."""
    _become("api.core.user.privacy_request.replay")


@app.command("make-admin")
def make_admin(user_id: Annotated[str, typer.Argument(help="The person's id, as GET /v1/users/me tells it.")]) -> None:
    """Let somebody run the whole platform."""
    _become("deployments.make_admin", user_id)


@app.command()
def demo(film: Annotated[str | None, typer.Argument(help="A film of yours; without, one is made.")] = None) -> None:
    """Teach a course with a film and learn it, through the API alone."""
    _become("deployments.demo", *((os.path.abspath(film),) if film else ()))


@app.command(context_settings=_PASS_ON)
def bench(context: typer.Context) -> None:
    """Measure the running platform."""
    _become("bench", *context.args)


@app.command(context_settings=_PASS_ON)
def test(context: typer.Context) -> None:
    """Run the tests on their own fresh servers; arguments go to pytest.

    Two workers by default; HUB_TEST_WORKERS or -n say otherwise. A run of named files uses one. --changed runs the tests of what
    differs from main: of a changed service, and of those that import its contract if that changed. --static runs what reads the
    whole tree (imports, names, statements, wire conventions, documents), in less than a minute.
    """
    from cluster.hub.test import run_tests

    raise typer.Exit(run_tests(context.args))


def _demo_accounts() -> Path:
    return Home(DEFAULT if "HUB_HOME" not in os.environ else Path(os.environ["HUB_HOME"])).run / "demo.json"


def _introduce() -> None:
    """Print the accounts of the demo school, once there is one."""
    if _demo_accounts().exists():
        school = json.loads(_demo_accounts().read_text())
        for person in school["people"]:
            console.print(f"  {person['email']:<24} {person['name']}")
        console.print(f"  password of each: [bold]{school['password']}[/]")


def _settle() -> None:
    """Take the settings of this checkout's servers, unless the environment names others."""
    if "HUB_POSTGRES_URL" not in os.environ:
        os.environ.update(environment(Home(DEFAULT)))


def _reach() -> None:
    """Take the settings of servers that run.

    Raises:
        Failed: they are this checkout's, and do not.
    """
    if "HUB_POSTGRES_URL" not in os.environ and state.read(Home(DEFAULT)).supervisor() is None:
        raise Failed("the servers do not run. Start them: ./hub up, or ./hub up --servers-only")
    _settle()


def _become(module: str, *arguments: str) -> NoReturn:
    """Replace this process by one of our modules: what is below imports nothing of what is above."""
    _settle()
    os.chdir(REPOSITORY)
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    try:
        app(prog_name="./hub")
    except Failed as failure:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]hub:[/] {escape(str(failure))}")
        sys.exit(1)
