"""Errors that a person can act on, split by who acts.

DiptychError
├── ConfigError    the author of the configuration: a key, a value, a path
├── DataError      the owner of the data: a column, a class, a share of rejected rows
├── TrainingError  who runs the training: resources, a loss that is not finite
├── ModelError     who uses a pushed model: a changed folder, an input that it does not take
├── ServiceError   who runs the service: a port, a token, Ray
└── BusyError      who starts a run: another one is going on in the root

Each says what was needed, what came, and what to do. Each takes one positional message, so
that it can be pickled on its way from a worker to the driver.
"""


class DiptychError(Exception):
    """Anything that Diptych itself raises on purpose; its message is meant for people."""


class ConfigError(DiptychError):
    """The configuration asks for something that does not exist or does not fit together."""


class DataError(DiptychError):
    """The data cannot be used as they are."""


class TrainingError(DiptychError):
    """Training could not start or could not go on."""


class ModelError(DiptychError):
    """A pushed model cannot be used so."""


class ServiceError(DiptychError):
    """The service could not start."""


class BusyError(DiptychError):
    """Another process is at work in the root."""
