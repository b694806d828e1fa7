"""Serde against the real airflow.sdk.serde, in both directions."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import subprocess
import sys
import types
import uuid
import zoneinfo
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coordinator_bundle as cb
from coordinator_bundle import SerdeError, allow_class, deserialize_value, serialize_value

real = pytest.importorskip("airflow.sdk.serde")
attrs = pytest.importorskip("attrs")
pendulum = pytest.importorskip("pendulum")
pydantic = pytest.importorskip("pydantic")

ROOT = Path(__file__).resolve().parent.parent


class Point(NamedTuple):
    x: int
    y: int


class Text(str):
    pass


class Number(int):
    pass


class Ratio(float):
    pass


class Listed(list):
    pass


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Plain(enum.Enum):
    ONE = 1


@dataclasses.dataclass
class Row:
    __version__ = 2
    name: str
    when: dt.datetime
    tags: tuple = ()


@dataclasses.dataclass
class Nested:
    row: Any
    rows: list


@attrs.define
class Box:
    content: Any
    hidden: int = attrs.field(default=7, init=False)


class Model(pydantic.BaseModel):
    name: str
    when: dt.datetime
    inner: list[int] = []


class Custom:
    __version__ = 3

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Custom) and other.value == self.value

    __hash__ = None  # type: ignore[assignment]

    def serialize(self) -> dict[str, Any]:
        return {"value": self.value}

    @staticmethod
    def deserialize(data: dict[str, Any], version: int) -> Custom:
        assert version == 3
        return Custom(data["value"])


class Listing(Custom):
    def serialize(self) -> Any:
        return self.value

    @staticmethod
    def deserialize(data: Any, version: int) -> Listing:
        return Listing(data)


OWN_CLASSES = [Row, Nested, Box, Model, Custom, Listing]


@pytest.fixture(autouse=True)
def clean_value_types(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES", raising=False)
    monkeypatch.delenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES_REGEXP", raising=False)
    writers, readers, legacy = (
        dict(getattr(cb.value_types, name)) for name in ("writers", "readers", "legacy_readers")
    )
    cb.value_types.reset()
    yield
    cb.value_types.reset()
    cb.value_types.writers, cb.value_types.readers, cb.value_types.legacy_readers = writers, readers, legacy


@pytest.fixture
def own_classes_allowed():
    for cls in OWN_CLASSES:
        allow_class(cls)
        real.allow_class(cls)
    yield
    real._extra_allowed -= {real.qualname(cls) for cls in OWN_CLASSES}


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
MOMENT = dt.datetime(2024, 10, 29, 2, 30, 1, 123456, tzinfo=BERLIN)

VALUES = {
    "none": None,
    "true": True,
    "int": 5,
    "int of 70 bits": 2**70,
    "negative": -(2**63),
    "float": 1.5,
    "infinity": float("inf"),
    "text": "grüße \x00 \N{SNOWMAN}",
    "str subclass": Text("t"),
    "int subclass": Number(4),
    "float subclass": Ratio(0.5),
    "str enum": Colour.RED,
    "int enum": Level.HIGH,
    "empty list": [],
    "empty dict": {},
    "nested": {"a": [1, {"b": [None, "x", (1, [2, {3}])]}]},
    "list subclass": Listed([1, (2,)]),
    "dict subclass": collections.OrderedDict(a=1, b=(2,)),
    "defaultdict": collections.defaultdict(int, a=1),
    "tuple": (1, "a", (2, None)),
    "empty tuple": (),
    "set": {1, 2, 3},
    "frozenset": frozenset({"a"}),
    "namedtuple": Point(1, 2),
    "date": dt.date(2024, 2, 29),
    "naive": dt.datetime(2024, 1, 2, 3, 4, 5, 6),
    "utc": dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc),
    "before 1970": dt.datetime(1901, 1, 2, tzinfo=dt.timezone.utc),
    "zoneinfo": MOMENT,
    "zoneinfo first fold": MOMENT.replace(day=27),
    "zoneinfo second fold": MOMENT.replace(day=27, fold=1),
    "zoneinfo utc": dt.datetime(2024, 1, 2, tzinfo=zoneinfo.ZoneInfo("UTC")),
    "timedelta": dt.timedelta(days=-2, seconds=3, microseconds=4),
    "zone": BERLIN,
    "pendulum": pendulum.datetime(2024, 1, 2, 3, tz="Europe/Paris"),
    "pendulum utc": pendulum.datetime(2024, 1, 2, 3),
    "pendulum offset": pendulum.datetime(2024, 1, 2, 3, tz=pendulum.timezone(-3600)),
    "pendulum date": pendulum.date(2024, 1, 2),
    "pendulum zone": pendulum.timezone("Asia/Tokyo"),
    "pendulum fixed zone": pendulum.timezone(5400),
    "decimal": decimal.Decimal("1.25"),
    "decimal int": decimal.Decimal("1E+3"),
    "decimal infinity": decimal.Decimal("-Infinity"),
    "uuid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "dataclass": Row("r", MOMENT, (1, 2)),
    "dataclass in a list": [Row("r", MOMENT)],
    "attrs": Box((1, {"a": MOMENT})),
    "pydantic": Model(name="n", when=MOMENT, inner=[1]),
    "custom": Custom({"a": (1, 2)}),
    "custom list": Listing([1, "b"]),
    "custom none": Listing(None),
}


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("name", VALUES)
def test_writes_exactly_what_airflow_writes(name: str) -> None:
    value = VALUES[name]
    ours, theirs = serialize_value(value), real.serialize(value)
    assert same(ours, theirs)
    assert repr(ours) == repr(theirs)


@pytest.mark.usefixtures("own_classes_allowed")
@pytest.mark.parametrize("name", VALUES)
def test_each_side_reads_what_the_other_wrote(name: str) -> None:
    value = VALUES[name]
    written = real.serialize(value)
    theirs, ours = real.deserialize(written), deserialize_value(written)
    assert same(ours, theirs)
    assert real.deserialize(serialize_value(value)) == theirs


def test_a_nested_dataclass_loses_its_inner_class_as_in_airflow() -> None:
    value = Nested(row=Row("r", MOMENT), rows=[Row("s", MOMENT)])
    assert serialize_value(value) == real.serialize(value)


def test_a_dict_key_becomes_str_of_it_as_in_airflow() -> None:
    value = {1: "a", None: "b", (1, 2): "c", Colour.RED: "d", Text("t"): "e", 1.5: "f", False: "g"}
    assert repr(serialize_value(value)) == repr(real.serialize(value))
    assert all(type(key) is str for key in serialize_value(value))


def test_nan_passes_as_it_is() -> None:
    assert serialize_value([float("nan")])[0] != serialize_value([float("nan")])[0]
    written = serialize_value(decimal.Decimal("NaN"))
    assert repr(written) == repr(real.serialize(decimal.Decimal("NaN")))
    assert deserialize_value(written).is_nan()


def test_a_decimal_loses_trailing_zeros_as_in_airflow() -> None:
    written = real.serialize(decimal.Decimal("1.10"))
    assert serialize_value(decimal.Decimal("1.10")) == written
    assert str(deserialize_value(written)) == str(real.deserialize(written)) == "1.1"


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.dates()
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.datetimes(min_value=dt.datetime(1970, 1, 2), max_value=dt.datetime(2100, 1, 1))
    | st.datetimes(min_value=dt.datetime(1970, 1, 2), timezones=st.just(dt.timezone.utc))
    | st.datetimes(
        min_value=dt.datetime(1970, 1, 2),
        max_value=dt.datetime(2100, 1, 1),
        timezones=st.sampled_from([BERLIN, zoneinfo.ZoneInfo("America/New_York"), pendulum.timezone(3600)]),
    )
)
hashables = st.none() | st.booleans() | st.integers() | st.text() | st.dates() | st.uuids()
keys = st.text().filter(lambda key: key not in ("__classname__", "__id__", "__type", "__var"))
values = st.recursive(
    scalars | st.sets(hashables) | st.frozensets(hashables),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.lists(inner).map(tuple),
    max_leaves=15,
)


@settings(max_examples=150, deadline=None)
@given(values)
def test_any_nested_value_is_written_alike_and_read_alike(value: Any) -> None:
    written = serialize_value(value)
    assert repr(written) == repr(real.serialize(value))
    assert deserialize_value(written) == real.deserialize(written)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.lists(inner).map(tuple),
    max_leaves=15,
)


@settings(max_examples=100, deadline=None)
@given(plain)
def test_a_plain_value_comes_back_as_itself(value: Any) -> None:
    assert deserialize_value(serialize_value(value)) == value


junk = st.recursive(
    st.none()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["builtins.set", "datetime.datetime", "uuid.UUID"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["__classname__", "__version__", "__data__", "__type", "__var", "tz", "timestamp", "k"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(junk)
def test_damaged_data_gives_a_value_or_a_serde_error(data: Any) -> None:
    try:
        deserialize_value(data)
    except SerdeError:
        pass


# ---- numpy, pandas ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 bool_ intc".split(),
)
def test_numpy_scalars_agree(kind: str) -> None:
    numpy = pytest.importorskip("numpy")
    value = {"a": [getattr(numpy, kind)(1)]}
    written = serialize_value(value)
    assert repr(written) == repr(real.serialize(value))
    ours = deserialize_value(written)
    assert same(ours["a"][0], real.deserialize(written)["a"][0])


@pytest.mark.filterwarnings("ignore")
def test_numpy_complex_numbers_lose_their_imaginary_part_as_in_airflow() -> None:
    numpy = pytest.importorskip("numpy")
    for kind in (numpy.complex64, numpy.complex128):
        assert serialize_value(kind(1 + 2j)) == real.serialize(kind(1 + 2j))


def test_numpy_arrays_are_refused_as_in_airflow_and_the_place_is_named() -> None:
    numpy = pytest.importorskip("numpy")
    with pytest.raises(TypeError):
        real.serialize(numpy.array([1]))
    with pytest.raises(SerdeError, match=r"numpy\.ndarray.*\$\.a\[1\]"):
        serialize_value({"a": [1, numpy.array([1])]})


def test_a_data_frame_agrees() -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None]})
    written = serialize_value({"frame": frame})
    assert written == real.serialize({"frame": frame})
    assert deserialize_value(written)["frame"].equals(frame)


# ---- time zones ------------------------------------------------------------------------------------------------------


def test_a_fixed_offset_that_airflow_cannot_read_back_is_written_so_that_it_can() -> None:
    value = dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    with pytest.raises(ValueError, match="ZoneInfo"):
        real.deserialize(real.serialize(value))
    back = real.deserialize(serialize_value(value))
    assert back == value
    assert back.utcoffset() == value.utcoffset()
    assert deserialize_value(serialize_value(value)) == value


def test_a_datetime_whose_zone_airflow_lost_is_still_the_same_instant() -> None:
    value = dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert deserialize_value(real.serialize(value)) == value


@pytest.mark.parametrize("zone", ["EDT", "CEST", "Europe/Berlin", "UTC"])
def test_datetimes_of_version_1_are_read(zone: str) -> None:
    data = {
        "__classname__": "datetime.datetime",
        "__version__": 1,
        "__data__": {"timestamp": 1700000000.5, "tz": zone},
    }
    ours, theirs = deserialize_value(data), real.deserialize(data)
    assert ours == theirs
    assert ours.utcoffset() == theirs.utcoffset()


def test_without_pendulum_its_datetimes_are_standard_ones_at_the_same_instant() -> None:
    moments = [
        pendulum.datetime(2024, 7, 2, 3, tz="Europe/Paris"),
        pendulum.datetime(2024, 1, 2),
        pendulum.datetime(2024, 1, 2, tz=pendulum.timezone(-3600)),
    ]
    written = real.serialize(
        [*moments, pendulum.date(2024, 1, 2), pendulum.timezone("Asia/Tokyo"), pendulum.timezone(3600), MOMENT]
    )
    out = run(
        "import sys, json\n"
        "sys.modules['pendulum'] = None\n"
        "import coordinator_bundle as cb\n"
        f"values = cb.deserialize_value({written!r})\n"
        "print(json.dumps([[str(each) for each in values], [type(each).__module__ for each in values]]))"
    )
    texts, modules = json.loads(out)
    assert texts[:3] == [moment.isoformat(" ") for moment in moments]
    assert texts[3:] == ["2024-01-02", "Asia/Tokyo", "UTC+01:00", str(MOMENT)]
    assert set(modules) == {"datetime", "zoneinfo"}


# ---- what may be built -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "classname",
    [
        "os.system",
        "builtins.eval",
        "builtins.dict",
        "subprocess.Popen",
        "antigravity.geohash",
        "system",
        ".",
        "..",
        "pendulum.tz.timezone.Timezone.x",
        "decimal.Context",
        "datetime.timezone",
        "numpy.load",
        "unusual_prefix_0123abcd_dag.Row",
    ],
)
def test_a_class_that_is_not_allowed_is_neither_built_nor_imported(classname: str) -> None:
    for data in (
        {"__classname__": classname, "__version__": 0, "__data__": "true"},
        {"__type": classname, "__var": ["true"]},
    ):
        before = set(sys.modules)
        with pytest.raises(SerdeError, match="may not be built here") as caught:
            deserialize_value({"rows": [1, data]})
        assert isinstance(caught.value, ImportError)
        assert str(caught.value).endswith("(at $.rows[1])")
        assert set(sys.modules) - before <= {"fnmatch", "re"}
        with pytest.raises(ImportError):
            real.deserialize(data)


def test_a_gadget_inside_an_allowed_value_builds_nothing() -> None:
    gadget = {"__classname__": "os.system", "__version__": 0, "__data__": "true"}
    with pytest.raises(SerdeError, match=r"os\.system"):
        deserialize_value({"__classname__": "builtins.tuple", "__version__": 1, "__data__": [gadget]})


def test_functions_modules_and_own_machinery_are_never_called_even_when_the_pattern_allows_them(monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES", "*")
    for classname in ("os.system", "os.path", "coordinator_bundle.ValueTypes", "subprocess.Popen", "os.nothing"):
        with pytest.raises(SerdeError):
            deserialize_value({"__classname__": classname, "__version__": 0, "__data__": {}})


def test_an_airflow_class_that_the_bundle_lacks_is_named_in_the_error() -> None:
    with pytest.raises(SerdeError, match=r"airflow\.nowhere\.Thing, which is not in this bundle"):
        deserialize_value({"__classname__": "airflow.nowhere.Thing", "__version__": 1, "__data__": {}})


@pytest.mark.parametrize("value", [VALUES["dataclass"], VALUES["attrs"], VALUES["pydantic"], VALUES["custom"]])
def test_an_own_class_is_read_only_when_allowed(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written = serialize_value(value)
    with pytest.raises(ImportError):
        real.deserialize(written)
    with pytest.raises(SerdeError, match=type(value).__name__):
        deserialize_value(written)
    monkeypatch.setenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES", "airflow.* nothing *test_s?rde.*")
    assert deserialize_value(written) == value
    monkeypatch.setenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES", f"{type(value).__module__}.*")
    assert deserialize_value(written) == value


def test_a_regular_expression_must_match_the_whole_name(monkeypatch: pytest.MonkeyPatch) -> None:
    written = serialize_value(VALUES["custom"])
    monkeypatch.setenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES_REGEXP", r".*test_serde\.Cust")
    with pytest.raises(SerdeError):
        deserialize_value(written)
    monkeypatch.setenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES_REGEXP", r"x .*test_serde\.Custom")
    assert deserialize_value(written) == VALUES["custom"]


def test_an_invalid_regular_expression_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES_REGEXP", "(")
    with pytest.raises(SerdeError, match="REGEXP"):
        deserialize_value(serialize_value(VALUES["custom"]))


def test_allow_class_refuses_what_cannot_be_found_again() -> None:
    class Inner:
        pass

    renamed = type("Elsewhere", (), {"__module__": __name__})
    for cls in (Inner, renamed):
        with pytest.raises(ValueError, match=cls.__name__):
            allow_class(cls)
        with pytest.raises(ValueError, match=cls.__name__):
            real.allow_class(cls)


def test_a_newer_version_of_a_class_is_refused_as_in_airflow() -> None:
    allow_class(Row)
    for classname, version in ((real.qualname(Row), 3), ("builtins.tuple", 2), ("decimal.Decimal", 2)):
        data = {"__classname__": classname, "__version__": version, "__data__": {}}
        with pytest.raises(SerdeError, match=f"version {version} is newer"):
            deserialize_value(data)


def test_fields_that_do_not_fit_the_class_are_an_error() -> None:
    allow_class(Row)
    with pytest.raises(SerdeError, match=r"fields of a .*Row.*\$\.a"):
        deserialize_value({"a": {"__classname__": real.qualname(Row), "__version__": 2, "__data__": {"nome": "x"}}})


def test_an_error_of_a_pydantic_model_reaches_the_author_with_the_place_as_a_note() -> None:
    allow_class(Model)
    data = {"rows": [{"__classname__": real.qualname(Model), "__version__": 1, "__data__": {"name": "x"}}]}
    with pytest.raises(pydantic.ValidationError) as caught:
        deserialize_value(data)
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == ["while deserialising the value at $.rows[0]"]


# ---- classes of the Dag file, and Airflow's own ----------------------------------------------------------------------


def test_a_class_of_the_dag_file_is_found_under_any_path_digest_once_allowed() -> None:
    module: Any = types.ModuleType("orders_dag")
    sys.modules["orders_dag"] = module
    try:
        for name in ("Order", "Secret"):
            setattr(module, name, dataclasses.make_dataclass(name, ["number"], namespace={"__module__": "orders_dag"}))
            getattr(module, name).__module__ = "orders_dag"
        allow_class(module.Order)
        names = {"orders_dag.Order": module.Order, "orders_dag.Secret": module.Secret}
        cb.value_types.resolve_class = names.get
        for prefix in ("unusual_prefix_" + "0a" * 20 + "_", "unusual_prefix_ff_", ""):
            data = {"__classname__": f"{prefix}orders_dag.Order", "__version__": 0, "__data__": {"number": 3}}
            assert deserialize_value([data]) == [module.Order(3)]
        for classname in ("unusual_prefix_ff_orders_dag.Secret", "unusual_prefix_xyz_orders_dag.Order"):
            with pytest.raises(SerdeError, match="may not be built here"):
                deserialize_value({"__classname__": classname, "__version__": 0, "__data__": {"number": 3}})
        cb.value_types.name_class = lambda cls: f"unusual_prefix_ff_{cls.__module__}.{cls.__name__}"
        assert serialize_value(module.Order(3))["__classname__"] == "unusual_prefix_ff_orders_dag.Order"
    finally:
        del sys.modules["orders_dag"]


def test_an_allowed_class_of_a_dag_file_that_is_not_loaded_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES", "unusual_prefix_*")
    with pytest.raises(SerdeError, match=r"Order of the Dag file orders_dag\.py"):
        deserialize_value({"__classname__": "unusual_prefix_ff_orders_dag.Order", "__version__": 0, "__data__": {}})


class OurAsset:
    """Stands for a class of the bundle that carries Airflow's name on the wire."""

    def __init__(self, name: str, uri: str, group: str = "asset", extra: Any = None) -> None:
        self.name, self.uri, self.group, self.extra = name, uri, group, extra


