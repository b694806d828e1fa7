"""What Dag files declare, as the loading function finds it; and what is wrong with them, in Airflow's own words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import coordinator_bundle

MODULE = Path(__file__).resolve().parent.parent / "coordinator_bundle.py"

PRELUDE = """\
from datetime import datetime, timedelta

from airflow.sdk import (
    DAG, Asset, BaseOperator, BaseSensorOperator, Label, Param, TaskGroup, TriggerRule, XComArg, chain, chain_linear,
    cross_downstream, dag, setup, task, task_group, teardown,
)

"""


@pytest.fixture(autouse=True)
def airflow_as_it_was() -> Iterator[None]:
    """Loading a Dag file makes this process answer `import airflow` as a bundle does; take that back."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    coordinator_bundle.airflow_modules.uninstall()
    for name in set(sys.modules) - set(modules):
        if name.startswith(("airflow", "unusual_prefix_")):
            del sys.modules[name]
    sys.modules.update({name: module for name, module in modules.items() if name.startswith("airflow")})
    sys.path[:] = path


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Any]:
    """load(text, ...): a bag with the Dags of files with these texts; PRELUDE goes before each."""

    def load_texts(*texts: str, prelude: str = PRELUDE) -> Any:
        paths = []
        for number, text in enumerate(texts):
            paths.append(tmp_path / f"flow_{number}.py")
            paths[-1].write_text(prelude + text)
        return coordinator_bundle.load_dag_files(list(map(str, paths)))

    return load_texts


@pytest.fixture
def load_one(load: Callable[..., Any]) -> Callable[..., Any]:
    """load_one(body): the Dag `flow` with the lines of `body` in it."""

    def load_body(body: str, arguments: str = "") -> Any:
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        bag = load(f"with DAG('flow', schedule=None, {arguments}) as flow:\n    pass\n{lines}")
        assert not bag.import_errors, bag.import_errors
        return bag.dags["flow"]

    return load_body


def edges(dag: Any) -> set[str]:
    return {f"{task.task_id}>{after}" for task in dag.tasks for after in task.downstream_task_ids}


# --- what is found ----------------------------------------------------------------------------------------------------


def test_a_taskflow_dag_is_found_with_its_tasks_and_edges(load: Callable[..., Any]) -> None:
    bag = load("""
@dag(schedule="@daily", start_date=datetime(2026, 1, 1), tags=["x"], catchup=False, max_active_runs=2)
def flow(size: int = 3):
    "What it does."
    @task
    def extract(): return 1
    @task(queue="frozen", retries=3, retry_delay=timedelta(minutes=2))
    def load(value, size): return value
    load(extract(), size)
flow()
""")
    assert bag.import_errors == {}
    dag = bag.dags["flow"]
    assert (dag.schedule, dag.tags, dag.catchup, dag.max_active_runs) == ("@daily", {"x"}, False, 2)
    assert dag.doc_md == "What it does."
    assert dag.params.dump() == {"size": 3}
    assert dag.task_ids == ["extract", "load"]
    assert edges(dag) == {"extract>load"}
    task = dag.get_task("load")
    assert (task.queue, task.retries, task.retry_delay) == ("frozen", 3, timedelta(minutes=2))


def test_a_file_may_declare_several_dags_in_several_ways(load: Callable[..., Any]) -> None:
    bag = load(
        "with DAG('within', schedule=None): pass\n"
        "held = DAG('held', schedule=None)\n"
        "DAG('dropped', schedule=None)\n"
        "@dag\ndef called(): pass\ncalled()\n"
        "@dag('named')\ndef other(): pass\nother()\n"
        "@dag\ndef never(): pass\n",
        "with DAG('of another file'.replace(' ', '_'), schedule=None): pass\n",
    )
    assert bag.import_errors == {}
    assert set(bag.dags) == {"within", "held", "called", "named", "of_another_file"}


def test_each_file_is_imported_into_a_module_of_its_own_with_its_folder_on_the_path(
    load: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "beside_the_flow.py").write_text("ID = 'from_helper'\n")
    text = "import beside_the_flow\nVALUE = {}\nwith DAG(beside_the_flow.ID + '_{}', doc_md=__file__): pass\n"
    bag = load(text.format(1, 1), text.format(2, 2))
    sys.modules.pop("beside_the_flow", None)
    assert bag.import_errors == {}
    assert bag.dags["from_helper_1"].doc_md == str(tmp_path / "flow_0.py")
    assert bag.dags["from_helper_2"].fileloc == str(tmp_path / "flow_1.py")


