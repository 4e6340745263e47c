"""How is one instance measured in a process of its own, on one thread?"""

import json
import os
import subprocess
import sys


def measured_apart(module: str, *arguments: object) -> dict[str, float]:
    """Run a module of the bench as a command, and read the figures that it prints as JSON.

    Raises: CalledProcessError
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found
