"""The bundle file and what goes into it, judged by Airflow's own reader where there is one."""

from __future__ import annotations

import ast
import datetime as dt
import dis
import json
import os
import random
import symtable
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import building
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coordinator_bundle as cb

MANIFEST = cb.bundle_manifest({"etl": ["extract", "load"]}, "etl.py")
SOURCE = b"# the Dag file\nprint('etl')\n"

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="session")
def coordinator():
    return pytest.importorskip("airflow.sdk.coordinators.executable.coordinator")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF" + random.Random(7).randbytes(3000))
    return path


@pytest.fixture
def bundle(program: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "bundles"
    folder.mkdir()
    cb.append_trailer(str(program), SOURCE, MANIFEST, str(folder / "etl"))
    return folder / "etl"


def accepted_by_us(path: Path) -> bool:
    try:
        cb.read_bundle(str(path))
    except cb.BundleFormatError:
        return False
    return True


def accepted_by_airflow(coordinator, path: Path) -> bool:
    coordinator._digest_cache.clear()
    try:
        return coordinator._Bundle.find([path.parent], "etl").path == path.resolve()
    except FileNotFoundError:
        return False


def test_airflow_finds_the_bundle_by_dag_id_and_reads_the_same_manifest(coordinator, bundle: Path) -> None:
    assert coordinator._Bundle.find([bundle.parent], "etl").schema_version == cb.SCHEMA_VERSION
    assert coordinator._read_bundle_metadata(bundle) == cb.read_bundle(str(bundle)).manifest
    with pytest.raises(FileNotFoundError):
        coordinator._Bundle.find([bundle.parent], "another")


def test_a_packed_bundle_holds_program_source_and_manifest(program: Path, bundle: Path) -> None:
    found = cb.read_bundle(str(bundle))
    assert bundle.read_bytes()[: found.source_start] == program.read_bytes()
    assert found.source == SOURCE
    assert found.manifest["dags"] == {"etl": {"tasks": ["extract", "load"]}}
    assert found.manifest["digests"]["integrity"] == found.trailer.binary_sha256.hex()
    assert os.access(bundle, os.X_OK)


def test_every_changed_byte_of_source_manifest_and_trailer_is_refused(bundle: Path) -> None:
    data = bundle.read_bytes()
    start = cb.read_bundle(str(bundle)).source_start
    for position in range(start, len(data)):
        for flip in (0x01, 0x20, 0xFF):
            changed = bytearray(data)
            changed[position] ^= flip
            bundle.write_bytes(changed)
            assert not accepted_by_us(bundle), f"byte {position - start} of {len(data) - start}, ^ {flip:#x}"


def test_a_thousand_changed_bytes_of_the_program_are_refused(bundle: Path) -> None:
    data = bundle.read_bytes()
    start = cb.read_bundle(str(bundle)).source_start
    for position in random.Random(3).sample(range(start), 1000):
        changed = bytearray(data)
        changed[position] ^= 1
        bundle.write_bytes(changed)
        assert not accepted_by_us(bundle)


def test_airflow_refuses_every_changed_byte_of_program_and_trailer(coordinator, bundle: Path) -> None:
    data = bundle.read_bytes()
    start = cb.read_bundle(str(bundle)).source_start
    positions = random.Random(4).sample(range(start), 300) + list(range(len(data) - cb.TRAILER_SIZE, len(data)))
    for position in positions:
        changed = bytearray(data)
        changed[position] ^= 0x11
        bundle.write_bytes(changed)
        assert not accepted_by_airflow(coordinator, bundle), position


def test_every_truncation_is_refused(bundle: Path) -> None:
    data = bundle.read_bytes()
    for length in range(len(data) - 1, -1, -1):
        os.truncate(bundle, length)
        assert not accepted_by_us(bundle)
    for start in (1, 64, len(data) // 2):
        bundle.write_bytes(data[start:])
        assert not accepted_by_us(bundle)
    bundle.write_bytes(data + b"\n")
    assert not accepted_by_us(bundle)


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        assert not accepted_by_us(path)


def test_packing_killed_at_any_point_leaves_the_old_bundle_or_the_new(coordinator, bundle: Path, program: Path) -> None:
    """A child kills itself before the first line of the packer, before the second, and so on to the last."""
    old = bundle.read_bytes()
    cb.append_trailer(str(program), b"# other\n", MANIFEST, str(bundle))
    new = bundle.read_bytes()
    seen = set()
    for last in range(1, 10_000):
        for path in bundle.parent.iterdir():
            path.unlink()
        bundle.write_bytes(old)
        bundle.chmod(0o755)
        child = os.fork()
        if not child:
            left = last

            def trace(frame, event, argument):
                nonlocal left
                if frame.f_code is not cb.append_trailer.__code__:
                    return None
                left -= event == "line"
                if left == 0:
                    os.kill(os.getpid(), 9)
                return trace

            sys.settrace(trace)
            cb.append_trailer(str(program), b"# other\n", MANIFEST, str(bundle))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        content = bundle.read_bytes()
        assert content in (old, new), last
        seen.add(content)
        for path in bundle.parent.iterdir():
            # What a killed packer leaves beside it is no bundle to Airflow before it is a whole one.
            assert path.read_bytes() in (old, new) or not accepted_by_airflow(coordinator, path)
            assert not os.access(path, os.X_OK) or accepted_by_us(path)
        if not status:
            break
    assert last > 20 and seen == {old, new}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_we_accept_airflow_accepts(coordinator, tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("mutants")
    program, path = folder.parent / f"{folder.name}.program", folder / "etl"
    program.write_bytes(b"\x7fELF program")
    manifest = data.draw(
        st.sampled_from(
            [
                MANIFEST,
                {**MANIFEST, "dags": {}},
                {**MANIFEST, "dags": {"etl": []}},
                {**MANIFEST, "sdk": {**MANIFEST["sdk"], "supervisor_schema_version": "2026-06-17"}},
                {**MANIFEST, "sdk": {"language": "python", "version": "1"}},
                {"dags": {"etl": {"tasks": []}}},
            ]
        )
    )
    rendered = cb.render_manifest({**manifest, "digests": {"integrity": "0", "cache": "0"}})
    source = data.draw(st.binary(max_size=30))
    import hashlib

    digest = hashlib.sha256(program.read_bytes()).digest()
    trailer = cb.Trailer(len(source), len(rendered), digest).pack()
    raw = bytearray(program.read_bytes() + source + rendered + trailer)
    for _ in range(data.draw(st.integers(0, 2))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    path.chmod(data.draw(st.sampled_from([0o755, 0o644])))
    if accepted_by_us(path):
        assert accepted_by_airflow(coordinator, path)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_bundle_and_no_crash(tmp_path_factory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary"
    for content in (data, data + cb.TRAILER_MAGIC, data + bytes(56) + cb.TRAILER_MAGIC):
        path.write_bytes(content)
        path.chmod(0o755)
        assert not accepted_by_us(path)


@given(st.dictionaries(text, st.lists(text, max_size=5), min_size=1, max_size=5), text)
def test_yaml_reads_a_manifest_as_json_does(dags: dict[str, list[str]], source: str) -> None:
    yaml = pytest.importorskip("yaml")
    manifest = cb.bundle_manifest(dags, source)
    rendered = cb.render_manifest(manifest)
    assert yaml.safe_load(rendered.decode()) == json.loads(rendered) == manifest
    assert rendered == cb.render_manifest(json.loads(rendered))


def test_a_manifest_does_not_depend_on_the_order_of_dags() -> None:
    one = cb.render_manifest(cb.bundle_manifest({"a": ["x"], "b": ["z", "y"]}, "f.py"))
    assert one == cb.render_manifest(cb.bundle_manifest({"b": ["z", "y"], "a": ["x"]}, "f.py"))
    assert json.loads(one)["dags"]["b"]["tasks"] == ["z", "y"]


def test_a_manifest_without_dags_is_refused() -> None:
    with pytest.raises(cb.BundleFormatError, match="no Dag"):
        cb.bundle_manifest({}, "empty.py")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32))
def test_a_trailer_survives_the_round_trip(source_len: int, metadata_len: int, digest: bytes) -> None:
    packed = cb.Trailer(source_len, metadata_len, digest).pack()
    assert len(packed) == 64
    again = cb.Trailer.unpack(packed)
    assert (again.source_len, again.metadata_len, again.binary_sha256) == (source_len, metadata_len, digest)


def test_a_trailer_refuses_what_it_cannot_say() -> None:
    for arguments in ((2**32, 0, bytes(32)), (0, -1, bytes(32)), (0, 0, bytes(31))):
        with pytest.raises(cb.BundleFormatError):
            cb.Trailer(*arguments)


def test_packing_a_bundle_again_replaces_its_regions(bundle: Path, program: Path) -> None:
    first = bundle.read_bytes()
    cb.append_trailer(str(bundle), SOURCE, MANIFEST, str(bundle))
    assert bundle.read_bytes() == first
    cb.append_trailer(str(bundle), b"# other\n", MANIFEST, str(bundle))
    found = cb.read_bundle(str(bundle))
    assert found.source == b"# other\n"
    assert found.source_start == program.stat().st_size


def test_packing_that_fails_leaves_the_old_file_and_nothing_else(bundle: Path, tmp_path: Path) -> None:
    first = bundle.read_bytes()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"short" + bytes(8) + b"\xff" * 48 + cb.TRAILER_MAGIC)
    for executable, manifest in ((damaged, MANIFEST), (tmp_path / "absent", MANIFEST)):
        with pytest.raises((cb.BundleFormatError, OSError)):
            cb.append_trailer(str(executable), SOURCE, manifest, str(bundle))
        assert bundle.read_bytes() == first
        assert list(bundle.parent.iterdir()) == [bundle]


def test_an_installed_bundle_is_at_every_moment_the_old_one_or_the_new_one(
    coordinator, program: Path, bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "installed"
    folder.mkdir()
    target = folder / "etl"
    (tmp_path / "newer").mkdir()
    newer = cb.append_trailer(str(program), SOURCE * 2, MANIFEST, str(tmp_path / "newer" / "etl")).path
    cb.install_bundle(str(bundle), str(folder))
    seen, stop = set(), threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.add(cb.read_bundle(str(target)).source)
            assert accepted_by_airflow(coordinator, target)

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        for _ in range(10):
            cb.install_bundle(newer, str(folder))
            cb.install_bundle(str(bundle), str(folder))
        stop.set()
        looking.result()
    assert seen <= {SOURCE, SOURCE * 2}
    assert list(folder.iterdir()) == [target]
    assert target.read_bytes() == bundle.read_bytes() and target.stat().st_mode & 0o777 == 0o755


def test_what_cannot_be_installed_is_refused_and_leaves_the_folder_as_it_was(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "installed"
    with pytest.raises(cb.BuildError, match=f"BUNDLES={folder}: there is no such folder"):
        cb.install_bundle(str(bundle), str(folder))
    (folder / "etl").mkdir(parents=True)
    with pytest.raises(cb.BuildError, match="this is a folder"):
        cb.install_bundle(str(bundle), str(folder))
    (folder / "etl").rmdir()
    (folder / "etl").write_text("older")
    with pytest.raises(cb.BuildError, match="the bundle itself"):
        cb.install_bundle(str(bundle), str(bundle.parent))
    bundle.write_bytes(bundle.read_bytes().replace(b"print", b"prunt"))
    with pytest.raises(cb.BundleFormatError, match="changed after packing"):
        cb.install_bundle(str(bundle), str(folder))
    assert [path.read_text() for path in folder.iterdir()] == ["older"]


def test_a_source_with_the_archives_cookie_is_not_appended(program: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cb.append_trailer(str(program), b"x = '" + cb.ARCHIVE_COOKIE + b"'", MANIFEST, str(out))
    assert cb.read_bundle(str(out)).source == b""


def test_a_source_with_the_trailers_magic_is_appended(program: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cb.append_trailer(str(program), b"x = 'AFBNDL01'\n" * 9, MANIFEST, str(out))
    assert cb.read_bundle(str(out)).source == b"x = 'AFBNDL01'\n" * 9


def test_inspection_names_what_was_changed(bundle: Path) -> None:
    assert cb.inspect_bundle(str(bundle))["verified"] is True
    data = bundle.read_bytes()
    for part, word in ((b"\x7fELF", "executable"), (b"print", "source"), (b'"load"', "manifest")):
        bundle.write_bytes(data.replace(part, part.swapcase() if part.isalpha() else part[:-1] + b"~", 1))
        inspection = cb.inspect_bundle(str(bundle))
        assert inspection["verified"] is False
        assert word in inspection["problems"][0]
        assert "NO" in cb.format_inspection(inspection)


def test_inspection_says_when_the_execute_bit_is_missing(bundle: Path) -> None:
    bundle.chmod(0o644)
    assert any("chmod" in problem for problem in cb.inspect_bundle(str(bundle))["problems"])


def test_the_cache_digest_changes_with_each_region(program: Path, tmp_path: Path) -> None:
    def cache(data: bytes, source: bytes, tasks: list[str]) -> str:
        program.write_bytes(data)
        manifest = cb.bundle_manifest({"etl": tasks}, "etl.py")
        return cb.append_trailer(str(program), source, manifest, str(tmp_path / "out")).manifest["digests"]["cache"]

    seen = [cache(b"p", b"s", ["t"]), cache(b"q", b"s", ["t"]), cache(b"p", b"r", ["t"]), cache(b"p", b"s", ["u"])]
    assert len(set(seen)) == 4
    assert cache(b"p", b"s", ["t"]) == seen[0]


# ---- Inline metadata


def written(tmp_path: Path, content: str) -> str:
    path = tmp_path / "my_dag.py"
    path.write_text(content)
    return str(path)


def test_inline_metadata_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '"""doc"""\n# /// script\n# requires-python = ">=3.10"\n# dependencies = [\n#   "pandas>=2",  # frames\n'
        "#\n#   'httpx[http2]',\n# ]\n# ///\nimport os\n",
    )
    metadata = cb.read_inline_metadata(path)
    assert metadata["dependencies"] == ["pandas>=2", "httpx[http2]"]
    assert metadata["requires-python"] == ">=3.10"


@pytest.mark.parametrize("content", ["import os\n", "# /// pyproject\n# a = 1\n# ///\n"])
def test_a_file_without_a_script_block_declares_nothing(tmp_path: Path, content: str) -> None:
    assert cb.read_inline_metadata(written(tmp_path, content)) == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("# /// script\n# dependencies = [\n# ///\n", "my_dag.py:1: .*not valid TOML"),
        ("\n# /// script\n# dependencies = 'a'\n# ///\n", "my_dag.py:2: .*list of strings"),
        ("# /// script\n# a = 1\n# ///\n\n# /// script\n# a = 1\n# ///\n", "more than one"),
        ("import os\n# /// script\n# dependencies = []\nimport os\n", "my_dag.py:2: .*close it with the line `# ///`"),
        ("# /// script\n# dependencies = []\n\n# ///\n", "my_dag.py:1: .*each of the next with `# `"),
        ("#///script\n# dependencies = []\n# ///\n", "my_dag.py:1: .*begin it with that very line"),
        ("# /// script\n# dependancies = []\n# ///\n", "my_dag.py:1: .*'dependancies', did you mean 'dependencies'"),
        ("# /// script\n# requires_python = '3'\n# ///\n", "did you mean 'requires-python'"),
    ],
)
def test_a_wrong_script_block_is_refused_with_its_line(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(cb.BuildError, match=reason):
        cb.read_inline_metadata(written(tmp_path, content))


requirement = st.from_regex(r"[a-z][a-z0-9-]{0,8}(\[[a-z]{1,3}\])?(>=[0-9]\.[0-9])?", fullmatch=True)


@given(st.lists(requirement, max_size=4), st.booleans(), st.booleans(), st.sampled_from(["'", '"']))
def test_the_reader_for_python_310_agrees_with_tomllib(names: list[str], lines: bool, comma: bool, quote: str) -> None:
    tomllib = pytest.importorskip("tomllib")
    separator = ",  # why\n  " if lines else ", "
    inner = separator.join(f"{quote}{name}{quote}" for name in names) + ("," if comma and names else "")
    content = f'# first\nrequires-python = ">=3.10"\ndependencies = [\n{inner}\n]\n[tool.x]\ny = 1\n'
    expected = {key: value for key, value in tomllib.loads(content).items() if key != "tool"}
    assert cb._parse_two_keys(content) == expected


clause = st.tuples(
    st.sampled_from([">=", "<=", ">", "<", "==", "!=", "~="]), st.integers(9, 14), st.none() | st.integers(0, 9)
)


@given(st.lists(clause, max_size=3), st.integers(10, 13), st.integers(0, 9))
def test_requires_python_is_judged_as_packaging_does(clauses, minor: int, micro: int) -> None:
    specifiers = pytest.importorskip("packaging.specifiers")
    text = ", ".join(f"{op}3.{a}" + ("" if b is None else f".{b}") for op, a, b in clauses)
    expected = specifiers.SpecifierSet(text).contains(f"3.{minor}.{micro}")
    assert cb.python_version_fits(text, (3, minor, micro)) == expected


def test_requires_python_with_a_wildcard_and_with_nonsense() -> None:
    assert cb.python_version_fits("==3.11.*", (3, 11, 7))
    assert not cb.python_version_fits("!=3.11.*", (3, 11, 7))
    with pytest.raises(cb.BuildError, match=">=3.10"):
        cb.python_version_fits("three", (3, 11, 7))


# ---- The project around a Dag file


def test_data_files_beside_a_dag_file_are_taken_along(tmp_path: Path) -> None:
    building.write_project(
        tmp_path,
        {
            "etl.py": "",
            "helpers.py": "",
            "sql/a.sql": "",
            "conf/deep/b.yaml": "",
            "big.parquet": "",
            ".git/config.ini": "",
            "venv/pyvenv.cfg": "",
            "mine/pyvenv.cfg": "",
            "mine/x.json": "",
            "build/x.json": "",
            "node_modules/x.json": "",
        },
    )
    project = cb.collect_project([str(tmp_path / "etl.py")], [])
    assert [relative for _, relative in project["data"]] == ["conf/deep/b.yaml", "etl.py", "sql/a.sql"]


def test_included_files_and_folders_keep_their_place_or_go_to_the_top(tmp_path: Path) -> None:
    building.write_project(
        tmp_path,
        {"dags/etl.py": "", "dags/model/m.bin": "", "common/__init__.py": "", "common/util.py": "", "common/t.dat": ""},
    )
    include = [str(tmp_path / "dags/model/m.bin"), str(tmp_path / "common")]
    project = cb.collect_project([str(tmp_path / "dags/etl.py")], include)
    relative = [relative for _, relative in project["data"]]
    assert relative == ["common/__init__.py", "common/t.dat", "common/util.py", "etl.py", "model/m.bin"]
    assert project["modules"] == ["common", "common.util"]
    assert str(tmp_path) in project["pathex"]


def test_modules_of_an_included_folder_can_be_imported_as_with_pythonpath(tmp_path: Path) -> None:
    text = building.dag_text("etl", before="import util, lib.util\nassert util.here() == lib.util.here() == 'x'\n")
    util = "from pathlib import Path\ndef here():\n    return Path(__file__).with_name('t.dat').read_text()\n"
    building.write_project(tmp_path, {"dags/etl.py": text, "lib/util.py": util, "lib/t.dat": "x"})
    project = cb.collect_project([str(tmp_path / "dags/etl.py")], [str(tmp_path / "lib")])
    assert project["modules"] == ["lib.util", "util"]
    assert {"lib/t.dat", "t.dat", "lib/util.py", "util.py"} <= {relative for _, relative in project["data"]}
    assert set(cb.probe_dag_files(sys.executable, project)["dags"]) == {"etl"}


def test_what_serves_the_project_and_not_its_tasks_stays_here(tmp_path: Path) -> None:
    names = "requirements.txt requirements-dev.txt dev_constraints.txt README.md pyproject.toml prod.env notes.txt"
    building.write_project(tmp_path, {"etl.py": "", **dict.fromkeys(names.split(), "")})
    project = cb.collect_project([str(tmp_path / "etl.py")], [])
    assert [relative for _, relative in project["data"]] == ["etl.py", "notes.txt"]
    project = cb.collect_project([str(tmp_path / "etl.py")], [str(tmp_path / "prod.env")])
    assert "prod.env" in [relative for _, relative in project["data"]]


def test_files_folders_and_patterns_can_be_left_out(tmp_path: Path) -> None:
    names = "a.csv b.json theirs/c.json theirs/deep/d.sql sql/e.sql sql/f.csv"
    building.write_project(tmp_path, {"etl.py": "", **dict.fromkeys(names.split(), "")})

    def left(*exclude: str) -> str:
        project = cb.collect_project([str(tmp_path / "etl.py")], [], exclude)
        return " ".join(relative for _, relative in project["data"] if relative != "etl.py")

    assert left("theirs/") == "a.csv b.json sql/e.sql sql/f.csv"
    assert left("*.csv", str(tmp_path / "theirs")) == "b.json sql/e.sql"
    assert left("sql/f.csv", "theirs/deep") == "a.csv b.json sql/e.sql theirs/c.json"
    with pytest.raises(cb.BuildError, match="EXCLUDE=thiers: nothing that would be taken along"):
        left("thiers")


def test_a_large_file_is_left_out_with_a_notice_unless_it_is_included(tmp_path: Path) -> None:
    (tmp_path / "etl.py").touch()
    with open(tmp_path / "large.csv", "wb") as file:
        file.truncate(11 << 20)
    project = cb.collect_project([str(tmp_path / "etl.py")], [])
    assert len(project["data"]) == 1
    assert "large.csv" in project["notices"][0]
    assert "INCLUDE=" in project["notices"][0]
    project = cb.collect_project([str(tmp_path / "etl.py")], [str(tmp_path / "large.csv")])
    assert len(project["data"]) == 2


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    (tmp_path / "etl.py").touch()
    for number in range(2100):
        (tmp_path / f"{number}.json").touch()
    with pytest.raises(cb.BuildError, match="folder of its own"):
        cb.collect_project([str(tmp_path / "etl.py")], [])


def test_a_folder_that_is_everybodys_is_no_project(tmp_path: Path) -> None:
    everybodys = tmp_path / "everybodys"
    building.write_project(everybodys, {"a/one.py": "", "b/two.py": "", "three.py": "", "theirs.csv": ""})
    everybodys.chmod(0o1777)
    with pytest.raises(cb.BuildError, match="no folder in common but .*/everybodys; .* or build a bundle of each"):
        cb.collect_project([str(everybodys / "a/one.py"), str(everybodys / "b/two.py")], [])
    project = cb.collect_project([str(everybodys / "three.py")], [])
    assert [relative for _, relative in project["data"]] == ["three.py"]
    assert "is everybody's" in project["notices"][0]


def test_files_that_vanish_while_a_folder_is_looked_through_are_no_fault(tmp_path: Path, monkeypatch) -> None:
    building.write_project(tmp_path, {"etl.py": "", "stays.csv": "", "goes.csv": ""})
    (tmp_path / "gone").mkdir()
    listed = os.scandir

    def and_remove(folder: str) -> list[os.DirEntry[str]]:
        entries = list(listed(folder))
        (tmp_path / "goes.csv").unlink(missing_ok=True)
        if (tmp_path / "gone").exists():
            (tmp_path / "gone").rmdir()
        return entries

    monkeypatch.setattr(os, "scandir", and_remove)
    project = cb.collect_project([str(tmp_path / "etl.py")], [])
    assert [relative for _, relative in project["data"]] == ["etl.py", "stays.csv"]


def test_a_dag_file_beside_the_module_does_not_take_the_repository_along(tmp_path: Path) -> None:
    """The repository's own tests hold .sql files, which a sweep would find."""
    path = building.REPO / "zz_temporary_dag.py"
    path.touch()
    try:
        data = [relative for _, relative in cb.collect_project([str(path)], [])["data"]]
    finally:
        path.unlink()
    assert not [name for name in data if name.startswith(("tests", "README", "build", "dist"))]


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(cb.BuildError, match=r"nowhere\.py"):
        cb.collect_project([str(tmp_path / "nowhere.py")], [])
    (tmp_path / "etl.py").touch()
    with pytest.raises(cb.BuildError, match="INCLUDE=nothing"):
        cb.collect_project([str(tmp_path / "etl.py")], ["nothing"])


def test_several_sources_are_told_apart_and_one_stays_as_it_is(tmp_path: Path) -> None:
    building.write_project(
        tmp_path, {"a.py": b"x = 1", "b.py": "# -*- coding: latin-1 -*-\ny = '\xe9'\n".encode("latin-1")}
    )
    files = cb.collect_project([str(tmp_path / "a.py"), str(tmp_path / "b.py")], [])["files"]
    assert cb.embedded_source(files[:1]) == b"x = 1"
    both = cb.embedded_source(files).decode()
    assert both.startswith("#### a.py ####\nx = 1\n#### b.py ####\n")
    assert "y = 'é'" in both


# ---- Looking at a Dag file before it is frozen


def probe(folder: Path, files: dict[str, str | bytes], *dags: str) -> dict:
    building.write_project(folder, files)
    return cb.probe_dag_files(sys.executable, cb.collect_project([str(folder / name) for name in dags], []))


ENVIRONMENT, DATE = "os.environ.get('USER', 'nobody')", "f'on_{datetime.now():%Y_%m_%d}'"
CHANCE, CLOCK = "str(random.random()).replace('.', '_')", "f'at_{datetime.now():%H_%M}'"
BEFORE_NAME = "import os, random\nfrom datetime import datetime\nNAME = 'x_' + {}\n"


def with_task_id(expression: str) -> str:
    text = building.dag_text("etl", before=BEFORE_NAME.format(expression))
    return text.replace('@task(queue="frozen")', '@task(queue="frozen", task_id=NAME)')


def with_dag_id(expression: str) -> str:
    return building.dag_text("etl", before=BEFORE_NAME.format(expression)).replace("@dag(", "@dag(dag_id=NAME, ")


@pytest.mark.parametrize("expression", [CHANCE, CLOCK])
@pytest.mark.parametrize("text", [with_task_id, with_dag_id])
def test_ids_made_from_chance_or_the_clock_are_refused(tmp_path: Path, text, expression: str) -> None:
    with pytest.raises(cb.BuildError, match=r"x_\S+ became x_\S+ .*a minute later"):
        probe(tmp_path, {"etl.py": text(expression)}, "etl.py")


def test_a_dag_id_made_from_the_date_is_refused_and_such_a_task_id_is_noted(tmp_path: Path) -> None:
    with pytest.raises(cb.BuildError, match="Airflow looks for the bundle by the dag_id of the build"):
        probe(tmp_path, {"etl.py": with_dag_id(DATE)}, "etl.py")
    (notice,) = probe(tmp_path, {"etl.py": with_task_id(DATE)}, "etl.py")["notices"]
    assert "on another date" in notice and "ends as removed" in notice


@pytest.mark.parametrize("text", [with_task_id, with_dag_id])
def test_an_id_made_from_the_environment_is_noted(tmp_path: Path, monkeypatch, text) -> None:
    monkeypatch.setenv("USER", "builder")
    notices = probe(tmp_path, {"etl.py": text(ENVIRONMENT)}, "etl.py")["notices"]
    assert any("x_builder became x_somebody with another environment" in notice for notice in notices), notices


def test_environment_and_files_read_at_import_are_named_with_their_line(tmp_path: Path) -> None:
    before = "import os\nREGION = os.getenv('REGION', 'eu')\nopen(os.path.dirname(__file__) + '/table.bin').close()\n"
    text = building.dag_text("etl", before=before)
    notices = probe(tmp_path, {"etl.py": text, "table.bin": b""}, "etl.py")["notices"]
    assert any(notice.startswith("etl.py:2:") and "REGION" in notice for notice in notices), notices
    assert any(notice.startswith("etl.py:3:") and "INCLUDE=table.bin" in notice for notice in notices), notices


def test_modules_missing_in_tasks_are_named_once_with_the_packages_to_declare(tmp_path: Path) -> None:
    text = building.dag_text("etl").replace("return 1", "import no_such_module_anywhere, helper, fitz")
    helper = "def read():\n    import no_such_module_anywhere\n    from skimage import io\n"
    files = {"etl.py": "import helper\n" + text, "helper.py": helper}
    (notice,) = probe(tmp_path, files, "etl.py")["notices"]
    first, *places = notice.splitlines()[:4]
    assert places == [
        "  etl.py:10: no_such_module_anywhere",
        "  etl.py:10: fitz (of the package pymupdf)",
        "  helper.py:3: skimage (of the package scikit-image)",
    ]
    wanted = '"<the package that provides no_such_module_anywhere>", "pymupdf", "scikit-image"'
    assert notice.count("dependencies = [") == 1 and f"dependencies = [{wanted}]" in notice


def test_a_dag_file_that_only_this_environment_can_import_is_noted_with_the_reason(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("STAGE", "test")
    text = building.dag_text("etl", before="import os\nSTAGE = os.environ['STAGE']\n")
    notices = probe(tmp_path, {"etl.py": text}, "etl.py")["notices"]
    assert any(f"{tmp_path / 'etl.py'}:2: KeyError: 'STAGE'" in n and "give them a default" in n for n in notices)


def test_what_can_be_known_is_found_before_anything_is_installed(tmp_path: Path) -> None:
    def check(**files: str) -> None:
        folder = building.write_project(tmp_path, {f"{name}.py": text for name, text in files.items()})
        cb.check_dag_files(cb.collect_project([str(folder / f"{name}.py") for name in files], []))

    unknown = building.dag_text("a", before="import no_such_module_anywhere\n")
    with pytest.raises(cb.BuildError, match=r"b\.py:13: Dag id 'same' is declared twice, first at .*a\.py:13"):
        check(a=building.dag_text("same"), b=building.dag_text("same"))
    with pytest.raises(cb.BuildError, match=r"b\.py:2: ZeroDivisionError"):
        check(a=unknown, b="\n1 / 0\n")
    with pytest.raises(cb.BuildError, match="no Dag in it"):
        check(a="")
    check(a=unknown)
    guarded = "try:\n    import no_such_module_anywhere\nexcept ImportError:\n    raise RuntimeError('install it')\n"
    check(a=guarded)
    check(a=building.dag_text("a"))


def test_a_plain_dag_file_gives_no_notice(tmp_path: Path) -> None:
    found = probe(tmp_path, {"etl.py": building.dag_text("etl"), "q.sql": "select 1"}, "etl.py")
    assert found["notices"] == []
    assert found["dags"] == {"etl": ["one"]}


def test_the_later_clock_of_the_second_import_leaves_dates_what_they_are(tmp_path: Path) -> None:
    # A class that C code derives from datetime breaks when that one has grown: pandas does this.
    before = """\
import datetime as module
from datetime import datetime, timedelta
assert isinstance(datetime.now(), datetime) and isinstance(module.datetime.today() - timedelta(1), datetime)
assert datetime.__basicsize__ == SIZE
"""
    text = building.dag_text("etl", before=before.replace("SIZE", str(dt.datetime.__basicsize__)))
    assert probe(tmp_path, {"etl.py": text}, "etl.py")["notices"] == []


########################################################################################################################
# The module, as it is frozen
########################################################################################################################


def names_declared(text: str) -> set[str]:
    table = symtable.symtable(text, "module", "exec")
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}


def globals_used(text: str) -> list[tuple[str, set[str]]]:
    """The global names used by a module while it is imported (named ""), and by each of its functions and classes."""

    def used(code: Any) -> set[str]:
        return {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}

    def used_inside(code: Any) -> set[str]:
        return used(code).union(*(used_inside(each) for each in code.co_consts if isinstance(each, type(code))))

    top = compile(text, "module", "exec", dont_inherit=True)
    inner = [each for each in top.co_consts if isinstance(each, type(top))]
    return [("", used(top)), *((each.co_name, used_inside(each)) for each in inner)]


def test_sections_that_lie_apart_are_used_only_after_they_are_asked_for() -> None:
    text = Path(cb.__file__).read_text()
    program, apart = cb.program_parts(text)
    assert {"Dag form", "--parse", "--stub"} <= set(apart)
    bodies = {each.name: ast.unparse(each) for each in ast.parse(text).body if hasattr(each, "name")}
    for title, part in apart.items():
        own = names_declared(part) - names_declared(program)
        assert own, title
        for other in (program, *(each for name, each in apart.items() if name != title)):
            for name, used in globals_used(other):
                if used & own:
                    assert f"needs_section({title!r})" in bodies.get(name, ""), f"{name} uses {used & own}"


def test_what_is_left_out_of_a_frozen_program_is_not_used_in_it() -> None:
    text = Path(cb.__file__).read_text()
    program, apart = cb.program_parts(text)
    gone = names_declared(text) - names_declared(program).union(*map(names_declared, apart.values()))
    for part in apart.values():
        for name, used in globals_used(part):
            assert not used & gone, name


def test_what_every_task_uses_is_there() -> None:
    program, _ = cb.program_parts(Path(cb.__file__).read_text())
    gone = sorted(cb.USED_BY_EVERY_TASK - names_declared(program))
    assert not gone, f"remove from USED_BY_EVERY_TASK: {' '.join(gone)}"


def test_line_numbers_stay_when_sections_are_cut_out() -> None:
    lines = Path(cb.__file__).read_text().splitlines()
    program, apart = cb.program_parts("\n".join(lines) + "\n")
    for part in (program, *apart.values()):
        cut = part.splitlines()
        assert all(mine in ("", theirs) for mine, theirs in zip(cut, lines))
    assert len(program.splitlines()) == len(lines)
