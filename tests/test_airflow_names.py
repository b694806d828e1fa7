"""The names that a bundle answers for in Airflow's place: all there, with Airflow's arguments, doing what Airflow's do.

The real package is imported by this process; what a bundle offers is looked at through the module's own finder.
"""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from building import HAS_LATEST_PROVIDERS

import coordinator_bundle as module

pytest.importorskip("airflow.sdk", reason="apache-airflow is not installed")

UTC = timezone.utc
DAG_FILE = "standard_operators.py"

# Arguments that only Airflow's own code gives: of the class that gives all of its a logger, and a Dag's root group.
INTERNAL_ARGUMENTS = {"BranchMixIn": {"context"}, "SkipMixin": {"context"}, "DAG": {"task_group"}}

# What this module offers beyond Airflow 3.3.2, and why.
OFFERED_BEYOND = {
    "airflow.providers.common.compat.sdk": {"BaseAsyncOperator"},  # providers take it from there in later versions
    "airflow.sdk.definitions.context": {"ParsingContext"},  # the class of what get_parsing_context() returns
    "airflow.sdk.execution_time.context": {"get_current_context"},
    "airflow.sdk.execution_time.task_runner": {"SUPERVISOR_COMMS"},  # Airflow sets it when a task runs
}

OLD_PATHS = """
airflow.DAG airflow.Dataset airflow.decorators.task airflow.decorators.dag airflow.decorators.task_group
airflow.decorators.setup airflow.decorators.teardown airflow.decorators.base.task_decorator_factory
airflow.hooks.base.BaseHook airflow.hooks.filesystem.FSHook airflow.hooks.subprocess.SubprocessHook
airflow.io.path.ObjectStoragePath airflow.lineage.hook.get_hook_lineage_collector airflow.macros.ds_add
airflow.models.DAG airflow.models.BaseOperator airflow.models.Variable airflow.models.Connection airflow.models.Param
airflow.models.XCom airflow.models.DagRun airflow.models.TaskInstance airflow.models.baseoperator.chain
airflow.models.baseoperator.cross_downstream airflow.models.dag.DAG airflow.models.param.Param
airflow.models.skipmixin.SkipMixin airflow.models.taskinstance.TaskInstance airflow.models.variable.Variable
airflow.models.xcom_arg.XComArg airflow.notifications.basenotifier.BaseNotifier airflow.operators.bash.BashOperator
airflow.operators.branch.BaseBranchOperator airflow.operators.datetime.BranchDateTimeOperator
airflow.operators.empty.EmptyOperator airflow.operators.latest_only.LatestOnlyOperator
airflow.operators.python.PythonOperator airflow.operators.python.get_current_context
airflow.operators.smooth.SmoothOperator airflow.operators.trigger_dagrun.TriggerDagRunOperator
airflow.operators.weekday.BranchDayOfWeekOperator airflow.sensors.base.BaseSensorOperator
airflow.sensors.bash.BashSensor airflow.sensors.date_time.DateTimeSensor
airflow.sensors.external_task.ExternalTaskSensor airflow.sensors.filesystem.FileSensor
airflow.sensors.python.PythonSensor airflow.sensors.time_delta.TimeDeltaSensor airflow.sensors.time_sensor.TimeSensor
airflow.sensors.weekday.DayOfWeekSensor airflow.timetables.base.Timetable
airflow.timetables.interval.CronDataIntervalTimetable airflow.triggers.base.BaseTrigger
airflow.triggers.temporal.DateTimeTrigger airflow.utils.dates.cron_presets airflow.utils.edgemodifier.Label
airflow.utils.helpers.chunks airflow.utils.session.provide_session airflow.utils.state.State
airflow.utils.task_group.TaskGroup airflow.utils.timezone.utcnow airflow.utils.trigger_rule.TriggerRule
airflow.utils.types.DagRunType airflow.utils.weight_rule.WeightRule airflow.configuration.conf
airflow.exceptions.AirflowSkipException airflow.plugins_manager.AirflowPlugin
airflow.secrets.base_secrets.BaseSecretsBackend
""".split()


def ours(path: str) -> Any:
    """What a Dag file in a bundle gets for a dotted path, without putting the real package out of this process."""
    home, _, name = path.rpartition(".")
    names = module.airflow_modules.names(home)
    assert name in names, f"{home} offers no {name}"
    called = names[name]
    if called.startswith("!"):
        return module.unavailable(home, name, "")
    return module.airflow_name(called) if "." not in called else module.import_string(called)


def real(path: str) -> Any:
    home, _, name = path.rpartition(".")
    return getattr(__import__(home, fromlist=["*"]), name)