def test_a_registered_class_travels_under_airflows_name() -> None:
    from airflow.sdk import Asset

    cb.register_value_type(
        "airflow.sdk.definitions.asset.Asset",
        OurAsset,
        serialize=lambda asset: {
            "name": asset.name,
            "uri": asset.uri,
            "group": asset.group,
            "extra": asset.extra or {},
            "watchers": [],
            "access_control": None,
        },
        deserialize=lambda data, version: OurAsset(data["name"], data["uri"], data["group"], data["extra"]),
        version=1,
        aliases=("airflow.sdk.Asset",),
    )
    theirs = real.deserialize({"a": serialize_value({"a": OurAsset("n", "s3://b/k", extra={"t": 1})})["a"] | {}})["a"]
    assert isinstance(theirs, Asset)
    assert (theirs.name, theirs.uri, theirs.extra) == ("n", "s3://b/k", {"t": 1})
    written = real.serialize([Asset("n", "s3://b/k", extra={"t": 1})])
    ours = deserialize_value(written)[0]
    assert (type(ours), ours.name, ours.uri, ours.extra) == (OurAsset, "n", "s3://b/k", {"t": 1})
    assert type(deserialize_value({**written[0], "__classname__": "airflow.sdk.Asset"})) is OurAsset
    with pytest.raises(SerdeError, match="version 9"):
        deserialize_value({**written[0], "__version__": 9})


