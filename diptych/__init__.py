"""Diptych: from raw labelled data to a Siamese model in production, every night.

    model = diptych.load_model("demo/serving")
    model.compare("a.png", "b.png").same

``import diptych`` is quick: each name below is imported when it is first used, and TensorFlow, TFX,
Beam and Ray only by the functions that need them. ML Metadata finds the artifact types by their
name in this package, such as ``diptych.PairSet``.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diptych.api import PairTables, Run, load_model, open_run, read_pairs, run
    from diptych.inference.example_gallery import ExampleGallery as Gallery
    from diptych.inference.model import Comparison, Model
    from diptych.schemas.artifacts import (
        Balance,
        Centroids,
        DataReportArtifact,
        Evaluation,
        PairSet,
        Rejected,
        TrainingLog,
    )
    from diptych.schemas.errors import (
        BusyError,
        ConfigError,
        DataError,
        DiptychError,
        ModelError,
        ServiceError,
        StepError,
        TrainingError,
    )

__version__ = "0.1.0"

_MODULES = {
    "diptych.api": ["PairTables", "Run", "load_model", "open_run", "read_pairs", "run"],
    "diptych.inference.model": ["Comparison", "Model"],
    "diptych.inference.example_gallery": ["Gallery"],
    "diptych.schemas.artifacts": [
        "Balance",
        "Centroids",
        "DataReportArtifact",
        "Evaluation",
        "PairSet",
        "Rejected",
        "TrainingLog",
    ],
    "diptych.schemas.errors": [
        "BusyError",
        "ConfigError",
        "DataError",
        "DiptychError",
        "ModelError",
        "ServiceError",
        "StepError",
        "TrainingError",
    ],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
_ALIASES = {"Gallery": "ExampleGallery"}

__all__ = [
    "Balance",
    "BusyError",
    "Centroids",
    "Comparison",
    "ConfigError",
    "DataError",
    "DataReportArtifact",
    "DiptychError",
    "Evaluation",
    "Gallery",
    "Model",
    "ModelError",
    "PairSet",
    "PairTables",
    "Rejected",
    "Run",
    "ServiceError",
    "StepError",
    "TrainingError",
    "TrainingLog",
    "load_model",
    "open_run",
    "read_pairs",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_MODULE_OF[name])
    return getattr(module, _ALIASES.get(name, name))


def __dir__() -> list[str]:
    return sorted(__all__)
