"""Do the first calls of the README work exactly as they are written?"""

import os
import re
import subprocess
import sys
from pathlib import Path

from pullplan.cli import COMMANDS
from pullplan.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text()
_MARKED = re.compile(r"<!-- run by tests/cli/test_readme.py -->\n```(\w+)\n(.*?)```", re.DOTALL)


def test_the_first_calls_work_as_they_are_written(kept_demo):
    blocks = _MARKED.findall(README)
    assert [language for language, _ in blocks] == ["sh", "python"]
    environment = {**os.environ, "PULLPLAN_URL": kept_demo.client.url, "PULLPLAN_KEY": kept_demo.client.key}
    outputs = []
    for language, code in blocks:
        command = ["bash", "-ec", code] if language == "sh" else [sys.executable, "-c", code]
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, env=environment
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        outputs.append(ran.stdout)
    assert '"state":"succeeded"' in outputs[0]
    assert "OVEN-ULM makes" in outputs[1]


def test_every_setting_is_in_the_readme():
    for field in Settings.__struct_fields__:
        name = {"database_url": "DATABASE_URL", "data_folder": "PULLPLAN_DATA"}.get(
            field, f"PULLPLAN_{field.upper()}"
        )
        assert f"`{name}`" in README


def test_every_path_and_make_target_in_the_readme_exists():
    paths = re.findall(r"[`(]((?:service|db|openapi)/[\w./]+)[`)]", README)
    assert len(paths) > 10
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", README)) | {"demo", "test"} <= targets


def test_every_command_in_the_readme_exists():
    named = set(re.findall(r"(?:`|^)pullplan ([a-z]+)", README, re.MULTILINE)) - {
        "plans"
    }  # the first sentence
    assert named == {
        "serve",
        "demo",
        "import",
        "plan",
        "export",
        "ledger",
        "verify",
        "keys",
        "work",
        "migrate",
        "diff",
        "forecast",
        "replay",
    }
    assert named <= set(COMMANDS)


def test_every_attack_of_the_table_has_its_test():
    tests = "".join(path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", README)
    assert len(named) > 25
    assert [name for name in named if f"def {name}(" not in tests] == []