def test_a_subclass_of_a_registered_class_keeps_its_own_name() -> None:
    class Mine(OurAsset):
        pass

    cb.register_value_type("airflow.x.Asset", OurAsset, serialize=lambda asset: {"name": asset.name}, version=1)
    assert serialize_value(Mine("n", "u"))["__data__"] == {"name": "n"}
    assert serialize_value(Mine("n", "u"))["__classname__"].endswith("Mine")


# ---- the older form --------------------------------------------------------------------------------------------------


def test_next_kwargs_in_the_form_of_serialised_dags_are_read() -> None:
    from airflow.serialization.serialized_objects import BaseSerialization

    kwargs = {
        "moment": pendulum.datetime(2024, 1, 2),
        "delta": dt.timedelta(seconds=5),
        "pair": (1, [2, {"x": (3,)}]),
        "names": {"a", "b"},
        "zone": pendulum.timezone("Europe/Paris"),
        "plain": [1, None, "x", {"y": 1.5}],
        "error": KeyError("k"),
    }
    read = cb.deserialize_next_kwargs(BaseSerialization.serialize(kwargs))
    theirs = BaseSerialization.deserialize(BaseSerialization.serialize(kwargs))
    error, expected = read.pop("error"), theirs.pop("error")
    assert read == theirs
    assert (type(error), error.args) == (type(expected), expected.args)


