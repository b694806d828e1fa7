"""Compare serialised Dags, ours with Airflow's: ``python tests/parity.py [--all] [--every] [--encoder] [FILE...]``.

Each file is parsed by the real apache-airflow in one process and by this project's module in another; the forms of
its Dags are compared field by field. Without files, those of ``tests/dags`` are taken; ``--all`` adds the example Dags
that Airflow ships. ``--encoder`` compares our encoder with Airflow's on the same, real Dag objects: what is equal there
and differs otherwise is a difference in how the Dag was built, not in how it was written down.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MODULE = ROOT / "coordinator_bundle.py"

# What depends on where a file lies, or on a process, says nothing about the form.
PATH_FIELDS = ("fileloc", "relative_fileloc", "_processor_dags_folder")
VOLATILE = [(re.compile(r"unusual_prefix_[0-9a-f]{40}_"), "unusual_prefix_X_"), (re.compile(r"0x[0-9a-f]+"), "0xX")]

# Objects whose members have an order that means something: argument order is map-index order, and children are drawn
# in the order they were declared.
ORDERED = ("expand_input", "op_kwargs_expand_input", "children")


def own_files() -> list[Path]:
    """List the Dag files of this project's tests."""
    dags = ROOT / "tests" / "dags"
    # One is a module that another imports.
    own = [path for path in dags.glob("*.py") if path.stem != "parity_backends"]
    return sorted(own) + sorted((dags / "forms").glob("*.py"))


def example_files() -> list[Path]:
    """List the example Dag files of the installed apache-airflow and its standard provider."""
    import importlib.util

    spec = importlib.util.find_spec("airflow")
    if spec is None or not spec.submodule_search_locations:
        return []
    base = Path(list(spec.submodule_search_locations)[0])
    folders = (base / "example_dags", base / "providers" / "standard" / "example_dags")
    return [p for folder in folders for p in sorted(folder.glob("*.py")) if p.name != "__init__.py"]


