from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import machine, main, names
from benchmarks.measure import Row, exact

ROOT = Path(__file__).parent.parent.parent


def test_a_benchmark_is_a_module_of_the_package() -> None:
    assert {"executor", "sampling", "scene", "startup"} <= set(names())
    assert "measure" not in names()


def test_an_unknown_name_is_wrong_usage_and_tells_the_known_ones() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nonsense"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no benchmark nonsense; there are " in done.stderr


@pytest.mark.parametrize(("bound", "code"), [(3, 0), (1, 1)])
def test_json_is_one_object_and_a_missed_aim_is_exit_code_1(
    bound: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import startup

    def run(full: bool) -> list[Row]:
        sys.stdout.write(f"noise {full}\n")
        return [Row("startup", "it", exact(2), "s", aim=f"ours <= {bound}")]

    monkeypatch.setattr(startup, "run", run)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "startup", "--json"])
    assert main() == code
    report = json.loads(capsys.readouterr().out)
    assert report.keys() == {"machine", "rows"}
    assert report["rows"][0]["met"] is (code == 0)
    assert report["machine"]["cores"] >= 1


def test_the_machine_is_told_without_loading_torch() -> None:
    facts = machine()
    assert facts["cpu"]
    assert str(facts["torch"]).startswith("2.")
