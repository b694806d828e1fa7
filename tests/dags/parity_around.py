# /// script
# dependencies = ["jinja2", "pendulum"]
# ///
"""What happens around a task: callbacks, hooks, templates, params, results of several parts, links, retry policies."""

from __future__ import annotations

import functools
import os
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, TypedDict

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import (
    BaseOperator,
    BaseOperatorLink,
    DAG,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    Variable,
    dag,
    get_current_context,
    setup,
    task,
    teardown,
)
from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory
from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk.log import mask_secret


def noting(name):
    def note(context):
        error = context.get("exception")
        ti = context["ti"]
        Variable.set(f"{name} {ti.task_id}", f"{ti.state} {type(error).__name__} {error} {ti.end_date is not None}")

    return note


def failing_callback(context):
    raise RuntimeError("a callback that fails")


def noting_without_context():
    Variable.set("no context", "passed")


CALLBACKS = {
    f"on_{kind}_callback": [noting(kind), failing_callback, noting(f"second {kind}")]
    for kind in ("execute", "success", "failure", "retry", "skipped")
}


class DocsLink(BaseOperatorLink):
    name = "Docs"

    def get_link(self, operator, *, ti_key):
        return f"https://docs.example/{operator.task_id}/{ti_key.run_id}"


class BrokenLink(BaseOperatorLink):
    name = "Broken"

    @property
    def xcom_key(self):
        return "a_key_of_its_own"

    def get_link(self, operator, *, ti_key):
        raise ValueError("no link")


class Linked(BaseOperator):
    operator_extra_links = (DocsLink(), BrokenLink())

    def execute(self, context):
        return "linked"


class Inner:
    template_fields = ("text",)

    def __init__(self, text):
        self.text = text


class Plain:
    pass


class Titled:
    def __str__(self):
        return "a title"


class Serialisable:
    def serialize(self):
        return {"b": 1, "a": (1, 2)}


class Templated(BaseOperator):
    template_fields = ("text", "deep", "inner", "query")
    template_ext = (".sql",)
    template_fields_renderers = {"deep": "json", "deep.b": "sql", "deep.absent": "sql", "inner.text": "sql"}

    def __init__(self, *, text=None, deep=None, inner=None, query=None, **kwargs):
        super().__init__(**kwargs)
        self.text, self.deep, self.inner, self.query = text, deep, inner, query

    def execute(self, context):
        return [str(self.text), type(self.text).__name__, repr(self.deep)[:300], str(self.query)]


class AllFields(BaseOperator):
    template_fields = (
        "password",
        "text",
        "items",
        "mapping",
        "function",
        "plain",
        "titled",
        "serialised",
        "long",
        "number",
    )

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        mask_secret("a very secret word")
        self.password = "letmein"
        self.text = "says a very secret word aloud"
        self.items = [1, {"api_key": "k", "plain": "v", "nested": {"token": ["t", {"a": 1}]}}, (2.5, None), {"b", "a"}]
        self.mapping = {2: "two", "one": {"secret_thing": 1}, None: datetime(2026, 1, 1, tzinfo=timezone.utc)}
        self.function = noting
        self.plain = Plain()
        self.titled = Titled()
        self.serialised = [Serialisable()]
        self.long = {"password": "p" * 3000, "text": "t" * 5000}
        self.number = 10**20

    def execute(self, context):
        return None


class Overwrites(BaseOperator):
    template_fields = ("text",)
    overwrite_rtif_after_execution = True

    def __init__(self, *, text, **kwargs):
        super().__init__(**kwargs)
        self.text = text

    def execute(self, context):
        self.text = "after"


class Hooked(BaseOperator):
    def pre_execute(self, context):
        Variable.set("pre_execute", context["ti"].task_id)

    def execute(self, context):
        return 7

    def post_execute(self, context, result=None):
        Variable.set("post_execute", f"{result}")


class Patient(RetryPolicy):
    def evaluate(self, exception, try_number, max_tries, context=None):
        if "broken" in str(exception):
            raise RuntimeError("a policy that fails")
        text = f"{type(exception).__name__} {try_number}/{max_tries} {context['ti'].task_id}"
        return RetryDecision.retry(timedelta(seconds=90 * try_number), reason=text + "!" * 600)

    def serialize(self):
        return {}


POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=ValueError, action=RetryAction.FAIL, reason="values do not get better"),
        RetryRule(
            exception=["builtins.ConnectionError", TimeoutError], retry_delay=timedelta(minutes=5), reason="busy"
        ),
        RetryRule(exception="builtins.LookupError", match_subclasses=False, retry_delay=timedelta(seconds=1)),
        RetryRule(exception="no.such.Error", action=RetryAction.FAIL),
    ]
)


class Doubled(DecoratedOperator, PythonOperator):
    custom_operator_name = "@task.doubled"

    def __init__(self, *, python_callable, op_args=None, op_kwargs=None, **kwargs):
        call = {"python_callable": python_callable, "op_args": op_args, "op_kwargs": op_kwargs}
        super().__init__(kwargs_to_upstream=call, **call, **kwargs)

    def execute_callable(self):
        return super().execute_callable() * 2


