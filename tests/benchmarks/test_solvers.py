from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks import solvers
from benchmarks.measure import Row
from benchmarks.solvers import File, ended, levels
from studio.diffusion import schedules
from studio.diffusion.api import Solver
from studio.diffusion.schedules import shifted
from studio.registry import discover
from tests.studio.diffusion.reference import FILE, KINDS

ROOT = Path(__file__).parent.parent.parent


def written(path: Path, values: Mapping[str, torch.Tensor], **told: str) -> Path:
    file = path / "reference.safetensors"
    save_file(dict(values), file, told or None)
    return file


def by_name(rows: list[Row]) -> dict[str, Row]:
    return {row.what: row for row in rows}


def other(path: Path, names: list[str], kind: str = "eps", **changed: torch.Tensor) -> tuple[Path, File]:
    """A file of other values, made by the solvers themselves."""
    sampling = shifted(KINDS["flow"], 1.7) if kind == "flow" else KINDS["eps"]
    made = {name: getattr(schedules, name)(sampling, 9) for name in ("karras", "simple")}
    values = {f"sigmas/{kind}/{name}": torch.tensor(sigmas) for name, sigmas in made.items()}
    file = File({**values}, {}, mu=0.7, s=0.2, seed=2**40, steps=9, shift=1.7)
    registry = discover()
    told = {"mu": "0.7", "s": "0.2", "seed": str(2**40), "steps": "9"}
    for name in names:
        solver: Solver = registry.extensions["solver", name].load()
        sigmas = levels(file, registry, kind, "simple", drop_last=solver.drop_last)
        entry = f"{kind}/{name}/simple"
        values[f"final/{entry}"], calls = ended(file, solver, sigmas, kind, (3, 2, 5))
        told[f"nfe/{entry}"] = str(calls)
    return written(path, {**values, **changed}, **told), file


def test_every_entry_of_the_reference_is_met_and_the_worst_is_last() -> None:
    rows = solvers.run(False, FILE)
    assert [row.what for row in rows if not row.met] == []
    assert len(rows) == 297 + 1
    assert rows[-1].what.startswith("the worst: final/")
    assert rows[-1].ours is not None
    assert 0 < rows[-1].ours.median < 1e-4


@pytest.mark.parametrize("kind", ["eps", "flow"])
def test_a_file_of_other_values_is_followed_in_all_it_says(tmp_path: Path, kind: str) -> None:
    names = ["euler", "dpm_2_ancestral", "dpmpp_2m_sde", "sa_solver", "uni_pc", "plms", "dpm_adaptive"]
    path, _ = other(tmp_path, names, kind)
    rows = solvers.run(False, path)
    assert len(rows) == len(names) + 2 + 1
    assert [row.what for row in rows if not row.met] == []


def test_values_that_are_off_are_told_with_their_error(tmp_path: Path) -> None:
    wrong = torch.randn(3, 2, 5, generator=torch.manual_seed(0))
    path, _ = other(tmp_path, ["heun"], **{"final/eps/euler/simple": wrong})
    rows = by_name(solvers.run(False, path))
    row = rows["final/eps/euler/simple"]
    assert not row.met
    assert row.ours is not None
    assert row.ours.median > 0.5
    assert rows["final/eps/heun/simple"].met
    assert "the worst: final/eps/euler/simple" in rows


