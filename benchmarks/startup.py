"""From launch to a window that answers, and to an engine with torch loaded."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from benchmarks.measure import Row, estimate

NAME = "startup"
RUNS = 5
PATIENCE_S = 120


def run(full: bool) -> list[Row]:
    del full
    with tempfile.TemporaryDirectory() as home:
        launch(home)
        times = [launch(home) for _ in range(RUNS)]
    usable = estimate([seconds["usable"] for seconds in times])
    ready = estimate([seconds["ready"] for seconds in times])
    fresh = [launched_in_a_new_home() for _ in range(RUNS)]
    return [
        Row(NAME, "launch to usable window", usable, "s", aim="ours <= 1.0"),
        Row(NAME, "launch to engine ready (torch loaded)", ready, "s"),
        Row(NAME, "first launch ever to usable window", estimate(fresh), "s"),
    ]


def launched_in_a_new_home() -> float:
    """Seconds to a usable window where nothing is remembered from an earlier launch."""
    with tempfile.TemporaryDirectory() as home:
        return launch(home)["usable"]


def launch(home: str) -> dict[str, float]:
    """Start the application, and return seconds from there to what it tells."""
    environment = {**os.environ, "LATENT_STUDIO_HOME": home, "QT_QPA_PLATFORM": "offscreen"}
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks._launch"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    told = (line.split() for line in done.stdout.splitlines())
    return {words[0]: float(words[1]) - began for words in told if words[0] in ("usable", "ready")}
