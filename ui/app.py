"""The command ``latent-studio``: sub-commands go to `studio.cli`, everything else opens the window."""

from __future__ import annotations

import gc
import logging
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.session import Session

STARTER = "text_to_image.json"
USAGE = """\
latent-studio [FILE]       open the editor, on FILE if one is given
latent-studio COMMAND ...  work without a window:
"""
logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code. Qt is imported only where a window opens."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and _for_command_line(arguments):
        from studio import cli

        if arguments[0] in ("-h", "--help"):
            print(USAGE)  # noqa: T201 - the help of a command
        return cli.main(arguments)
    file = Path(arguments[0]) if arguments else None
    why = _no_window()
    if why:
        sys.stderr.write(f"{why}\n")
        return _run_without_window(file)
    return _open_window(file)


def _for_command_line(arguments: list[str]) -> bool:
    from studio.cli import SUBCOMMANDS

    return arguments[0] in SUBCOMMANDS or arguments[0].startswith("-") or len(arguments) > 1


def _no_window() -> str:
    """Why no window can open, in sentences; empty if one can."""
    from ui.display import display_sentence, library_sentence, missing_libraries

    missing = missing_libraries()
    sentences = [library_sentence(missing)] if missing else []
    if display := display_sentence():
        sentences.append(display)
    return "\n".join(sentences)


def _run_without_window(file: Path | None) -> int:
    """Run `file`, or the starter workflow; the last line printed is the absolute path of a picture."""
    from studio import cli
    from studio.paths import assets_dir

    sys.stderr.write(f"Running {'it' if file else 'the starter workflow'} without a window.\n")
    sys.stderr.flush()
    return cli.main(["run", str(file or assets_dir() / "templates" / STARTER)])


def _open_window(file: Path | None) -> int:
    # Imports make objects by the hundred thousand, none of them garbage; `Collector` takes over later.
    gc.disable()
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from studio.settings import Settings
    from studio.worker.client import EngineClient
    from ui import theme
    from ui.icons import app_icon
    from ui.window import Window

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Ctrl-C in the terminal ends the editor at once; journals keep what is unsaved.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    app = QApplication(sys.argv[:1])
    app.setApplicationName("Latent Studio")
    app.setDesktopFileName("latent-studio")
    app.setWindowIcon(app_icon())
    theme.apply(app)
    settings = Settings()
    client = partial(EngineClient, device=settings.get("device", "auto"))
    session, why = _session()
    window = Window(client, settings, session)
    if why:
        window.bar.say(why, bad=True)
    sys.excepthook = partial(_tell, window.bar.say)
    window.show()
    # The first frame comes before the documents: a window that is there answers.
    QTimer.singleShot(0, lambda: window.start(file))
    return app.exec()


def _session() -> tuple[Session, str]:
    """The session's folder; where none can be had, one that ends with the machine's day, and why."""
    from studio.errors import FileError
    from ui.session import Session

    try:
        return Session(), ""
    except (OSError, FileError) as error:
        kept = Path(tempfile.mkdtemp(prefix="latent-studio-session-"))
        return Session(kept), f"What is unsaved is kept in {kept} for now. {error}"


def _tell(
    say: Callable[..., None],
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
) -> None:
    """The last resort for a slot that failed: the traceback to the log, a sentence to the person."""
    logger.error("the editor failed at something", exc_info=(kind, error, trace))
    say(f"The editor failed at this: {error or kind.__name__}. Your work is in the journal.", bad=True)


if __name__ == "__main__":
    sys.exit(main())