def test_a_file_that_fails_leaves_nothing_behind_and_does_not_spoil_the_next(load: Callable[..., Any]) -> None:
    bag = load(
        "with DAG('half'):\n    with TaskGroup('g'):\n        BaseOperator(task_id='a')\n        1 / 0\n",
        "a = BaseOperator(task_id='outside')\nwith DAG('whole', schedule=None): BaseOperator(task_id='b')\n",
    )
    assert list(bag.dags) == ["whole"]
    assert bag.dags["whole"].task_ids == ["b"]
    assert len(bag.import_errors) == 1


@pytest.mark.parametrize("home", ["airflow.sdk", "coordinator_bundle"])
def test_our_own_name_leads_to_the_same_registry(load: Callable[..., Any], home: str) -> None:
    bag = load(
        f"from {home} import dag, task\n@dag\ndef flow():\n    @task\n    def t(): pass\n    t()\nflow()\n", prelude=""
    )
    assert bag.import_errors == {}
    assert bag.dags["flow"].task_ids == ["t"]
    assert isinstance(bag.dags["flow"], coordinator_bundle.DAG)


def test_the_module_on_the_command_line_is_the_one_a_dag_file_imports(tmp_path: Path) -> None:
    path = tmp_path / "flow.py"
    path.write_text("from coordinator_bundle import DAG\nfrom airflow.sdk import DAG as other\n"
                    "assert DAG is other\nwith DAG('flow', schedule=None): pass\n")  # fmt: skip
    done = subprocess.run([sys.executable, MODULE, path, "--parse"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("flow "), done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "from airflow.sdk import taks",
            "cannot import name 'taks' from 'airflow.sdk' in a bundle, did you mean 'task'",
        ),
        ("from airflow.sdk import Asset, Varable", "did you mean 'Variable'"),
        ("from airflow.sdk.exceptions import AirflowSkipExeption", "did you mean 'AirflowSkipException'"),
        ("import airflow.skd", "No module named 'airflow.skd' in a bundle, did you mean 'airflow.sdk'"),
        ("from airflow.providers.standard.operators.pyton import X", "airflow.providers.standard.operators.python"),
        ("import airflow.www.app", "other parts of Airflow are not in it"),
    ],
)
def test_a_name_that_is_not_there_is_an_import_error_that_names_what_is_near(
    load: Callable[..., Any], line: str, said: str
) -> None:
    [text] = load(line + "\n", prelude="").import_errors.values()
    assert said in text
    assert "flow_0.py:1: " in text


@pytest.mark.parametrize(
    "line",
    [
        "from airflow import DAG",
        "from airflow.decorators import dag, task",
        "from airflow.models import Variable, Connection, BaseOperator",
        "from airflow.operators.python import PythonOperator",
        "from airflow.hooks.base import BaseHook",
        "from airflow.utils import timezone",
        "from airflow.exceptions import AirflowSkipException",
        "from airflow.sdk.exceptions import AirflowFailException",
        "from airflow.providers.standard.operators.empty import EmptyOperator",
        "from airflow.providers.standard.operators.python import PythonOperator, BranchPythonOperator",
        "from airflow.providers.standard.operators.bash import BashOperator",
        "from airflow.providers.standard.sensors.python import PythonSensor",
        "import airflow.sdk; airflow.sdk.DAG",
    ],
)
def test_the_paths_that_dag_files_import_from_are_answered(load: Callable[..., Any], line: str) -> None:
    assert load(line + "\n", prelude="").import_errors == {}


# --- the graph --------------------------------------------------------------------------------------------------------

