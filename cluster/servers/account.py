"""The account that servers run as which refuse to run as root, and where their files lie then."""

import hashlib
import os
from pathlib import Path

from cluster.servers.home import Home

NOBODY = 65534
OUTSIDE = Path("/var/lib/learninghub")
"""For what that account must reach when it may not pass through the checkout."""


def account() -> int | None:
    """Return the account to drop to; None: we are not root."""
    return NOBODY if os.geteuid() == 0 else None


def open_to_all(path: Path) -> bool:
    """Tell whether that account can pass through every folder down to `path`."""
    return account() is None or all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def open_place(home: Home, name: str) -> Path:
    """Return where a server's data lie that runs as that account: inside the home, if the way there is open."""
    key = hashlib.sha256(str(home.path).encode()).hexdigest()[:12]
    outside = OUTSIDE / (key if name == "postgres" else f"{key}-{name}")
    return home.place(name, Path(name) if open_to_all(home.path) else outside)


def open_up(folder: Path) -> None:
    """Let everybody read a folder and what is in it."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