def test_next_kwargs_in_the_value_form_are_read() -> None:
    kwargs = {"event": {"moment": MOMENT, "pair": (1, 2)}}
    assert cb.deserialize_next_kwargs(real.serialize(kwargs)) == kwargs
    assert cb.deserialize_next_kwargs(None) == {}
    with pytest.raises(SerdeError, match="must hold a dict"):
        cb.deserialize_next_kwargs([1])


def test_a_relativedelta_of_the_older_form_is_read() -> None:
    relativedelta = pytest.importorskip("dateutil.relativedelta")
    data = {"__type": "relativedelta", "__var": {"days": 1, "weekday": [4, 2]}}
    expected = relativedelta.relativedelta(days=1, weekday=relativedelta.FR(2))
    assert deserialize_value({"a": data}) == {"a": expected}


def test_a_later_section_can_teach_an_older_type() -> None:
    cb.register_legacy_type("asset_alias_unique_key", lambda data: ("alias", data["name"]))
    assert deserialize_value({"__type": "asset_alias_unique_key", "__var": {"name": "n"}}) == ("alias", "n")


def test_keys_of_one_form_alone_make_no_wrapper() -> None:
    for data in ({"__classname__": "os.system"}, {"__version__": 1}, {"__type": "x"}, {"__var": 1}):
        assert deserialize_value(data) == data == real.deserialize(data)


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        b"x",
        bytearray(b"x"),
        dt.time(1),
        dt.timezone.utc,
        Plain.ONE,
        object(),
        range(3),
        1j,
        print,
        dict,
        ValueError("x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_airflow_refuses_is_refused_with_type_and_place(value: Any) -> None:
    with pytest.raises(TypeError):
        real.serialize(value)
    with pytest.raises(SerdeError, match=type(value).__name__) as caught:
        serialize_value({"rows": [0, 1, 2, {"when": (value,)}]})
    assert caught.value.where == "$.rows[3].when[0]"
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, cb.BundleError)


