"""House rules for every test: a home of its own, a quiet log, nothing left alive."""

from __future__ import annotations

import gc
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# For whatever looks before the first test runs; each test then gets a folder of its own.
_home = tempfile.TemporaryDirectory(prefix="latent-studio-tests-")
os.environ["LATENT_STUDIO_HOME"] = _home.name

GRACE_S = 2.0
"""How long a thread that was told to end may take."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A warning that no test fails for.

    Attributes:
        source: ``log`` (the logging module), ``python`` (the warnings module) or ``qt`` (Qt's messages).
        library: Who says it: a logger's name or its first part, or the package.
        message: Regular expression for its beginning.
        reason: Why it is no fault of ours.
    """

    source: Literal["log", "python", "qt"]
    library: str
    message: str
    reason: str


ALLOWED: tuple[Allowed, ...] = (
    Allowed(
        "qt",
        "Qt offscreen platform",
        r"This plugin does not support (propagateSizeHints|raise|grabbing)",
        "the offscreen platform has no window manager; a real one is asked the same and answers",
    ),
)


def pytest_configure(config: pytest.Config) -> None:
    """Hand the list on to those who watch Python's and Qt's warnings."""
    config.addinivalue_line(
        "markers", "expects_log(library, message): the test provokes this warning, and fails without it"
    )
    for item in ALLOWED:
        if item.source == "python":
            config.addinivalue_line("filterwarnings", f"ignore:{item.message}")
        elif item.source == "qt":
            config.addinivalue_line("qt_log_ignore", item.message)


def pytest_unconfigure() -> None:
    """Leave no folder behind."""
    _home.cleanup()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Remember that a test failed: what its traceback keeps alive is no leak."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


FAILED = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings, cache and pictures of this test alone."""
    home = tmp_path / "home"
    monkeypatch.setenv("LATENT_STUDIO_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def quiet_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which anything logs a warning or worse that nobody declared.

    Records are watched where they are made, since some libraries' loggers do not hand theirs on.
    """
    records: list[logging.LogRecord] = []
    make = logging.getLogRecordFactory()

    def watch(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if isinstance(record.levelno, int) and record.levelno >= logging.WARNING:
            records.append(record)
        return record

    logging.setLogRecordFactory(watch)
    yield
    logging.setLogRecordFactory(make)
    expected = [mark.args for mark in request.node.iter_markers("expects_log")]
    unexpected = [_shown(record) for record in records if not _declared(record, expected)]
    assert not unexpected, (
        "unexpected warnings in the log (fix the cause; or, where the test means to provoke one, declare it "
        "with @pytest.mark.expects_log(library, message)):\n" + "\n".join(unexpected)
    )
    silent = [pair for pair in expected if not any(_fits(record, *pair) for record in records)]
    assert request.node.stash.get(FAILED, True) or not silent, f"expected in the log, but not said: {silent}"


def _declared(record: logging.LogRecord, expected: list[tuple[str, str]]) -> bool:
    allowed = [(item.library, item.message) for item in ALLOWED if item.source == "log"]
    return any(_fits(record, library, message) for library, message in [*allowed, *expected])


def _fits(record: logging.LogRecord, library: str, message: str) -> bool:
    from_library = record.name == library or record.name.startswith(f"{library}.")
    return from_library and re.match(message, record.getMessage()) is not None


def _shown(record: logging.LogRecord) -> str:
    return f"  {record.levelname} {record.name}: {record.getMessage()}"


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread running, a timer ticking or a top-level widget alive."""
    threads = set(threading.enumerate())
    before = set(_alive_in_qt())
    yield
    if request.node.stash.get(FAILED, True):
        return
    left = [thread for thread in threading.enumerate() if thread not in threads and not thread.daemon]
    for thread in left:
        thread.join(GRACE_S)
    leaked = [f"thread {thread.name}" for thread in left if thread.is_alive()]
    if _alive_in_qt().keys() - before:
        _delete_later()
        gc.collect()
        leaked += [words for address, words in _alive_in_qt().items() if address not in before]
    assert not leaked, f"left alive by this test: {', '.join(leaked)}"


def _alive_in_qt() -> dict[int, str]:
    """Running QThreads, active QTimers and top-level widgets, by address; none without an application."""
    core = sys.modules.get("PySide6.QtCore")
    application = core.QCoreApplication.instance() if core else None
    if core is None or application is None:
        return {}
    import shiboken6

    found: list[Any] = []
    for item in shiboken6.getAllValidWrappers():
        if isinstance(item, core.QTimer):
            if item.isActive():
                found.append(item)
        elif isinstance(item, core.QThread) and item.isRunning():
            found.append(item)
    widgets = sys.modules.get("PySide6.QtWidgets")
    if widgets is not None and isinstance(application, widgets.QApplication):
        # A tool tip's label belongs to Qt, which keeps it for the next one.
        tops = widgets.QApplication.topLevelWidgets()
        found += [widget for widget in tops if widget.metaObject().className() != "QTipLabel"]
    addresses = {shiboken6.getCppPointer(item)[0]: repr(item) for item in found}
    addresses.pop(shiboken6.getCppPointer(application.thread())[0], None)
    return addresses


def _delete_later() -> None:
    """Let objects that were sent `deleteLater` go; outside an event loop Qt waits with them."""
    from PySide6.QtCore import QCoreApplication, QEvent

    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    QCoreApplication.processEvents()
