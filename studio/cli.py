"""The command line: run, check and plan workflows, list nodes, look after the cache. Free of torch and Qt.

Exit codes: 0 done, 1 the file, the graph or a node failed, 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
import uuid
from pathlib import Path
from typing import cast

from studio import paths
from studio.arguments import UsageError, assignment, find_node
from studio.document import Content, Document
from studio.draws import draw
from studio.errors import Problem, StudioError
from studio.files import workflow
from studio.flatten import Flat, flatten
from studio.headless import Headless, Outcome
from studio.registry import discover
from studio.types import Json
from studio.upgrade import upgraded
from studio.validate import validate
from studio.worker.outputs import disk_tier
from studio.worker.protocol import RunRequest

SUBCOMMANDS = ("run", "check", "plan", "nodes", "cache")
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_DEVICES = ("auto", "cuda", "mps", "cpu")


def main(argv: list[str]) -> int:
    """Carry out a sub-command and return the exit code; sentences go to stderr, never a traceback."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="surrogateescape")  # names of files that are no text pass unharmed
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    try:
        return arguments.carry_out(arguments)
    except UsageError as error:
        _say(str(error))
        return USAGE
    except StudioError as error:
        _say(str(error))
        if getattr(arguments, "json", False):
            _print_json(Outcome().to_json())
        return FAILED
    except KeyboardInterrupt:
        _say("Cancelled.")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:  # noqa: BLE001 - the process ends here: a sentence, not a traceback
        _say(f"Latent Studio failed: {type(error).__name__}: {error}. Details: {_note_traceback()}")
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("latent-studio", description="Node graphs for latent diffusion.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a workflow and save what it makes")
    run.add_argument("file", type=Path, metavar="FILE", help="a .json, a .studio or a picture of ours")
    run.add_argument("--set", action="append", default=[], metavar="NODE.knob=VALUE", dest="sets")
    run.add_argument("--to", metavar="NODE", help="run to this node only")
    run.add_argument("--out", type=Path, metavar="DIR", help="folder for what is saved")
    run.add_argument("--device", choices=_DEVICES, default="auto")
    run.add_argument("--json", action="store_true", help="print one JSON object instead of paths")
    run.set_defaults(carry_out=_run)

    check = commands.add_parser("check", help="list what keeps a workflow from running")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(carry_out=_check)

    plan = commands.add_parser("plan", help="say what a run would compute and what is stored already")
    plan.add_argument("file", type=Path, metavar="FILE")
    plan.add_argument("--set", action="append", default=[], metavar="NODE.knob=VALUE", dest="sets")
    plan.add_argument("--to", metavar="NODE")
    plan.add_argument("--device", choices=_DEVICES, default="auto")
    plan.add_argument("--json", action="store_true", dest="as_json")
    plan.set_defaults(carry_out=_plan)

    nodes = commands.add_parser("nodes", help="list the types of nodes that are installed")
    nodes.add_argument("--json", action="store_true", dest="as_json")
    nodes.set_defaults(carry_out=_nodes)

    cache = commands.add_parser("cache", help="show or empty the store of computed results")
    cache.add_argument("what", choices=("info", "clear"))
    cache.set_defaults(carry_out=_cache)
    return parser


class _Job:
    """A workflow file with today's nodes and what `--set` and `--to` asked for."""

    def __init__(self, file: Path, sets: list[str], to: str | None) -> None:
        loaded = workflow.load(file)
        self.oddities = loaded.problems
        self.base_dir = file.absolute().parent
        registry = discover()
        self.catalogue = registry.catalogue()
        content, self._stale = upgraded(loaded.content, registry)
        document = Document(content)
        for text in sets:
            document.apply(assignment(document.content, self.catalogue, text))
        self.content = document.content
        self.targets = (to,) if to else ()
        for target in self.targets:
            find_node(self.content, target)

    def problems(self) -> list[Problem]:
        """What keeps the targets from running."""
        problems = validate(self.content, self.catalogue, self.base_dir)
        # What could not be upgraded says more than that it is old.
        told = {(problem.graph, problem.node) for problem in self._stale}
        problems = self._stale + [
            problem
            for problem in problems
            if problem.kind != "older_version" or (problem.graph, problem.node) not in told
        ]
        if not self.targets:
            return problems
        needed = _needed(self.content, flatten(self.content, self.catalogue), self.targets)
        return [problem for problem in problems if (problem.graph, problem.node) in needed]


