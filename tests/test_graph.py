"""Dags as drawings: what each form says, and that the places of boxes, frames and edges are right."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from test_command_line import MODULE, run, write

import coordinator_bundle as cb

SHOP = """\
from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Label, TaskGroup, task

with DAG("shop", schedule="@daily", start_date=datetime(2026, 1, 1)):

    def step(name, **arguments):
        return EmptyOperator(task_id=name, queue="frozen", **arguments)

    start = step("start")
    with TaskGroup("extract") as extract:
        for source in ("orders", "customers", "payments", "stock", "clicks", "returns"):
            with TaskGroup(source):
                step("list_files") >> step("download") >> step("check")

    @task.branch
    def how_full():
        return "transform.clean"

    @task
    def per_country(country):
        return country

    @task
    def make_cluster(): ...

    @task
    def drop_cluster(): ...

    choice = how_full()
    with TaskGroup("transform"):
        clean, convert = step("clean"), step("convert_currencies")
        mapped = per_country.expand(country=["de", "fr"])
        sums = [step(f"aggregate_by_{what}") for what in ("customer", "day", "product")]
        clean >> [step("deduplicate"), step("mask_addresses"), convert] >> mapped >> sums
        convert >> sums[1]
    sample = step("quick_sample")
    start >> extract >> choice
    choice >> Label("full") >> clean
    choice >> Label("sample") >> sample
    cluster = make_cluster().as_setup()
    with TaskGroup("load") as load:
        loads = [step(f"load_{what}") for what in ("facts", "dimensions", "snapshots")]
    drop = drop_cluster().as_teardown(setups=cluster)
    cluster >> loads >> drop
    sums >> load
    sample >> loads[2]
    with TaskGroup("publish") as publish:
        step("refresh_dashboards") >> step("warm_caches")
        step("mail_report")
        step("export_to_partner")
        step("update_search_index")
    load >> publish
    [publish, drop] >> step("done", trigger_rule="none_failed")
"""
SMALL = """\
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("small", schedule=None):
    a, b, c, d = (EmptyOperator(task_id=name) for name in "abcd")
    a >> [b, c] >> d
    a >> d
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("shop"), SHOP, "shop.py")


def dag_of(path: Path) -> Any:
    bag = cb.DagFiles([cb.DagFile.from_path(str(path))]).load_all()
    assert not bag.import_errors
    return next(iter(bag.dags.values()))


def random_dag(seed: int) -> Any:
    """Groups within groups, edges that jump, fan out, meet, and go through groups and back."""
    chance = random.Random(seed)
    with cb.DAG(f"random_{seed}", schedule=None) as dag:
        groups = [dag.task_group]
        for number in range(chance.randint(0, 5)):
            groups.append(cb.TaskGroup(f"g{number}", parent_group=chance.choice(groups), dag=dag))
        tasks = []
        for number in range(chance.randint(2, 26)):
            group = chance.choice(groups)
            tasks.append(cb.BaseOperator(task_id=f"t{number}" + "x" * chance.choice((0, 3, 14)), task_group=group))
        for number, task in enumerate(tasks[1:], 1):
            for _ in range(chance.choice((0, 1, 1, 1, 2, 4))):
                other = tasks[max(0, number - chance.randint(1, chance.choice((3, 9))))]
                if chance.random() < 0.1 and other.task_group is task.task_group:
                    other >> cb.Label("why") >> task
                else:
                    other >> task
    return dag


# --- geometry ---------------------------------------------------------------------------------------------------------


class Picture:
    """An SVG drawing, taken apart: `boxes` and `frames` (id to left, top, right, bottom), `edges` (ends, points).

    `pierced` counts the edges that go through the frame of a group they have nothing to do with (`check_geometry`).
    """

    def __init__(self, text: str) -> None:
        root = ElementTree.fromstring(text)
        self.boxes: dict[str, tuple[float, ...]] = {}
        self.frames: dict[str, tuple[float, ...]] = {}
        self.edges: list[tuple[str, str, list[tuple[float, float]]]] = []
        self.pierced = 0
        self.size = float(root.attrib["width"]), float(root.attrib["height"])
        for each in root.iter():
            kind, id_ = each.attrib.get("class"), each.attrib.get("data-id")
            if id_ is not None:
                x, y, width, height = (float(each.attrib[name]) for name in ("x", "y", "width", "height"))
                (self.boxes if kind == "task" else self.frames)[id_] = (x, y, x + width, y + height)
            if kind == "edge":
                self.edges.append((each.attrib["data-from"], each.attrib["data-to"], points(each.attrib["d"])))


