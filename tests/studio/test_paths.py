from __future__ import annotations

from pathlib import Path

import pytest

from studio import paths


def test_one_variable_moves_every_folder(own_home: Path) -> None:
    folders = [paths.cache_dir(), paths.config_dir(), paths.data_dir(), paths.output_dir()]
    assert [folder.parent for folder in folders] == [own_home] * 4
    assert len(set(folders)) == 4


def test_without_it_each_folder_is_where_this_system_keeps_such_things(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(paths.HOME_VARIABLE)
    for folder in (paths.cache_dir(), paths.config_dir(), paths.data_dir(), paths.output_dir()):
        assert folder.is_absolute()
        assert "atent" in folder.name


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(paths.HOME_VARIABLE, "here")
    assert paths.cache_dir() == Path.cwd() / "here" / "cache"


def test_the_assets_lie_beside_the_package() -> None:
    assert (paths.assets_dir() / "starter" / "model_index.json").is_file()