def test_calls_that_are_not_as_many_get_a_row_of_their_own(tmp_path: Path) -> None:
    path, _ = other(tmp_path, ["euler", "heun"])
    from safetensors import safe_open

    with safe_open(path, "pt") as opened:
        told = {**opened.metadata(), "nfe/eps/heun/simple": "9", "nfe/eps/euler/simple": "12"}
        values = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    rows = by_name(solvers.run(False, written(tmp_path, values, **told)))
    assert (rows["nfe/eps/heun/simple"].to_json()["ours"], rows["nfe/eps/heun/simple"].met) == (17, False)
    assert (rows["nfe/eps/euler/simple"].to_json()["ours"], rows["nfe/eps/euler/simple"].met) == (9, False)
    assert rows["final/eps/heun/simple"].met


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("final/eps/warp/simple", "there is no solver “warp”"),
        ("final/eps/euler/own", "there is no schedule “own” and the file does not hold it"),
        ("final/eps/euler/karras", "the file says neither its sigmas nor how many steps it has"),
        ("final/eps/dpm_2/given", "there is no schedule “given” to take one step more of"),
        ("final/eps/euler/rising", "its sigmas do not fall towards zero"),
        ("final/flow/euler/above_one", "its sigmas are those of no flow"),
        ("final/eps/euler", "it is named neither sigmas/KIND/SCHEDULE nor final/KIND/SOLVER/SCHEDULE"),
        ("final/other/euler/simple", "it is named neither"),
        ("final/eps/euler/given", "it holds what is no number"),
    ],
)
def test_an_entry_that_cannot_be_run_says_why_and_is_not_met(tmp_path: Path, name: str, told: str) -> None:
    values = {
        "sigmas/eps/given": torch.tensor([9.0, 3.0, 0.0]),
        "sigmas/eps/rising": torch.tensor([1.0, 3.0, 0.0]),
        "sigmas/flow/above_one": torch.tensor([3.0, 1.0, 0.0]),
        name: torch.full((1, 2), math.nan),
    }
    rows = solvers.run(False, written(tmp_path, values))
    row = next(row for row in rows if row.what.startswith(name))
    assert told in row.what
    assert not row.met
    assert row.to_json()["ours"] is None
    assert not rows[-1].met


def test_schedules_that_are_not_ours_are_taken_as_given(tmp_path: Path) -> None:
    rows = by_name(solvers.run(False, written(tmp_path, {"sigmas/eps/given": torch.tensor([9.0, 3.0, 0.0])})))
    assert rows["sigmas/eps/given: taken as given"].met


def test_a_schedule_of_another_length_is_told(tmp_path: Path) -> None:
    rows = solvers.run(False, written(tmp_path, {"sigmas/eps/karras": torch.rand(4)}, steps="9"))
    assert "its shape is [4], ours [10]" in rows[0].what


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read as safetensors"),
        (b"\x00" * 64, "cannot be read as safetensors"),
        (None, "There is no file"),
    ],
)
def test_a_file_that_is_none_ends_with_a_sentence(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "odd.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit, match=told):
        solvers.run(False, path)


@pytest.mark.parametrize(
    ("name", "value"), [("mu", "wide"), ("seed", "1.5"), ("nfe/eps/euler/simple", "few")]
)
def test_metadata_that_is_no_number_is_told(tmp_path: Path, name: str, value: str) -> None:
    path = written(tmp_path, {"sigmas/eps/karras": torch.rand(4)}, **{name: value})
    with pytest.raises(SystemExit, match=f"“{name}” of its metadata is no number but “{value}”"):
        solvers.run(False, path)


@pytest.mark.parametrize(
    ("name", "value"), [("mu", "nan"), ("steps", "-3"), ("steps", "100000"), ("s", "-1")]
)
def test_metadata_out_of_range_is_told(tmp_path: Path, name: str, value: str) -> None:
    path = written(tmp_path, {"sigmas/eps/karras": torch.rand(4)}, **{name: value})
    with pytest.raises(SystemExit, match=f"“{name}” of its metadata is out of range"):
        solvers.run(False, path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="cannot be read as safetensors"):
        solvers.run(False, tmp_path)


@pytest.mark.parametrize("shape", [(0, 4), ()])
def test_entries_of_odd_shapes_are_no_trouble(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = {"sigmas/eps/given": torch.tensor([9.0, 3.0, 0.0]), "final/eps/euler/given": torch.zeros(shape)}
    row = solvers.run(False, written(tmp_path, values))[0]
    assert not row.met
    assert (row.ours is None) == (0 in shape)


def test_a_file_without_entries_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no entry"):
        solvers.run(False, written(tmp_path, {"weights": torch.rand(4)}))


def test_the_command_takes_a_file_and_prints_json(tmp_path: Path) -> None:
    path, _ = other(tmp_path, ["euler"])
    command = [sys.executable, "-m", "benchmarks", "solvers", "--json", "--reference", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["what"] for row in rows][-1].startswith("the worst: ")
    assert all(row["met"] for row in rows)


def test_a_file_goes_with_one_benchmark_that_compares() -> None:
    command = [sys.executable, "-m", "benchmarks", "startup", "--reference", "x"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--reference FILE goes with" in done.stderr
