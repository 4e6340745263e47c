"""How do the fork server and its children end with the worker, however that ends?"""

import os

from pullplan import lifeline

WORKER_PID_VARIABLE = "PULLPLAN_WORKER_PID"
"""Tells the fork server whose it is: its worker may be gone before this is imported."""


def bind() -> None:
    """Bind this process to its worker, and to this process whatever it forks."""
    lifeline.end_with_parent(int(os.environ[WORKER_PID_VARIABLE]))
    forking: list[int] = []

    def remember() -> None:
        forking[:] = [os.getpid()]

    os.register_at_fork(before=remember, after_in_child=lambda: lifeline.end_with_parent(*forking))