def in_bundle(source: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run Python in which the module answers for airflow."""
    program = "import coordinator_bundle as module\nmodule.airflow_modules.install()\n" + textwrap.dedent(source)
    root = Path(module.__file__).parent
    return subprocess.run([sys.executable, *options, "-c", program], capture_output=True, text=True, cwd=root)


def arguments(function: Any) -> list[str]:
    """The names of what a function or class can be given."""
    if isinstance(function, type) and issubclass(function, module.Record):
        parameters = inspect.signature(function).parameters.values()
        # What goes on to Record are the fields.
        if any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
            return sorted(function._fields)
    parameters = inspect.signature(function.__init__ if isinstance(function, type) else function).parameters.values()
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return sorted(each.name for each in parameters if each.kind not in variable and each.name != "self")


# --- names ------------------------------------------------------------------------------------------------------------


def sdk_names() -> list[str]:
    import airflow.sdk

    return sorted(set(airflow.sdk.__all__) - {"__version__"})


@pytest.mark.parametrize("name", sdk_names())
def test_a_name_of_the_sdk_is_there(name: str) -> None:
    if name == "lineage":
        assert "airflow.sdk.lineage" in module.airflow_modules.modules
    else:
        assert ours(f"airflow.sdk.{name}") is not None


def test_every_name_of_the_sdk_can_be_imported_in_a_bundle() -> None:
    done = in_bundle(
        f"from airflow.sdk import {', '.join(sdk_names())}\nimport airflow.sdk\nprint(airflow.sdk.__version__)"
    )
    assert done.stderr == ""
    assert done.stdout.strip() == real("airflow.sdk.__version__")


# Airflow hides these behind *args, or gives them an alias that inspect does not tell.
OWN_WAY = {
    "Connection",
    "PartitionedAssetTimetable",
    "TaskInstance",
    "ObjectStoragePath",
    "BaseXCom",
    "XComArg",
    "Context",
}


@pytest.mark.parametrize("name", [name for name in sdk_names() if name not in OWN_WAY])
def test_a_class_of_the_sdk_takes_the_arguments_that_airflows_takes(name: str) -> None:
    if name == "lineage" or not isinstance(real(f"airflow.sdk.{name}"), type):
        pytest.skip("no class")
    theirs = real(f"airflow.sdk.{name}")
    if issubclass(theirs, str) or getattr(theirs, "__members__", None):
        assert sorted(member.value for member in theirs) == sorted(
            member.value for member in ours(f"airflow.sdk.{name}")
        )
        return
    expected = sorted(set(arguments(theirs)) - INTERNAL_ARGUMENTS.get(name, set()))
    if name in ("BaseOperator", "BaseAsyncOperator", "BaseBranchOperator"):
        given = set(module._OPERATOR_ARGUMENTS | module._PLACING_ARGUMENTS)
        assert set(expected) <= given
        return
    assert arguments(ours(f"airflow.sdk.{name}")) == expected


@pytest.mark.parametrize("path", OLD_PATHS)
def test_an_old_path_leads_where_it_leads_in_airflow(path: str) -> None:
    assert real(path) is not None
    assert ours(path) is not None


# What Airflow keeps for its own database, its UI and its scheduler.
NOT_FOR_TASKS = """
check_for_write_conflict get_conn_id_to_team_name_mapping get_key_to_team_name_mapping get_team_name get_val
get_variable_from_secrets id is_encrypted is_extra_encrypted log logger metadata on_db_load registry rotate_fernet_key
set_val team_name test_connection val
""".split()


@pytest.mark.parametrize("path", ["airflow.models.Variable", "airflow.models.Connection"])
def test_a_model_of_the_core_has_the_methods_and_arguments_that_it_has_there(path: str) -> None:
    theirs, mine = real(path), ours(path)
    assert (mine.__module__, mine.__qualname__) == (theirs.__module__, theirs.__qualname__)
    names = {name for name in dir(theirs) if not name.startswith("_")} - set(NOT_FOR_TASKS)
    assert names <= {*dir(mine), *mine._fields}
    for name in names:
        if inspect.isroutine(getattr(theirs, name)):
            wanted = set(arguments(getattr(theirs, name))) - {"cls"}
            assert wanted <= set(arguments(getattr(mine, name))), name


@pytest.mark.parametrize(
    "given",
    [
        {"conn_id": "a", "conn_type": "http", "extra": {"b": "[1]", "c": "x"}, "password": "p"},
        {"conn_id": "a", "uri": "postgresql://u:p@h:1/s?k=v"},
        {"conn_id": "a", "uri": "http://h", "host": "b"},
        {"conn_id": "a", "extra": "no json"},
        {"conn_id": "a", "extra": "[1]"},
        {"conn_type": "x"},
    ],
)
def test_a_connection_of_the_core_is_made_as_airflow_makes_it(given: dict[str, Any]) -> None:
    def made(cls: Any) -> Any:
        try:
            each = cls(**given)
            return each.get_uri(), each.get_extra(), each.get_extra_dejson(nested=True), each.password, each.port
        except Exception as error:
            # Airflow looks at the extra field before it has noted the id.
            return type(error).__name__, str(error).replace(").You", "). You").replace(
                "connection 'a'", "connection None"
            )

    assert made(ours("airflow.models.Connection")) == made(real("airflow.models.Connection"))


@pytest.mark.filterwarnings("ignore")
def test_a_bundle_offers_nothing_that_airflow_does_not() -> None:
    beyond: dict[str, set[str]] = {}
    for home in module.airflow_modules.modules:
        theirs = __import__(home, fromlist=["*"])
        for name in module.airflow_modules.names(home):
            try:
                getattr(theirs, name)
            except (AttributeError, ImportError):
                beyond.setdefault(home, set()).add(name)
    if not HAS_LATEST_PROVIDERS:
        beyond["airflow.providers.common.compat.sdk"] -= {"ResumableJobMixin", "SET_DURING_EXECUTION", "mask_secret"}
    assert beyond == OFFERED_BEYOND


def test_the_names_of_the_compatibility_module_are_there() -> None:
    import airflow.providers.common.compat.sdk as compat

    wanted = {*compat._IMPORT_MAP, *compat._RENAME_MAP, *compat._MODULE_MAP}
    assert wanted <= set(module.airflow_modules.names("airflow.providers.common.compat.sdk"))
    ours_mapping = ours("airflow.providers.common.compat.sdk.AIRFLOW_VAR_NAME_FORMAT_MAPPING")
    assert ours_mapping == compat.AIRFLOW_VAR_NAME_FORMAT_MAPPING


def test_the_states_are_grouped_as_airflow_groups_them() -> None:
    theirs, mine = real("airflow.utils.state.State"), ours("airflow.utils.state.State")
    constants = [name for name in dir(theirs) if not name.startswith(("_", "color", "state_color"))]
    for name in set(constants) - {"adoptable_states"}:
        # Equal as strings; Airflow's core has enumerations of its own for these.
        assert getattr(mine, name) == getattr(theirs, name), name


def test_the_arguments_to_start_in_the_triggerer_can_be_replaced_and_taken_apart() -> None:
    import dataclasses

    arguments = ours("airflow.triggers.base.StartTriggerArgs")("a.Trigger", "resume", {"x": 1})
    changed = dataclasses.replace(arguments, next_method="other")
    assert (changed.trigger_cls, changed.next_method) == ("a.Trigger", "other")
    assert dataclasses.asdict(arguments)["trigger_kwargs"] == {"x": 1}


@pytest.mark.parametrize(
    "home", ["airflow.exceptions", "airflow.sdk.exceptions", "airflow.providers.standard.exceptions"]
)
def test_exceptions_have_the_bases_that_they_have_in_airflow(home: str) -> None:
    theirs = __import__(home, fromlist=["*"])
    names = {
        name for name, value in vars(theirs).items() if isinstance(value, type) and issubclass(value, BaseException)
    }
    names |= set(getattr(theirs, "_DEPRECATED_EXCEPTIONS", ()))
    for name in sorted(name for name in names if not name.startswith("_")):
        cls = ours(f"{home}.{name}") if name != "AirflowException" else module.AirflowException
        bases = [base.__name__ for base in getattr(theirs, name).__mro__ if not base.__name__.startswith("_")]
        assert [base.__name__.removeprefix("Core") for base in cls.__mro__] == bases


def test_a_name_that_is_not_there_names_what_is_near() -> None:
    done = in_bundle("from airflow.sdk import ExceptionRetryPolicies")
    assert "cannot import name 'ExceptionRetryPolicies' from 'airflow.sdk' in a bundle" in done.stderr
    assert "did you mean 'ExceptionRetryPolicy'?" in done.stderr
    done = in_bundle("import airflow.providers.standard.operators.pythn")
    assert "did you mean 'airflow.providers.standard.operators.python'?" in done.stderr


def test_a_class_is_the_same_by_every_path_and_survives_pickling() -> None:
    done = in_bundle(
        """
        import pickle
        import airflow.sdk, airflow.triggers.temporal
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger
        assert airflow.triggers.temporal.DateTimeTrigger is DateTimeTrigger is module.DateTimeTrigger
        assert pickle.loads(pickle.dumps(airflow.sdk.WaitForAll)) is airflow.sdk.WaitForAll
        print(DateTimeTrigger.__module__, DateTimeTrigger.__qualname__, DateTimeTrigger.serialize.__qualname__)
        """
    )
    path = "airflow.providers.standard.triggers.temporal DateTimeTrigger DateTimeTrigger.serialize"
    assert (done.stdout.strip(), done.stderr) == (path, "")


def test_a_class_that_few_files_use_is_not_made_before_it_is_asked_for() -> None:
    done = in_bundle(
        "from airflow.sdk import DAG, task\n"
        "print([name for name in ('RollupMapper', 'FileSensor', 'RetryRule') if name in vars(module)])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_what_airflow_keeps_in_its_database_says_what_to_do_instead_when_it_is_used() -> None:
    done = in_bundle(
        """
        from airflow.models import DagRun, TaskInstance
        def annotated(run: DagRun | None, ti: TaskInstance): ...
        for use in (lambda: DagRun.find(dag_id="x"), lambda: TaskInstance(1)):
            try:
                use()
            except module.BundleError as error:
                print(error)
        """
    )
    assert done.stdout.count("which no task of Airflow 3 can reach") == 2, done.stderr


def test_configuration_is_the_environment() -> None:
    done = in_bundle(
        """
        import os
        os.environ["AIRFLOW__CORE__PARALLELISM"] = "7"
        os.environ["AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE"] = "True"
        from airflow.sdk import conf
        print(conf.getint("core", "parallelism"), conf.get("core", "other", fallback=None), conf.has_option("a", "b"))
        from airflow.providers.standard.sensors.filesystem import FileSensor
        print(FileSensor(task_id="a", filepath="b").deferrable)
        conf.get("smtp", "smtp_host")
        """
    )
    assert done.stdout.splitlines() == ["7 None False", "True"]
    assert (
        "AirflowConfigException" in done.stderr and "set AIRFLOW__SMTP__SMTP_HOST where the worker runs" in done.stderr
    )


# --- what they do -----------------------------------------------------------------------------------------------------


TRIGGERS: list[tuple[str, dict[str, Any]]] = [
    ("temporal.DateTimeTrigger", {"moment": datetime(2026, 1, 1, tzinfo=UTC), "end_from_trigger": True}),
    ("temporal.DateTimeTrigger", {"target_time": "{{ ds }}"}),
    ("file.FileTrigger", {"filepath": "/tmp/x", "recursive": True}),
    ("file.FileDeleteTrigger", {"filepath": "/tmp/x", "poke_interval": 1.5}),
    ("file.DirectoryFileDeleteTrigger", {"directory": "/tmp", "filename": "x"}),
    ("external_task.WorkflowTrigger", {"external_dag_id": "a", "external_task_ids": ["b"], "run_ids": ["c"]}),
    ("external_task.DagStateTrigger", {"dag_id": "a", "states": ["success"], "run_ids": ["r"]}),
    (
        "hitl.HITLTrigger",
        {"ti_id": "1", "options": ["a"], "params": {"x": 1}, "timeout_datetime": None, "defaults": ["a"]},
    ),
]


@pytest.mark.parametrize(("name", "kwargs"), TRIGGERS, ids=[f"{name}-{len(kwargs)}" for name, kwargs in TRIGGERS])
def test_a_trigger_is_written_down_as_airflow_writes_it(name: str, kwargs: dict[str, Any]) -> None:
    path = f"airflow.providers.standard.triggers.{name}"
    if "target_time" in kwargs and not HAS_LATEST_PROVIDERS:
        pytest.skip("DateTimeTrigger of an older provider takes no target_time")
    assert ours(path)(**dict(kwargs)).serialize() == real(path)(**dict(kwargs)).serialize()


CHECKED: list[tuple[str, Callable[[Any], Any]]] = [
    ("MinimumCount", lambda sdk: sdk("MinimumCount")(0)),
    ("FixedKeyMapper", lambda sdk: sdk("FixedKeyMapper")("")),
    ("IdentityMapper", lambda sdk: sdk("IdentityMapper")(max_downstream_keys=0)),
    ("SegmentWindow", lambda sdk: sdk("SegmentWindow")([])),
    ("SegmentWindow", lambda sdk: sdk("SegmentWindow")(["a", ""])),
    ("SegmentWindow", lambda sdk: sdk("SegmentWindow")(["a", 1])),
    (
        "RollupMapper",
        lambda sdk: sdk("RollupMapper")(upstream_mapper=sdk("IdentityMapper")(), window=sdk("DayWindow")()),
    ),
    (
        "FanOutMapper",
        lambda sdk: sdk("FanOutMapper")(upstream_mapper=sdk("StartOfHourMapper")(), window=sdk("HourWindow")()),
    ),
    ("RetryRule", lambda sdk: sdk("RetryRule")(exception="ValueError")),
    ("AsyncCallback", lambda sdk: sdk("AsyncCallback")("no path")),
    ("AsyncCallback", lambda sdk: sdk("AsyncCallback")("os.path.join")),
    ("AsyncCallback", lambda sdk: sdk("AsyncCallback")("os.sep")),
    ("SyncCallback", lambda sdk: sdk("SyncCallback")("os.path.join", {"context": 1})),
    ("DeadlineReference", lambda sdk: sdk("DeadlineReference").AVERAGE_RUNTIME(max_runs=3, min_runs=0)),
    ("DeadlineAlert", lambda sdk: sdk("DeadlineAlert")(None, timedelta(1), print)),
    ("AssetWatcher", lambda sdk: sdk("AssetWatcher")("name", object())),
    ("asset", lambda sdk: sdk("asset")(schedule=None)(lambda: 1)),
    ("asset.multi", lambda sdk: sdk("asset").multi(schedule=None, outlets=[])(textwrap.dedent)),
]


@pytest.mark.parametrize(("name", "use"), CHECKED, ids=[f"{name}-{n}" for n, (name, _) in enumerate(CHECKED)])
def test_what_airflow_refuses_is_refused_in_its_words(name: str, use: Callable[[Any], Any]) -> None:
    with pytest.raises(Exception) as theirs:
        use(lambda name: real(f"airflow.sdk.{name}"))
    with pytest.raises(Exception) as mine:
        use(lambda name: ours(f"airflow.sdk.{name}"))
    assert type(mine.value).__name__ == type(theirs.value).__name__
    assert (
        str(mine.value).splitlines()[0].partition(" object at 0x")[0]
        == str(theirs.value).splitlines()[0].partition(" object at 0x")[0]
    )


class OwnError(ConnectionError):
    pass


POLICIES: list[tuple[str, BaseException]] = [
    ("class", ValueError("x")),
    ("subclass", OwnError()),
    ("exact", TimeoutError()),
    ("path", json.JSONDecodeError("x", "y", 0)),
    ("none", KeyError()),
]


@pytest.mark.parametrize(("case", "error"), POLICIES, ids=[case for case, _ in POLICIES])
def test_a_retry_policy_decides_as_airflows_does(case: str, error: BaseException) -> None:
    def decide(sdk: Callable[[str], Any]) -> Any:
        rule, action = sdk("RetryRule"), sdk("RetryAction")
        rules = [
            rule(ValueError, action.FAIL, reason="bad value", match_subclasses=False),
            rule([OwnError, "no.such.Error"], retry_delay=timedelta(seconds=9)),
            rule(OSError, action.FAIL, match_subclasses=False),
            rule("json.JSONDecodeError", action.RETRY),
        ]
        policy = sdk("ExceptionRetryPolicy")(rules, default=action.FAIL)
        assert policy.serialize() == sdk("ExceptionRetryPolicy").deserialize(policy.serialize()).serialize()
        decision = policy.evaluate(error, 1, 3)
        return decision.action.value, decision.retry_delay, decision.reason, policy.serialize()

    assert decide(lambda name: ours(f"airflow.sdk.{name}")) == decide(lambda name: real(f"airflow.sdk.{name}"))


CRONS = [
    "0 0 * * *",
    "*/15 * * * *",
    "5,35 8-18/2 * * mon-fri",
    "0 12 13 * 5",
    "30 4 1 jan,jul *",
    "0 0 29 2 *",
    "0 9 * * 7",
    "59 23 31 12 *",
    "@midnight",
    "0 6 * * SAT-Sun",
    "0 0 1 nov-feb *",
    "5 7-7 * * *",
]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "America/New_York"])
@pytest.mark.parametrize("cron", CRONS)
def test_the_next_run_of_a_cron_schedule_is_airflows(cron: str, zone: str) -> None:
    import pendulum
    from airflow.timetables.interval import CronDataIntervalTimetable

    theirs = CronDataIntervalTimetable(cron, zone)
    for start in (datetime(2026, 3, 1, 3, 7, tzinfo=UTC), datetime(2027, 12, 31, 23, 59, 1, tzinfo=UTC)):
        end = theirs._get_next(pendulum.instance(start))
        assert module.cron_next(cron, end, zone) == theirs._get_next(end)


@pytest.mark.parametrize("cron", ["0 0 L * *", "0 0 * * mon#2", "0 0 * * * 30", "0 0 * nov-feb/2 *"])
def test_what_is_not_plain_cron_names_the_remedy(cron: str) -> None:
    with pytest.raises(module.BundleError, match="give the task the queue of an ordinary worker"):
        module.cron_next(cron, datetime(2026, 1, 1, tzinfo=UTC), "UTC")


def test_object_storage_paths_are_airflows_and_read_what_is_there(tmp_path: Path) -> None:
    pytest.importorskip("upath")
    for text in ("s3://conn@bucket/a/b.txt", "file:///tmp/x/", "s3://c@bucket", "/tmp/a.tar.gz"):
        mine, theirs = ours("airflow.sdk.ObjectStoragePath")(text), real("airflow.sdk.ObjectStoragePath")(text)
        for name in ("conn_id", "bucket", "key", "protocol", "name", "suffix", "stem", "namespace"):
            assert getattr(mine, name) == getattr(theirs, name), (text, name)
        assert str(mine) == str(theirs)
        assert str(mine / "more" / "c") == str(theirs / "more" / "c")
        assert str(mine.parent) == str(theirs.parent)
    folder = ours("airflow.sdk.ObjectStoragePath")(f"file://{tmp_path}")
    (folder / "a.txt").write_text("text")
    assert [each.name for each in folder.iterdir()] == ["a.txt"]
    (folder / "a.txt").copy(folder / "b.txt")
    with (folder / "b.txt").open() as file:
        assert file.read() == "text"
    assert (folder / "b.txt").exists() and not (folder / "c.txt").exists()
    assert ours("airflow.sdk.ObjectStoragePath").deserialize((folder / "a.txt").serialize(), 1) == folder / "a.txt"


# --- providers that are not there, or are -----------------------------------------------------------------------------

MIXED = """
from airflow.providers.acme.hooks.acme import AcmeHook
from airflow.providers.acme.operators.acme import AcmeOperator
from airflow.providers.acme.sensors.acme import AcmeSensor
from airflow.providers.acme.cloud.operators import rockets
from airflow.sdk import DAG, task

class OwnHook(AcmeHook):
    pass

with DAG("mixed", schedule=None, default_args={"acme_conn_id": "a", "retries": 2}):
    @task(queue="frozen")
    def rows():
        return [1]

    load = AcmeOperator(task_id="load", sql="x.sql", rows=rows())
    wait = AcmeSensor(task_id="wait", rocket=1, poke_interval=5)
    AcmeOperator.partial(task_id="each", table="t").expand(row=[1, 2])
    wait >> rockets.RocketOperator(task_id="launch") >> load

    @task.docker(image="x", queue="docker")
    def in_docker():
        pass

    in_docker()
"""


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    file = tmp_path / "mixed.py"
    file.write_text(MIXED)
    return file


def test_operators_of_a_provider_that_is_not_there_keep_their_place(mixed: Path) -> None:
    done = in_bundle(
        f"""
        import json
        bag = module.load_dag_files([{str(mixed)!r}])
        dag = bag.dags["mixed"]
        form = module.serialize_dag(dag)["dag"]
        errors = []
        for task_id in ("load", "in_docker"):
            try:
                dag.get_task(task_id).execute({{}})
            except module.AirflowFailException as error:
                errors.append(str(error))
        print(json.dumps([{{t.task_id: sorted(t.upstream_task_ids) for t in dag.tasks}}, bag.warnings, errors,
                          {{t["__var"]["task_id"]: t["__var"]["_task_module"] for t in form["tasks"]}},
                          dag.get_task("load").retries]))
        """
    )
    assert done.stderr == ""
    graph, warnings, errors, modules, retries = json.loads(done.stdout)
    nothing: list[str] = []
    assert graph == {
        "rows": nothing,
        "load": ["launch", "rows"],
        "wait": nothing,
        "each": nothing,
        "launch": ["wait"],
        "in_docker": nothing,
    }
    assert retries == 2
    assert modules["launch"] == "airflow.providers.acme.cloud.operators.rockets"
    assert len(warnings) == 1
    for text in (
        "load (airflow.providers.acme.operators.acme.AcmeOperator)",
        "wait (",
        "each (",
        "in_docker (@task.docker)",
    ):
        assert text in warnings[0]
    assert "rows (" not in warnings[0]
    assert "'load' is a AcmeOperator" in errors[0] and "apache-airflow-providers-acme" in errors[0]
    assert "queue 'docker' brought it here" in errors[1]


def test_other_names_of_such_a_provider_say_so_when_they_are_used(mixed: Path) -> None:
    done = in_bundle(
        f"""
        from airflow.providers.acme.utils import helper, LIMIT
        from airflow.providers.acme.exceptions import AcmeError
        bag = module.load_dag_files([{str(mixed)!r}])
        own = next(m for n, m in module.sys.modules.items() if n.endswith("_mixed")).OwnHook
        for use in (own, lambda: helper(1), lambda: LIMIT[0]):
            try:
                use()
            except module.BundleError as error:
                print(error)
        try:
            raise AcmeError("x")
        except AcmeError as error:
            print("caught")
        """
    )
    assert done.stdout.count("apache-airflow-providers-acme") == 3, done.stderr
    assert done.stdout.splitlines()[-1] == "caught"


def test_a_provider_that_is_there_is_imported_for_real(tmp_path: Path) -> None:
    package = tmp_path / "airflow" / "providers" / "acme" / "operators"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "acme.py").write_text(
        "from airflow.providers.common.compat.sdk import BaseOperator\n"
        "class AcmeOperator(BaseOperator):\n    template_fields = ('sql',)\n"
        "    def __init__(self, *, sql, **kwargs):\n        super().__init__(**kwargs)\n        self.sql = sql\n"
    )
    done = in_bundle(
        f"""
        module.sys.path.insert(0, {str(tmp_path)!r})
        from airflow.providers.acme.operators.acme import AcmeOperator
        from airflow.providers.other.operators.other import OtherOperator
        from airflow.providers.standard.operators.bash import BashOperator
        print(AcmeOperator.template_fields, AcmeOperator(task_id="a", sql="b").sql, OtherOperator._is_placeholder)
        import airflow.providers.acme.hooks
        """
    )
    assert done.stdout.strip() == "('sql',) b True"
    assert "No module named 'airflow.providers.acme.hooks'" in done.stderr


def test_a_module_of_a_provider_that_needs_more_of_airflow_stands_as_placeholders(tmp_path: Path) -> None:
    package = tmp_path / "airflow" / "providers" / "acme"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "operators.py").write_text(
        "from airflow.sdk import BaseOperator\n"
        "class Early: pass\n"
        "from airflow.executors.base_executor import BaseExecutor\n"
        "class AcmeOperator(BaseOperator): pass\n"
    )
    (package / "optional.py").write_text(
        "try:\n    from airflow.providers.other.hooks.other import OtherHook\n"
        "except ImportError:\n    OtherHook = None\n"
    )
    file = tmp_path / "uses_acme.py"
    file.write_text(
        "from airflow.providers.acme.operators import AcmeOperator\nfrom airflow.sdk import DAG\n"
        "with DAG('uses_acme', schedule=None):\n    AcmeOperator(task_id='a', anything=1)\n"
    )
    done = in_bundle(
        f"""
        module.sys.path.insert(0, {str(tmp_path)!r})
        bag = module.load_dag_files([{str(file)!r}])
        print(bag.import_errors, bag.warnings)
        import airflow.providers.acme.operators as operators, airflow.providers.acme.optional as optional
        print("Early" in vars(operators), optional.OtherHook)
        """
    )
    assert done.stderr == ""
    warnings, rest = done.stdout.splitlines()
    assert "a (airflow.providers.acme.operators.AcmeOperator, which needs more of Airflow: No module named " in warnings
    assert "'airflow.executors' in a bundle" in warnings
    assert rest == "False None"


def test_old_names_of_a_provider_lead_to_the_new_ones(tmp_path: Path) -> None:
    done = in_bundle(
        """
        import sys, types
        from airflow.utils.deprecation_tools import add_deprecated_classes
        package = sys.modules["package"] = types.ModuleType("package")
        package.__path__ = []
        add_deprecated_classes(
            {"package": {"Path": "pathlib.Path"}, "old": {"*": "json"}, "one": {"dumps": "json.dumps"}},
            package="package",
        )
        import json, pathlib
        from package import Path
        from package.old import loads
        from package.one import dumps
        assert (Path, loads, dumps) == (pathlib.Path, json.loads, json.dumps)
        from package.one import loads
        """
    )
    assert "cannot import name 'loads' from 'package.one'" in done.stderr


TOOLS: list[tuple[str, Callable[[Any], Any]]] = [
    ("airflow.sdk.module_loading.qualname", lambda qualname: qualname(timedelta)),
    ("airflow.sdk.module_loading.qualname", lambda qualname: qualname(timedelta(1))),
    ("airflow.sdk.module_loading.qualname", lambda qualname: qualname(Path.exists)),
    ("airflow.sdk.module_loading.qualname", lambda qualname: qualname(Path.exists, use_qualname=True)),
    ("airflow.sdk.module_loading.qualname", lambda qualname: qualname(Path.exists, exclude_module=True)),
    (
        "airflow.sdk.module_loading.is_valid_dotpath",
        lambda valid: [valid(each) for each in ("a.b", "a..b", "1a", "", 1)],
    ),
    ("airflow.sdk.module_loading.iter_namespace", lambda names: [each.name for each in names(json)]),
    ("airflow.utils.hashlib_wrapper.md5", lambda md5: md5(b"x").hexdigest()),
    ("airflow.utils.platform.getuser", lambda getuser: getuser()),
    ("airflow.utils.yaml.safe_load", lambda load: load("a: [1, 2020-01-01]")),
    ("airflow.utils.yaml.dump", lambda dump: dump({"b": [1], "a": {"c": None}})),
]


@pytest.mark.parametrize(("path", "use"), TOOLS, ids=[f"{n}-{path}" for n, (path, _) in enumerate(TOOLS)])
def test_what_providers_take_from_airflow_does_what_it_does_there(path: str, use: Callable[[Any], Any]) -> None:
    assert use(ours(path)) == use(real(path))


def test_an_environment_is_patched_for_as_long_as_a_block_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("GIVEN", "1")
    monkeypatch.delenv("OTHER", raising=False)
    for patch in (ours("airflow.utils.process_utils.patch_environ"), real("airflow.utils.process_utils.patch_environ")):
        with patch({"GIVEN": "2", "OTHER": "3"}):
            assert (os.environ["GIVEN"], os.environ["OTHER"]) == ("2", "3")
        assert (os.environ["GIVEN"], os.environ.get("OTHER")) == ("1", None)


def test_template_files_are_read_when_a_dag_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "a.sql").write_text("select {{ ds }}\n")
    (tmp_path / "run.sh").write_text("echo {{ ds }}\n")
    file = tmp_path / "templates.py"
    file.write_text(
        textwrap.dedent(
            """
            from airflow.providers.standard.operators.bash import BashOperator
            from airflow.sdk import DAG, BaseOperator

            class Sql(BaseOperator):
                template_fields = ("sql",)
                template_ext = (".sql",)

                def __init__(self, *, sql, **kwargs):
                    super().__init__(**kwargs)
                    self.sql = sql

                def prepare_template(self):
                    self.doc = "prepared"

            with DAG("templates", schedule=None, template_searchpath="{folder}/sql"):
                BashOperator(task_id="bash", bash_command="run.sh")
                Sql(task_id="sql", sql=["a.sql", "select 1", "sql/a.sql"])
                Sql(task_id="missing", sql="missing.sql")
                Sql.partial(task_id="mapped").expand(sql=["a.sql"])
            """
        ).replace("{folder}", str(tmp_path))
    )
    import parity

    theirs, mine = parity.real_forms([file]), parity.bundle_forms([file])
    assert list(parity.compare(mine[str(file)], theirs[str(file)])) == []
    tasks = {each["__var"]["task_id"]: each["__var"] for each in mine[str(file)]["dags"]["templates"]["dag"]["tasks"]}
    assert tasks["bash"]["bash_command"] == "echo {{ ds }}\n"
    assert tasks["sql"]["sql"][0] == "select {{ ds }}\n"


# --- operators while they run -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both(airflow: Any, make_bundle: Callable[..., Path]) -> Callable[..., Any]:
    """both(task_id, **options): the task in a bundle and in Airflow's own runner, each with an API of its own."""
    from conftest import DAGS

    def run(task_id: str, prepare: Callable[[Any], None] | None = None, **options: Any) -> Any:
        results = []
        for folder in (make_bundle(DAG_FILE).parent, None):
            api = airflow.ExecutionAPI()
            api.add_dag_run("other", "before", logical_date=airflow.LOGICAL_DATE - timedelta(days=1), state="success")
            if prepare is not None:
                prepare(api)
            results.append(airflow.run_task(folder, DAGS / DAG_FILE, "standard_operators", task_id, api=api, **options))
        return results

    return run


def plain(value: Any) -> Any:
    """A recording without what has no meaning: the order of a set of task ids, the class of the zone UTC, and the hash
    of a Dag file's path in the name of its module."""
    if isinstance(value, (list, tuple)):
        found = [plain(each) for each in value]
        return sorted(found) if all(each in ("left", "right") for each in found) else found
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, str):
        value = re.sub("unusual_prefix_[0-9a-f]{40}", "unusual_prefix", value)
    return "pendulum.tz.timezone.Timezone" if value == "pendulum.tz.timezone.FixedTimezone" else value


