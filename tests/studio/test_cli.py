from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from studio import cli, headless, paths
from studio.errors import StudioError
from studio.events import NodeChanged
from studio.headless import Bar, Outcome
from studio.worker.client import EngineClient
from studio.worker.protocol import EngineReady, EngineState
from tests import toys
from tests.toys import chain, is_alive

QUICK = chain("constant", "slow", "write", slow_step_s=0.03)


@pytest.fixture(autouse=True)
def toys_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(toys.FOLDER))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.syspath_prepend(str(toys.FOLDER))


def write(folder: Path, workflow: object, name: str = "w.json") -> str:
    path = folder / name
    path.write_text(json.dumps(workflow), "utf-8")
    return str(path)


def object_on(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def test_a_run_prints_what_it_saved_and_a_second_one_computes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = write(tmp_path, QUICK), tmp_path / "out"
    assert cli.main(["run", file, "--out", str(out), "--set", "write.name=a.bin"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == str(out / "a.bin")
    assert told.err == ""
    assert (out / "a.bin").exists()

    assert cli.main(["run", file, "--out", str(out), "--json"]) == 0
    result = object_on(capsys)
    assert result.keys() == {"outputs", "nodes", "seconds", "device", "dtype"}
    assert result["outputs"] == [{"node": "write", "path": str(out / "toy.bin")}]
    assert result["nodes"]["slow"]["state"] == "cached"
    assert result["nodes"]["write"]["state"] == "ran"
    assert result["nodes"]["write"]["why"]
    assert 0 < result["seconds"] < 60
    assert result["device"] == "cpu"

    assert cli.main(["run", file, "--json", "--to", "slow", "--set", "constant.value=9"]) == 0
    result = object_on(capsys)
    assert result["nodes"]["slow"]["state"] == "ran"
    assert "9" in result["nodes"]["constant"]["why"]
    assert result["outputs"] == []


def test_a_node_that_fails_is_named_and_the_rest_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workflow: Any = chain("constant", "refuse", "show", "slow", "write", constant_value=7)
    workflow["graphs"][""]["nodes"]["slow"]["wires"] = {"number": "constant.int"}
    file = write(tmp_path, workflow)
    assert cli.main(["run", file, "--out", str(tmp_path), "--json"]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("refuse: 7 is not to my taste. Try another number.")
    assert "Traceback" not in told.err
    nodes = json.loads(told.out)["nodes"]
    states = {name: node["state"] for name, node in nodes.items()}
    assert states["refuse"] == "failed"
    assert states["show"] == "skipped"
    assert states["write"] == "ran"


def test_an_engine_that_dies_fails_the_run_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, chain("constant", "die", "show", die_how="crash"))
    assert cli.main(["run", file]) == 1
    told = capsys.readouterr()
    assert "die: The engine stopped unexpectedly (signal 11" in told.err
    assert told.out == ""


BAD_FILES = {
    "empty": b"",
    "cut": b'{"format": 1, "graphs"',
    "list": b"[]",
    "newer": b'{"format": 99}',
    "binary": bytes(range(256)),
    "deep": b'{"format": 1, "graphs": ' + b"[" * 100_000,
    "png": b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
    "zip": b"PK\x03\x04" + b"\0" * 40,
}


@pytest.mark.parametrize("data", BAD_FILES.values(), ids=BAD_FILES.keys())
@pytest.mark.parametrize("command", ["run", "check", "plan"])
def test_what_is_no_workflow_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, command: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(data)
    assert cli.main([command, str(path)]) == 1
    told = capsys.readouterr()
    assert "bad.json" in told.err
    assert "Traceback" not in told.err
    assert told.out == ""


def test_a_missing_file_and_a_folder_are_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", str(tmp_path / "nowhere.json"), "--json"]) == 1
    told = capsys.readouterr()
    assert "nowhere.json" in told.err
    assert json.loads(told.out)["outputs"] == []
    assert cli.main(["check", str(tmp_path)]) == 1
    assert capsys.readouterr().err


def test_check_lists_every_problem_and_run_refuses_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workflow: Any = chain("constant", "slow", "write")
    nodes = workflow["graphs"][""]["nodes"]
    nodes["slow"]["params"]["steps"] = 0
    nodes["lost"] = {"type": "acme/gone", "version": 1, "params": {}}
    nodes["unfed"] = {"type": "toys/show", "version": 1, "params": {}}
    file = write(tmp_path, workflow)
    for command in ("check", "run"):
        assert cli.main([command, file]) == 1
        told = capsys.readouterr()
        lines = told.err.splitlines()
        assert len(lines) == 3
        assert {line.partition(":")[0] for line in lines} == {"slow", "lost", "unfed"}
        assert told.out == ""


def test_a_sound_workflow_is_checked_without_an_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EngineClient, "start", None)
    assert cli.main(["check", write(tmp_path, QUICK)]) == 0
    assert "3 nodes, no problems" in capsys.readouterr().out


def test_problems_elsewhere_do_not_keep_a_node_from_being_run_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workflow: Any = chain("constant", "slow", "write")
    workflow["graphs"][""]["nodes"]["lost"] = {"type": "acme/gone", "version": 1, "params": {}}
    file = write(tmp_path, workflow)
    assert cli.main(["run", file, "--to", "slow"]) == 0
    assert cli.main(["run", file, "--to", "lost"]) == 1
    assert "lost: " in capsys.readouterr().err


def test_a_subgraph_is_run_to_as_a_whole_and_its_problems_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workflow: Any = chain("constant")
    inner: Any = chain("constant", "slow")["graphs"]
    workflow["graphs"]["twice"] = inner[""]
    workflow["graphs"][""]["nodes"]["sub"] = {"type": "twice", "params": {}}
    assert cli.main(["run", write(tmp_path, workflow), "--to", "sub", "--json"]) == 0
    assert object_on(capsys)["nodes"]["sub/slow"]["state"] == "ran"
    inner[""]["nodes"]["slow"]["params"]["steps"] = 0
    assert cli.main(["run", write(tmp_path, workflow), "--to", "sub"]) == 1
    assert capsys.readouterr().err.startswith("twice/slow: ")
    assert cli.main(["run", write(tmp_path, workflow), "--to", "constant"]) == 0


def test_a_node_that_could_not_begin_says_why() -> None:
    outcome = Outcome()
    outcome.take(NodeChanged("r", "a", "blocked", why="its input is wired in a circle"))
    assert outcome.blocked == {"a": "its input is wired in a circle"}
    assert outcome.nodes["a"].state == "skipped"


WRONG = {
    "no command": [],
    "unknown command": ["paint"],
    "no file": ["run"],
    "unknown option": ["run", "FILE", "--fast"],
    "unknown node": ["run", "FILE", "--set", "slaw.steps=3"],
    "unknown knob": ["run", "FILE", "--set", "slow.stepz=3"],
    "no value": ["run", "FILE", "--set", "slow.steps"],
    "not a number": ["run", "FILE", "--set", "slow.steps=many"],
    "out of range": ["run", "FILE", "--set", "slow.steps=0"],
    "unknown target": ["run", "FILE", "--to", "slaw"],
    "plan of an unknown target": ["plan", "FILE", "--to", "slaw"],
    "unknown device": ["run", "FILE", "--device", "abacus"],
    "unknown errand": ["cache", "eat"],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG.keys())
def test_wrong_usage_has_an_exit_code_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    file = write(tmp_path, QUICK)
    assert cli.main([file if item == "FILE" else item for item in arguments]) == 2
    told = capsys.readouterr()
    assert told.err
    assert told.out == ""


def test_help_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in cli.SUBCOMMANDS)


def test_a_plan_is_told_without_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow: Any = chain("constant", "slow", "write")
    file = write(tmp_path, workflow)
    assert cli.main(["plan", file]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {"constant", "slow", "write"}
    assert next(line for line in lines if line.startswith("constant")).split() == [
        "constant",
        "run",
        "first",
        "run",
    ]
    workflow["graphs"][""]["nodes"]["lost"] = {"type": "acme/gone", "version": 1, "params": {}}
    assert cli.main(["plan", write(tmp_path, workflow), "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["nodes"]["lost"]["state"] == "blocked"
    assert "acme/gone" in told.err
    assert not paths.output_dir().exists()


def test_a_plan_that_finds_a_node_unable_to_run_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["plan", write(tmp_path, chain("refuse_at_once", "show"))]) == 1
    told = capsys.readouterr()
    assert "refuse_at_once: 1 is not to my taste." in told.err
    assert "Try another number." in told.err


def test_nodes_are_listed_in_words_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["nodes"]) == 0
    assert "toys/slow" in capsys.readouterr().out
    assert cli.main(["nodes", "--json"]) == 0
    specs = object_on(capsys)["specs"]
    assert {"core/k_sampler", "toys/slow"} <= {spec["type"] for spec in specs}


def test_the_cache_is_shown_and_emptied(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cache", "info"]) == 0
    assert str(paths.cache_dir()) in capsys.readouterr().out
    assert cli.main(["cache", "clear"]) == 0
    assert "0 entries" in capsys.readouterr().out


def test_a_fault_of_ours_is_a_sentence_and_its_traceback_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "discover", lambda: 1 / 0)
    assert cli.main(["nodes"]) == 1
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert "Traceback" not in told
    assert "Traceback" in (paths.data_dir() / "logs" / "command.log").read_text()


def test_seeds_are_drawn_anew_unless_the_command_line_says_which(tmp_path: Path) -> None:
    from studio.files import workflow

    drawn: Any = chain("constant", "slow")
    drawn["graphs"][""]["nodes"]["constant"]["look"] = {"new_each_run": ["value"]}
    content = workflow.load(Path(write(tmp_path, drawn))).content
    assert cli._draws(content, []).keys() == {"constant"}
    assert cli._draws(content, ["constant.value=3"]) == {}


def command(*arguments: str) -> subprocess.Popen[str]:
    """The command line in a process group of its own, as a terminal has it."""
    return subprocess.Popen(
        [sys.executable, "-m", "studio.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_cancels_cleanly_and_leaves_no_process(tmp_path: Path) -> None:
    file = write(tmp_path, chain("constant", "slow", "write", slow_steps=10_000, slow_step_s=0.01))
    with command("run", file, "--json") as process:
        log = _wait_for_log()
        workers = children_of(process.pid)
        assert len(workers) == 1
        _wait_for_worker(log)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "Cancelled.\n"
    assert out == ""
    assert not is_alive(workers[0])


def _wait_for_log() -> Path:
    folder = paths.data_dir() / "logs"
    until = time.monotonic() + 60
    while not list(folder.glob("engine-*.log")):
        assert time.monotonic() < until
        time.sleep(0.02)
    return next(folder.glob("engine-*.log"))


def _wait_for_worker(log: Path) -> None:
    """Until the worker has told its catalogue, and therefore ignores Ctrl-C."""
    until = time.monotonic() + 60
    while not (paths.cache_dir() / "catalogue.json").exists():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)


def test_a_reader_who_has_enough_ends_the_listing_quietly() -> None:
    with command("nodes", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_the_command_line_needs_neither_torch_nor_qt() -> None:
    code = (
        "import sys, studio.cli\n"
        "studio.cli.main(['nodes'])\n"
        "loaded = {'torch', 'PySide6', 'diffusers', 'transformers'} & set(sys.modules)\n"
        "sys.exit(', '.join(loaded) or None)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


class Terminal:
    """A stream that says whether it is a terminal."""

    def __init__(self, *, is_terminal: bool) -> None:
        self.text = ""
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_a_file_name_that_is_no_text_is_printed_as_it_is(tmp_path: Path) -> None:
    workflow: Any = chain("constant", "slow", "write")
    file = write(tmp_path, workflow)
    out = tmp_path / os.fsdecode(b"caf\xe9")
    ran = subprocess.run(
        [sys.executable, "-m", "studio.cli", "run", file, "--out", out],
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == os.fsencode(out / "toy.bin")
    assert (out / "toy.bin").exists()


def test_progress_is_drawn_in_place_on_a_terminal_and_nowhere_else() -> None:
    for is_terminal in (True, False):
        stream: Any = Terminal(is_terminal=is_terminal)
        bar = Bar(stream)
        bar.show("k_sampler", 10, 20)
        bar.show("save")
        bar.clear()
        assert ("10/20" in stream.text) is is_terminal
        assert "\n" not in stream.text
    assert stream.text == ""


def test_what_the_engine_says_of_itself_is_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    engine, outcome = headless.Headless(), Outcome()
    engine._take(EngineReady("cpu", "float32", "a CPU", sentence="There is no device “cuda” here."), outcome)
    engine._take(EngineReady("cpu", "float32", "a CPU"), outcome)
    engine._take(EngineState("restarting", "It was restarted."), outcome)
    with pytest.raises(StudioError, match="stays down"):
        engine._take(EngineState("stopped", "It stays down."), outcome)
    assert capsys.readouterr().err == "There is no device “cuda” here.\nIt was restarted.\n"


def test_an_outcome_without_an_end_is_a_failed_one() -> None:
    assert Outcome().to_json() == {"outputs": [], "nodes": {}, "seconds": 0.0, "device": "", "dtype": ""}
    assert headless._STATES.get("cancelled") is None
