# /// script
# dependencies = ["numpy", "pandas"]
# ///
"""Packages with large shared libraries, used by some tasks and not by others."""

import sys
from datetime import datetime

import numpy as np
import pandas as pd
from airflow.sdk import dag, task


def loaded() -> list[str]:
    """Which of the two packages have been loaded, which is to say have submodules."""
    return sorted({name.partition(".")[0] for name in sys.modules if name.startswith(("numpy.", "pandas."))})


@dag(schedule=None, start_date=datetime(2026, 1, 1), default_args={"queue": "frozen"})
def heavy():
    @task
    def light():
        from pathlib import Path

        written = [path.name for path in Path(__file__).parent.rglob("*") if path.is_file()]
        return {
            "loaded": loaded(),
            "imported": "pandas" in sys.modules,
            "libraries": [n for n in written if "blas" in n],
        }

    @task
    def table():
        frame = pd.DataFrame({"a": np.arange(4), "b": list("wxyz")})
        return {"loaded": loaded(), "sum": int(frame["a"].sum()), "html": "<th>b</th>" in frame.to_html()}

    @task
    def at_once():
        """The first use of both from many threads, and their submodules imported meanwhile."""
        import importlib
        from concurrent.futures import ThreadPoolExecutor

        def use(number):
            if number % 3 == 0:
                return importlib.import_module("pandas.core.frame").DataFrame({"a": [number]})["a"].sum()
            if number % 3 == 1:
                return pd.Series([number]).sum()
            return np.array([number]).sum()

        with ThreadPoolExecutor(12) as pool:
            return int(sum(pool.map(use, range(36))))

    @task
    def versions():
        from importlib.metadata import version

        return version("numpy") == np.__version__ and version("pandas") == vars(pd)["__version__"]

    light() >> table() >> at_once() >> versions()


heavy()