def test_a_place_quotes_keys_that_are_no_names() -> None:
    with pytest.raises(SerdeError) as caught:
        serialize_value({"a b": {"": [{1: b""}]}})
    assert caught.value.where == "$['a b'][''][0]['1']"


@pytest.mark.parametrize("key", ["__classname__", "__id__"])
def test_a_reserved_key_is_refused(key: str) -> None:
    with pytest.raises(AttributeError):
        real.serialize({key: 1})
    with pytest.raises(SerdeError, match=rf"{key}.*\$\.a") as caught:
        serialize_value({"a": {key: 1}})
    assert isinstance(caught.value, AttributeError)


def test_a_value_that_contains_itself_is_refused_with_the_place() -> None:
    inner: dict[str, Any] = {}
    value = {"ok": [inner, inner], "a": [1, {"b": inner}]}
    assert serialize_value(value) == value
    inner["back"] = [value]
    with pytest.raises(SerdeError, match="contains itself") as caught:
        serialize_value(value)
    assert caught.value.where == "$.ok[0].back[0]"
    assert isinstance(caught.value, RecursionError)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(SerdeError, match=r"list contains itself.*\$\[0\]"):
        serialize_value(loop)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_the_deepest_value_written_is_one_that_the_supervisor_accepts() -> None:
    from airflow.sdk.execution_time.comms import ToSupervisor

    deepest = serialize_value(nested(cb.MAX_VALUE_DEPTH))
    message = {"type": "SetXCom", "key": "k", "value": deepest, "dag_id": "d", "task_id": "t", "run_id": "r"}
    pydantic.TypeAdapter(ToSupervisor).validate_python(message).model_dump_json()
    for depth in (cb.MAX_VALUE_DEPTH + 1, 5000):
        with pytest.raises(SerdeError, match="deeper") as caught:
            serialize_value(nested(depth))
        assert len(str(caught.value)) < 300


