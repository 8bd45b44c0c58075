"""The configuration: one frozen model a step, checked when it is loaded.

A step is given its own section as JSON, never the whole, so that a change of one section
re-runs the steps it concerns and leaves the others in the cache.
"""

import zoneinfo
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import Field, NonNegativeInt, PositiveInt

from diptych.schemas.errors import ConfigError
from diptych.schemas.evaluate import Evaluate
from diptych.schemas.model import Application, Cnn, CnnSmall, Model
from diptych.schemas.section import Section, Share
from diptych.schemas.training import WARM_START_PUSHED, Train
from diptych.schemas.tune import Tune

ColumnChoice = str | list[str] | PositiveInt
"""Columns by name (``embedding``), by prefix (``pixel_*``), as a list, or by their number."""


class ImageFolder(Section):
    """A folder of images, one folder per class; nested folders give labels such as ``a/b``."""

    kind: Literal["images"]
    path: str  # also as spans: data/span-{YYYY}-{MM}-{DD}
    window: PositiveInt | None = None  # as many of the newest spans; None: all
    size: tuple[PositiveInt, PositiveInt] = (28, 28)  # height, width after resizing
    channels: Literal[1, 3] = 3
    max_bytes: PositiveInt = 20_000_000  # of a file; larger ones are set aside unread
    max_pixels: PositiveInt = 25_000_000  # height times width, by the header; before decoding
    max_rejected: Share = 0.01


class Table(Section):
    """CSV or Parquet: a label column, and numeric columns or one list column as the vector."""

    kind: Literal["table"]
    path: str  # a file, a folder, or a pattern such as data/*.parquet, also as spans
    window: PositiveInt | None = None
    label: str
    columns: ColumnChoice | None = None  # None: every numeric column that has no other part
    id: str | None = None  # a column with a unique key; None: ids come from the content
    group: str | None = None  # writer, patient: for split.by = group
    max_rejected: Share = 0.01


class PairTable(Section):
    """CSV or Parquet that is paired already: left columns, right columns, a same column."""

    kind: Literal["pairs"]
    path: str
    window: PositiveInt | None = None
    same: str
    same_value: int | str | bool = 1  # the value of ``same`` that means "alike"
    left: ColumnChoice
    right: ColumnChoice
    id: str | None = None
    group: str | None = None
    max_rejected: Share = 0.01


class TFRecords(Section):
    """TFRecord files (``.gz`` too) of tf.Example with a label and an image or a float vector."""

    kind: Literal["tfrecord"]
    path: str
    window: PositiveInt | None = None
    label: str = "label"
    image: str | None = None
    vector: str | None = None
    id: str | None = None
    group: str | None = None
    size: tuple[PositiveInt, PositiveInt] = (28, 28)
    channels: Literal[1, 3] = 3
    max_bytes: PositiveInt = 20_000_000
    max_pixels: PositiveInt = 25_000_000
    max_rejected: Share = 0.01

    @pydantic.model_validator(mode="after")
    def _one_input(self) -> "TFRecords":
        if (self.image is None) == (self.vector is None):
            raise ValueError("name one feature: either 'image' or 'vector'")
        return self


Data = ImageFolder | Table | PairTable | TFRecords


class Split(Section):
    """Shares of the splits. An example's split is a hash of its key, so it never moves."""

    by: Literal["example", "class", "group"] = "example"
    train: Share = 0.6
    calibration: Share = 0.2
    test: Share = 0.2
    seed: NonNegativeInt = 0

    @pydantic.model_validator(mode="after")
    def _shares(self) -> "Split":
        shares = (self.train, self.calibration, self.test)
        if abs(sum(shares) - 1) > 1e-6 or min(shares) <= 0:
            raise ValueError(f"shares must be above 0 and sum to 1, got {shares}")
        return self


