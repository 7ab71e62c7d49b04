"""The bootstrap: any Python gets a sentence or an environment, and what was broken off is repaired."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from config import bootstrap
from config.bootstrap import TEST_SECTION, Environment, has_packages
from tests.pace import within
from tests.waiting import PATIENCE

_MANAGEMENT = "import sys\ndef execute_from_command_line(argv): print('ran', argv[1:], sys.prefix)\n"
_DJANGO = {"django/core/management.py": _MANAGEMENT, "django/db.py": "class OperationalError(Exception): pass\n"}
_PYTEST = "def main(arguments): print('tested', arguments); return 0\n"


_VERSION = "{}.{}".format(*sys.version_info)


class Project:
    """A copy of the bootstrap with a lock of two small packages that stand for Django and pytest."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.root = folder / "project"
        self.wheels = folder / "wheels"
        (self.root / "config").mkdir(parents=True)
        self.wheels.mkdir()
        for name in ("manage.py", "config/__init__.py", "config/bootstrap.py"):
            shutil.copy(root / name, self.root / name)
        self.write_lock("1.0")

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def write_lock(self, version: str) -> None:
        runtime = _wheel(self.wheels, "django", version, _DJANGO)
        tests = _wheel(self.wheels, "pytest", version, {"pytest.py": _PYTEST})
        (self.root / "requirements.lock").write_text(runtime + TEST_SECTION + "\n" + tests)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        hidden = ("PYTHONPATH", "TWINS_NO_VENV", "DJANGO_SETTINGS_MODULE")
        env = {key: value for key, value in os.environ.items() if key not in hidden and not key.startswith("PIP_")}
        env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull, **environment}
        return subprocess.Popen(
            [_base_python(), "manage.py", *arguments],
            cwd=self.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(*arguments, **environment)
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said

    def marker(self) -> dict[str, object]:
        return dict(json.loads((self.venv / "installed.json").read_text()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Project:
    """A project whose environment is made."""
    project = Project(tmp_path_factory.mktemp("bootstrap"), root)
    status, said = project.run("hello", "--now")
    assert status == 0, said
    assert "Making .venv" in said
    assert "Installing up to 1 packages" in said
    assert f"ran ['hello', '--now'] {project.venv}" in said
    return project


@pytest.fixture
def project(made: Project) -> Project:
    """The same, brought back to a complete environment of version 1.0 before each test."""
    made.write_lock("1.0")
    made.run("hello")
    return made


def test_a_complete_environment_is_entered_at_once_and_in_silence(project: Project) -> None:
    start = _processor_time()
    assert project.run("hello") == (0, f"ran ['hello'] {project.venv}\n")
    assert within(_processor_time() - start, 3)


def test_the_marker_knows_lock_python_and_sections(project: Project) -> None:
    lock = (project.root / "requirements.lock").read_bytes()
    assert project.marker()["lock"] == hashlib.sha256(lock).hexdigest()
    assert project.marker()["python"] == _VERSION


def test_a_new_lock_is_installed(project: Project) -> None:
    project.write_lock("2.0")
    status, said = project.run("hello")
    assert (status, "Making" in said, "Installing" in said) == (0, False, True)
    assert list(project.venv.glob("lib/*/site-packages/django-2.0.dist-info"))


@pytest.mark.full
def test_an_installation_that_was_broken_off_is_made_anew(project: Project) -> None:
    (project.venv / "installed.json").unlink()
    (project.venv / "installing").touch()
    for module in project.venv.glob("lib/*/site-packages/django/core/management.py"):
        module.write_text("half a mod")  # pip would take this package for installed
    status, said = project.run("hello")
    assert status == 0, said
    assert "Making .venv" in said
    assert f"ran ['hello'] {project.venv}" in said
    assert not (project.venv / "installing").exists()


def test_a_failing_pip_shows_its_last_lines_and_the_next_start_goes_on(project: Project) -> None:
    project.write_lock("3.0")
    status, said = project.run("hello", PIP_FIND_LINKS=str(project.root))
    assert status == 1
    assert "No matching distribution found for django==3.0" in said
    assert "start again" in said
    assert "ran" not in said.split()
    status, said = project.run("hello")
    assert (status, said.splitlines()[-1]) == (0, f"ran ['hello'] {project.venv}")


def test_a_long_unpacking_shows_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lib" / "python3" / "site-packages" / "one-1.0.dist-info").mkdir(parents=True)
    monkeypatch.setattr(bootstrap, "_BEAT", 0.05)
    said, shown = bootstrap._say, tmp_path / "shown"

    def say(text: str) -> None:
        said(text)
        if "unpacked" in text:
            shown.touch()

    monkeypatch.setattr(bootstrap, "_say", say)
    silent = (
        "print('Installing collected packages: one', flush=True); import os, time\n"
        f"while not os.path.exists({str(shown)!r}): time.sleep(0.01)"
    )
    assert bootstrap._follow([[sys.executable, "-c", silent]], 7, tmp_path)[0] == 0
    assert "  unpacked 1 of 7\n" in capsys.readouterr().out


@pytest.mark.parametrize("count", [1, 2, 4, 1000])
def test_packages_that_are_installed_at_once_are_shared_out_once(count: int) -> None:
    """Also what stands in the lock again for other platforms: two pips must never have the same package."""
    lock = bootstrap.LOCK.read_text()
    shares = bootstrap._shares(lock, count)
    names = [{name for name, _, _ in bootstrap._PIN.findall(share)} for share in shares]
    assert sum(map(len, names)) == len(set.union(*names)) == len({name for name, _, _ in bootstrap._PIN.findall(lock)})
    assert sorted("".join(shares).splitlines()) == sorted(line for line in lock.splitlines() if line[:1] not in "#")
    assert max(map(len, names)) - min(map(len, names)) <= 1


def test_a_package_with_another_hash_is_refused(project: Project) -> None:
    project.write_lock("2.5")
    lock = project.root / "requirements.lock"
    digest = lock.read_text().partition("sha256:")[2][:64]
    lock.write_text(lock.read_text().replace(digest, digest[::-1], 1))
    status, said = project.run("hello")
    assert status == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in said
    assert not list(project.venv.glob("lib/*/site-packages/django-2.5.dist-info"))


def test_two_starts_at_once_install_once(project: Project) -> None:
    project.write_lock("4.0")
    both = [project.start("hello") for _ in range(2)]
    said = [process.communicate(timeout=PATIENCE)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("Installing" in one for one in said) == 1
    assert all(f"ran ['hello'] {project.venv}" in one for one in said)


def test_benchmarks_get_what_the_tests_need(project: Project) -> None:
    marker = project.venv / "installed.json"
    marker.write_text(json.dumps({**project.marker(), "tests": False}))
    status, said = project.run(
        "benchmark", "x", DATABASE_URL="postgresql:///nowhere", REDIS_URL="redis://127.0.0.1:1/0"
    )
    assert (status, said.splitlines()[-1]) == (0, f"ran ['benchmark', 'x'] {project.venv}")
    assert project.marker()["tests"] is True


def test_only_the_tests_get_what_only_they_need(project: Project) -> None:
    assert project.run("test", "-k", "x")[1].endswith("tested ['-k', 'x']\n")
    assert project.marker()["tests"] is True
    assert project.run("hello")[1] == f"ran ['hello'] {project.venv}\n"
    project.write_lock("5.0")
    project.run("hello")
    assert project.marker()["tests"] is True


def test_the_bootstrap_can_be_skipped(project: Project) -> None:
    project.write_lock("6.0")
    _, said = project.run("hello", TWINS_NO_VENV="1")
    assert "ModuleNotFoundError" in said
    assert "Installing" not in said


def test_an_environment_has_the_packages_only_in_a_locked_version() -> None:
    version = pytest.__version__
    assert has_packages(f"pytest=={version} \\\n    --hash=sha256:00\n")
    assert has_packages(f"pytest=={version} ; sys_platform == 'x'\nabsent==1.0 ; sys_platform == 'x'\n")
    assert has_packages("pip==0.1 \\\n    --hash=sha256:00\n")  # it is there to install the others
    assert not has_packages("pytest==0.1\n")
    assert not has_packages("absent==1.0\n")


def test_a_python_without_venv_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    environment = Environment(tmp_path / ".venv", "")
    with pytest.raises(SystemExit, match=f"install the package python{re.escape(_VERSION)}-venv"):
        environment._make_venv()
    assert list(tmp_path.iterdir()) == []


def test_the_environment_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    _script(python, "echo 3.10")
    with pytest.raises(SystemExit, match=r"belongs to Python 3\.10 and was not made by this command: remove it"):
        Environment(tmp_path / ".venv", "")._make_venv()
    assert list((tmp_path / ".venv").iterdir()) == [python.parent]


def test_the_door_is_readable_by_old_pythons(root: Path) -> None:
    ast.parse((root / "manage.py").read_text(), feature_version=(3, 4))


@pytest.mark.parametrize("found", [True, False])
def test_a_python_that_does_not_fit_looks_for_one_that_does(tmp_path: Path, root: Path, found: bool) -> None:
    door = tmp_path / "manage.py"
    door.write_text((root / "manage.py").read_text().replace("OLDEST = (3, 11)", "OLDEST = (4, 0)"))
    _script(tmp_path / "python3.13", "exit 127")  # what a version manager leaves for a Python it has not
    if found:
        _script(tmp_path / "python3.12", '[ "$1" = -c ] || echo python3.12 "$@"')
    done = subprocess.run(
        [sys.executable, str(door), "up"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    if found:
        assert (done.returncode, done.stdout) == (0, f"python3.12 {door} up\n")
    else:
        assert done.returncode == 1
        assert done.stderr.startswith("This needs Python 3.11, 3.12 or 3.13;")


def _wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> str:
    """Write a wheel; returns its lines of the lock."""
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    if not path.exists():
        with zipfile.ZipFile(path, "w") as wheel:
            for target, text in {**files, f"{info}/RECORD": record}.items():
                wheel.writestr(target, text)
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def _processor_time() -> float:
    """Seconds of all processes that this one has waited for: another's work is none of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _base_python() -> str:
    """The Python that this environment was made from."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")
