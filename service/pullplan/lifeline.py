"""How does a process end with the one that started it, also when that one was killed?

Linux does it, by a signal to the child, also while a library holds the interpreter's lock. The signal follows the *thread*
that started the child: what is bound here is started from main threads. Elsewhere a killed parent leaves children behind.
"""

import ctypes
import os
import shutil
import signal
import sys

_PR_SET_PDEATHSIG = 1


def bound_to_parent(death_signal: str) -> list[str]:
    """Begin a command that is sent this signal when its starter ends."""
    return ["setpriv", "--pdeathsig", death_signal, "--"] if shutil.which("setpriv") else []


def end_with_parent(parent_pid: int | None = None) -> None:
    """Let the kernel kill this process when its parent ends; at once when another than `parent_pid` is the parent by now."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent_pid is not None and os.getppid() != parent_pid:
        os._exit(1)