class Validation(Section):
    """What TensorFlow Data Validation finds stops the run, or only warns."""

    anomalies: Literal["stop", "warn"] = "stop"
    schema_file: str | None = None  # a schema.pbtxt to import; None: inferred from the data
    # Of the newest span from the one before it, and from the rest of the window. New classes every
    # night are no fault, so it only warns. Of 50 examples, chance alone gives up to 0.16.
    drift: Literal["stop", "warn", "off"] = "warn"
    max_label_drift: Share = 0.3  # L-infinity: the largest change of the share of a label
    max_value_drift: Share = 0.3  # Jensen-Shannon divergence, of each feature of numbers


Policy = Literal["oversample", "undersample", "natural", "inverse_frequency"]


class Pairs(Section):
    """How batches of P classes with K examples each are laid out, and pairs drawn in them."""

    classes_per_batch: Annotated[int, Field(ge=2)] = 8  # P
    examples_per_class: Annotated[int, Field(ge=2)] = 4  # K
    ratio: str = "1:1"  # same:different, exact in every batch
    policy: Policy = "oversample"
    max_repeats: PositiveInt = 10  # passes over a class in a round, under oversample
    rounds: PositiveInt = 2  # each with its own pairs
    evaluation_policy: Policy = "natural"  # of the calibration and test splits
    evaluation_rounds: PositiveInt = 4
    # confusable: in every other layer of the training split, classes that lie close in the
    # embedding of the model in production share batches
    difficulty: Literal["random", "confusable"] = "random"
    num_shards: PositiveInt = 8  # or a multiple, where shards would be too large for a worker
    seed: NonNegativeInt = 0

    @pydantic.field_validator("ratio", mode="before")
    @classmethod
    def _ratio(cls, value: object) -> str:
        parts = value.split(":") if isinstance(value, str) else []
        if len(parts) != 2 or not all(part.strip().isdecimal() and int(part) for part in parts):
            raise ValueError("needs two whole numbers above 0, same:different, such as 1:1 or 1:3")
        return ":".join(parts)

    @property
    def different_per_same(self) -> Fraction:
        """Different pairs for each same pair."""
        same, different = self.ratio.split(":")
        return Fraction(int(different), int(same))


class Push(Section):
    """Where blessed models go."""

    path: str | None = None  # None: serving/ in the root


_CRON = r"^\s*(\S+\s+){4}\S+\s*$"


class Resources(Section):
    """What one step asks an orchestrator for; None: no request."""

    cpus: Annotated[float, Field(gt=0)] | None = None
    memory: Annotated[str, Field(pattern=r"^[1-9]\d*(Mi|Gi)$")] | None = None
    gpus: NonNegativeInt = 0


class Nightly(Section):
    """When the pipeline runs by itself, and what is kept of its runs."""

    schedule: Annotated[str, Field(pattern=_CRON)] = "0 2 * * *"  # cron: minute, hour, day, ...
    timezone: str = "UTC"
    retries: NonNegativeInt = 2  # of a step, by an orchestrator
    resources: dict[str, Resources] = Field(default={})  # by step; default: of all others
    keep_runs: PositiveInt = 14  # the newest, with their artifacts
    keep_versions: Annotated[int, Field(ge=2)] = 5  # pushed ones; rollback needs one before
    webhook: str | None = None  # is sent the summary of each night
    pushgateway: str | None = None  # of Prometheus, is sent the metrics of each night

    @pydantic.field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
            raise ValueError("needs a time zone by its name, such as Europe/Berlin") from error
        return name