def test_data_nested_without_end_is_a_serde_error_on_reading() -> None:
    with pytest.raises(SerdeError, match="too deep"):
        deserialize_value(nested(100_000))


def test_a_serialize_method_must_return_json() -> None:
    for data in ((1, 2), b"x", [1, {"a": dt.date(2024, 1, 1)}], {1}):
        with pytest.raises(SerdeError, match=r"Listing returned .* not JSON"):
            serialize_value(Listing(data))


def test_an_authors_exception_passes_through() -> None:
    class Broken:
        def serialize(self) -> Any:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        serialize_value([Broken()])


def test_a_class_of_this_module_that_is_not_registered_does_not_leave_the_process() -> None:
    with pytest.raises(SerdeError, match="ValueTypes"):
        serialize_value(cb.ValueTypes())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (2**64, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("\ud800", "surrogate"),
        (b"x", "builtins.bytes"),
        ({1: 2}, "key 1"),
    ],
)
def test_a_value_that_would_be_lost_on_its_way_is_explained(data: Any, reason: str) -> None:
    assert cb.explain_unsendable({"a": [1, "é", 2**64 - 1, 1.5, None, True]}) is None
    explained = cb.explain_unsendable({"a": [1, data]})
    assert explained is not None
    assert reason in explained
    assert "$.a[1]" in explained


