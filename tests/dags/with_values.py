# /// script
# dependencies = ["attrs", "fsspec", "numpy", "pydantic", "universal-pathlib"]
# ///
"""Values of packages that are frozen in, on their way between tasks."""

from __future__ import annotations

from airflow.sdk import ObjectStoragePath, dag, task
from airflow.sdk.serde import allow_class
import attrs
import pydantic


@attrs.define
class Size:
    width: int
    height: float = 1.5


class Order(pydantic.BaseModel):
    number: int
    lines: list[str] = []


allow_class(Size)
allow_class(Order)


@dag(schedule=None, default_args={"queue": "frozen"})
def with_values():
    @task
    def makes_objects():
        return [Size(2), Order(number=7, lines=["a"])]

    @task
    def makes_numbers():
        import numpy as np

        return [np.int64(1), np.float64(1.5), np.bool_(True), np.uint8(255), {"inner": np.float32(0.5)}]

    @task
    def makes_frame():
        import pandas as pd

        return pd.DataFrame({"a": [1, 2], "b": ["x", None]})

    @task
    def makes_path():
        return ObjectStoragePath("file:///tmp/some/where.txt")

    @task
    def takes_objects(values):
        return [repr(each) for each in values]

    @task
    def takes_numbers(values):
        return [f"{type(each).__module__}.{type(each).__name__} {each}" for each in values]

    @task
    def takes_frame(frame):
        return [type(frame).__name__, frame.to_dict("list")["a"], list(frame.columns)]

    @task
    def takes_path(path, fixed):
        return [type(path).__name__, str(path), path.name, str(fixed / "x")]

    takes_objects(makes_objects())
    takes_numbers(makes_numbers())
    takes_frame(makes_frame())
    takes_path(makes_path(), ObjectStoragePath("file:///tmp/fixed"))


with_values()
