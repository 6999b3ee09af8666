"""Classes of nsnet_cli.records are frozen dataclasses like those of the standard library."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import field
from typing import Any

import pytest

from nsnet_cli import records
from nsnet_cli.types import TagOptions

Decorator = Callable[..., Any]
BOTH = pytest.mark.parametrize("dataclass", [records.dataclass, dataclasses.dataclass], ids=["ours", "standard"])


@records.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 2


def made(dataclass: Decorator, **how: bool) -> Any:
    @dataclass(frozen=True, slots=True, **how)
    class Frame:
        pts_s: float
        size: tuple[int, int] = (1, 2)
        names: list[str] = field(default_factory=list, hash=False)
        hidden: bytes = field(default=b"", compare=False, repr=False)
        area: int = field(init=False, repr=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "area", self.size[0] * self.size[1])
            if self.pts_s < 0:
                raise ValueError("before the start")

    return Frame


@BOTH
def test_fields_are_set_from_positions_names_and_defaults(dataclass: Decorator) -> None:
    frame = made(dataclass)
    one = frame(1.0, (2, 3), hidden=b"x")
    assert (one.pts_s, one.size, one.names, one.hidden, one.area) == (1.0, (2, 3), [], b"x", 6)
    assert frame(1.0).names is not frame(1.0).names
    with pytest.raises(ValueError, match="before the start"):
        frame(-1.0)


@BOTH
@pytest.mark.parametrize(
    ("args", "given"),
    [((), {}), ((1, 2, 3, 4, 5), {}), ((1,), {"wrong": 1}), ((1,), {"pts_s": 1}), ((1,), {"area": 1})],
)
def test_wrong_arguments_are_a_type_error(dataclass: Decorator, args: tuple[int, ...], given: dict[str, int]) -> None:
    with pytest.raises(TypeError):
        made(dataclass)(*args, **given)


@BOTH
def test_nothing_can_be_changed_removed_or_added(dataclass: Decorator) -> None:
    one = made(dataclass)(1.0)
    for change in (lambda: setattr(one, "pts_s", 2.0), lambda: delattr(one, "pts_s")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    with pytest.raises((AttributeError, TypeError)):
        one.other = 1
    assert not hasattr(one, "__dict__")


@BOTH
def test_equality_hash_and_representation(dataclass: Decorator) -> None:
    frame, other = made(dataclass), made(dataclass)
    assert frame(1.0) == frame(1.0, hidden=b"x") != frame(2.0)
    assert frame(1.0) != other(1.0)
    assert hash(frame(1.0, names=["a"])) == hash(frame(1.0, names=["b"])) != hash(frame(2.0))
    assert repr(frame(1.0)) == f"{frame.__qualname__}(pts_s=1.0, size=(1, 2), names=[])"
    apart = made(dataclass, eq=False, repr=False)
    one = apart(1.0)
    assert one == one != apart(1.0)
    assert repr(one).startswith("<") and len({one, apart(1.0)}) == 2


@BOTH
def test_the_standard_functions_work_on_it(dataclass: Decorator) -> None:
    frame = made(dataclass)
    one = frame(1.0)
    assert dataclasses.is_dataclass(frame)
    assert [each.name for each in dataclasses.fields(one)] == ["pts_s", "size", "names", "hidden", "area"]
    assert dataclasses.replace(one, size=(3, 3)).area == 9
    assert dataclasses.asdict(one) == {"pts_s": 1.0, "size": (1, 2), "names": [], "hidden": b"", "area": 2}
    assert list(inspect.signature(frame).parameters) == ["pts_s", "size", "names", "hidden"]
    match one:
        case frame(pts_s, size):
            assert (pts_s, size) == (1.0, (1, 2))


@BOTH
def test_a_subclass_has_the_fields_of_both_and_keeps_its_own_methods(dataclass: Decorator) -> None:
    base = made(dataclass)

    @dataclass(frozen=True, slots=True)
    class Named(base):
        name: str = "a"

        def __eq__(self, other: object) -> bool:
            return True

        def __repr__(self) -> str:
            return self.name

    assert Named(1.0, name="b").size == (1, 2)
    assert repr(Named(1.0)) == "a"
    assert Named(1.0) == Named(2.0)
    assert hash(Named(1.0)) != hash(Named(2.0))


@pytest.mark.parametrize("child", [records.dataclass, dataclasses.dataclass], ids=["ours", "standard"])
def test_both_kinds_inherit_from_both(child: Decorator) -> None:
    for base in (Point, dataclasses.make_dataclass("P", [("x", int), ("y", int, 2)], frozen=True, slots=True)):
        named: Any = child(frozen=True, slots=True)(
            type("Named", (base,), {"__annotations__": {"name": "str"}, "name": "a", "__module__": __name__})
        )
        one = named(1, name="b")
        assert (one.x, one.y, one.name) == (1, 2, "b")
        assert dataclasses.replace(one, x=3) == named(3, name="b")
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.x = 2


def test_what_it_does_not_know_is_refused() -> None:
    for kind in (field(default=1, init=False), field(default=1, kw_only=True)):
        with pytest.raises(TypeError, match="needs the standard dataclass"):
            records.dataclass(frozen=True, slots=True)(type("A", (), {"__annotations__": {"a": "int"}, "a": kind}))
    with pytest.raises(TypeError, match="needs the standard dataclass"):
        records.dataclass(frozen=True, slots=True)(
            type("A", (), {"__annotations__": {"a": "dataclasses.InitVar[int]"}})
        )


def test_it_travels_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(Point(1))) == Point(1, 2)


def test_its_help_shows_its_fields() -> None:
    assert str(inspect.signature(Point)) == "(x: 'int', y: 'int' = 2)"
    assert inspect.signature(TagOptions).parameters["frames"].default == TagOptions().frames