FOUR = "a, b, c, d = (BaseOperator(task_id=each) for each in 'abcd')\n"
GRAPHS = {
    "a >> b >> c": "a>b b>c",
    "a << b": "b>a",
    "a >> [b, c] >> d": "a>b a>c b>d c>d",
    "[a, b] >> c": "a>c b>c",
    "[a, b] << c": "c>a c>b",
    "a.set_downstream([b, c])": "a>b a>c",
    "a.set_upstream(b)": "b>a",
    "chain(a, b, c)": "a>b b>c",
    "chain(a, [b, c], d)": "a>b a>c b>d c>d",
    "chain([a, b], [c, d])": "a>c b>d",
    "chain_linear(a, [b, c], d)": "a>b a>c b>d c>d",
    "chain_linear([a, b], [c, d])": "a>c a>d b>c b>d",
    "cross_downstream([a, b], [c, d])": "a>c a>d b>c b>d",
    "a >> Label('l') >> b": "a>b",
    "chain(a, Label('l'), b)": "a>b",
    "a >> b\na >> b": "a>b",
}


@pytest.mark.parametrize("lines", GRAPHS)
def test_tasks_are_joined(load_one: Callable[..., Any], lines: str) -> None:
    assert edges(load_one(FOUR + lines)) == set(GRAPHS[lines].split())


def test_a_label_stays_with_its_edge(load_one: Callable[..., Any]) -> None:
    dag = load_one(FOUR + "a >> Label('when it rains') >> [b, c]")
    assert dag.edge_info == {"a": {"b": {"label": "when it rains"}, "c": {"label": "when it rains"}}}


def test_results_of_taskflow_join_their_tasks(load_one: Callable[..., Any]) -> None:
    dag = load_one("""
@task
def up(): pass
@task
def down(x, y=None): pass
x = up()
down([x, {"k": up.override(task_id="other")()}], y=x["key"])
down(1)
x >> down(2)
""")
    assert edges(dag) == {"up>down", "other>down", "up>down__2"}
    assert dag.task_ids == ["up", "other", "down", "down__1", "down__2"]


def test_groups_prefix_ids_nest_and_can_be_joined(load_one: Callable[..., Any]) -> None:
    dag = load_one("""
@task
def t(): pass
@task_group
def inner():
    t()
with TaskGroup("outer") as outer:
    first = t()
    first >> inner()
with TaskGroup("plain", prefix_group_id=False) as plain:
    t.override(task_id="bare")()
t() >> outer >> plain
inner.override(group_id="again")()
""")
    assert set(dag.task_ids) == {"outer.t", "outer.inner.t", "bare", "t", "again.t"}
    assert edges(dag) == {"outer.t>outer.inner.t", "t>outer.t", "outer.inner.t>bare"}
    assert set(dag.task_group.children) == {"outer", "plain", "t", "again"}


def test_a_task_group_takes_and_returns_results(load_one: Callable[..., Any]) -> None:
    dag = load_one("""
@task
def make(): return 1
@task
def use(x): return x
@task_group
def group(x):
    return use(x)
use(group(make()))
""")
    assert edges(dag) == {"make>group.use", "group.use>use"}


def test_setup_and_teardown_are_marked_and_joined(load_one: Callable[..., Any]) -> None:
    dag = load_one("""
@setup
def start(): pass
@teardown
def stop(): pass
@task
def work(): pass
work_ = work()
start_ = start()
start_ >> work_ >> stop().as_teardown(setups=start_)
""")
    assert edges(dag) == {"start>work", "work>stop", "start>stop"}
    assert dag.get_task("start").is_setup
    assert dag.get_task("stop").is_teardown
    assert dag.get_task("stop").trigger_rule == "all_done_setup_success"


def test_a_teardown_as_context_manager_joins_what_is_inside(load_one: Callable[..., Any]) -> None:
    dag = load_one(FOUR + "with d.as_teardown(setups=a):\n    a >> b >> d")
    assert {"a>b", "b>d", "a>d"} == edges(dag)


# --- arguments of tasks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dag_arguments", "task_arguments", "retries"),
    [
        ("", "", 0),
        ("default_args={'retries': 2}", "", 2),
        ("default_args={'retries': 2}", ", retries=5", 5),
        ("default_args={'retries': 2}", ", default_args={'retries': 4}", 4),
    ],
)
def test_the_nearest_default_wins(
    load_one: Callable[..., Any], dag_arguments: str, task_arguments: str, retries: int
) -> None:
    dag = load_one(f"BaseOperator(task_id='a'{task_arguments})", dag_arguments)
    assert dag.get_task("a").retries == retries


