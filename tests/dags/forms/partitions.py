"""Schedules by partition: mappers, windows and how long to wait."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import (
    DAG,
    AllowedKeyMapper,
    Asset,
    ChainMapper,
    CronPartitionTimetable,
    DayWindow,
    FanOutMapper,
    FixedKeyMapper,
    IdentityMapper,
    MinimumCount,
    PartitionedAssetTimetable,
    PartitionedAtRuntime,
    ProductMapper,
    RollupMapper,
    SegmentWindow,
    StartOfDayMapper,
    StartOfHourMapper,
    StartOfMonthMapper,
    StartOfWeekMapper,
    WeekWindow,
)

orders = Asset("orders")
stock = Asset("stock")

SCHEDULES = {
    "cron_partition": CronPartitionTimetable("0 * * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%dT%H"),
    "at_runtime": PartitionedAtRuntime(),
    "partitioned": PartitionedAssetTimetable(assets=orders, default_partition_mapper=StartOfHourMapper()),
    "partitioned_each": PartitionedAssetTimetable(
        assets=orders & stock & Asset("regions") & Asset("labels"),
        default_partition_mapper=IdentityMapper(max_downstream_keys=7),
        partition_mapper_config={
            orders: RollupMapper(upstream_mapper=StartOfDayMapper(timezone="Europe/Paris"), window=WeekWindow()),
            stock: ChainMapper(StartOfWeekMapper(input_format="%Y-%m-%d"), StartOfMonthMapper()),
            Asset("regions"): ProductMapper(AllowedKeyMapper(["eu", "us"]), StartOfDayMapper(), delimiter="/"),
            Asset("labels"): RollupMapper(
                upstream_mapper=FixedKeyMapper("all"),
                window=SegmentWindow(["b", "a"]),
                wait_policy=MinimumCount(1),
            ),
        },
    ),
    "fan_out": PartitionedAssetTimetable(
        assets=orders,
        default_partition_mapper=FanOutMapper(
            upstream_mapper=StartOfDayMapper(),
            window=DayWindow(direction=DayWindow.Direction.BACKWARD),
            downstream_mapper=StartOfHourMapper(),
        ),
    ),
}

for name, schedule in SCHEDULES.items():
    with DAG(dag_id=f"partitions_{name}", schedule=schedule, start_date=datetime(2026, 1, 1)):
        EmptyOperator(task_id="work")
