"""TFRecord files: the profile of ``diptych init``, and ExampleGen on what it proposes."""

import pydantic

from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.profile import profile_data
from diptych.components.example_gen.tfrecords import read_tfrecords
from diptych.schemas.config.data import DataConfig
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DiptychError
from diptych.schemas.input_spec import SOURCE

from .scratch import check_message, folder_of_input

TOKENS = (b"label", b"image", b"vector", b"\x1f\x8b", b"\x89PNG\r\n\x1a\n")
_SEPARATOR = b"<record>"
_DATA = pydantic.TypeAdapter(DataConfig)


def check(data):
    """Refusals: ``DiptychError``; an example that cannot be used has a reason instead.

    Records are separated by ``<record>`` and are written with their checksums; input without it is
    the file.
    """
    name = "birds.tfrecord"
    with folder_of_input() as folder:
        if _SEPARATOR in data:
            _write_records(folder / name, data.split(_SEPARATOR))
        else:
            (folder / name).write_bytes(data)
        try:
            num_sources = _ingest(folder, name)
        except DiptychError as error:
            check_message(str(error))
        else:
            assert _SEPARATOR not in data or num_sources == data.count(_SEPARATOR) + 1


def _ingest(folder, name):
    profile = profile_data(folder / name)
    for note in profile.notes:
        check_message(note)
    config = _DATA.validate_python(dict(profile.data))
    split = SplitConfig.model_validate(profile.settings.get("split", {}))
    inputs = infer_input_spec(config, split)
    sources = []
    for batch in read_tfrecords(folder, name, config, inputs, split):
        sources += batch.features.column(SOURCE).flatten().to_pylist()
        for source, reason in batch.rejected:
            sources.append(source.encode())
            check_message(reason)
    assert len(set(sources)) == len(sources), sources
    return len(sources)


def _write_records(path, records):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
