"""A working directory with files that are named like libraries."""

from pathlib import Path

_NAMES = (
    *("apache_beam", "click", "diptych", "google", "grpc", "json", "keras", "numpy", "pandas"),
    *("pyarrow", "pydantic", "random", "ray", "sitecustomize", "tensorflow", "tfx", "yaml"),
)
_CODE = """
import pathlib
pathlib.Path(__file__).with_name("imported.txt").open("a").write(__name__ + "\\n")
raise ImportError(f"{__file__} was imported")
"""


class HostileFolder:
    """A folder with a module for each of many libraries; a module that is imported says so."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        for name in _NAMES:
            (self.path / f"{name}.py").write_text(_CODE)

    def imported(self):
        """Return the names of the modules that were imported."""
        record = self.path / "imported.txt"
        return record.read_text().split() if record.exists() else []