def test_defaults_of_a_group_lie_between_those_of_the_dag_and_the_task(load_one: Callable[..., Any]) -> None:
    dag = load_one(
        "group = {'queue': 'of_group', 'retries': 3}\n"
        "with TaskGroup('g', default_args=group):\n    BaseOperator(task_id='a', retries=9)",
        "default_args={'queue': 'of_dag', 'owner': 'me'}",
    )
    task = dag.get_task("g.a")
    assert (task.queue, task.retries, task.owner) == ("of_group", 9, "me")


def test_override_changes_one_call_and_not_the_task(load_one: Callable[..., Any]) -> None:
    dag = load_one("""
@task(retries=1, queue="q")
def t(): pass
t.override(task_id="changed", retries=5, trigger_rule=TriggerRule.ALL_DONE)()
t()
""")
    changed, plain = dag.get_task("changed"), dag.get_task("t")
    assert (changed.retries, changed.queue, changed.trigger_rule) == (5, "q", "all_done")
    assert (plain.retries, plain.trigger_rule) == (1, "all_success")


@pytest.mark.parametrize(
    ("annotation", "inferred"),
    [("", False), (" -> int", False), (" -> dict", True), (" -> dict[str, int]", True), (" -> 'dict'", True),
     (" -> list[dict]", False), (" -> None", False)],
)  # fmt: skip
def test_multiple_outputs_is_inferred_from_the_annotation(
    load_one: Callable[..., Any], annotation: str, inferred: bool
) -> None:
    assert load_one(f"@task\ndef t(){annotation}: pass\nt()").get_task("t").multiple_outputs is inferred


def test_mapped_tasks_keep_what_is_mapped_and_what_is_not(load_one: Callable[..., Any]) -> None:
    dag = load_one("""
@task
def make(): return [1, 2]
@task(queue="frozen")
def add(x, y): return x + y
add.partial(y=10).expand(x=make())
add.override(task_id="pairs").expand_kwargs([{"x": 1, "y": 2}])
BaseOperator.partial(task_id="classic", retries=2).expand(pool=["a", "b"])
""")
    assert edges(dag) == {"make>add"}
    assert [task.task_id for task in dag.tasks if task.is_mapped] == ["add", "pairs", "classic"]
    assert dag.get_task("add").queue == "frozen"
    assert dag.get_task("classic").retries == 2


def test_params_have_a_value_a_schema_and_a_description(load_one: Callable[..., Any]) -> None:
    dag = load_one("", "params={'n': Param(5, type='integer', minimum=1, description='how many'), 'plain': 'x'}")
    assert dag.params.dump() == {"n": 5, "plain": "x"}
    param = dag.params.get_param("n")
    assert (param.schema, param.description) == ({"type": "integer", "minimum": 1}, "how many")


def test_tasks_are_listed_in_an_order_in_which_they_can_run(load_one: Callable[..., Any]) -> None:
    dag = load_one(FOUR + "d >> c >> b >> a")
    assert [task.task_id for task in dag.topological_sort()] == ["d", "c", "b", "a"]


# --- what is wrong, in Airflow's words --------------------------------------------------------------------------------

