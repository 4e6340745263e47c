"""Does a reader of OpenAPI that we did not write find a fault in the committed contract?"""

import json
import os
import shutil
import subprocess

import pytest

from pullplan.packaged_files import packaged

REDOCLY = packaged("openapi").parent / ".cache" / "node" / "node_modules" / ".bin" / "redocly"


def test_redocly_finds_nothing_in_the_committed_contract() -> None:
    if not REDOCLY.exists() or shutil.which("node") is None:
        pytest.skip("`.ci/run` installs @redocly/cli where there is node")
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "CI": "true"}
    linted = subprocess.run(
        [REDOCLY, "lint", "--extends=recommended", "--format=json", packaged("openapi") / "openapi.yaml"],
        env=os.environ | quiet,
        cwd=packaged("openapi"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
    totals = json.loads(linted.stdout)["totals"]
    assert (totals["errors"], totals["warnings"]) == (0, 0), linted.stdout
