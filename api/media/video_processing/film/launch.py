"""Become another program under limits; run as a script, `launch.py PARENT CPU_S MEMORY FILE_BYTES ARGV...`.

The limits are set here and not between fork and exec of the caller, which has threads. On Linux the program also dies
with the process that asked for it, so that `kill -9` of a worker leaves no encoder behind.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1  # Source: prctl(2)


def _limit(kind: int, amount: int, grace: int = 0) -> None:
    # Some systems refuse a limit on address space; the others still hold.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (amount, amount + grace))


def main(argv: list[str]) -> None:
    """Set the limits and replace this process."""
    parent, cpu_s, memory_bytes, file_bytes = (int(value) for value in argv[:4])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    # At the soft limit the program hears SIGXCPU and can say so, at the hard one it is killed.
    _limit(resource.RLIMIT_CPU, cpu_s, grace=10)
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    os.execv(argv[4], argv[4:])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
