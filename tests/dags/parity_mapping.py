"""Mapped tasks and task groups: what each instance gets, and what it asks for to know."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseOperator, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException


class Shows(BaseOperator):
    template_fields = ("value", "other")

    def __init__(self, *, value, other=None, **kwargs):
        super().__init__(**kwargs)
        self.value, self.other = value, other

    def execute(self, context):
        context["label"] = f"label {self.value}"
        return [self.value, self.other, context["ti"].map_index, sorted(context["params"].items())]


with DAG("parity_mapping", schedule=None, start_date=datetime(2026, 1, 1), catchup=False, params={"p": 1}):

    @task
    def numbers():
        return [1, 2, 3]

    @task
    def words():
        return {"a": "A", "b": "B"}

    @task
    def nothing_to_map():
        return None

    @task
    def not_mappable():
        return 7

    @task
    def show(value, other=None):
        return [value, other, get_current_context()["ti"].map_index]

    listed, named = numbers(), words()

    show.override(task_id="literals").expand(value=["x", {"a": 1}, None])
    show.override(task_id="pairs").expand(value=[1, 2], other=["a", "b", "c"])
    show.override(task_id="of_dict").expand(value={"k": "v", "l": "w"})
    show.override(task_id="of_task").expand(value=listed)
    show.override(task_id="of_dict_task").expand(value=named)
    show.override(task_id="with_partial").partial(other=listed).expand(value=listed)
    show.override(task_id="with_template").partial(other="{{ ds }} {{ ti.map_index }}").expand(value=["{{ ds }}"])
    show.override(task_id="of_kwargs").expand_kwargs([{"value": 1}, {"value": 2, "other": "two"}])
    show.override(task_id="of_kwargs_task").partial(other=0).expand_kwargs(listed.map(lambda n: {"value": n}))
    show.override(task_id="zipped").expand(value=listed.zip(named, fillvalue="none"))
    show.override(task_id="concatenated").expand(value=listed.concat(numbers.override(task_id="more_numbers")()))
    show.override(task_id="doubled").expand(value=listed.map(lambda n: n * 2).map(lambda n: str(n)))
    show.override(task_id="filtered").expand(value=listed.map(lambda n: n if n != 2 else skip()))
    show.override(task_id="of_nothing").expand(value=nothing_to_map())
    show.override(task_id="of_unmappable").expand(value=not_mappable())

    def skip():
        raise AirflowSkipException("not this one")

    @task(map_index_template="{{ task.op_kwargs['value'] }} of {{ ti.map_index }}")
    def labelled(value):
        return value

    @task(map_index_template="{{ own_label }}")
    def labelled_by_itself(value):
        get_current_context()["own_label"] = f"number {value}"
        return value

    @task(map_index_template="{{ own_label }}")
    def labelled_failing(value):
        get_current_context()["own_label"] = "before the fall"
        raise ValueError(value)

    @task(map_index_template="{{ never_set }}")
    def label_missing(value):
        return value

    @task(map_index_template="{{ ds")
    def label_broken(value):
        return value

    labelled.expand(value=listed)
    labelled_by_itself.expand(value=[1, 2])
    labelled_failing.expand(value=[1, 2])
    label_missing.expand(value=[1])
    label_broken.expand(value=[1])

    Shows.partial(task_id="classic", other="{{ ds }}", map_index_template="{{ label }}", params={"own": 2}).expand(
        value=listed.map(lambda n: str(n))
    )
    Shows.partial(task_id="classic_kwargs").expand_kwargs([{"value": "{{ ds }}", "other": 1}, {"value": 2}])
    BashOperator.partial(task_id="commands", env={"DAY": "{{ ds }}"}).expand(bash_command=["echo $DAY one", "echo two"])
    PythonOperator.partial(task_id="calls", python_callable=lambda a, b=0: [a, b]).expand(op_args=[["x"], ["y", 2]])

    @task
    def lazy(values):
        return [type(values).__name__, len(values), list(values), values[1], values[-1], values[0:2], repr(values)]

    @task
    def half_lazy(values):
        for value in values:
            return value

    @task
    def out_of_range(values):
        return values[99]

    @task
    def collected(values):
        return values

    mapped = show.override(task_id="producer").expand(value=listed)
    lazy(mapped)
    half_lazy(mapped)
    out_of_range(mapped)
    collected(mapped)
    show.override(task_id="mapped_twice").expand(value=mapped)
    show.override(task_id="index_of_mapped").expand(value=mapped.map(lambda v: v[0]))

    @task_group
    def section(value):
        @task
        def inside(value):
            return value * 10

        @task
        def after(value):
            return ["after", value]

        @task
        def twice(value, more):
            return [value, more]

        @task(map_index_template="{{ value }}")
        def from_outside(numbers, ti=None):
            return [numbers, ti.map_index]

        made = inside(value)
        twice(made, value)
        from_outside(listed)
        return after(made)

    sections = section.expand(value=listed)
    collected.override(task_id="of_sections")(sections)

    @task_group
    def literal_section(value, other):
        @task
        def inside(value, other, constant):
            return [value, other, constant]

        inside(value, other, "c")

    literal_section.partial(other="fixed").expand(value=["a", "b"])

    @task
    def result_by_key(a, b):
        return [a, b]

    @task(multiple_outputs=True)
    def keyed():
        return {"a": 1, "b": 2}

    made = keyed()
    result_by_key(made["a"], made["b"])
    result_by_key.override(task_id="key_missing")(made["a"], made["absent"])
    result_by_key.override(task_id="nested_arguments")({"x": [listed, "{{ ds }}"]}, (named, {"deep": made["a"]}))