def doubled(function=None, **kwargs):
    return task_decorator_factory(function, decorated_operator_class=Doubled, **kwargs)


class Pair(TypedDict):
    left: int
    right: str


MACROS = {"mine": lambda n: n * 2, "names": ["a", "b"]}
FILTERS = {"shout": lambda text: text.upper()}
with DAG(
    "parity_around",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    user_defined_macros=MACROS,
    user_defined_filters=FILTERS,
    params={"table": "orders", "limit": Param(3, type="integer", minimum=1), "free": None},
    default_args={"retries": 1},
    tags=["parity"],
):

    @task(**CALLBACKS)
    def calls_back():
        return "done"

    @task(**CALLBACKS)
    def calls_back_on_failure():
        raise ValueError("told to the callbacks")

    @task(**CALLBACKS)
    def calls_back_on_skip():
        raise AirflowSkipException("told as well")

    @task(**CALLBACKS)
    def calls_back_on_fail_exception():
        raise AirflowFailException("at once")

    @task(on_success_callback=noting("single"), on_execute_callback=noting_without_context)
    def calls_back_once():
        return 1

    @task(pre_execute=noting("before"), post_execute=lambda context, result: Variable.set("after", str(result)))
    def hooks():
        return [1]

    @task(pre_execute=failing_callback, **CALLBACKS)
    def pre_execute_fails():
        return "never"

    @task(post_execute=failing_callback)
    def post_execute_fails():
        return "not pushed"

    @task(pre_execute=lambda context: (_ for _ in ()).throw(AirflowSkipException("before it began")))
    def pre_execute_skips():
        return "never"

    @task
    def sends_mail():
        from airflow.utils.email import send_email

        send_email(
            ["me@example.com", "you@example.com"],
            "Done",
            "<b>All</b> of it",
            files=["/etc/hostname"],
            cc="boss@example.com",
            bcc="spy@example.com; other@example.com",
            custom_headers={"X-Kind": "report"},
        )

    @task(email="me@example.com; you@example.com")
    def mails():
        raise ValueError("to be <mailed>")

    # Templates

    @task
    def echo(*args, **kwargs):
        named = {k: v for k, v in kwargs.items() if k.startswith("x_")}
        return [list(args), named]

    echo.override(task_id="dates")(
        "{{ ds }} {{ ds_nodash }} {{ ts }} {{ ts_nodash }} {{ ts_nodash_with_tz }} {{ run_id }} {{ logical_date }}",
        "{{ data_interval_start }} {{ data_interval_end | ts }} {{ logical_date | ds }} {{ logical_date | ts_nodash }}",
        "{{ task_instance_key_str }} {{ dag.dag_id }} {{ task.task_id }} {{ ti.try_number }} {{ dag_run.run_type }}",
        "{{ data_interval_end.add(days=1).to_date_string() }} {{ logical_date.day_of_week }} {{ partition_key }}",
        x_macros="{{ macros.ds_add(ds, 5) }} {{ macros.ds_add(ds, 0) }}",
        x_format="{{ macros.ds_format(ds, '%Y-%m-%d', '%d.%m.%y') }}",
        x_more="{{ macros.datetime(2026, 1, 1) }} {{ macros.timedelta(days=2) }} {{ macros.json.dumps({'a': 1}) }}",
        x_previous="{{ prev_start_date_success }} {{ prev_data_interval_end_success | ts }}",
        x_none="{{ prev_end_date_success is none }}",
    )
    echo.override(task_id="own_macros")(
        "{{ mine(4) }} {{ names | join('+') }} {{ 'loud' | shout }} {{ params.table }} {{ params['limit'] + 1 }}",
        ["{{ params.table }}", ("{{ ds }}", {"{{ key }}": "{{ ds }}"}), {"{{ ds }}"}],
        x_logic="{% if params.limit > 2 %}many{% else %}few{% endif %}{% set x = 3 %}{{ x }}{# nothing #}",
        x_do="{% do names.append %}",
    )
    echo.override(task_id="trailing_newlines")(
        "text\n", "text\r\nmore\n\n", "{{ ds }}\n", "{ no template }", "{{ '{{' }}"
    )
    echo.override(task_id="undefined")("{{ not_there }}")
    echo.override(task_id="syntax")("{{ ds ")
    echo.override(task_id="forbidden")("{{ ds.__class__ }}")
    echo.override(task_id="param_missing")("{{ params.absent }}")

    Templated(
        task_id="fields", text="{{ ds }}", deep={"b": "{{ ds }}", "a": ["{{ params.limit }}"]}, inner=Inner("{{ ds }}")
    )
    Templated(task_id="from_file", query="parity_files/query.sql", text="no file.sql.txt")
    Templated(task_id="from_file_with_include", query="parity_files/whole.sql")
    Templated(task_id="from_missing_file", query="parity_files/absent.sql")
    Templated(
        task_id="by_callable", text=lambda context, jinja_env: f"{context['ds']} {type(jinja_env).__name__ != ''}"
    )
    AllFields(task_id="all_fields")
    Overwrites(task_id="overwrites", text="{{ ds }}")
    BashOperator(
        task_id="bash", bash_command="echo {{ ds }} $WORD $AIRFLOW_CTX_TASK_ID", env={"WORD": "w {{ mine(1) }}"}
    )
    BashOperator(task_id="bash_skips", bash_command="exit 99")
    BashOperator(task_id="bash_fails", bash_command="exit 3", append_env=True)

    @task.bash
    def bash_by_function():
        return "echo 'today: {{ ds }}'"

    # Hooks of classes, links

    Hooked(task_id="hooked")
    Linked(task_id="linked")

    # Params

    @task(params={"own": 1, "table": "own table"})
    def params_merged(params=None):
        return {key: params[key] for key in sorted(params)}

    @task(params={"strict": Param(1, type="integer", maximum=5)})
    def params_checked(params=None):
        return params["strict"]

    # Results

    @task(multiple_outputs=True)
    def several():
        return {"left": 1, "right": [2]}

    @task
    def several_inferred() -> Dict[str, Any]:
        return {"a": 1, "b": None}

    @task
    def several_typed() -> Pair:
        return {"left": 1, "right": "r"}

    @task(multiple_outputs=True)
    def several_not_a_dict():
        return [1]

    @task(multiple_outputs=True)
    def several_odd_keys():
        return {1: "one"}

    @task(multiple_outputs=True)
    def several_none():
        return None

    @task
    def yields():
        for n in range(3):
            yield n

    @task
    async def waits():
        import asyncio

        await asyncio.sleep(0)
        return get_current_context()["ti"].task_id

    @task
    def environment():
        return {key: value for key, value in os.environ.items() if key.startswith("AIRFLOW_CTX_")}

    # Retry policies

    def failing_with(error, name, **kwargs):
        @task(task_id=name, **kwargs)
        def fails():
            raise error

        fails()

    failing_with(ValueError("policy says no"), "policy_fails", retry_policy=POLICY, **CALLBACKS)
    failing_with(ConnectionResetError("later"), "policy_waits", retry_policy=POLICY, **CALLBACKS)
    failing_with(KeyError("a subclass"), "policy_exact", retry_policy=POLICY)
    failing_with(OSError("not mentioned"), "policy_default", retry_policy=POLICY)
    failing_with(AirflowFailException("not asked"), "policy_not_asked", retry_policy=POLICY)
    failing_with(OSError("custom"), "policy_of_its_own", retry_policy=Patient())
    failing_with(OSError("broken"), "policy_broken", retry_policy=Patient())
    failing_with(SystemExit(2), "policy_exit", retry_policy=Patient())

    # Setup and teardown

    @setup
    def builds():
        return "cluster"

    @teardown(on_failure_fail_dagrun=True)
    def removes(name):
        return f"{name} removed"

    @task
    def works(name):
        return f"worked on {name}"

    @doubled(retries=3)
    def by_own_decorator(number, word="a"):
        return [number, word]

    by_own_decorator(1, word="b")

    with builds() as cluster:
        pass
    made = builds.override(task_id="builds_more")()
    works(made) >> removes(made)

    calls_back()
    calls_back_on_failure()
    calls_back_on_skip()
    calls_back_on_fail_exception()
    calls_back_once()
    hooks()
    pre_execute_fails()
    post_execute_fails()
    pre_execute_skips()
    mails()
    sends_mail()
    bash_by_function()
    params_merged()
    params_checked()
    several()
    several_inferred()
    several_typed()
    several_not_a_dict()
    several_odd_keys()
    several_none()
    yields()
    waits()
    environment()
    PythonOperator(
        task_id="classic_python",
        python_callable=lambda a, b, ds, ti, templates_dict: [a, b, ds, ti.task_id, templates_dict],
        op_args=["{{ ds }}"],
        op_kwargs={"b": "{{ params.table }}"},
        templates_dict={"query": "parity_files/query.sql", "day": "{{ ds }}"},
        templates_exts=[".sql"],
    )
    PythonOperator(task_id="partial", python_callable=functools.partial(lambda a, b: [a, b], 1), op_args=[2])


@dag(
    dag_id="parity_native",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    render_template_as_native_obj=True,
    params={"rows": [1, 2], "text": "7", "day": "2026-01-01"},
)
def native():
    @task
    def kinds(*args):
        return [[type(each).__name__, str(each)] for each in args]

    kinds(
        "{{ params.rows }}",
        "{{ params.text }}",
        "{{ params.text }}{{ params.text }}",
        "{{ params.rows | length }} rows",
        "{{ {'a': 1} }}",
        "{{ logical_date }}",
        "{{ ti.xcom_pull('rows') }}",
        "plain\n",
        "007",
        "{{ '007' }}",
        "{{ none }}",
        "{{ params.day }}",
        "{{ ds_nodash }}",
        "[1, 2]",
    )


native()
