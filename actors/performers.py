"""Find who performs jobs that need more than a service has: the modules of this package that say `@perform`."""

import importlib
import pkgutil

import actors


def load() -> None:
    """Import every module of `actors`; the job worker takes the jobs of the services that its host has.

    So a module here imports heavy libraries (Ray, torch) where it uses them, not at its top.
    """
    for module in pkgutil.iter_modules(actors.__path__):
        importlib.import_module(f"{actors.__name__}.{module.name}")
