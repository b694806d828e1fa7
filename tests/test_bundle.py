"""The built binary as a binary: what goes into it, how it is built, and what refuses to be built."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import building
import pytest
from building import build, build_python, copy_of_repository, dag_text, freeze_again, make, refuse, run, write_project

import coordinator_bundle as cb

# What only a run of the Dag file inside the bundle can know is told by its tags, which `--parse --json` prints.
PROJECT = {
    "my-dag.2024.py": dag_text(
        "everything",
        tags="TAGS",
        before='''"""Docstring of the Dag file."""
from __future__ import annotations

import os
from pathlib import Path

import helpers
from reporting.table import render
import shared_code.deep as deep

if os.environ.get("FAIL_IN_HELPER"):
    helpers.fail()

HERE = Path(__file__).parent

def asserted():
    assert False

try:
    asserted()
    kept = "assertions-dropped"
except AssertionError:
    kept = "assertions-kept"

TAGS = [
    "doc:" + __doc__,
    kept,
    "helper-doc:" + str(helpers.value.__doc__),
    "helper:" + helpers.value(),
    "package:" + render(),
    "sql:" + (HERE / "sql" / "q.sql").read_text().strip(),
    "included:" + deep.NAME + Path(deep.__file__).with_name("raw.bin").read_text(),
    "name:" + __name__,
    "codec:" + "\u65e5\u672c".encode("shift_jis").hex(),
]
''',
    ),
    "second.py": dag_text("another", before="import helpers\n"),
    "helpers.py": '''
def value():
    """Docstring of a helper."""
    return "from-helper"

def fail():
    raise LookupError("helper failed on purpose")
''',
    "reporting/__init__.py": "",
    "reporting/table.py": "from .inner import NAME\n\ndef render():\n    return NAME\n",
    "reporting/inner.py": "NAME = 'from-package'\n",
    "sql/q.sql": "select 1\n",
    "../elsewhere/shared_code/__init__.py": "",
    "../elsewhere/shared_code/deep.py": "NAME = 'from-elsewhere-'\n",
    "../elsewhere/shared_code/raw.bin": "raw",
}


OWN_NAME = """\
from datetime import datetime

import coordinator_bundle
from airflow.sdk import DAG as dag_class
from coordinator_bundle import *
from coordinator_bundle import DAG, BashOperator, TaskGroup, task

assert DAG is dag_class is coordinator_bundle.DAG
assert cross_downstream is coordinator_bundle.cross_downstream

with DAG("own_name", schedule=None, start_date=datetime(2026, 1, 1)):
    with TaskGroup("group"):
        said = BashOperator(task_id="says", bash_command="echo said")

    @task
    def answers(value):
        raise coordinator_bundle.AirflowSkipException(f"skipped after {value}")

    answers(said.output)