def points(path: str) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for command, numbers in re.findall(r"([MHC])([^MHC]*)", path):
        values = [float(each) for each in numbers.split()]
        if command == "M":
            found.append((values[0], values[1]))
        elif command == "H":
            x, y = found[-1]
            found += [(x + (values[0] - x) * step / 40, y) for step in range(1, 41)]
        else:
            (x0, y0), (x1, y1, x2, y2, x3, y3) = found[-1], values
            for step in range(1, 41):
                t = step / 40
                a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
                found.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
    return found


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def inside(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return other[0] < one[0] and other[1] < one[1] and one[2] < other[2] and one[3] < other[3]


def check_geometry(dag: Any) -> Picture:
    picture = Picture(cb.graph_svg(cb.Chart(dag)))
    assert set(picture.boxes) == set(dag.task_ids)
    groups = {id_: {task.task_id for task in group} for id_, group in dag.task_group_dict.items()}
    groups = {id_: members for id_, members in groups.items() if members}
    assert set(picture.frames) == set(groups)
    boxes = list(picture.boxes.items())
    for number, (id_, box) in enumerate(boxes):
        assert 0 <= box[0] and 0 <= box[1] and box[2] <= picture.size[0] and box[3] <= picture.size[1]
        for other, its in boxes[number + 1 :]:
            assert not overlap(box, its), f"{id_} lies on {other}"
        for group, frame in picture.frames.items():
            assert inside(box, frame) if id_ in groups[group] else not overlap(box, frame), f"{id_} and frame {group}"
    for group, frame in picture.frames.items():
        for other, its in picture.frames.items():
            if group != other:
                nested = inside(frame, its) or inside(its, frame)
                assert nested or not overlap(frame, its), f"frames {group} and {other}"
    for up, down, line in picture.edges:
        for id_, (left, top, right, bottom) in boxes:
            if id_ not in (up, down):
                assert not any(left < x < right and top < y < bottom for x, y in line), f"{up} to {down} through {id_}"
        for group, (left, top, right, bottom) in picture.frames.items():
            # On its way out of a group an edge may cross what lies beside its task in that group.
            around = [its for its in groups.values() if its > groups[group]]
            if up and down and not {up, down} & groups[group].union(*around):
                picture.pierced += any(left < x < right and top < y < bottom for x, y in line)
    return picture


def crossings(picture: Picture) -> int:
    """Count the pairs of edges that cross and have no end in common."""
    found = 0
    for number, (up, down, line) in enumerate(picture.edges):
        for other_up, other_down, other in picture.edges[number + 1 :]:
            if {up, down} & {other_up, other_down} or not up or not down or not other_up or not other_down:
                continue
            found += meet(line, other)
    return found


def meet(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> bool:
    def side(a: Any, b: Any, c: Any) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    for a, b in zip(one, one[1:]):
        for c, d in zip(other, other[1:]):
            if max(a[0], b[0]) < min(c[0], d[0]) or max(c[0], d[0]) < min(a[0], b[0]):
                continue
            if side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0:
                return True
    return False


def test_nothing_lies_on_anything_in_the_picture_of_a_large_dag(shop: Path) -> None:
    picture = check_geometry(dag_of(shop))
    assert len(picture.boxes) == 40 and len(picture.frames) == 10
    assert picture.pierced == 0
    assert crossings(picture) <= 4


def test_nothing_lies_on_anything_whatever_the_dag() -> None:
    pictures = [check_geometry(random_dag(seed)) for seed in range(60)]
    # Tasks were put into groups without regard to what they depend on, and still few edges go through a group.
    assert sum(picture.pierced for picture in pictures) < sum(len(picture.edges) for picture in pictures) / 40


# --- a terminal -------------------------------------------------------------------------------------------------------

# Which sides of its place a character touches: above, right, below, left.
TOUCHES = {
    "│": "ns", "─": "ew", "┌": "es", "┐": "sw", "└": "ne", "┘": "nw", "├": "nes", "┤": "nsw", "┬": "esw", "┴": "new",
    "┼": "nesw",
}  # fmt: skip


def reached(text: str) -> dict[str, set[str]]:
    """Follow the lines of a drawing from left to right: task to the tasks whose arrows its lines lead to."""
    lines = [line.ljust(400) for line in text.splitlines()]
    named = {}
    for y, line in enumerate(lines):
        for match in re.finditer(r"│ (\w+) [│├]", line):
            named[y, match.start()] = match[1]
    found: dict[str, set[str]] = {name: set() for name in named.values()}
    for (y, x), name in named.items():
        end = x + len(name) + 3
        todo, done = ([(y, end + 1, "e")] if lines[y][end] == "├" else []), set()
        while todo:
            row, column, way = step = todo.pop()
            if step in done or row < 0:
                continue
            done.add(step)
            each = lines[row][column]
            if each == "▶":
                found[name].add(named[row, column + 1])
                continue
            label = re.match(r" \w+ ─", lines[row][column:])
            if way == "e" and (each in "│┆" or label):
                todo.append((row, column + (len(label[0]) - 1 if label else 1), "e"))
                continue
            sides = TOUCHES.get(each, "ew" if way == "e" and each != " " else "")
            for side in sides:
                if (way, side) in (("e", "e"), ("n", "e"), ("s", "e")):
                    todo.append((row, column + 1, "e"))
                elif side != "w" and {way, side} != {"n", "s"} and side != "e":
                    todo.append((row + (1 if side == "s" else -1), column, side))
    return found


def test_a_small_dag_is_drawn_with_boxes_and_arrows(tmp_path: Path) -> None:
    done = run(write(tmp_path, SMALL), "--graph", "small")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == """\
         ┌───┐
      ┌─▶│ b ├─┐
      │  └───┘ │
┌───┐ │  ┌───┐ │   ┌───┐
│ a ├─┼─▶│ c ├─┴┬─▶│ d │
└───┘ │  └───┘  │  └───┘
      └─────────┘
"""


def test_the_lines_of_a_drawing_lead_from_each_task_to_those_that_follow_it() -> None:
    drawn = 0
    for seed in range(60):
        dag = random_dag(seed)
        if dag.task_group_dict:
            continue
        drawn += 1
        edges = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
        text = cb.draw_dag(dag, width=1000)
        found = reached(text)
        assert set(found) == set(edges)
        for task_id, downs in edges.items():
            assert downs <= found[task_id], f"{task_id} of random_dag({seed})\n{text}"
    assert drawn > 3


def test_boxes_of_a_drawing_are_whole_and_frames_hold_what_belongs_to_the_group(shop: Path) -> None:
    dag = dag_of(shop)
    lines = cb.draw_dag(dag, width=400).splitlines()
    for task in dag.tasks:
        label = task.task_id.rpartition(".")[2]
        assert any(re.search(rf"[│├] [◇↥↧ ]*{label} [≡ ]*[│├]", line) for line in lines), task.task_id
    text = "\n".join(lines)
    assert text.count("┌") >= 40
    for group in ("extract", "orders", "transform", "load", "publish"):
        assert f"╭╌ {group} ╌" in text
    assert text.count("╭") == text.count("╮") == text.count("╰") == text.count("╯") == 10
    assert "─ full ─" in text or " full " in text
    assert lines[-1] == "◇ branch   ≡ mapped   ↥ setup   ↧ teardown"


@pytest.mark.parametrize("width", [60, 100, 140])
def test_a_drawing_keeps_to_the_width_of_the_terminal(shop: Path, width: int) -> None:
    text = cb.draw_dag(dag_of(shop), width=width)
    # A name in a list is not broken.
    assert max(map(len, text.splitlines())) <= max(width, 80)
    for path in sorted((Path(__file__).parent / "dags").glob("*.py")):
        if path.name not in ("slow_import.py", "with_dependency.py"):
            for dag in cb.DagFiles([cb.DagFile.from_path(str(path))]).load_all().dags.values():
                drawn = cb.draw_dag(dag, width=width)
                assert "→" in drawn or max(map(len, drawn.splitlines())) <= width


def test_a_dag_too_wide_for_the_terminal_is_a_list_under_its_groups(shop: Path) -> None:
    lines = cb.draw_dag(dag_of(shop), width=80).splitlines()
    assert lines[:6] == [
        "start → extract.*", "extract", "  orders", "    list_files → download", "    download → check",
        "    check → how_full",
    ]  # fmt: skip
    assert "◇ how_full → quick_sample, transform.clean" in lines


@pytest.mark.parametrize(
    ("locale", "plain"),
    [
        ({"LC_ALL": "en_US.UTF-8"}, False),
        ({"LANG": "C.utf8"}, False),
        ({}, False),
        ({"LC_ALL": "C"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
    ],
)
def test_a_terminal_that_cannot_show_more_gets_ascii(tmp_path: Path, locale: dict[str, str], plain: bool) -> None:
    path = write(tmp_path, SMALL)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONUTF8": "1", **locale}
    done = subprocess.run([sys.executable, str(MODULE), str(path), "--graph"], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().isascii() is plain
    if plain:
        assert b"| a +-+->| c +-++->| d |" in done.stdout


# --- states -----------------------------------------------------------------------------------------------------------


def test_states_of_a_run_are_shown_in_every_form(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL)
    states = write(tmp_path, json.dumps({"dag_id": "small", "states": {"a": "success", "b": "failed"}}), "states.json")
    text = run(path, "--graph", "--states", states).stdout
    assert "│ a ✓ ├" in text and "│ b ✗ ├" in text and "│ c ├" in text
    assert text.splitlines()[-1] == "✓ success   ✗ failed"
    svg = run(path, "--graph", "--format=svg", "--states", states).stdout
    assert "EmptyOperator · success" in svg and "EmptyOperator · failed" in svg and "#fbd9d7" in svg
    mermaid = run(path, "--graph", "--format=mermaid", "--states", states).stdout
    assert "classDef failed" in mermaid and "class n1 failed" in mermaid
    assert '"b" [label="b", fillcolor="#fbd9d7"' in run(path, "--graph", "--format=dot", "--states", states).stdout
    form = json.loads(run(path, "--graph", "--format=json", "--states", states).stdout)
    assert {task["task_id"]: task["state"] for task in form["tasks"]} == {
        "a": "success", "b": "failed", "c": None, "d": None,
    }  # fmt: skip


def test_a_mapped_task_shows_how_many_of_its_instances_are_in_the_worst_state(shop: Path) -> None:
    dag = dag_of(shop)
    states = {"transform.per_country": {0: "success", 1: "failed", 2: "failed"}}
    assert "per_country ≡ ✗ 2/3" in cb.draw_dag(dag, states, width=400)
    assert "1 success, 2 failed" in cb.graph_svg(cb.Chart(dag, states))


def test_colours_are_for_terminals_and_can_be_turned_off(tmp_path: Path) -> None:
    import pty

    path = write(tmp_path, SMALL)
    states = write(tmp_path, '{"a": "success"}', "states.json")
    command = [sys.executable, str(MODULE), str(path), "--graph", "--states", str(states)]
    assert "\033" not in subprocess.run(command, capture_output=True, text=True).stdout
    for off in (False, True):
        read, terminal = pty.openpty()
        environment = {"PATH": "/usr/bin:/bin", "TERM": "xterm", **({"NO_COLOR": "1"} if off else {})}
        done = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, env=environment)
        said = os.read(read, 100_000).decode()
        assert done.returncode == 0
        assert ("\033[32m│ a ✓ ├" in said) is not off and ("\033" in said) is not off


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "wants an object"),
        ("{", "not JSON"),
        ('{"a": 1}', "wants an object"),
        ('{"aa": "success"}', "Dag small has no task 'aa', did you mean 'a'?"),
        ('{"a": "sucess"}', "a: 'sucess' is no state, did you mean 'success'?"),
        (None, "cannot be read"),
    ],
)
def test_states_that_cannot_be_used_are_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    states = tmp_path / "states.json"
    if text is not None:
        states.write_text(text)
    done = run(write(tmp_path, SMALL), "--graph", "--states", states)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"--states {states}: {said}" in done.stderr


# --- Mermaid, dot, JSON -----------------------------------------------------------------------------------------------


def test_mermaid_has_groups_as_subgraphs_and_labels_that_cannot_break_out(shop: Path, tmp_path: Path) -> None:
    text = run(shop, "--graph", "--format", "mermaid").stdout
    assert text.startswith("flowchart LR\n")
    assert text.count("subgraph ") == text.count("\n  end") + text.count("\n    end") == 10
    assert '{{"how_full"}}' in text and '[["per_country"]]' in text and '|"full"|' in text
    odd = SMALL.replace('for name in "abcd"', 'for name in "abcd"').replace(
        "task_id=name", "task_id=name, task_display_name=f'{name}\"]; end %% <b>'"
    )
    text = run(write(tmp_path, odd), "--graph", "--format", "mermaid").stdout
    for line in text.splitlines()[1:]:
        assert re.fullmatch(r'  n\d+(\["[\w .#;-]+"\]| --> n\d+)', line), line


def test_graphviz_accepts_dot(shop: Path, tmp_path: Path) -> None:
    import shutil

    text = run(shop, "--graph", "--format", "dot").stdout
    assert text.startswith('digraph "shop" {') and text.count("subgraph") == 10
    assert text.count("{") == text.count("}")
    if shutil.which("dot"):
        done = subprocess.run(["dot", "-Tplain"], input=text, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert sum(line.startswith("node ") for line in done.stdout.splitlines()) >= 40


def test_json_has_the_edges_between_tasks_that_airflow_has(shop: Path) -> None:
    form = json.loads(run(shop, "--graph", "--format", "json").stdout)
    dag = dag_of(shop)
    assert [task["task_id"] for task in form["tasks"]][0] == "start"
    edges = {(task.task_id, down) for task in dag.tasks for down in task.downstream_task_ids}
    assert {(edge["from"], edge["to"]) for edge in form["edges"]} == edges
    marks = {task["task_id"]: task["marks"] for task in form["tasks"] if task["marks"]}
    assert marks == {
        "how_full": ["branch"], "transform.per_country": ["mapped"], "make_cluster": ["setup"],
        "drop_cluster": ["teardown"],
    }  # fmt: skip
    assert {"from": "how_full", "to": "quick_sample", "label": "sample"} in form["edges"]
    assert {group["group_id"]: group["parent"] for group in form["groups"]}["extract.stock"] == "extract"


def test_an_svg_is_well_formed_whatever_the_names(tmp_path: Path) -> None:
    odd = SMALL.replace("task_id=name", "task_id=name, task_display_name=f'<{name}> & \"é日本\"'")
    done = run(write(tmp_path, odd), "--graph", "--format=svg")
    assert done.returncode == 0
    texts = [each.text for each in ElementTree.fromstring(done.stdout).iter() if each.tag.endswith("text")]
    assert '<a> & "é日本"' in texts


@pytest.mark.parametrize("form", ["text", "svg"])
def test_the_same_dag_is_the_same_drawing_whatever_the_order_of_sets(shop: Path, form: str) -> None:
    command = [sys.executable, str(MODULE), str(shop), "--graph", "--format", form]
    drawn = [
        subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    ]
    assert drawn[0] == drawn[1] != b""


# --- which Dag --------------------------------------------------------------------------------------------------------


def test_a_dag_that_is_not_there_is_named_with_its_nearest(shop: Path, tmp_path: Path) -> None:
    done = run(shop, "--graph", "shpo")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--graph shpo: there is no such Dag, did you mean 'shop'?" in done.stderr
    done = run(shop, "--graph=zzz")
    assert "there is no such Dag; there is shop" in done.stderr
    done = run(shop, write(tmp_path, SMALL), "--graph")
    assert "--graph needs the id of a Dag: shop, small" in done.stderr
    done = run(shop, "--graph", "--format", "pgn")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no such form, did you mean 'png'" not in done.stderr
    assert "take one of text, mermaid, dot, svg, json" in done.stderr
    assert "--format goes with --graph" in run(shop, "--parse", "--format", "svg").stderr


def test_a_dag_without_tasks_has_a_drawing_too(tmp_path: Path) -> None:
    path = write(tmp_path, 'from airflow.sdk import DAG\nflow = DAG("flow", schedule=None)\n')
    for form in ("text", "svg", "mermaid", "dot", "json"):
        done = run(path, "--graph", "--format", form)
        assert (done.returncode, done.stderr) == (0, ""), form


def test_a_bundle_draws_what_the_module_draws(make_bundle: Any) -> None:
    path = Path(__file__).parent / "dags" / "example_etl.py"
    bundle = make_bundle("example_etl.py")
    for form in cb.GRAPH_FORMATS:
        done = subprocess.run([str(bundle), "--graph", "example_etl", "--format", form], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == run(path, "--graph", "--format", form).stdout
