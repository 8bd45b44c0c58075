"""Where ``diptych serve`` writes its log."""

import pytest

from diptych.cli.serve import _check_log, _default_log
from diptych.schemas.errors import ServiceError


def test_the_log_is_next_to_the_folder_of_versions(number_model, tmp_path, monkeypatch):
    serving = number_model.parent
    assert _default_log(serving) == _default_log(number_model) == serving.parent / "serve.log"
    monkeypatch.chdir(serving.parent)
    assert _default_log(serving.relative_to(serving.parent)) == serving.parent / "serve.log"


def test_a_log_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match=r"Cannot write the log .*--log"):
        _check_log(tmp_path / "file" / "serve.log")
