"""The status bar: the engine's state, its device, its memory, and what went wrong."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QLabel, QMenu, QPushButton, QStatusBar, QToolButton, QWidget

from studio.worker.protocol import EngineReady, EngineState, Memory
from ui.elided import ElidedLabel
from ui.icons import icon
from ui.theme import DARK

STATES = {
    "starting": ("Engine is starting…", DARK.warning),
    "ready": ("Engine ready", DARK.good),
    "restarting": ("Engine restarts…", DARK.warning),
    "stopped": ("Engine stopped", DARK.bad),
    "stuck": ("Engine does not answer", DARK.bad),
}
DEVICES = {"auto": "Automatic", "cuda": "CUDA", "mps": "Metal", "cpu": "CPU"}
GIB = 2**30


class StatusBar(QStatusBar):
    """Says how the engine is and offers what can be done about it."""

    device_chosen = Signal(str)
    restart_wanted = Signal()
    stop_wanted = Signal()
    problems_wanted = Signal()

    def __init__(self, device: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeGripEnabled(False)
        self.state = EngineState("starting")
        self.sentence = ElidedLabel(self)
        self.remedy = QPushButton(self)
        self.remedy.setFlat(True)
        self.remedy.clicked.connect(self._act)
        self.problems = QToolButton(self)
        self.problems.setAutoRaise(True)
        self.problems.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.problems.setToolTip("Show the problems")
        self.problems.clicked.connect(self.problems_wanted)
        self.light = QLabel(self)
        self.light.setContentsMargins(4, 0, 10, 0)
        self.memory = QLabel(self)
        self.device = QToolButton(self)
        self.device.setAutoRaise(True)
        self.device.setIcon(icon("chip", DARK.muted))
        self.device.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.device.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.device.setToolTip("The device that runs the nodes")
        self.menu = QMenu(self.device)
        self.device.setMenu(self.menu)
        self._chosen = device
        self._devices = QActionGroup(self)
        self._offer(("cpu",))
        self.addWidget(self.light)
        self.addWidget(self.sentence, 1)
        self.addWidget(self.remedy)
        for widget in (self.problems, self.memory, self.device):
            self.addPermanentWidget(widget)
        self.show_state(self.state)
        self.show_device(None)
        self.count_problems(0)

    def show_state(self, state: EngineState) -> None:
        """Say where the engine stands."""
        self.state = state
        words, colour = STATES.get(state.state, (state.state, DARK.muted))
        self.light.setText(f'<span style="color:{colour}">●</span> {words}')
        offer = {"stuck": "Stop engine", "stopped": "Restart engine"}.get(state.state, "")
        self.remedy.setText(offer)
        self.remedy.setVisible(bool(offer))
        if state.sentence or state.state in ("restarting", "stopped", "stuck"):
            self.say(state.sentence, bad=state.state != "ready")
        if state.state in ("restarting", "stopped"):
            self.show_device(None)
            self.memory.setText("")

    def say(self, sentence: str, *, bad: bool = False) -> None:
        """Show a sentence until the next one."""
        self.sentence.setText(sentence)
        self.sentence.setToolTip(sentence)
        self.sentence.set_ink(DARK.bad if bad else DARK.muted)

    def show_device(self, ready: EngineReady | None) -> None:
        """Say which device and number format the engine uses."""
        if ready is None:
            self.device.setText(DEVICES.get(self._chosen, self._chosen))
            return
        self.device.setText(f"{DEVICES.get(ready.device, ready.device)}  {ready.dtype}")
        self.device.setToolTip(f"{ready.name}\nComputes in {ready.dtype}")
        self._offer(ready.devices)

    def show_memory(self, memory: Memory) -> None:
        """Say how much memory is in use."""
        used = f"{memory.used_bytes / GIB:.1f}"
        total = f" of {memory.total_bytes / GIB:.1f}" if memory.total_bytes else ""
        self.memory.setText(f"{used}{total} GB")
        self.memory.setToolTip(f"Memory in use; results kept in memory: {memory.cache_bytes / GIB:.2f} GB")

    def count_problems(self, count: int) -> None:
        """Say how many problems there are."""
        ink = DARK.warning if count else DARK.muted
        self.problems.setIcon(icon("warning" if count else "done", ink))
        self.problems.setText(
            "No problems" if not count else "1 problem" if count == 1 else f"{count} problems"
        )

    def _offer(self, devices: tuple[str, ...]) -> None:
        self.menu.clear()
        for name in ("auto", *(item for item in devices if item != "auto")):
            action = self.menu.addAction(DEVICES.get(name, name))
            action.setCheckable(True)
            action.setChecked(name == self._chosen)
            action.setActionGroup(self._devices)
            action.triggered.connect(lambda _on=False, device=name: self._choose(device))
        self.menu.addSeparator()
        self.menu.addAction("Stop and restart the engine", self.stop_wanted.emit)

    def _choose(self, device: str) -> None:
        self._chosen = device
        self.device_chosen.emit(device)

    def _act(self) -> None:
        (self.stop_wanted if self.state.state == "stuck" else self.restart_wanted).emit()