def environment(home: str) -> dict[str, str]:
    """Give the environment both sides run in: default configuration, nothing of the user's own Airflow."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW__") and k != "PYTHONPATH"}
    quiet = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL", "AIRFLOW__CORE__LOAD_EXAMPLES": "True"}
    return {**kept, **quiet, "AIRFLOW_HOME": home, "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}


def run_child(mode: str, files: list[Path]) -> dict[str, Any]:
    """Run this script as a child that prints ``{file: {"dags": {dag_id: form}, "errors": [...]}}``."""
    with tempfile.TemporaryDirectory() as home:
        out = Path(home) / "out.json"
        command = [sys.executable, __file__, "--child", mode, "--out", str(out), *map(str, files)]
        done = subprocess.run(command, env=environment(home), capture_output=True, text=True, check=False)
        if done.returncode or not out.exists():
            raise RuntimeError(f"the {mode} side failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return json.loads(out.read_text())


def real_forms(files: list[Path]) -> dict[str, Any]:
    """Parse and serialise with the real package, as its Dag processor does."""
    return run_child("real", files)


def encoder_forms(files: list[Path]) -> dict[str, Any]:
    """Parse with the real package, serialise with our encoder."""
    return run_child("encoder", files)


def bundle_forms(files: list[Path]) -> dict[str, Any]:
    """Parse and serialise with our module alone, which answers for ``airflow`` itself."""
    return run_child("ours", files)


def _child(mode: str, files: list[str], out: str) -> None:
    import warnings

    warnings.simplefilter("ignore")
    # As an Airflow does whose Dags folder it is.
    sys.path.append(str(ROOT / "tests" / "dags"))
    if mode == "real":
        from airflow.serialization.serialized_objects import DagSerialization

        serialize = DagSerialization.to_dict
    else:
        sys.path.insert(0, str(ROOT))
        from coordinator_bundle import load_dag_files, serialize_dag

        serialize = serialize_dag
    if mode != "ours":
        from airflow.dag_processing.dagbag import DagBag
    found: dict[str, Any] = {}
    for file in files:
        bag: Any = load_dag_files([file]) if mode == "ours" else DagBag(dag_folder=file)
        errors = [error.strip().splitlines()[-1] for error in bag.import_errors.values()]
        dags = {}
        for dag in bag.dags.values():
            try:
                dags[dag.dag_id] = serialize(dag)
            except Exception as error:
                errors.append(str(error))
        found[file] = {"dags": dags, "errors": errors}
    Path(out).write_text(json.dumps(found))


def plain(value: Any) -> Any:
    """Reduce a form to what is compared: JSON types, without what a path or a process decides."""
    if isinstance(value, str):
        for pattern, replacement in VOLATILE:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items() if k not in PATH_FIELDS}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def differences(ours: Any, real: Any, path: str = "", ordered: bool = False) -> Iterator[str]:
    """Name each field that differs, with both values; types count, and order where it means something."""
    if isinstance(ours, dict) and isinstance(real, dict):
        for key in real:
            if key not in ours:
                yield f"{path}.{key}: missing, Airflow has {_short(real[key])}"
        for key in ours:
            if key not in real:
                yield f"{path}.{key}: {_short(ours[key])}, Airflow has no such field"
        if ordered and "__var" not in real and set(ours) == set(real) and list(ours) != list(real):
            yield f"{path}: order {list(ours)}, Airflow has {list(real)}"
        for key in real:
            if key in ours:
                yield from differences(ours[key], real[key], f"{path}.{key}", ordered or key in ORDERED)
    elif isinstance(ours, list) and isinstance(real, list):
        for i, (one, other) in enumerate(zip(ours, real)):
            yield from differences(one, other, f"{path}[{_name(other) or i}]", ordered)
        if len(ours) != len(real):
            yield f"{path}: {len(ours)} items, Airflow has {len(real)}"
    elif type(ours) is not type(real) or ours != real:
        yield f"{path}: {_short(ours)}, Airflow has {_short(real)}"


def _name(item: Any) -> str | None:
    inner = item.get("__var") if isinstance(item, dict) else None
    return inner.get("task_id") if isinstance(inner, dict) else None


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 160 else text[:157] + "..."


def compare(ours: dict[str, Any], real: dict[str, Any]) -> Iterator[str]:
    """Compare all Dags of one file and name each difference; nothing when they are equal."""
    for dag_id, form in real["dags"].items():
        if dag_id in ours["dags"]:
            found = differences(plain(ours["dags"][dag_id]), plain(form))
            yield from (f"{dag_id}{difference}" for difference in found)
        else:
            yield f"{dag_id}: no such Dag" + (f" ({ours['errors'][0]})" if ours["errors"] else "")
    for dag_id in ours["dags"]:
        if dag_id not in real["dags"] and not real["errors"]:
            yield f"{dag_id}: Airflow finds no such Dag"


def main() -> int:
    """Print the table: file, Dags, equal or the first field that differs. Exit with 1 when something differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--all", action="store_true", help="also the example Dags that Airflow ships")
    parser.add_argument("--every", action="store_true", help="print every difference, not only the first")
    parser.add_argument("--encoder", action="store_true", help="our encoder on the real package's Dag objects")
    parser.add_argument("--child", choices=("real", "encoder", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.child, options.files, options.out)
        return 0
    files = [Path(f).resolve() for f in options.files] or own_files() + (example_files() if options.all else [])
    if options.encoder and not options.files and not options.all:
        files += example_files()
    real = real_forms(files)
    found = encoder_forms(files) if options.encoder else bundle_forms(files)
    equal = total = refused = 0
    for file in files:
        theirs = real[str(file)]
        found_here = list(compare(found[str(file)], theirs))
        if not theirs["dags"]:
            refused += 1
            verdict = f"Airflow itself: {theirs['errors'][0] if theirs['errors'] else 'no Dags'}"[:150]
        else:
            total += 1
            equal += not found_here
            verdict = found_here[0] if found_here else "equal"
        if theirs["dags"] and theirs["errors"]:
            verdict += f" (Airflow on the rest: {theirs['errors'][0]})"
        print(f"{file.stem:60} {len(theirs['dags']):>3}  {verdict}")
        for difference in found_here[1:] if options.every else ():
            print(f"{'':66}{difference}")
    print(f"{equal} of {total} files equal; {refused} that Airflow itself does not serialise here")
    return 0 if equal == total else 1


if __name__ == "__main__":
    sys.exit(main())
