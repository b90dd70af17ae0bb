"""``python -m benchmarks [NAME]... [--json] [--full] [--reference FILE]``: measure, and tell what is met."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import json
import os
import pkgutil
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import benchmarks
from benchmarks.measure import Row, table


def names() -> list[str]:
    """Every benchmark: the modules of this package but the ruler and those with a leading underscore."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in found if not name.startswith("_") and name != "measure")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure, and compare with the aims."
    )
    parser.add_argument(
        "name", nargs="*", help=f"one or more of: {', '.join(names())}; all of them if left out"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--full", action="store_true", help="also what takes longer than ten minutes")
    parser.add_argument(
        "--reference",
        metavar="FILE",
        type=Path,
        help="compare with the values in this file (solvers, prompts)",
    )
    options = parser.parse_args()
    wanted = options.name or names()
    unknown = [name for name in wanted if name not in names()]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(names())}")
    if options.reference is not None and not (len(wanted) == 1 and compares(wanted[0])):
        parser.error("--reference FILE goes with the one benchmark that compares with a file")
    rows: list[dict[str, object]] = []
    complete = True
    for name in wanted:
        found = alone(name, options) if len(wanted) > 1 else here(name, options)
        complete = complete and found is not None
        rows += found or []
    if options.json:
        print(json.dumps({"machine": machine(), "rows": rows}, indent=1, ensure_ascii=False))
    return 0 if complete and all(row["met"] for row in rows) else 1


def compares(name: str) -> bool:
    """Whether a benchmark compares with the values of a file."""
    run = importlib.import_module(f"benchmarks.{name}").run
    return "reference" in inspect.signature(run).parameters


def here(name: str, options: argparse.Namespace) -> list[dict[str, object]]:
    """Run one benchmark in this process."""
    began = time.perf_counter()
    given = {} if options.reference is None else {"reference": options.reference}
    # What libraries print must not come between the lines of the report.
    with contextlib.redirect_stdout(sys.stderr):
        rows: list[Row] = importlib.import_module(f"benchmarks.{name}").run(options.full, **given)
    if not options.json:
        facts = ", ".join(f"{key} {value}" for key, value in machine().items())
        print(f"{name} ({time.perf_counter() - began:.0f} s; {facts})\n{table(rows)}\n")
    return [row.to_json() for row in rows]


def alone(name: str, options: argparse.Namespace) -> list[dict[str, object]] | None:
    """Run one benchmark in a process of its own, where no other has filled memory or caches."""
    command = [sys.executable, "-m", "benchmarks", name, *(["--full"] if options.full else [])]
    if not options.json:
        sys.stdout.flush()
        return [{"met": subprocess.run(command, check=False).returncode == 0}]
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    try:
        return json.loads(done.stdout)["rows"]
    except ValueError:
        print(f"The benchmark “{name}” ended without a result.", file=sys.stderr)
        return None


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": _version("torch"),
        "PySide6": _version("PySide6-Essentials"),
    }


def _cpu() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    if not hasattr(os, "sysconf"):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