# ---- cost ------------------------------------------------------------------------------------------------------------


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_plain_values_import_nothing() -> None:
    out = run(
        "import sys, coordinator_bundle as cb\n"
        "before = set(sys.modules)\n"
        "value = {'a': [1, 2.5, None, True, 'x' * 1000], 'b': {'c': [{}]}, 'd': (1, {2})}\n"
        "assert cb.deserialize_value(cb.serialize_value(value)) == value\n"
        "print(sorted(set(sys.modules) - before))\n"
        "print(sorted({'datetime', 'json', 're', 'dataclasses', 'fnmatch', 'typing', 'inspect'} & set(sys.modules)))"
    )
    assert out.splitlines() == ["[]", "[]"]


def test_reading_a_standard_datetime_does_not_load_pendulum() -> None:
    out = run(
        "import sys, coordinator_bundle as cb\n"
        f"value = cb.deserialize_value({real.serialize(MOMENT)!r})\n"
        "print(value.isoformat(), 'pendulum' in sys.modules)"
    )
    assert out == f"{MOMENT.isoformat()} False"


def test_a_large_string_is_not_copied() -> None:
    text = "x" * (100 * 2**20)
    assert serialize_value(text) is text
    assert serialize_value({"a": [text]})["a"][0] is text
    assert deserialize_value({"a": [text]})["a"][0] is text


########################################################################################################################
# Airflow's own classes in XComs
########################################################################################################################


def sdk_values(sdk) -> list[tuple[str, object]]:
    asset = sdk.Asset(name="orders", uri="s3://bucket/orders", extra={"owner": "sales"})
    return [
        ("asset by name", sdk.Asset("orders")),
        ("asset", asset),
        ("alias", sdk.AssetAlias("daily", group="sales")),
        ("metadata", sdk.Metadata(asset, {"rows": 3})),
        ("param", sdk.Param(3, type="integer", minimum=1)),
        ("params", sdk.ParamsDict({"a": 1})),
        ("connection", sdk.Connection(conn_id="c", conn_type="http", host="h", extra='{"a": 1}')),
        ("variable", sdk.Variable(key="k", value="v", description="d")),
        ("trigger rule", sdk.TriggerRule.ALL_DONE),
        ("list of assets", [asset, {"inner": (asset,)}]),
    ]


@pytest.mark.parametrize("name", [name for name, _ in sdk_values(cb)])
def test_airflows_own_classes_travel_both_ways_under_airflows_names(name):
    import airflow.sdk

    theirs, ours = (dict(sdk_values(sdk))[name] for sdk in (airflow.sdk, cb))
    wire = real.serialize(theirs)
    assert cb.serialize_value(ours) == wire
    assert cb.serialize_value(cb.deserialize_value(wire)) == wire
    assert real.serialize(real.deserialize(cb.serialize_value(ours))) == wire
