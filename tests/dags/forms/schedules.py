"""Every kind of schedule, one Dag each."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import (
    DAG,
    Asset,
    AssetAlias,
    AssetOrTimeSchedule,
    CronDataIntervalTimetable,
    CronTriggerTimetable,
    DeltaDataIntervalTimetable,
    DeltaTriggerTimetable,
    MultipleCronTriggerTimetable,
)
from dateutil.relativedelta import FR, MO, relativedelta

orders = Asset("orders")
stock = Asset(name="stock", uri="s3://warehouse/stock.parquet", group="warehouse", extra={"owner": "team-a"})
late = AssetAlias("late_orders")
paris = pendulum.timezone("Europe/Paris")

SCHEDULES = {
    "none": None,
    "once": "@once",
    "continuous": "@continuous",
    "hourly": "@hourly",
    "daily": "@daily",
    "weekly": "@weekly",
    "monthly": "@monthly",
    "quarterly": "@quarterly",
    "yearly": "@yearly",
    "cron": "*/5 4 * * 1-5",
    "timedelta": timedelta(hours=36, seconds=1),
    "relativedelta": relativedelta(months=1, day=31),
    "relativedelta_weekday": relativedelta(weeks=1, weekday=FR(-1)),
    "relativedelta_plain_weekday": relativedelta(days=2, weekday=MO),
    "cron_trigger": CronTriggerTimetable("0 3 * * *", timezone="Europe/Berlin"),
    "cron_trigger_interval": CronTriggerTimetable(
        "0 3 * * *", timezone=paris, interval=timedelta(hours=6), run_immediately=timedelta(minutes=5)
    ),
    "cron_trigger_relative": CronTriggerTimetable("@daily", timezone="UTC", interval=relativedelta(days=1)),
    "cron_interval": CronDataIntervalTimetable("30 1 * * *", timezone="UTC"),
    "delta_interval": DeltaDataIntervalTimetable(timedelta(days=1)),
    "delta_trigger": DeltaTriggerTimetable(timedelta(days=7), interval=timedelta(days=1)),
    "many_crons": MultipleCronTriggerTimetable("@daily", "0 12 * * *", timezone="UTC", interval=timedelta(hours=1)),
    "asset": orders,
    "assets": [orders, stock],
    "alias": late,
    "alias_in_list": [late, orders],
    "reference": [Asset.ref(name="elsewhere"), Asset.ref(uri="s3://elsewhere/else")],
    "any": orders | stock,
    "all_of_any": (orders | stock) & late & Asset.ref(name="elsewhere"),
    "asset_or_time": AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 1 * * *", timezone="UTC"), assets=[orders]),
    "asset_or_delta": AssetOrTimeSchedule(
        timetable=DeltaDataIntervalTimetable(timedelta(days=2)), assets=(orders & stock)
    ),
}

for name, schedule in SCHEDULES.items():
    runs = 1 if name == "continuous" else 16
    with DAG(dag_id=f"schedule_{name}", schedule=schedule, start_date=datetime(2026, 1, 1), max_active_runs=runs):
        EmptyOperator(task_id="work")

with DAG(dag_id="schedule_left_out", start_date=None):
    EmptyOperator(task_id="work")

for zone in ("Europe/Paris", "UTC", "America/New_York"):
    with DAG(
        dag_id=f"zone_{zone.replace('/', '_')}",
        schedule="0 6 * * *",
        start_date=pendulum.datetime(2026, 6, 1, 12, tz=zone),
        end_date=pendulum.datetime(2027, 6, 1, tz="UTC"),
        catchup=True,
    ):
        EmptyOperator(task_id="work", start_date=pendulum.datetime(2026, 7, 1, tz=zone))
        EmptyOperator(task_id="until", end_date=datetime(2026, 12, 31))

with DAG(dag_id="zone_fixed", schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))):
    EmptyOperator(task_id="work")
with DAG(
    dag_id="zone_from_default_args",
    schedule=timedelta(days=1),
    default_args={"start_date": pendulum.datetime(2026, 1, 1, tz="Asia/Tokyo"), "end_date": datetime(2026, 5, 1)},
):
    EmptyOperator(task_id="work")
