"""Read the command line of `./hub`."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from cluster.hub.up import Failed, alone, start, stop
from cluster.servers import Home, environment
from cluster.servers.home import DEFAULT

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console = Console(highlight=False)


@app.command()
def up(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Where the platform listens: 3000 at first.")
    ] = None,
    servers_only: Annotated[bool, typer.Option(envvar="HUB_ONLY_SERVERS", help="Start the servers alone.")] = False,
) -> None:
    """Start LearningHub in the background. Started already, it stays as it is."""
    home = Home(DEFAULT)
    with alone(home):
        fresh = start(home, port=port, servers_only=servers_only, console=console)
    console.print(f"{'Up' if fresh else 'Already running'} at {environment(home)['HUB_PUBLIC_URL']}")


@app.command()
def down() -> None:
    """Stop everything. The data stay."""
    home = Home(DEFAULT)
    with alone(home), console.status("Stopping"):
        ran = stop(home)
    console.print("Stopped" if ran else "Nothing was running")


if __name__ == "__main__":
    try:
        app()
    except Failed as failure:
        Console(stderr=True, highlight=False).print(f"[red]hub:[/] {escape(str(failure))}")
        sys.exit(1)
