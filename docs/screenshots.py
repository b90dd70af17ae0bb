"""Takes the screenshots of the README from the real window with the real engine; needs no display.

python docs/screenshots.py [FOLDER]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
WIDTH, HEIGHT = 1440, 900
PATIENCE_MS = 300_000
NODE = "k_sampler"

LORA = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
MODELS = {
    "loras/people/anna.safetensors": (768, "Anna of the hills", "anna, red hair", "palm_tree.png"),
    "loras/styles/gouache.safetensors": (768, "Gouache", "gouache, flat colours", ""),
    "loras/styles/engraving.safetensors": (2048, "Engraving", "engraving", ""),
}
"""Files of a made-up library: width of the layers, title, words, picture."""


def library(home: Path) -> Path:
    """Make a folder of models as other tools lay it out."""
    import numpy as np
    from safetensors.numpy import save_file

    from studio.paths import assets_dir

    root = home / "ComfyUI"
    (root / "models/checkpoints").mkdir(parents=True)
    shutil.copytree(assets_dir() / "starter", root / "models/checkpoints/starter")
    for name, (width, title, words, picture) in MODELS.items():
        place = root / "models" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"{LORA}.lora_down.weight": np.zeros((4, width), np.float16),
            f"{LORA}.lora_up.weight": np.ones((320, 4), np.float16),
        }
        save_file(tensors, place, {"modelspec.title": title, "modelspec.trigger_phrase": words})
        if picture:
            shutil.copy(assets_dir() / "pictures" / picture, place.with_suffix(".preview.png"))
    return root


def main(home: Path) -> int:
    """Start the editor as at its first start, run the starter workflow, and take pictures of it."""
    from PySide6.QtCore import QSize, QTimer
    from PySide6.QtGui import QImage
    from PySide6.QtWidgets import QApplication

    from studio.settings import Settings
    from studio.worker.client import EngineClient
    from ui import theme
    from ui.session import Session
    from ui.window import Window

    app = QApplication(sys.argv[:1])
    theme.apply(app)
    settings = Settings()
    settings.put("model_folders", [str(library(home))])
    window = Window(EngineClient, settings, Session())
    window.show()
    window.panels.arrange(QSize(WIDTH, HEIGHT))
    taken: list[str] = []

    def take(name: str) -> None:
        window.grab().save(str(FOLDER / name))
        taken.append(name)

    def ready() -> None:
        page = window.documents.page
        if page is not None:
            page.view.frame_all()
            page.scene.select([NODE])
        window.actions_.run.trigger()

    def previewed(_run: object, _picture: QImage, words: str) -> None:
        step, _, total = words.rpartition("step ")[2].partition(" of ")
        if "running.png" not in taken and int(step) >= 0.65 * int(total):
            take("running.png")

    def finished() -> None:
        # Thumbnail and picture are fetched once the run is over.
        QTimer.singleShot(1500, done)

    def done() -> None:
        take("window.png")
        panel = window.panels.models
        window.panels.bring_up("models")
        panel.list.setCurrentIndex(panel.listing.index(1, 0))
        QTimer.singleShot(1500, models)

    def models() -> None:
        take("models.png")
        window.close()
        app.quit()

    window.engine.device_changed.connect(lambda _device: QTimer.singleShot(500, ready))
    window.follower.previewed.connect(previewed)
    window.follower.finished.connect(finished)
    QTimer.singleShot(0, window.start)
    QTimer.singleShot(PATIENCE_MS, app.quit)
    app.exec()
    return 0 if {"running.png", "window.png", "models.png"} <= set(taken) else 1


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["LATENT_STUDIO_HOME"] = home
        sys.exit(main(Path(home)))