TWO = "    a, b = BaseOperator(task_id='a'), BaseOperator(task_id='b')\n"
WITH = "with DAG('flow', schedule=None) as flow:\n"
FLOW = "@task\ndef f(x): pass\n" + WITH
WRONG = {
    "a task id used twice": WITH + "    BaseOperator(task_id='a')\n    BaseOperator(task_id='a')\n",
    "a group id used twice": WITH + "    TaskGroup('g')\n    TaskGroup('g')\n",
    "a group id that is a task id": WITH + "    BaseOperator(task_id='a')\n    TaskGroup('a')\n",
    "a cycle": WITH + TWO + "    a >> b >> a\n",
    "a cycle of one": WITH + TWO + "    a >> a\n",
    "a bad trigger rule": WITH + "    BaseOperator(task_id='a', trigger_rule='sometimes')\n",
    "a bad weight rule": WITH + "    BaseOperator(task_id='a', weight_rule='heavy')\n",
    "a task id with a space": WITH + "    BaseOperator(task_id='a b')\n",
    "a task id that is too long": WITH + "    BaseOperator(task_id='a' * 251)\n",
    "a task id that is no string": WITH + "    BaseOperator(task_id=5)\n",
    "a group id with a dot": WITH + "    TaskGroup('a.b')\n",
    "no task id": WITH + "    BaseOperator()\n",
    "a Dag id with a space": "flow = DAG('a b')\n",
    "a Dag id that is too long": "flow = DAG('a' * 251)\n",
    "an argument no operator has": WITH + "    BaseOperator(task_id='a', color='red')\n",
    "an argument no Dag has": "flow = DAG('flow', color='red')\n",
    "an argument by position": WITH + "    BaseOperator('a')\n",
    "retries that are no number": WITH + "    BaseOperator(task_id='a', retries='many')\n",
    "a pool without slots": WITH + "    BaseOperator(task_id='a', pool_slots=0)\n",
    "a timeout that is no timedelta": WITH + "    BaseOperator(task_id='a', execution_timeout=5)\n",
    "a priority that is no number": WITH + "    BaseOperator(task_id='a', priority_weight='high')\n",
    "a param that does not fit": "flow = DAG('flow', schedule=None, params={'n': Param('x', type='integer')})\n",
    "a param without a value and a schedule": "flow = DAG('flow', schedule='@daily', start_date=datetime(2026, 1, 1), "
    "params={'n': Param(type='integer')})\n",
    "an argument too many": FLOW + "    f(1, 2)\n",
    "an argument too few": FLOW + "    f()\n",
    "an argument of another name": FLOW + "    f(y=1)\n",
    "a context key with a default": "@task\ndef f(ds='x'): pass\n",
    "expand without arguments": FLOW + "    f.expand()\n",
    "expand over an unknown argument": FLOW + "    f.expand(y=[1])\n",
    "expand over what has no length": FLOW + "    f.expand(x=5)\n",
    "an argument that is mapped and is not": FLOW + "    f.partial(x=1).expand(x=[1])\n",
    "partial without expand": FLOW + "    f.partial(x=1)\n",
    "a task decorator that does not exist": "@task.no_such_thing\ndef f(): pass\n",
    "chain of lists of unlike lengths": WITH + TWO + "    chain([a, b], [a])\n",
    "chain of what is no task": WITH + TWO + "    chain(a, 5)\n",
    "a task after what is no task": WITH + TWO + "    a >> 'b'\n",
    "tasks of two Dags": "with DAG('one', schedule=None):\n    a = BaseOperator(task_id='a')\n"
    "with DAG('two', schedule=None):\n    b = BaseOperator(task_id='b')\na >> b\n",
    "a schedule that is none": "flow = DAG('flow', schedule=5)\n",
    "a cron with two fields": "flow = DAG('flow', schedule='* *')\n",
    "a cron with an hour that no day has": "flow = DAG('flow', schedule='0 25 * * *')\n",
    "a list of other things as schedule": "flow = DAG('flow', schedule=['x'])\n",
    "a negative number of runs": "flow = DAG('flow', schedule='@continuous', max_active_runs=5)\n",
    "tags that are too long": "flow = DAG('flow', schedule=None, tags=['x' * 101])\n",
    "a start date that is no date": "flow = DAG('flow', schedule=None, start_date=5)\n",
    "fail_fast beside another trigger rule": "with DAG('flow', schedule=None, fail_fast=True):\n"
    "    BaseOperator(task_id='a', trigger_rule='all_done')\n",
    "a sensor of an unknown mode": WITH + "    BaseSensorOperator(task_id='a', mode='now')\n",
    "a sensor with a negative interval": WITH + "    BaseSensorOperator(task_id='a', poke_interval=-1)\n",
    "an asset without a name": "Asset('')\n",
    "an asset with a bad name": "Asset('ä')\n",
    "a task of a Dag that has none of it": "flow = DAG('flow', schedule=None)\nflow.get_task('x')\n",
    "two callables": WITH + "    f = task(lambda: 1)\n    f()\n",
    "a Dag function without a call of parameters": "@dag\ndef flow(x): pass\nflow()\n",
}  # fmt: skip

