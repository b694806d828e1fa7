"""Tasks that run on a condition.

Not beside the others, whose serialised forms are compared too: this one has the source of Airflow's own hook in it.
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG, task

with DAG("parity_conditions", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):

    @task.run_if(lambda context: context["params"].get("go"))
    @task(params={"go": False})
    def run_if():
        return "ran"

    @task.skip_if(lambda context: (True, "for a reason"))
    @task
    def skip_if():
        return "ran"

    run_if()
    skip_if()
