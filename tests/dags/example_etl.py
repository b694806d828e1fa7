"""Orders of the day: extract, transform, load. The example of the README."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta

from airflow.sdk import Connection, Variable, dag, get_current_context, task

log = logging.getLogger(__name__)

RAW = """
[
  {"order": 1, "customer": "Ada", "amount": "12.50", "currency": "EUR"},
  {"order": 2, "customer": "Grace", "amount": "99.00", "currency": "EUR"},
  {"order": 3, "customer": "Ada", "amount": "7.25", "currency": "USD"}
]
"""


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "orders"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5), "queue": "frozen"},
)
def example_etl():
    @task
    def extract() -> list[dict]:
        orders = json.loads(RAW)
        log.info("read %d orders", len(orders))
        return orders

    @task(multiple_outputs=True)
    def transform(orders: list[dict], rate: float) -> dict:
        currency = Variable.get("etl_currency", default="EUR")
        total = sum(float(o["amount"]) * (rate if o["currency"] != currency else 1) for o in orders)
        best = max({o["customer"] for o in orders}, key=lambda name: sum(o["customer"] == name for o in orders))
        print(f"converted {len(orders)} orders to {currency}")
        return {"total": round(total, 2), "best_customer": best}

    @task
    def load(total: float, best_customer: str) -> str:
        warehouse = Connection.get("warehouse")
        day = get_current_context()["dag_run"].run_after.date()
        log.info("writing %.2f for %s to %s", total, day, warehouse.host)
        return f"{warehouse.conn_type}://{warehouse.host}/{warehouse.schema}/orders/{day}: {total} ({best_customer})"

    summary = transform(extract(), rate=0.9)
    load(summary["total"], summary["best_customer"])


example_etl()