"""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("project") / "dags", PROJECT)


@pytest.fixture(scope="session")
def built(project: Path) -> tuple[Path, str]:
    """A bundle of both Dag files, and what was said while it was built."""
    out = project.parent / "bundles" / "everything"
    said = build(
        project / "my-dag.2024.py",
        project / "second.py",
        out=out,
        INCLUDE=str(project.parent / "elsewhere" / "shared_code"),
    )
    return out, said


@pytest.fixture(scope="session")
def tags(built: tuple[Path, str]) -> list[str]:
    done = run(built[0], "--parse", "--json")
    assert done.returncode == 0, done.stderr
    dags = [entry["data"]["dag"] for entry in json.loads(done.stdout)["serialized_dags"]]
    return next(dag["tags"] for dag in dags if dag["dag_id"] == "everything")


@pytest.fixture
def unpacked(built: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle, _ = built
    folder = tmp_path_factory.mktemp("unpacked")
    done = run(bundle, "--unpack", str(folder))
    assert done.returncode == 0, done.stderr
    return folder / bundle.name


def test_airflow_finds_the_bundle_by_each_of_its_dags(built: tuple[Path, str]) -> None:
    coordinator = pytest.importorskip("airflow.sdk.coordinators.executable.coordinator")
    for dag_id in ("everything", "another"):
        assert coordinator._Bundle.find([built[0].parent], dag_id).path == built[0].resolve()


def test_the_build_ends_with_path_size_dags_and_the_next_step(built: tuple[Path, str]) -> None:
    out, said = built
    last = said.splitlines()[-6:]
    assert f"{out}  " in last[-5]
    assert "MiB" in last[-5]
    assert last[-4:-2] == ["  another: 1 task", "  everything: 1 task"]
    assert last[-2].startswith("next: ")


def test_the_folder_of_the_result_holds_nothing_but_the_result(built: tuple[Path, str]) -> None:
    assert list(built[0].parent.iterdir()) == [built[0]]


def test_assertions_and_docstrings_of_dag_files_and_helpers_survive(tags: list[str]) -> None:
    assert "assertions-kept" in tags
    assert "doc:Docstring of the Dag file." in tags
    assert "helper-doc:Docstring of a helper." in tags


def test_helpers_packages_data_and_included_code_are_inside(tags: list[str], project: Path) -> None:
    wanted = {"helper:from-helper", "package:from-package", "sql:select 1", "included:from-elsewhere-raw"}
    assert wanted <= set(tags)


def test_a_codec_that_nothing_imports_is_inside(tags: list[str]) -> None:
    assert "codec:93fa967b" in tags


def test_a_dag_file_is_a_module_with_airflows_kind_of_name(tags: list[str]) -> None:
    name = next(tag for tag in tags if tag.startswith("name:"))
    assert name.startswith("name:unusual_prefix_")
    assert name.endswith("_my_dag_2024")


def test_a_dag_file_may_take_everything_from_the_module_of_that_name(tmp_path: Path) -> None:
    write_project(tmp_path, {"own_name.py": OWN_NAME})
    build(tmp_path / "own_name.py", out=tmp_path / "own_name")
    done = run(tmp_path / "own_name", "--run", "own_name")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ["answers", "skipped"] in [line.split()[:2] for line in done.stdout.splitlines()]


def test_a_failing_dag_file_is_named_with_its_line(built: tuple[Path, str], project: Path) -> None:
    done = run(built[0], "--parse", FAIL_IN_HELPER="1")
    assert done.returncode == 1
    line = PROJECT["my-dag.2024.py"].splitlines().index("    helpers.fail()") + 1
    assert f"my-dag.2024.py:{line}:" in done.stderr
    assert "helper failed on purpose" in done.stderr


def test_reading_the_environment_at_import_is_noted_while_building(built: tuple[Path, str]) -> None:
    assert "FAIL_IN_HELPER" in built[1]


def test_bundle_metadata_prints_what_is_embedded(built: tuple[Path, str]) -> None:
    assert run(built[0], "--bundle-metadata").stdout.encode() == cb.read_bundle(str(built[0])).manifest_text


def test_inspect_verifies_itself_and_prints_the_source(built: tuple[Path, str], project: Path) -> None:
    done = run(built[0], "--inspect")
    assert done.returncode == 0
    assert "verified    yes" in done.stdout
    source = run(built[0], "--inspect", "--source").stdout
    assert (project / "second.py").read_text() in source
    assert "#### my-dag.2024.py ####" in source


def test_an_edited_bundle_says_so(built: tuple[Path, str], tmp_path: Path) -> None:
    edited = tmp_path / "edited"
    edited.write_bytes(built[0].read_bytes().replace(b"Docstring of the Dag file", b"Docstring of the Dag lime"))
    edited.chmod(0o755)
    done = run(edited, "--inspect")
    assert done.returncode == 1
    assert "changed after packing" in done.stdout


def test_make_install_puts_it_where_airflow_looks_and_warns_of_a_copy(built: tuple[Path, str], tmp_path: Path) -> None:
    coordinator = pytest.importorskip("airflow.sdk.coordinators.executable.coordinator")
    tmp_path.chmod(0o755)
    done = make("install", BUNDLE=str(built[0]), BUNDLES=str(tmp_path))
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [f"installed {tmp_path / 'everything'}: another, everything; verified as Airflow will"],
    )
    assert coordinator._Bundle.find([tmp_path], "another").path == tmp_path / "everything"
    assert list(tmp_path.iterdir()) == [tmp_path / "everything"]
    (tmp_path / "old").mkdir()
    (tmp_path / "everything").rename(tmp_path / "old" / "copy")
    done = make("install", BUNDLE=str(built[0]), BUNDLES=str(tmp_path))
    assert done.returncode == 0
    assert f"warning: {tmp_path / 'old' / 'copy'} holds another, everything too" in done.stdout


def test_make_install_unpacks_and_takes_no_half_of_what_is_unpacked(built: tuple[Path, str], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    done = make("install", BUNDLE=str(built[0]), BUNDLES=str(first), UNPACK="1")
    assert done.returncode == 0 and f"unpacked {first / 'everything'} and {first}/.everything-" in done.stdout
    assert run(first / "everything", "--inspect").returncode == 0
    (contents,) = first.glob(".everything-*")
    done = make("install", BUNDLE=str(first / "everything"), BUNDLES=str(second))
    assert done.returncode != 0 and "install the one file that was built, with UNPACK=1" in done.stdout
    assert not list(second.iterdir())
    # The one file in its place; tasks may still run from the folder, until the next time.
    for is_kept in (True, False):
        assert make("install", BUNDLE=str(built[0]), BUNDLES=str(first)).returncode == 0
        assert contents.is_dir() is is_kept and run(first / "everything", "--version").returncode == 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "error: into which folder? make install BUNDLES="),
        ({"BUNDLES": "/one /two"}, "error: BUNDLES=/one /two: one folder; quote one that has spaces in its name"),
        ({"BUNDLES": "/one", "DAG": "my_dag.py"}, "error: DAG, which is to be built, or BUNDLE, which is"),
        ({"BUNDLES": "'/no such folder'"}, "error: BUNDLES=/no such folder: there is no such folder"),
    ],
)
def test_make_install_says_what_is_wrong(built: tuple[Path, str], variables: dict[str, str], said: str) -> None:
    done = make("install", BUNDLE=str(built[0]), **variables)
    assert done.returncode != 0 and said in done.stdout


def test_make_works_in_a_folder_that_has_spaces_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "a | new folder"
    folder.mkdir()
    shutil.copy(building.REPO / "Makefile", folder)
    for words in (["-C", str(folder)], ["-f", str(folder / "Makefile")]):
        command = ["make", *words, "-n", "test"]
        done = subprocess.run(command, capture_output=True, text=True, env=building.environment())
        assert "warning" not in done.stderr and f"'{folder}/build/test-env" in done.stdout, done


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("BUNDLES=$PWD/noexec", "noexec: is mounted noexec, so that no bundle in it could start"),
        pytest.param(
            "BUNDLES=$PWD TMPDIR=$PWD/noexec", "warning: .*set TMPDIR in the environment of the workers to a folder",
            marks=pytest.mark.skipif(building.DIALS_FIRST, reason="it loads its libraries from memory"),
        ),
        pytest.param(
            "BUNDLES=$PWD TMPDIR=$PWD/noexec", "installed",
            marks=pytest.mark.skipif(not building.DIALS_FIRST, reason="it loads its libraries from files"),
        ),
    ],
)  # fmt: skip
def test_an_install_where_nothing_can_be_run_says_so(
    built: tuple[Path, str], tmp_path: Path, options: str, said: str
) -> None:
    (tmp_path / "noexec").mkdir()
    command = f"mount -t tmpfs -o noexec tmpfs $PWD/noexec && exec make -f {building.REPO}/Makefile install {options}"
    inside = ["unshare", "--mount", "sh", "-c", f"{command} BUNDLE={built[0]} PYTHON={sys.executable}"]
    if subprocess.run([*inside[:2], "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    done = subprocess.run(inside, cwd=tmp_path, capture_output=True, text=True, env=building.environment())
    assert re.search(said, done.stdout + done.stderr, re.DOTALL), done.stdout + done.stderr
    assert (done.returncode == 0) == ("BUNDLES=$PWD " in options) == (tmp_path / "everything").exists()
    assert ("TMPDIR" in said) == ("TMPDIR in the environment" in done.stdout + done.stderr)


def test_explain_says_what_is_large_and_what_is_slow(built: tuple[Path, str], project: Path) -> None:
    include = str(project.parent / "elsewhere" / "shared_code")
    said = build(project / "my-dag.2024.py", project / "second.py", out=built[0], INCLUDE=include, EXPLAIN="1")
    parts = said.partition("what takes the room")[2].splitlines()
    assert "the interpreter and coordinator_bundle" in parts[1]
    for word in ("what each start writes", "libpython", "glibc 2.", "sql/q.sql", "what importing the Dag files costs"):
        assert any(word in line for line in parts), word


@pytest.mark.skipif(not building.DIALS_FIRST, reason="the bootloader of this machine does nothing of its own")
def test_what_is_written_to_memory_is_read_from_less_than_it_is(built: tuple[Path, str]) -> None:
    archive = cb.read_archive(str(built[0]), cb.read_bundle(built[0]).source_start)
    whole = built[0].read_bytes()
    libraries = {name: content for name, kind, content in archive.files() if name in archive.streams()}
    assert len(libraries) == len(archive.streams()) > 5
    for name, content in libraries.items():
        at, length = archive.streams()[name]
        assert content.startswith(b"\x7fELF") and cb.read_quick_stream(whole[at : at + length]) == content
        if name.startswith("libpython"):
            # That of Python 3.10 has less that is easily compressed: no frozen standard library.
            assert length < (0.8 if sys.version_info >= (3, 11) else 0.9) * len(content)


def test_a_bundle_tells_its_version_as_the_module_does(built: tuple[Path, str], unpacked: Path) -> None:
    told = run(built[0], "--version")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == run(unpacked, "--version").stdout
    assert told.stdout.startswith(f"coordinator_bundle {cb.VERSION}\nPython 3.")
    assert told.stdout.endswith(f"supervisor schema {cb.SCHEMA_VERSION}\n")
    with open("/dev/full", "w") as full:
        done = subprocess.run([built[0], "--version"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr


def test_nothing_is_left_in_the_temporary_folder(built: tuple[Path, str], tmp_path: Path) -> None:
    assert run(built[0], "--parse", TMPDIR=str(tmp_path)).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_an_unpacked_bundle_gives_the_same_answers_and_extracts_nothing(
    built: tuple[Path, str], unpacked: Path, tmp_path: Path
) -> None:
    files = json.loads(run(unpacked, "--parse", "--json", TMPDIR=str(tmp_path)).stdout)["serialized_dags"]
    same = json.loads(run(built[0], "--parse", "--json").stdout)["serialized_dags"]
    assert files == same and len(files) == 2
    done = run(unpacked, "--run", "another", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [each for each in tmp_path.iterdir() if each.name.startswith("_MEI")]


def test_the_doctor_names_the_c_library_that_all_the_files_need_and_the_folder_that_the_start_uses(
    built: tuple[Path, str], unpacked: Path, tmp_path: Path
) -> None:
    (contents,) = unpacked.parent.glob(f".{unpacked.name}-*")
    files = [unpacked, *(each for each in contents.rglob("*") if each.is_file() and each.suffix != ".snapshot")]
    newest = max(int(minor) for each in files for minor in re.findall(rb"GLIBC_2\.(\d+)", each.read_bytes()))
    environment = {"AIRFLOW_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    for bundle, start in (
        (built[0], f"unpacks to {tmp_path}:"),
        (unpacked, f"unpacks nothing: its files are in {contents}"),
    ):
        told = run(bundle, "--doctor", **environment).stdout
        assert re.search(rf"^\w+ +C library +needs glibc 2\.{newest} \(for \S", told, re.MULTILINE), told
        assert re.search(rf"^ok +start +{re.escape(start)}", told, re.MULTILINE), told


def test_the_doctor_tells_once_of_a_dag_file_that_fails(built: tuple[Path, str], tmp_path: Path) -> None:
    told = run(built[0], "--doctor", AIRFLOW_HOME=str(tmp_path), FAIL_IN_HELPER="1").stdout
    failed = [line for line in told.splitlines() if re.match(r"FAIL +Dag file", line)]
    assert len(failed) == 1 and "my-dag.2024.py:" in failed[0] and str(tmp_path) not in failed[0], told


def test_airflow_finds_an_unpacked_bundle_and_nothing_in_its_files(unpacked: Path) -> None:
    coordinator = pytest.importorskip("airflow.sdk.coordinators.executable.coordinator")
    assert list(coordinator._find_executables([unpacked.parent])) == [unpacked]
    assert coordinator._read_bundle_metadata(unpacked)["source"] == "my-dag.2024.py"


def test_an_unpacked_bundle_says_when_its_files_were_changed(unpacked: Path) -> None:
    assert run(unpacked, "--inspect").returncode == 0
    changed = next(unpacked.parent.glob(f".{unpacked.name}-*/sql/q.sql"))
    changed.write_text("select 2\n")
    told = run(unpacked, "--inspect")
    assert told.returncode == 1 and "were changed after unpacking" in told.stdout


def test_unpacking_completes_what_was_left_half_done_and_removes_what_is_old(
    built: tuple[Path, str], tmp_path: Path
) -> None:
    bundle, _ = built
    folder = tmp_path / "root"
    folder.mkdir()
    # Killed again and again, a little later each time; whoever looks in between finds nothing or something whole.
    for milliseconds in (10, 30, 60, 100, 150, 220, 300):
        process = subprocess.Popen(
            [bundle, "--unpack", folder],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            # Killed, the bootloader leaves its extraction folder there.
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        time.sleep(milliseconds / 1000)
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.wait()
        for found in (each for each in folder.iterdir() if each.is_file() and os.access(each, os.X_OK)):
            assert run(found, "--inspect").returncode == 0
    (folder / f".{bundle.name}-0123456789abcdef").mkdir()
    (folder / f".{bundle.name}.half_way.packing").touch()
    (folder / f".{bundle.name}-of-mine").mkdir()
    several = [subprocess.Popen([bundle, "--unpack", folder], stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait() for process in several] == [0] * 4
    assert run(folder / bundle.name, "--inspect").returncode == 0
    digest = cb.read_bundle(str(bundle)).trailer.binary_sha256.hex()
    assert {each.name for each in folder.iterdir()} == {
        bundle.name,
        f".{bundle.name}-{digest[:16]}",
        f".{bundle.name}-of-mine",
    }


def test_what_cannot_be_unpacked_says_why(built: tuple[Path, str], unpacked: Path, tmp_path: Path) -> None:
    bundle, _ = built
    for command, reason in (
        ((bundle, "--unpack", str(tmp_path / "missing")), "there is no such folder"),
        ((bundle, "--unpack", str(bundle.parent)), "this is the bundle itself"),
        ((unpacked, "--unpack", str(tmp_path)), "is unpacked already"),
    ):
        done = run(*command)
        assert done.returncode == 1 and reason in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())


def test_a_second_build_is_quick_and_byte_identical(built: tuple[Path, str], project: Path, tmp_path: Path) -> None:
    include = str(project.parent / "elsewhere" / "shared_code")
    dags = (project / "my-dag.2024.py", project / "second.py")
    assert "as before" in build(*dags, out=tmp_path / "second", INCLUDE=include)
    assert (tmp_path / "second").read_bytes() == built[0].read_bytes()
    freeze_again("my-dag.2024")
    assert "freezing" in build(*dags, out=tmp_path / "third", INCLUDE=include)
    assert (tmp_path / "third").read_bytes() == built[0].read_bytes()


def test_a_changed_helper_is_frozen_anew(project: Path, tmp_path: Path) -> None:
    files = {"one.py": dag_text("one", tags="[helper.X]", before="import helper\n"), "helper.py": "X = 'old'\n"}
    write_project(tmp_path, files)
    build(tmp_path / "one.py", out=tmp_path / "out" / "one")
    write_project(tmp_path, {"helper.py": "import time\ntime.sleep(0.06)\nX = 'new'\n"})
    said = build(tmp_path / "one.py", out=tmp_path / "out" / "one", EXPLAIN="1")
    assert re.search(r"\n +\d+ ms  one\.py:1: helper\n", said), said
    assert '"new"' in run(tmp_path / "out" / "one", "--parse", "--json").stdout


def test_pyinstaller_by_hand_makes_the_same_bundle(tmp_path: Path) -> None:
    # The text of this Dag file holds what the bootloader looks for, and the trailer's magic.
    text = dag_text("hand", before="AWKWARD = b'''" + cb.ARCHIVE_COOKIE.decode() + "AFBNDL01'''\nimport helper\n")
    folder = write_project(copy_of_repository(tmp_path / "by_hand"), {"hand.py": text, "helper.py": "", "q.sql": ""})
    build(folder / "hand.py", out=tmp_path / "by_make")
    command = [str(build_python()), "-m", "PyInstaller", "build_spec.spec"]
    # Python 3.10 writes a set of constants in the order of its hashes.
    seed = {} if sys.version_info >= (3, 11) else {"PYTHONHASHSEED": "0"}
    environment = building.environment(**seed)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    by_hand, by_make = cb.read_bundle(str(folder / "dist" / "hand")), cb.read_bundle(str(tmp_path / "by_make"))
    for one in (by_hand, by_make):
        assert run(Path(one.path), "--bundle-metadata").stdout.encode() == one.manifest_text
        del one.manifest["digests"]
    assert by_hand.manifest == by_make.manifest
    assert by_hand.source == by_make.source == b""
    again = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert again.returncode == 0, again.stderr
    assert cb.read_bundle(str(folder / "dist" / "hand")).size == by_hand.size


def standard_library() -> list[str]:
    """Every module that this Python can import without a display, a terminal or a side effect on the process."""
    effects = {"antigravity", "this", "idlelib", "turtledemo", "turtle", "tkinter", "test", "lib2to3", "ensurepip"}
    effects |= {"__phello__", "__hello__", "_tkinter", "nturl2path", "venv"}
    names = [name for name in sorted(sys.stdlib_module_names) if name not in effects and "test" not in name]
    code = "import sys, importlib\nfor name in sys.argv[1:]:\n  try: importlib.import_module(name); print(name)\n"
    code += "  except Exception: pass\n"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, *names], capture_output=True, text=True)
    return done.stdout.split()


def test_a_dag_file_that_imports_the_whole_standard_library_finds_it(tmp_path: Path) -> None:
    names = standard_library()
    assert len(names) > 200
    more = [
        "concurrent.futures.process",
        "multiprocessing.pool",
        "email.mime.text",
        "xml.etree.ElementTree",
        "http.server",
    ]
    before = "import warnings\nwarnings.simplefilter('ignore')\n"
    before += "".join(f"import {name} as _m{number}\n" for number, name in enumerate(names + more))
    before += "import hashlib, ssl, sqlite3\n"
    before += "assert hashlib.scrypt and ssl.create_default_context() and sqlite3.connect(':memory:')\n"
    write_project(tmp_path, {"library.py": dag_text("library", before=before)})
    build(tmp_path / "library.py", out=tmp_path / "out" / "library")
    done = run(tmp_path / "out" / "library", "--parse")
    assert done.returncode == 0, done.stderr


def test_declared_dependencies_are_installed_and_inside(tmp_path: Path) -> None:
    before = '# /// script\n# dependencies = ["humanize==4.12.3"]\n# ///\nimport humanize\n'
    write_project(tmp_path, {"sizes.py": dag_text("sizes", tags="[humanize.naturalsize(10**6)]", before=before)})
    build(tmp_path / "sizes.py", out=tmp_path / "out" / "sizes")
    assert "1.0 MB" in run(tmp_path / "out" / "sizes", "--parse", "--json").stdout


# ---- What refuses to be built, before the slow step

CYCLE = "    a, b = one(), one.override(task_id='b')()\n    a >> b >> a\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"etl.py": "def broken(:\n"}, ["etl.py:1:"]),
        ({"etl.py": dag_text("etl") + "\nraise KeyError('at the end')\n"}, ["etl.py:15:", "at the end"]),
        ({"etl.py": "import no_such_package_at_all\n"}, ["etl.py:1:", "no_such_package_at_all", "dependencies = ["]),
        ({"etl.py": "x = 1\n"}, ["no Dag in it"]),
        ({"etl.py": dag_text("etl") + dag_text("etl")}, ["etl.py:", "'etl'", "twice"]),
        ({"etl.py": dag_text("etl").replace("    one()\n", CYCLE)}, ["etl.py:", "ycle"]),
        ({"etl.py": '# /// script\n# requires-python = ">=3.99"\n# ///\n' + dag_text("etl")}, ["3.99", "PYTHON="]),
        ({"etl.py": "import sys\nsys.exit(3)\n"}, ["etl.py"]),
        ({"etl.py": "import os\nos._exit(3)\n"}, ["ended the process"]),
    ],
    ids=["syntax", "raises", "missing module", "no Dag", "one id twice", "cycle", "other Python", "exit", "dies"],
)
def test_a_wrong_dag_file_is_refused_with_file_and_line(tmp_path: Path, files: dict, said: list[str]) -> None:
    write_project(tmp_path / "dags", files)
    out = refuse(tmp_path / "dags" / "etl.py", out=tmp_path / "bundles" / "etl")
    for part in said:
        assert part in out, out


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (["bundle"], {"EXLUDE": "private"}, "make has no variable EXLUDE here, did you mean 'EXCLUDE'?"),
        (["install"], {"BUNDELS": "/opt"}, "make has no variable BUNDELS here, did you mean 'BUNDLES'?"),
        (["bundle"], {"DAG": "etl.txt"}, "etl.txt: Airflow reads a Dag file only when its name ends in .py"),
        (["bundel"], {}, "there is no target or file 'bundel'; make help lists the targets"),
        (["bundle"], {"PYTHON": "python3.99"}, "PYTHON=python3.99: there is no such program"),
        (["bundle"], {"DAG": "Ann's etl.py"}, "DAG=Ann's etl.py: there is no such file; of several, quote each"),
        (["install"], {"BUNDLES": ".", "BUNDLE": "Ann's etl"}, "BUNDLE=Ann's etl: there is no such file; of several"),
        # What is not like any of ours may be somebody else's.
        (["bundle"], {"STAGE": "test"}, "which Dag file? make bundle DAG=my_dag.py"),
    ],
)
def test_a_wrong_word_for_make_is_told_what_is_wrong(
    tmp_path: Path, words: list[str], variables: dict[str, str], said: str
) -> None:
    dag = write_project(tmp_path, {"etl.py": dag_text("etl"), "etl.txt": dag_text("etl")}) / "etl.py"
    needed = {"DAG": str(dag)} if words == ["bundle"] and "STAGE" not in variables else {}
    # Of the two PYTHON on the command line the last one counts.
    done = make(*words, cwd=tmp_path, **{**needed, "OUT": str(tmp_path / "out"), **variables})
    assert done.returncode != 0
    assert said in done.stdout and "Traceback" not in done.stdout
    assert not (tmp_path / "out").exists()


def test_a_build_whose_output_nobody_reads_ends_in_one_line(tmp_path: Path) -> None:
    dag = write_project(tmp_path, {"etl.py": dag_text("etl")}) / "etl.py"
    command = ["make", "-s", "-f", str(building.REPO / "Makefile"), "bundle", f"PYTHON={sys.executable}", f"DAG={dag}"]
    read_end, write_end = os.pipe()
    os.close(read_end)
    command.append(f"OUT={tmp_path / 'out' / 'etl'}")
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, env=building.environment())
    os.close(write_end)
    assert done.returncode != 0
    assert "error: standard output was closed, so the build has ended" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert not (tmp_path / "out" / "etl").exists()


def test_two_files_with_one_dag_id_are_refused(tmp_path: Path) -> None:
    write_project(tmp_path / "dags", {"a.py": dag_text("same"), "b.py": dag_text("same")})
    said = refuse(tmp_path / "dags" / "a.py", tmp_path / "dags" / "b.py", out=tmp_path / "bundles" / "x")
    assert "b.py:" in said
    assert "a.py:" in said


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    dag = write_project(tmp_path, {"flow.py": dag_text("flow"), "file": ""}) / "flow.py"
    done = make("bundle", DAG=str(dag), OUT=str(tmp_path / "file" / "flow"))
    assert done.returncode != 0
    assert f"error: {tmp_path / 'file'}: no bundle can be written there" in done.stdout
    assert "freezing" not in done.stdout and "Traceback" not in done.stdout


def test_a_device_or_pipe_is_not_replaced_by_a_bundle(tmp_path: Path) -> None:
    dag = write_project(tmp_path, {"flow.py": dag_text("flow")}) / "flow.py"
    os.mkfifo(tmp_path / "pipe")
    done = make("bundle", DAG=str(dag), OUT=str(tmp_path / "pipe"))
    assert done.returncode != 0 and f"error: OUT={tmp_path / 'pipe'}: is no file" in done.stdout
    assert (tmp_path / "pipe").is_fifo() and "freezing" not in done.stdout


def test_a_folder_in_place_of_a_dag_file_is_told(tmp_path: Path) -> None:
    done = make("bundle", DAG=str(tmp_path))
    assert done.returncode != 0 and f"error: {tmp_path}: a folder; name the Dag files in it" in done.stdout


def test_a_dag_whose_tasks_have_no_queue_is_noted(tmp_path: Path) -> None:
    files = {"flow.py": dag_text("flow").replace('queue="frozen"', ""), "theirs/other.py": dag_text("other")}
    dag = write_project(tmp_path, {**files, "theirs/rates.csv": "1,2\n", "a.json": "{}"}) / "flow.py"
    said = build(dag, out=tmp_path / "out" / "flow")
    assert "note: no task of flow has a queue: Airflow will run them elsewhere" in said
    assert "  takes along  2 files, 1 KiB: theirs/ (1), a.json\n" in said
    assert "note: other Dag files lie here too (theirs/other.py); EXCLUDE=path leaves out what is theirs" in said
    said = build(dag, out=tmp_path / "out" / "flow", EXCLUDE="theirs")
    assert "  takes along  1 file, 1 KiB: a.json\n" in said and "other Dag files" not in said


def test_a_refused_build_leaves_the_older_bundle_as_it_was(tmp_path: Path) -> None:
    write_project(tmp_path / "dags", {"etl.py": "raise RuntimeError"})
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "etl").write_text("older")
    refuse(tmp_path / "dags" / "etl.py", out=tmp_path / "bundles" / "etl")
    assert (tmp_path / "bundles" / "etl").read_text() == "older"


def test_a_package_that_cannot_be_installed_is_named(tmp_path: Path) -> None:
    before = '# /// script\n# dependencies = ["msgpack==0.0.0.1"]\n# ///\n'
    write_project(tmp_path / "dags", {"etl.py": dag_text("etl", before=before)})
    assert "msgpack==0.0.0.1" in refuse(tmp_path / "dags" / "etl.py", out=tmp_path / "bundles" / "etl")


def test_missing_build_programs_are_named_with_their_package(tmp_path: Path) -> None:
    write_project(tmp_path, {"etl.py": dag_text("etl")})
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import coordinator_bundle as b; raise SystemExit(b.build_main())"
    )
    command = [sys.executable, "-B", "-c", code, str(building.REPO)]
    changes = {"PATH": str(tmp_path), "DAG": str(tmp_path / "etl.py"), "OUT": str(tmp_path / "out")}
    done = subprocess.run(command, capture_output=True, text=True, env=building.environment(**changes))
    assert done.returncode == 1
    assert "objcopy and strip not found" in done.stderr
    assert "binutils" in done.stderr


def test_make_bundle_without_a_dag_file_says_how(tmp_path: Path) -> None:
    done = make("bundle")
    assert done.returncode != 0
    assert "DAG=my_dag.py" in done.stdout


def test_make_help_lists_the_targets() -> None:
    done = make("help")
    assert all(word in done.stdout for word in ("make bundle", "make test", "make clean", "INCLUDE"))


def test_a_build_killed_half_way_leaves_no_bundle_and_the_next_one_succeeds(tmp_path: Path) -> None:
    write_project(tmp_path / "dags", {"killed.py": dag_text("killed")})
    out = tmp_path / "bundles" / "killed"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import coordinator_bundle as b; raise SystemExit(b.build_main())"
    )
    changes = {"DAG": str(tmp_path / "dags" / "killed.py"), "OUT": str(out)}
    process = subprocess.Popen(
        [sys.executable, "-u", "-B", "-c", code, str(building.REPO)],
        stdout=subprocess.PIPE,
        text=True,
        env=building.environment(**changes),
        start_new_session=True,
    )
    assert process.stdout
    for line in process.stdout:
        if "freezing" in line:
            time.sleep(1)
            os.killpg(process.pid, 9)
            break
    process.wait()
    assert not out.exists()
    build(tmp_path / "dags" / "killed.py", out=out)
    assert run(out, "--parse").returncode == 0


def test_the_three_files_without_a_dag_file_say_what_is_missing(tmp_path: Path) -> None:
    for name in ("coordinator_bundle.py", "build_spec.spec", "Makefile"):
        shutil.copy(building.REPO / name, tmp_path)
    command = ["make", "--no-print-directory", "-C", str(tmp_path), f"PYTHON={sys.executable}"]
    done = subprocess.run(command, capture_output=True, text=True, env=building.environment())
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert f"error: no Dag file lies in {tmp_path}; make bundle DAG=my_dag.py" in done.stderr


def test_paths_with_spaces_and_quotation_marks_are_taken_and_told_as_a_shell_wants_them(tmp_path: Path) -> None:
    home = tmp_path / "Ann's Dags"
    dag = write_project(home, {"an etl.py": dag_text("spaced")}) / "an etl.py"
    said = build(dag, out=home / "its bundle")
    list_it, install_it = re.findall(r"^(?:next:|     ) (.+?) (?:lists|puts)", said, re.MULTILINE)
    listed = subprocess.run(list_it, shell=True, capture_output=True, text=True, cwd=building.REPO)
    assert listed.returncode == 0 and "spaced" in listed.stdout, listed.stderr
    (tmp_path / "at work").mkdir()
    install_it = install_it.replace("BUNDLES=FOLDER", f"BUNDLES='{tmp_path / 'at work'}'")
    done = subprocess.run(
        install_it, shell=True, capture_output=True, text=True, cwd=building.REPO, env=building.environment()
    )
    assert done.returncode == 0, done.stderr
    assert run(tmp_path / "at work" / "its bundle", "--inspect").returncode == 0


def test_two_builds_of_one_dag_file_at_once_take_turns(tmp_path: Path) -> None:
    # Named as a folder that PyInstaller works in.
    write_project(tmp_path, {"work.py": dag_text("one_of_two")})
    command = ["make", "-f", str(building.REPO / "Makefile"), "bundle", "DAG=work.py", f"PYTHON={sys.executable}"]
    several = [
        subprocess.Popen(
            [*command, f"OUT={tmp_path / name}"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
            env=building.environment(),
        )
        for name in ("first", "second")
    ]
    said = [process.communicate()[0] for process in several]
    assert [process.returncode for process in several] == [0, 0], said
    assert sum("waiting      for another build of the same Dag files" in each for each in said) == 1, said
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_terminated_make_ends_what_it_has_started(tmp_path: Path) -> None:
    dag = write_project(tmp_path / "dags", {"ended.py": dag_text("ended")}) / "ended.py"
    out = tmp_path / "bundles" / "ended"
    command = ["make", "--no-print-directory", "-f", str(building.REPO / "Makefile"), "bundle"]
    process = subprocess.Popen(
        [*command, f"PYTHON={sys.executable} -u", f"DAG={dag}", f"OUT={out}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=building.environment(),
    )
    assert process.stdout
    for line in process.stdout:
        if "freezing" in line:
            time.sleep(0.5)
            process.terminate()
            break
    said = process.stdout.read()
    assert process.wait() != 0
    assert "error: interrupted; nothing was written" in said
    assert not out.exists()
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [each for each in running if b"PyInstaller" in each and b"ended-" in each]


@pytest.mark.parametrize("with_uv", [True, False])
def test_a_virtual_environment_of_uv_which_has_no_pip_can_build(tmp_path: Path, with_uv: bool) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
    code = "import sys; sys.path.insert(0, sys.argv[1]); import coordinator_bundle as b\n"
    code += "b.build_environment(sys.argv[2], [])"
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not os.path.exists(f"{folder}/uv")]
    environment = building.environment(**({} if with_uv else {"PATH": os.pathsep.join(folders)}))
    command = [str(tmp_path / "venv" / "bin" / "python"), "-c", code, str(building.REPO), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    (made,) = tmp_path.glob("env-*/bin/python")
    subprocess.run([made, "-c", "import PyInstaller, msgpack"], check=True)


def test_the_profile_of_a_start_shows_every_phase_and_adds_up(tmp_path: Path) -> None:
    import phases

    (tmp_path / "phases.py").write_text(phases.DAG_FILE)
    build(tmp_path / "phases.py", out=tmp_path / "phases")
    command = [sys.executable, phases.__file__, "--runs", "2", "--bundle", str(tmp_path / "phases")]
    done = subprocess.run(command, capture_output=True, text=True, env=building.environment(), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    _, one_file, unpacked, _ = done.stdout.split("\n\n")
    dialled = {"dial"} if building.DIALS_FIRST else set()
    for table, missing in ((one_file, dialled), (unpacked, {"extraction", "second process", "removal"} | dialled)):
        rows = dict(re.findall(r"^(\w[\w ]*?) +(\d+\.\d+)  +\d+%", table, re.MULTILINE))
        whole = float(rows.pop("all"))
        assert rows.keys() == phases.PHASES.keys() - missing
        taken = list(map(float, rows.values()))
        assert all(each > 0 for each in taken) and sum(taken) == pytest.approx(whole, abs=0.1)


def test_the_module_needs_nothing_but_the_standard_library_to_be_imported() -> None:
    code = f"import sys; sys.path.insert(0, {str(building.REPO)!r}); import coordinator_bundle"
    assert importlib.util.find_spec("coordinator_bundle")
    subprocess.run([sys.executable, "-I", "-S", "-B", "-c", code], check=True)
