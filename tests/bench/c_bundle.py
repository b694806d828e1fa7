"""The C program `answer.c` as a bundle that Airflow accepts."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
from pathlib import Path


def have_compiler() -> bool:
    return shutil.which("gcc") is not None


def build(folder: Path, dag_id: str, task_ids: list[str]) -> Path:
    """Compile the program into `folder`, claim these tasks in its manifest, return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "answer"
    source = Path(__file__).with_name("answer.c")
    subprocess.run(["gcc", "-O2", "-static", "-s", "-o", str(target), str(source)], check=True)
    program = target.read_bytes()
    manifest = {
        "airflow_bundle_metadata_version": "1.0",
        "dags": {dag_id: {"tasks": task_ids}},
        "sdk": {"language": "c", "supervisor_schema_version": "2026-06-16", "version": "0"},
        "source": source.name,
    }
    region = json.dumps(manifest, sort_keys=True).encode()
    trailer = struct.pack("<III32s12x8s", 0, len(region), 1, hashlib.sha256(program).digest(), b"AFBNDL01")
    with target.open("ab") as bundle:
        bundle.write(region + trailer)
    return target