# Where our words differ on purpose: because they say more, or because Airflow's are an accident.
OWN_WORDS = {
    "a cycle": "AirflowDagCycleException: Cycle detected in Dag: flow. a >> b >> a",
    "a cycle of one": "AirflowDagCycleException: Cycle detected in Dag: flow. a >> a",
    "an argument of another name": "TypeError: got an unexpected keyword argument 'y'",
    "chain of what is no task": "TypeError: Relationships can only be set between Operators; received int",
    "a task after what is no task": "TypeError: Relationships can only be set between Operators; received str",
    "tasks of two Dags": "RuntimeError: Tried to set relationships between tasks in more than one Dag: {",
    "a cron with two fields": "AirflowTimetableInvalid: [* *] is not a cron expression: it has 2 fields",
    "a cron with an hour that no day has": "AirflowTimetableInvalid: [0 25 * * *] is not a cron expression: '25' is no "
    "hour, which goes from 0 to 23",
    "a start date that is no date": "TypeError: expected a datetime, got int 5",
}

# What Airflow's Dag processor does with a file, as (exception class, first line) or None.
REAL = """
import json, sys, warnings
warnings.simplefilter("ignore")
from airflow.sdk import DAG
from airflow.sdk.definitions._internal.contextmanager import DagContext, TaskGroupContext

found = {}
for name, text in json.load(sys.stdin).items():
    space = {"__name__": "flow", "__file__": "/flow.py"}
    DagContext.autoregistered_dags.clear()
    DagContext._context.clear(), TaskGroupContext._context.clear()
    try:
        exec(compile(text, "/flow.py", "exec"), space)
        dags = {each for each in space.values() if isinstance(each, DAG)}
        for each in dags | {each for each, _ in DagContext.autoregistered_dags}:
            each.timetable
            each.validate()
            each.check_cycle()
        found[name] = None
    except BaseException as error:
        found[name] = [type(error).__name__, (str(error).splitlines() or [""])[0]]
print("FOUND" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def airflows_errors() -> dict[str, Any]:
    pytest.importorskip("airflow.sdk", reason="apache-airflow is not installed")
    texts = json.dumps({name: PRELUDE + text for name, text in WRONG.items()})
    done = subprocess.run(
        [sys.executable, "-c", REAL], input=texts, capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("FOUND")[2])


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_as_airflow_says_it(
    airflows_errors: dict[str, Any], load: Callable[..., Any], name: str
) -> None:
    bag = load(WRONG[name])
    expected = airflows_errors[name]
    if expected is None:
        assert bag.import_errors == {}
        return
    [text] = bag.import_errors.values() or ["no error"]
    assert OWN_WORDS.get(name, ": ".join(expected)) in text.splitlines()[0]
    assert "flow_0.py:" in text
    assert not bag.dags


# --- what needs Jinja -------------------------------------------------------------------------------------------------


def test_a_task_that_has_something_rendered_is_known_before_it_runs(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(
        """
from airflow.sdk import DAG, task
from airflow.providers.standard.operators.bash import BashOperator

with DAG("flow", schedule=None):
    @task
    def plain(value):
        return value

    @task.bash
    def command():
        return "echo {{ ds }}"

    plain("nothing to render {here}")
    plain.override(task_id="argument")(["{{ ds }}"])
    plain.override(task_id="mapped").expand(value=["a", "{% if 1 %}b{% endif %}"])
    plain.override(task_id="label", map_index_template="{{ value }}").expand(value=[1])
    BashOperator(task_id="field", bash_command="echo {{ ds }}")
    BashOperator(task_id="no_field", bash_command="echo ds")
    command()
"""
    )
    bag = coordinator_bundle.load_dag_files([str(tmp_path / "flow.py")])
    assert coordinator_bundle.templated_tasks(bag.dags["flow"]) == ["argument", "mapped", "label", "field", "command"]


def test_a_variable_that_the_environment_lacks_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text("import os\nfrom airflow.sdk import DAG\nwhere = os.environ['NO_SUCH']\n")
    bag = coordinator_bundle.load_dag_files([str(tmp_path / "flow.py")])
    (text,) = bag.import_errors.values()
    assert "flow.py:3: KeyError: 'NO_SUCH': the environment has no such variable" in text
    assert "set NO_SUCH for both, or read it with os.environ.get, or inside a task" in text
