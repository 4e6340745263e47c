"""Do clients that others' generators make of the committed document compile, and do they work?"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pullplan.cli.service import Service
from pullplan.packaged_files import packaged

pytestmark = pytest.mark.long

DOCUMENT = packaged("openapi") / "openapi.yaml"
NODE = packaged("openapi").parent / ".cache" / "node" / "node_modules"
SMOKE = Path(__file__).parent / "clients"


def called(*words: str | Path, folder: Path, service: Service | None = None) -> str:
    """Run a command in a folder, its tools beside this Python's; answer what it said."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
    }
    if service is not None:
        environment |= {"PULLPLAN_URL": service.url, "PULLPLAN_KEY": service.key}
    ran = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-5000:]
    return ran.stdout


def operation_ids() -> set[str]:
    document: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text())
    return {operation["operationId"] for item in document["paths"].values() for operation in item.values()}


def test_the_python_client_has_every_operation_is_typed_and_works(service: Service, tmp_path: Path):
    client = tmp_path / "pullplan_client"
    called(
        *("openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none"),
        *("--output-path", client),
        folder=tmp_path,
    )
    made = {path.stem.replace("_", "") for path in client.glob("api/*/*.py")}
    assert {name.lower() for name in operation_ids()} - made == set()
    shutil.copy(SMOKE / "smoke.py", tmp_path)
    called(sys.executable, "-m", "compileall", "-q", "pullplan_client", folder=tmp_path)
    called("mypy", "--strict", "--follow-imports=silent", "--cache-dir=cache", "smoke.py", folder=tmp_path)
    said = called(sys.executable, "smoke.py", folder=tmp_path, service=service)
    assert said == "7 cups at KILN-BRUGGE\n"


def test_the_typescript_client_has_every_operation_is_typed_and_works(service: Service, tmp_path: Path):
    if not (NODE / "openapi-typescript").exists() or shutil.which("node") is None:
        pytest.skip("`.ci/run` installs openapi-typescript where there is node")
    (tmp_path / "node_modules").symlink_to(NODE)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    called(
        *(NODE / ".bin" / "openapi-typescript", DOCUMENT, "--output", "schema.d.ts"),
        "--default-non-nullable=false",  # a field of a request that has a default may be left out
        folder=tmp_path,
    )
    types = (tmp_path / "schema.d.ts").read_text()
    assert {name for name in operation_ids() if f"    {name}: {{" not in types} == set()
    shutil.copy(SMOKE / "smoke.ts", tmp_path)
    called(
        *(NODE / ".bin" / "tsc", "--strict", "--noUncheckedIndexedAccess", "--target", "es2022"),
        *("--module", "nodenext", "--lib", "es2022,dom", "--outDir", "made", "smoke.ts"),
        folder=tmp_path,
    )
    assert called("node", "made/smoke.js", folder=tmp_path, service=service) == "9 bowls at KILN-LENS\n"
