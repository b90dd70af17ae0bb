"""Where things lie on this machine. `LATENT_STUDIO_HOME`, if set, holds them all in one folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

HOME_VARIABLE = "LATENT_STUDIO_HOME"
_APP = "latent-studio"


def _place(name: str, otherwise: str | Path) -> Path:
    home = os.environ.get(HOME_VARIABLE)
    return Path(home).absolute() / name if home else Path(otherwise)


def cache_dir() -> Path:
    """Folder of what can be computed again: stored outputs, the last catalogue."""
    return _place("cache", platformdirs.user_cache_dir(_APP, appauthor=False))


def config_dir() -> Path:
    """Folder of the settings."""
    return _place("config", platformdirs.user_config_dir(_APP, appauthor=False, roaming=True))


def data_dir() -> Path:
    """Folder of what belongs to the person: journals, logs, models."""
    return _place("data", platformdirs.user_data_dir(_APP, appauthor=False))


def output_dir() -> Path:
    """Folder that pictures are saved in unless another is named."""
    return _place("output", Path(platformdirs.user_pictures_dir()) / "Latent Studio")


def assets_dir() -> Path:
    """Folder of what ships with the application: starter model, templates, icons."""
    return Path(__file__).resolve().parent.parent / "assets"