Runner = Literal["local", "flink", "dataflow", "spark"]
CLUSTER_OPTION = {"flink": "flink_master", "spark": "spark_master_url"}
"""Beam's option with the address of the cluster, of the runners that need one."""
_NEEDED = {
    "flink": ("flink_master",),
    "spark": ("spark_master_url",),
    "dataflow": ("project", "region", "temp_location", "sdk_container_image"),
}
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class Beam(Section):
    """The engine that runs the passes over the data: ExampleGen to PairGen."""

    runner: Runner = "local"
    # Beam's own, named as on its command line: {parallelism: 4}
    options: dict[str, bool | int | float | str | list[str]] = Field(default={})

    @pydantic.model_validator(mode="after")
    def _complete(self) -> "Beam":
        for name in ("runner", "direct_running_mode"):
            if name in self.options:
                raise ValueError(f"beam.runner settles the option {name}: leave it out")
        missing = [name for name in _NEEDED.get(self.runner, ()) if not self.options.get(name)]
        if missing:
            raise ValueError(f"runner {self.runner} needs options.{', options.'.join(missing)}")
        if self.runner in CLUSTER_OPTION:
            option = CLUSTER_OPTION[self.runner]
            host, _ = cluster_address(str(self.options[option]))
            if host not in _THIS_MACHINE and "environment_type" not in self.options:
                raise ValueError(
                    f"a cluster on another machine ({host}) needs options.environment_type, where "
                    "its workers run Python: EXTERNAL, DOCKER or PROCESS"
                )
        docker = self.options.get("environment_type") == "DOCKER"
        if docker and "sdk_container_image" not in self.options:
            raise ValueError("DOCKER needs options.sdk_container_image, an image with Diptych")
        return self


def cluster_address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port``, with or without a scheme before it.

    Raises:
      ValueError: it has another form, such as Beam's ``[local]``, which is no cluster.
    """
    host, _, port = text.rpartition("://")[2].rstrip("/").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"a cluster's address is host:port, got {text!r}")
    return host.strip("[]"), int(port)


class Config(Section):
    """The whole configuration file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    data: Annotated[Data, Field(discriminator="kind")]
    split: Split = Split()
    validation: Validation = Validation()
    pairs: Pairs = Pairs()
    model: Model = Model()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    push: Push = Push()
    beam: Beam = Beam()
    nightly: Nightly = Nightly()
    tune: Tune = Tune()

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> "Config":
        if self.split.by == "group" and getattr(self.data, "group", None) is None:
            raise ValueError("split.by = group needs data.group, the column that names the group")
        if self.split.by == "class" and self.data.kind == "pairs":
            raise ValueError(
                "split.by = class needs classes; pairs have none: use example or group"
            )
        if self.pairs.difficulty == "confusable" and self.data.kind == "pairs":
            raise ValueError(
                "pairs.difficulty = confusable needs classes; data that came in pairs have none"
            )
        vectors = self.data.kind in ("table", "pairs") or getattr(self.data, "vector", None)
        if vectors and isinstance(self.model.encoder, CnnSmall | Cnn | Application):
            raise ValueError(
                f"model.encoder {self.model.encoder.name} needs images, the data are vectors: "
                "use mlp"
            )
        if self.data.kind != "pairs":
            self._check_ratio()
        else:
            self._check_without_classes()
        if self.train.weights == "inverse_frequency" and self.pairs.policy != "natural":
            raise ValueError(
                "train.weights = inverse_frequency corrects unequal classes, which pairs.policy = "
                f"{self.pairs.policy} has done already: choose one, pairs.policy = natural or "
                "train.weights = shards"
            )
        workers = max(self.train.num_workers, 1)
        if self.pairs.num_shards % workers:
            raise ValueError(
                f"pairs.num_shards ({self.pairs.num_shards}) must be a multiple of "
                f"train.num_workers ({workers}), so that workers read disjoint shards"
            )
        return self

    def _check_without_classes(self) -> None:
        if self.model.needs_classes:
            raise ValueError(
                f"model.loss {self.model.loss.name} compares all examples of a batch by their "
                "class; data that came in pairs have none: use contrastive, cosine_embedding, "
                "binary_cross_entropy, or triplet with mining = given"
            )
        if self.train.augmentation.mixing:
            raise ValueError(
                "train.augmentation.mixing mixes examples of a class; data that came in pairs "
                "have none: leave it out, or use noise"
            )
        for name in ("recall_at_1", "map_at_r"):
            if getattr(self.evaluate.bars, name) is not None:
                raise ValueError(
                    f"evaluate.bars.{name} is a figure of classes; data that came in pairs have "
                    "none: leave it out"
                )
        if self.train.weights == "inverse_frequency":
            raise ValueError(
                "train.weights = inverse_frequency needs classes; data that came in pairs have "
                "none: use pairs.policy = inverse_frequency"
            )

    def _check_ratio(self) -> None:
        classes, size = self.pairs.classes_per_batch, self.pairs.examples_per_class
        same, different = classes * size * (size - 1) // 2, size**2 * classes * (classes - 1) // 2
        ratio = self.pairs.different_per_same
        if ratio.denominator > same or ratio.numerator > different:
            raise ValueError(
                f"pairs.ratio {self.pairs.ratio} is out of reach: a batch of {classes} classes "
                f"with {size} examples each has {same} same and {different} different pairs. "
                "Choose another ratio, or raise pairs.classes_per_batch or .examples_per_class"
            )