def _needed(content: Content, flat: Flat, targets: tuple[str, ...]) -> set[tuple[str, str]]:
    """(graph, node) of the targets and of all they depend on; a subgraph stands for what is in it."""
    waiting = [
        address
        for target in targets
        for address in (target, *flat.nodes, *flat.unknown)
        if address == target or address.startswith(f"{target}/")
    ]
    seen = set(waiting)
    while waiting:
        node = flat.nodes.get(waiting.pop())
        for source in node.wires.values() if node else ():
            if source.address not in seen:
                seen.add(source.address)
                waiting.append(source.address)
    places = [find_node(content, address) for address in seen]
    return {(place.graph, place.node.id) for place in places}


def _run(arguments: argparse.Namespace) -> int:
    job = _Job(arguments.file, arguments.sets, arguments.to)
    for problem in job.oddities:
        _say(_told(problem))
    problems = [problem for problem in job.problems() if problem.kind != "family"]
    if problems:
        raise StudioError("\n".join(map(_told, problems)))
    out = cast("Path", arguments.out or paths.output_dir()).absolute()
    request = RunRequest(
        uuid.uuid4().hex,
        workflow.to_json(job.content),
        job.targets,
        _draws(job.content, arguments.sets),
        output_dir=str(out),
        previews=False,
        base_dir=str(job.base_dir),
    )
    with Headless(arguments.device) as engine:
        outcome = engine.run(request)
    for failure in outcome.failures:
        place = f"{failure.node}: " if failure.node else ""
        _say(f"{place}{failure.title} {failure.remedy}".rstrip())
    for node, why in outcome.blocked.items():
        _say(f"{node}: {why}")
    if arguments.json:
        _print_json(outcome.to_json())
    else:
        for _node, path in outcome.outputs:
            print(path)
    done = outcome.finished is not None and outcome.finished.state == "done"
    return DONE if done and not outcome.failures else FAILED


def _draws(content: Content, sets: list[str]) -> dict[str, dict[str, Json]]:
    """New values for this run, except where the command line says which."""
    said = {text.partition("=")[0] for text in sets}
    return {
        node: kept
        for node, knobs in draw(content).items()
        if (kept := {knob: value for knob, value in knobs.items() if f"{node}.{knob}" not in said})
    }


def _check(arguments: argparse.Namespace) -> int:
    job = _Job(arguments.file, [], None)
    problems = [*job.oddities, *job.problems()]
    for problem in problems:
        _say(_told(problem))
    if not problems:
        count = sum(len(graph.nodes) for graph in job.content.graphs.values())
        print(f"{arguments.file}: {count} nodes, no problems.")
    return FAILED if problems else DONE


def _plan(arguments: argparse.Namespace) -> int:
    job = _Job(arguments.file, arguments.sets, arguments.to)
    with Headless(arguments.device) as engine:
        plan = engine.plan(workflow.to_json(job.content), job.targets, str(job.base_dir))
    nodes = cast("dict[str, dict[str, str]]", plan["nodes"])
    failed = [f"{name}: {node['because']}" for name, node in nodes.items() if node["state"] == "failed"]
    problems = [*cast("list[str]", plan["problems"]), *failed]
    for problem in problems:
        _say(problem)
    if arguments.as_json:
        _print_json(plan)
    else:
        width = max(map(len, nodes), default=0)
        for name, node in nodes.items():
            print(f"{name:<{width}}  {node['state']:<7}  {node['because']}".rstrip())
    return FAILED if problems else DONE


def _nodes(arguments: argparse.Namespace) -> int:
    catalogue = discover().catalogue()
    for problem in catalogue.problems:
        _say(_told(problem))
    if arguments.as_json:
        _print_json(catalogue.to_json())
        return DONE
    width = max((len(name) for name in catalogue.specs), default=0)
    for name, spec in sorted(catalogue.specs.items()):
        print(f"{name:<{width}}  {spec.doc}")
    return DONE


def _cache(arguments: argparse.Namespace) -> int:
    disk = disk_tier(paths.cache_dir())
    if arguments.what == "clear":
        disk.clear()
    used, entries = disk.sizes()
    print(f"{disk.root}: {entries} entries, {_megabytes(used)} of {_megabytes(disk.limit_bytes)}")
    return DONE


def _note_traceback() -> Path:
    """Write the traceback of the exception at hand where a report can quote it."""
    log = paths.data_dir() / "logs" / "command.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(traceback.format_exc(), "utf-8")
    return log


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _told(problem: Problem) -> str:
    place = f"{problem.graph}/{problem.node}".strip("/")
    return f"{place}: {problem.title} {problem.remedy}".removeprefix(": ").rstrip()


def _print_json(value: dict[str, Json]) -> None:
    print(json.dumps(value))


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
