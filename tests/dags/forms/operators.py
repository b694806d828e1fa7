"""What can be said of a Dag and of its tasks: callbacks, pools, priorities, documentation, links, deadlines."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import (
    BranchPythonOperator,
    PythonOperator,
    ShortCircuitOperator,
)
from airflow.sdk import (
    DAG,
    Asset,
    AssetAlias,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    Label,
    TaskGroup,
    TriggerRule,
    WeightRule,
    chain,
)


def tell(context):
    """Tell somebody."""


def choose():
    return "left"


class DocsLink(BaseOperatorLink):
    name = "Documentation"

    def get_link(self, operator, *, ti_key):
        return "https://example.org"


class Deploy(BaseOperator):
    """A custom operator with everything that shows in the form."""

    template_fields = ("target", "options", "missing")
    template_ext = (".yaml",)
    template_fields_renderers = {"options": "json"}
    ui_color = "#abc123"
    ui_fgcolor = "#ffffff"
    operator_extra_links = (DocsLink(),)
    custom_operator_name = "Deployment"

    def __init__(self, *, target: str = "staging", options=None, hidden="h", **kwargs):
        super().__init__(**kwargs)
        self.target = target
        self.options = options
        self.hidden = hidden

    def execute(self, context):
        return self.target


class Nothing(EmptyOperator):
    """An empty operator by inheritance."""


class Wait(BaseSensorOperator):
    template_fields = ("what",)

    def __init__(self, *, what: str, **kwargs):
        super().__init__(**kwargs)
        self.what = what

    def poke(self, context):
        return True


class Plain:
    """A value with no text of its own."""


class Texted:
    def __repr__(self):
        return "Texted()"


with DAG(
    dag_id="operators",
    description="everything",
    doc_md="# Title\n\ntext",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    tags=["b", "a", "ü"],
    owner_links={"me": "mailto:me@example.org"},
    max_active_tasks=3,
    max_active_runs=2,
    max_consecutive_failed_dag_runs=5,
    dagrun_timeout=timedelta(minutes=90),
    on_success_callback=tell,
    on_failure_callback=[tell, tell],
    access_control={"role": {"DAGs": {"can_read", "can_edit"}}, "other": {"can_read"}},
    is_paused_upon_creation=False,
    render_template_as_native_obj=True,
    fail_fast=False,
    dag_display_name="All the operators ✓",
    default_args={
        "owner": "team-a",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "email": ["a@example.org"],
        "on_failure_callback": tell,
        "on_retry_callback": None,
        "queue": "frozen",
        "depends_on_past": False,
        "params": {"inherited": 1},
    },
) as dag:
    deploy = Deploy(
        task_id="deploy",
        options={"z": 1, "a": [datetime(2026, 1, 1), (1, 2), {"y", "x"}], 3: None, "fn": tell, "cls": Deploy},
    )
    deploy_plain = Deploy(task_id="deploy_plain", target="", options=[], retries=0, email=None)
    deploy_odd = Deploy(task_id="deploy_odd", options=[Plain(), Texted(), 1.5, True])
    nothing = Nothing(task_id="nothing", task_display_name="Nothing to do", trigger_rule=TriggerRule.ALL_DONE)
    python = PythonOperator(
        task_id="python",
        python_callable=choose,
        op_args=[1, "two", {"three": 3}],
        op_kwargs={"b": 1, "a": deploy.output},
        templates_dict={"x": "{{ ds }}"},
        pool="limited",
        pool_slots=2,
        priority_weight=10,
        weight_rule=WeightRule.UPSTREAM,
        execution_timeout=timedelta(minutes=5),
        max_retry_delay=timedelta(hours=1),
        retry_exponential_backoff=True,
        on_success_callback=tell,
        on_execute_callback=[tell],
        on_skipped_callback=tell,
        on_retry_callback=tell,
        doc="doc",
        doc_json='{"a": 1}',
        doc_yaml="a: 1",
        doc_rst="rst",
        doc_md="md",
        executor_config={"pod": {"cpu": 1}, "labels": ["x"], "t": (1, 2)},
        run_as_user="nobody",
        max_active_tis_per_dag=4,
        max_active_tis_per_dagrun=5,
        map_index_template="{{ task.task_id }}",
        do_xcom_push=False,
        multiple_outputs=False,
        wait_for_downstream=True,
        ignore_first_depends_on_past=True,
        wait_for_past_depends_before_skipping=True,
        allow_nested_operators=False,
        inlets=[Asset("in"), deploy.output],
        outlets=[Asset("out"), AssetAlias("aka"), Asset("out")],
        email_on_failure=False,
        email_on_retry=False,
        logger_name="mine",
        render_template_as_native_obj=False,
    )
    bash = BashOperator(task_id="bash", bash_command="echo {{ ds }}", env={"A": "1"}, weight_rule="absolute")
    long_bash = BashOperator(task_id="long_bash", bash_command="echo " + "x" * 5000, env={"API_TOKEN": "y" * 4100})
    branch = BranchPythonOperator(task_id="branch", python_callable=choose)
    left = EmptyOperator(task_id="left", outlets=[AssetAlias("out_alias")])
    right = EmptyOperator(task_id="right", executor="LocalExecutor")
    gate = ShortCircuitOperator(task_id="gate", python_callable=lambda: True, ignore_downstream_trigger_rules=False)
    wait = Wait(task_id="wait", what="that", mode="poke", poke_interval=timedelta(seconds=5))

    deploy >> Label("ready") >> branch >> [left, right] >> nothing
    branch >> Label("also") >> gate
    chain(Deploy(task_id="again"), [bash, long_bash], [wait, python])
    with TaskGroup("outer", tooltip="the outer group", ui_color="#111111", ui_fgcolor="#eee") as outer:
        first = EmptyOperator(task_id="first")
        with TaskGroup("inner", prefix_group_id=False, group_display_name="Inner!", doc_md="inner text") as inner:
            second = EmptyOperator(task_id="second")
        with TaskGroup("own_args", default_args={"retries": 9, "pool": "inner_pool"}) as own_args:
            third = EmptyOperator(task_id="third")
        first >> inner >> own_args
    nothing >> outer >> bash

with DAG(dag_id="teardown", schedule=None, access_control={}, fail_fast=True, rerun_with_latest_version=False):
    create = EmptyOperator(task_id="create").as_setup()
    work = EmptyOperator(task_id="work")
    delete = EmptyOperator(task_id="delete").as_teardown(setups=create, on_failure_fail_dagrun=True)
    create >> work >> delete
    with EmptyOperator(task_id="drop").as_teardown(setups=EmptyOperator(task_id="make").as_setup()):
        EmptyOperator(task_id="inside")

empty = DAG(dag_id="empty", schedule=None)
with DAG(dag_id="run_types", schedule=None, allowed_run_types=["manual", "backfill"], disable_bundle_versioning=True):
    EmptyOperator(task_id="only")