def load_config(path: Path, settings: tuple[str, ...] = ()) -> Config:
    """Reads a configuration file and lays ``settings`` over it.

    Relative paths in the file are taken from the folder of the file, so that a scheduled run
    does not depend on where it is started; those in ``settings`` from the working directory.

    Args:
      path: a YAML file.
      settings: ``key.path=value`` each; the value is read as YAML.

    Raises:
      ConfigError: the file or a setting cannot be read, or a value does not fit.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise ConfigError(f"Cannot read the configuration {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {_one_line(error)}") from error
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} must hold keys such as name and data, got {type(tree).__name__}."
        )
    _make_paths_absolute(tree, path.parent)
    overlay: dict[str, Any] = {}
    for setting in settings:
        _apply(overlay, setting)
    _make_paths_absolute(overlay, Path.cwd())
    _merge(tree, overlay)
    return checked_config(tree, str(path))


def checked_config(tree: dict[str, Any], source: str) -> Config:
    """The configuration that a tree of keys describes.

    Raises:
      ConfigError: a value does not fit; it names the source of the tree.
    """
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{source}: {_explain(error)}") from error


class _Loader(yaml.SafeLoader):
    """Reads ``ratio: 1:3`` as written; to YAML 1.1 it is 63, a number to the base of 60."""


def _number(loader: _Loader, node: yaml.ScalarNode) -> Any:
    tag = node.tag.rpartition(":")[2]
    return node.value if ":" in node.value else getattr(loader, f"construct_yaml_{tag}")(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)

_PATHS = (
    ("data", "path"),
    ("validation", "schema_file"),
    ("model", "encoder", "weights"),
    ("train", "warm_start"),
    ("push", "path"),
)


def _make_paths_absolute(tree: dict[str, Any], folder: Path) -> None:
    for *sections, key in _PATHS:
        part: Any = tree
        for section in sections:
            part = part.get(section) if isinstance(part, dict) else None
        value = part.get(key) if isinstance(part, dict) else None
        if isinstance(value, str) and "://" not in value and value != WARM_START_PUSHED:
            # Not resolve(): a symbolic link in the path is the user's way to name the data.
            part[key] = str((folder / Path(value).expanduser()).absolute())


def _apply(tree: dict[str, Any], setting: str) -> None:
    keys, equals, text = setting.partition("=")
    if not equals or not all(keys.split(".")):
        raise ConfigError(f"--set needs key.path=value, got {setting!r}.")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {keys}: {text!r} is not a value: {_one_line(error)}") from error
    *parents, last = keys.split(".")
    for key in parents:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {keys}: {key} is a value already, not a section.")
    tree[last] = value


def _merge(tree: dict[str, Any], overlay: dict[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


_UNIONS = (["data"], ["model", "encoder"], ["model", "loss"], ["train", "calibrate_for"])


def _explain(error: pydantic.ValidationError) -> str:
    lines = []
    for problem in error.errors():
        # The union's tag stands in the path after its key; the user never wrote it.
        where = [str(part) for part in problem["loc"]]
        for union in _UNIONS:
            if len(where) > len(union) and where[: len(union)] == union:
                del where[len(union)]
        message = problem["msg"].removeprefix("Value error, ")
        # A section is too long to show; a part that is only named is not.
        section = isinstance(problem["input"], dict) and set(problem["input"]) != {"name"}
        got = "" if section else f", got {problem['input']!r}"
        lines.append(f"{'.'.join(where) or 'the whole'}: {message}{got}")
    return "; ".join(lines) + "."
