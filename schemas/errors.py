"""Errors that a person can act on, grouped by who must act.

DiptychError
├── ConfigError    the author of the configuration: a key, a value, a path
├── DataError      the owner of the data: a column, a class, the fraction of rejected rows
├── TrainingError  the person who trains the model: resources, a non-finite loss
├── StepError      the person who runs the pipeline: an unexpected error in a step
├── ModelError     the user of a pushed model: a changed folder, an unsupported input
├── ServiceError   the operator of the service: a port, a token, Ray
└── BusyError      the person who starts a run: another run uses the same root

Each message states what was expected, what was found and what to do. Each class takes one
positional message, because an error with keyword-only arguments cannot be unpickled on the driver.
"""

from diptych.schemas.short_text import MAX_MESSAGE_LENGTH, shorten


class DiptychError(Exception):
    """Base class of all errors that Diptych raises on purpose.

    Args:
      message: The middle of a very long one, such as with a value of megabytes, is left out.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(shorten(message, MAX_MESSAGE_LENGTH))


class ConfigError(DiptychError):
    """The configuration refers to something that does not exist, or its values conflict."""


class DataError(DiptychError):
    """The data cannot be used in their present form."""


class TrainingError(DiptychError):
    """Training could not start or could not continue."""


class StepError(DiptychError):
    """A step failed with an unexpected error; its traceback is in the log."""


class ModelError(DiptychError):
    """A model folder is damaged, or the model does not accept the inputs."""


class ServiceError(DiptychError):
    """The service could not start."""


class BusyError(DiptychError):
    """Another process uses the same root."""