def stored(value: Any) -> Any:
    from airflow.sdk.serde import serialize

    return serialize(value)


def answered(*options: str, **params: Any) -> dict[str, Any]:
    """What a task that waited for a person comes back with."""
    event = {
        "chosen_options": list(options),
        "params_input": params,
        "responded_at": datetime(2026, 1, 2, tzinfo=UTC),
        "responded_by_user": {"id": "1", "name": "Ann"},
        "timedout": False,
    }
    return {"next_method": "execute_complete", "next_kwargs": stored({"event": event})}


def fired(event: Any) -> dict[str, Any]:
    return {"next_method": "execute_complete", "next_kwargs": stored({"event": event})}


def state_of(run_id: str, state: str) -> Any:
    path = "airflow.providers.standard.triggers.external_task.DagStateTrigger"
    return (path, {"dag_id": "other", "states": ["success"], "run_ids": [run_id], run_id: state})


FOLDER = {"fs_default": {"conn_type": "fs", "extra": '{"path": "/"}'}}
RUNS: list[tuple[str, dict[str, Any]]] = [
    ("days", {}),
    ("hours", {}),
    ("dates", {}),
    ("latest", {}),
    ("trigger", {}),
    ("trigger_text", {}),
    (
        "trigger_waits",
        {"prepare": lambda api: api.answer("GET", r"dag-runs/other/.*/state$", (200, {"state": "success"}))},
    ),
    ("trigger_defers", {}),
    ("trigger_defers", fired(state_of("manual__new", "success"))),
    ("trigger_defers", {**fired(state_of("manual__new", "failed")), "max_tries": 1}),
    ("trigger_wrong", {}),
    ("ask", {}),
    ("ask", answered("a", "b", why="so", n=2)),
    ("ask", answered("c", why="so", n=2)),
    ("ask", answered("a", why=1, n=2)),
    ("ask", answered("a", why="so")),
    ("ask", fired({"error": "late", "error_type": "timeout"})),
    ("ask", fired({"error": "odd", "error_type": "unknown"})),
    ("fill_in", {}),
    ("fill_in", answered("OK", n=4)),
    ("approve", {}),
    ("approve", answered("Approve")),
    ("approve", answered("Reject")),
    ("approve_hard", answered("Reject")),
    ("choose", answered("L")),
    ("choose", answered("right")),
    ("moment", {}),
    ("moment_given", {}),
    ("moment_async", {}),
    ("moment_async", fired(None)),
    ("time_of_day", {}),
    ("delta", {}),
    ("delta_defers", {}),
    ("delta_over", {}),
    ("wait", {}),
    ("day", {}),
    ("other_day", {}),
    ("file", {"connections": FOLDER}),
    ("no_file", {"connections": FOLDER}),
    ("no_file", {"connections": FOLDER, **fired(True)}),
    ("no_file", {"connections": FOLDER, **fired(False)}),
    ("command", {}),
    ("command_fails", {}),
    ("command_waits", {}),
    ("function", {}),
    ("bash", {}),
    ("smooth", {}),
    ("runs_a_command", {}),
    ("other_dag", {}),
    ("other_task", {}),
    ("other_tasks", {}),
    ("other_tasks", fired({"status": "success"})),
    ("other_tasks", fired({"status": "failed"})),
    ("other_tasks", fired({"status": "skipped"})),
    ("other_group", {}),
]


@pytest.mark.parametrize(("task_id", "options"), RUNS, ids=[f"{n}-{task_id}" for n, (task_id, _) in enumerate(RUNS)])
def test_an_operator_does_what_it_does_in_airflow(
    airflow: Any, both: Callable[..., Any], task_id: str, options: dict[str, Any]
) -> None:
    mine, theirs = both(task_id, **options)
    assert plain(airflow.recording(mine)) == plain(airflow.recording(theirs)), (
        f"OURS\n{mine.log()}\nAIRFLOW\n{theirs.log()}"
    )
    assert str(mine.final_state) == str(theirs.final_state)


@pytest.mark.parametrize("task_id", ["venv", "python", "branch_venv", "branch_python", "in_venv", "branch_in_python"])
def test_a_task_for_another_python_fails_with_what_to_do(
    airflow: Any, make_bundle: Callable[..., Path], task_id: str
) -> None:
    from conftest import DAGS

    folder = make_bundle(DAG_FILE).parent
    done = airflow.run_task(folder, DAGS / DAG_FILE, "standard_operators", task_id, max_tries=3)
    assert done.final_state == "failed"
    assert "declare what the function needs as dependencies of the Dag file and use @task" in str(done.log())
