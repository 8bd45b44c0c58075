"""The systemd units, checked by systemd."""

import configparser
import subprocess
from pathlib import Path

import pytest

from diptych.cli.main import main

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"


@pytest.fixture
def installed(tmp_path):
    """Both units, with a program that exists."""
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/diptych/.venv/bin/diptych", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    return sorted(tmp_path.iterdir())


def test_systemd_accepts_the_units_without_warnings(installed):
    command = ["systemd-analyze", "verify", "--man=no", *installed]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_the_service_is_sandboxed(installed):
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=35", installed[0]]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_command_is_valid_and_its_exit_codes_are_handled():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(UNITS / "diptych-nightly.service")
    service = unit["Service"]
    _, command, *arguments = service["ExecStart"].split()
    main.commands[command].make_context(command, list(arguments))
    assert "--nightly" in arguments
    assert service["SuccessExitStatus"] == "3"
    assert service["RestartPreventExitStatus"] == "2 4"


def test_a_missed_night_runs_later():
    timer = (UNITS / "diptych-nightly.timer").read_text()
    assert "Persistent=true" in timer
