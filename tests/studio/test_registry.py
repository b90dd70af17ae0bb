"""What packages bring: found, named, kept apart, and harmless when broken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from studio import registry as registry_module
from studio.catalogue import Catalogue
from studio.errors import StudioError
from studio.registry import Registry, core_wires, discover
from tests.studio import toys

HEAD = """
from dataclasses import dataclass
from studio.api import *
"""
NODE = '''
@node("{name}", category="Toys", version={version})
def {name}(*, value: int = {value}) -> int:
    """Give a number."""
    return value
'''
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write packages and let nothing but them be found; `install(acme={"__init__": …, "part": …})`."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    points: list[EntryPoint] = []
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)

    def write(**packages: dict[str, str]) -> None:
        for name, modules in packages.items():
            folder = tmp_path / f"rogue_{name}"
            folder.mkdir()
            for module, text in {"__init__": "", **modules}.items():
                (folder / f"{module}.py").write_text(HEAD + text)
            points.append(EntryPoint(name, f"rogue_{name}", "studio.nodes"))

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("rogue_"):
            del sys.modules[name]


def plain(name: str = "one", version: int = 1, value: int = 1) -> str:
    return NODE.format(name=name, version=version, value=value)


def test_nodes_of_every_module_are_named_after_the_package(install: Install) -> None:
    install(acme={"__init__": plain("one"), "more": plain("two"), "_hidden": plain("three")})
    made = discover()
    assert set(made.nodes) == {"acme/one", "acme/two"}
    assert made.specs["acme/one"].type == "acme/one"
    assert made.packages == {"acme": ""}
    assert made.problems == []


def test_core_comes_first_and_each_package_tells_what_it_adds(install: Install) -> None:
    install(acme={"__init__": plain("one")}, core={"__init__": plain("one")})
    told: list[tuple[str, Catalogue]] = []
    discover(lambda name, added: told.append((name, added)))
    assert [(name, list(added.specs), dict(added.packages)) for name, added in told] == [
        ("core", ["core/one"], {"core": ""}),
        ("acme", ["acme/one"], {"acme": ""}),
    ]


def test_a_node_that_another_package_imports_stays_its_owners(install: Install) -> None:
    borrowed = "from rogue_zebra import two\nfrom rogue_core import one\n" + plain("three")
    install(core={"__init__": plain("one")}, acme={"__init__": borrowed}, zebra={"__init__": plain("two")})
    made = discover()
    assert set(made.nodes) == {"core/one", "acme/three", "zebra/two"}
    assert {name: spec.type for name, spec in made.specs.items()} == {name: name for name in made.nodes}


def test_a_node_made_by_a_factory_of_no_package_belongs_to_who_holds_it(install: Install) -> None:
    install(acme={"__init__": "from rogue_library.maker import made\nmine = made\n"})
    library = Path(sys.path[0]) / "rogue_library"
    library.mkdir()
    (library / "maker.py").write_text(HEAD + plain("made"))
    assert set(discover().nodes) == {"acme/made"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("raise SystemExit(1)", "SystemExit"),
        ("def broken(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ('@node("x", category="")\ndef x(y) -> int: ...', "DeclarationError: node x: “y” has no annotation"),
    ],
)
def test_a_part_that_cannot_be_loaded_is_one_problem(install: Install, text: str, told: str) -> None:
    install(acme={"__init__": plain("one"), "bad": text}, beta={"__init__": text})
    made = discover()
    assert set(made.nodes) == {"acme/one"}
    assert [problem.kind for problem in made.problems] == ["package", "package"]
    assert f"“rogue_acme.bad” of the package “acme” could not be loaded: {told}" in made.problems[0].title


def test_things_that_raise_when_looked_at_are_not_looked_at(install: Install) -> None:
    odd = """
class Odd:
    def __getattr__(self, name):
        raise RuntimeError(name)
odd = Odd()
class Meta(type):
    def __getattr__(cls, name):
        raise RuntimeError(name)
"""
    install(
        acme={"__init__": odd + plain("one")}, beta={"__init__": odd + "class Worse(metaclass=Meta): ...\n"}
    )
    made = discover()
    assert set(made.nodes) == {"acme/one"}
    assert ["RuntimeError" in problem.title for problem in made.problems] == [True]


def test_two_nodes_of_one_name_are_told_and_the_first_stands(install: Install) -> None:
    install(acme={"a": plain("one", value=1), "b": plain("one", value=2)})
    made = discover()
    assert made.specs["acme/one"].defaults == {"value": 1}
    assert "node “acme/one” is declared twice" in made.problems[0].title


def test_two_packages_of_one_name_are_told(install: Install, tmp_path: Path) -> None:
    install(acme={"__init__": plain("one")})
    (tmp_path / "rogue_other.py").write_text(HEAD + plain("two"))
    points = registry_module.entry_points(group="studio.nodes")
    points.append(EntryPoint("acme", "rogue_other", "studio.nodes"))  # pyright: ignore[reportAttributeAccessIssue]
    made = discover()
    assert set(made.nodes) == {"acme/one"}
    assert "Two packages are named “acme”" in made.problems[0].title


def test_wires_and_named_parts_are_registered_and_clashes_told(install: Install) -> None:
    first = '@wire("rogue/depth", "#111111", "metres")\n@dataclass(frozen=True)\n'
    first += "class RogueDepth:\n    far: float\n"
    first += 'EXTENSION = Extension("solver", "mine", "a:b", "One.")\n'
    second = 'DEPTH = WireType("rogue/depth", "#222222", "feet")\n'
    second += 'EXTENSION = Extension("solver", "mine", "c:d", "")\n'
    install(acme={"__init__": first}, beta={"__init__": second})
    made = discover()
    assert made.wires["rogue/depth"].colour == "#111111"
    assert made.choices == {"solver": ("mine",)}
    assert made.extension("solver", "mine").target == "a:b"
    assert len(made.problems) == 2
    with pytest.raises(StudioError, match=r"no solver named “other”\. Known: mine"):
        made.extension("solver", "other")
    with pytest.raises(StudioError, match="Known: none"):
        made.extension("family", "other")


def test_the_catalogue_has_everything_but_the_functions() -> None:
    made = toys.registry()
    catalogue = made.catalogue()
    assert catalogue.specs.keys() == made.nodes.keys()
    assert catalogue.packages == {"toy": "1"}
    assert Catalogue.from_json(catalogue.to_json()) == catalogue


def test_registering_again_changes_nothing() -> None:
    made = toys.registry()
    made.add_node("toy", toys.grain)
    assert made.problems == []
    other = Registry(wires=core_wires())
    other.add_node("toy", toys.grain)
    assert list(other.nodes) == ["toy/grain"]
