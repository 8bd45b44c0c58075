"""Configurations: a YAML file, and the settings of ``--set`` after it."""

from diptych.schemas.config.loading import checked_config, load_config
from diptych.schemas.errors import ConfigError

from .scratch import check_message, folder_of_input

TOKENS = (b"\n--set ", b"name: ", b"data: ", b"kind: table", b"kind: images", b"kind: pairs")
TOKENS += (
    b"kind: tfrecord",
    b"path: ",
    b"label: ",
    b"split: ",
    b"by: group",
    b"tune: ",
    b"space: ",
)
TOKENS += (b"!!binary ", b"!!set ", b"&a ", b"*a", b"<<: ", b"? ", b"!!timestamp ", b"1:3", b"~")
TOKENS += (b"model.encoder=", b"train.", b"choice: [", b".inf", b".nan", b"\\ud800", b"0x1F", b"'")


def check(data):
    """Refusals: ``ConfigError``."""
    content, *settings = data.split(b"\n--set ")
    # As the command line passes bytes that are not UTF-8.
    overrides = tuple(setting.decode(errors="surrogateescape") for setting in settings)
    with folder_of_input() as folder:
        path = folder / "birds.yaml"
        path.write_bytes(content)
        try:
            config = load_config(path, overrides)
        except ConfigError as error:
            # Whoever prints it replaces what a terminal cannot show.
            check_message(str(error).encode(errors="surrogateescape").decode(errors="replace"))
            return
    tree = config.model_dump(mode="json")
    assert checked_config(tree, "again").model_dump(mode="json") == tree
