"""Which rules of this repository would nobody notice being broken?"""

import ast
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pullplan.packaged_files import packaged

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")
MIGRATION_HASHES = REPOSITORY / "db" / "migrations.sha256"
MOST_LINES_OF_A_MODULE = 400

FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "manager", "base", "core", "lib"}
# Put together here, so that this file obeys the rules that it checks.
INDEX_HOSTS = [
    ".".join(words)
    for words in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("docker", "io"),
        ("jsdelivr", "net"),
        ("unpkg", "com"),
    )
]
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")


def _committed_files() -> list[Path]:
    """List what git has or would take, without what is deleted on disk."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = (REPOSITORY / name for name in sorted(set(listed.split("\0"))) if name)
    return [path for path in paths if path.is_file()]


def _lines_matching(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in _committed_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        name = path.relative_to(REPOSITORY)
        found += [
            f"{name}:{n}: {line.strip()[:120]}" for n, line in enumerate(lines, 1) if pattern.search(line)
        ]
    return found


def _modules(*folders: str) -> list[Path]:
    return [
        path
        for path in _committed_files()
        if path.suffix == ".py" and path.relative_to(REPOSITORY).parts[0] in folders
    ]


def _normalised(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def _pins(lock: str) -> dict[str, str]:
    """Read a lock as name → version, asserting that each entry is pinned with hashes."""
    pins = {}
    entries = re.split(r"\n(?=[A-Za-z0-9])", (REPOSITORY / lock).read_text().strip())
    for entry in entries:
        head = re.match(r"([A-Za-z0-9._-]+)==(\S+)", entry)
        assert head, f"{lock}: not pinned: {entry.splitlines()[0]}"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), f"{lock}: {head[1]} carries no hash"
        pins[_normalised(head[1])] = head[2]
    return pins


def test_no_file_names_the_host_of_a_package_index() -> None:
    hosts = re.compile("|".join(rf"(?<![\w-]){re.escape(host)}\b" for host in INDEX_HOSTS))
    assert _lines_matching(hosts) == []


def test_nothing_is_left_to_be_done_in_a_comment() -> None:
    assert _lines_matching(UNFINISHED) == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    named = [
        str(path.relative_to(REPOSITORY))
        for path in _modules("service", "tests", "bench")
        if FORBIDDEN_NAMES & {*path.relative_to(REPOSITORY).with_suffix("").parts}
    ]
    assert named == []


def test_every_module_opens_with_the_question_that_it_answers() -> None:
    """Also right: a single statement, where there is nothing to ask."""
    wrong = []
    for path in _modules("service", "bench"):
        source = path.read_text()
        if path.name == "__init__.py" and not source.strip():
            continue
        docstring = ast.get_docstring(ast.parse(source)) or ""
        if not re.match(r"[^.?!\n]+(\?(\s|$)|\.$)", docstring):
            wrong.append(f"{path.relative_to(REPOSITORY)}: {docstring[:100]!r}")
    assert not wrong, "\n".join(wrong)


def test_no_module_outgrows_one_reading() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in _modules("service")}
    long = {
        str(path.relative_to(REPOSITORY)): size
        for path, size in sizes.items()
        if size > MOST_LINES_OF_A_MODULE
    }
    assert long == {}


def test_every_layer_contract_fails_on_a_module_without_a_place() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = [contract for contract in contracts if contract["type"] == "layers"]
    assert [contract["containers"] for contract in layers] == [["pullplan"], ["pullplan.engine"]]
    assert all(contract.get("exhaustive") is True for contract in layers)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_everything_with_hashes_and_names_no_index(lock: str) -> None:
    assert _pins(lock)
    assert not re.search(r"://|--(extra-)?index|--find-links", (REPOSITORY / lock).read_text())


def test_the_locks_hold_every_dependency_and_agree_with_each_other() -> None:
    runs, develops, builds = (_pins(lock) for lock in LOCKS)
    groups = PROJECT["dependency-groups"]
    written = {_normalised(dependency) for dependency in PROJECT["project"]["dependencies"]}
    assert written - runs.keys() == set()
    developing = {_normalised(name) for name in groups["dev"] if isinstance(name, str)}
    assert developing - develops.keys() == set()
    assert {_normalised(name) for name in groups["build"]} - builds.keys() == set()
    assert {name: develops.get(name) for name in runs} == runs
    assert {name: develops.get(name) for name in builds} == builds


def test_a_merged_migration_is_never_edited() -> None:
    """A new file gets its line from `make migration-hashes`; a changed one is undone, and a new file written."""
    lines = (line.split("  ", 1) for line in MIGRATION_HASHES.read_text().splitlines())
    committed = {name: digest for digest, name in lines}
    present = {
        str(path.relative_to(REPOSITORY)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (REPOSITORY / "db" / "migrations").glob("*.sql")
    }
    changed = sorted(name for name, digest in committed.items() if present.get(name) != digest)
    assert changed == [], "merged migrations are never edited: undo this and write a new file"
    new = sorted(present.keys() - committed.keys())
    assert new == [], "run `make migration-hashes` and commit db/migrations.sha256"


def test_a_checkout_finds_its_own_sql_and_contract() -> None:
    assert packaged("db") == REPOSITORY / "db"
    assert packaged("openapi") == REPOSITORY / "openapi"


def _build(source: Path, target: str, into: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (built,) = into.iterdir()
    return built


@pytest.mark.long
def test_a_wheel_from_the_source_package_carries_sql_and_contract(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for path in _committed_files():
        copy = checkout / path.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    from_checkout = _build(checkout, "wheel", tmp_path / "wheel")
    with tarfile.open(_build(checkout, "sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    wheel = _build(source, "wheel", tmp_path / "wheel-from-sdist")

    with zipfile.ZipFile(wheel) as second, zipfile.ZipFile(from_checkout) as first:
        assert sorted(second.namelist()) == sorted(first.namelist())

    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    install = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run([str(python), *install], check=True, capture_output=True)
    program = "from pullplan.packaged_files import packaged; print(*map(packaged, ('db', 'openapi')))"
    answer = subprocess.run(
        [python, "-I", "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    db, openapi = (Path(found) for found in answer.stdout.split())
    assert db.is_relative_to(environment)
    for folder in ("migrations", "queries"):
        shipped = {path.name: path.read_text() for path in (db / folder).glob("*.sql")}
        assert shipped == {path.name: path.read_text() for path in (checkout / "db" / folder).glob("*.sql")}
    assert (openapi / "openapi.yaml").read_text() == (checkout / "openapi" / "openapi.yaml").read_text()
