"""Tasks for values that somebody else wrote, for secrets, and for more of everything than a task should ask for."""

import dataclasses
import logging
import os
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Connection, Variable, dag, get_current_context, task


@dataclasses.dataclass
class Bomb:
    """A class of the Dag file that nobody allowed to be built from a value."""

    path: str

    def __post_init__(self) -> None:
        Path(self.path).touch()


class Resumes(BaseOperator):
    def execute(self, context: Any) -> None:
        raise RuntimeError("this task only ever resumes")

    def execute_complete(self, context: Any, event: Any = None) -> str:
        return "resumed"


def most_memory() -> int:
    """The most memory that this process has held so far, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def in_threads(count: int, work: Any) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dag(schedule=None, start_date=datetime(2026, 1, 1), default_args={"queue": "frozen"})
def hostile():
    @task
    def pull() -> dict[str, str]:
        """What became of each value of the task `up`."""
        context = get_current_context()
        became = {}
        for key in context["dag_run"].conf["keys"]:
            try:
                value = context["ti"].xcom_pull(task_ids="up", key=key)
            except Exception as error:
                became[key] = f"{type(error).__name__}: {error}"
            else:
                became[key] = f"built a {type(value).__name__}"
        return became

    @task
    def keep_secrets() -> list[str]:
        """Handles secrets as a task does, badly; returns the files that hold one."""
        secrets = [Connection.get("vault").password, Variable.get("db_password")]
        logging.getLogger("library").debug("connecting with %s", secrets)
        print("printed", secrets)
        found = []
        for folder, _, names in os.walk(os.environ["TMPDIR"]):
            for name in names:
                text = Path(folder, name).read_bytes()
                found += [name for secret in secrets if secret.encode() in text]
        return found

    @task
    def spill_secrets() -> None:
        password, token = Connection.get("vault").password, Variable.get("db_password")
        raise RuntimeError(f"cannot log in with {password}") from ValueError(token)

    @task
    def log_lines() -> int:
        """How much more memory was held in the end."""
        before = most_memory()
        conf = get_current_context()["dag_run"].conf
        each = conf["lines"] // conf["threads"]

        def work(number: int) -> None:
            log = logging.getLogger(f"load.{number}")
            for line in range(each):
                log.info("%d", line)

        in_threads(conf["threads"], work)
        return most_memory() - before

    @task
    def call_much() -> list[int]:
        """How many answers were right, and how much more memory was held in the end."""
        before = most_memory()
        conf = get_current_context()["dag_run"].conf
        right = [0] * conf["threads"]

        def work(number: int) -> None:
            for call in range(conf["calls"] // conf["threads"]):
                key = f"k{(number * 7 + call) % 50}"
                right[number] += Variable.get(key) == f"value of {key}"

        in_threads(conf["threads"], work)
        return [sum(right), most_memory() - before]

    @task
    def push_large() -> None:
        before = most_memory()
        context = get_current_context()
        context["ti"].xcom_push("large", "x" * (context["dag_run"].conf["mib"] << 20))
        context["ti"].xcom_push("more_memory", most_memory() - before)

    @task
    def pull_large() -> list[int]:
        before = most_memory()
        value = get_current_context()["ti"].xcom_pull(task_ids="push_large", key="large")
        return [len(value), value.count("x"), most_memory() - before]

    pull(), keep_secrets(), spill_secrets(), log_lines(), call_much(), push_large(), pull_large()
    Resumes(task_id="resume")


hostile()
