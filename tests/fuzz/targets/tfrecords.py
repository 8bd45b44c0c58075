"""TFRecord files: the profile of ``diptych init``, and ExampleGen on what it proposes."""

import contextlib
from unittest import mock

from diptych.components.example_gen import infer_spec, tfrecords
from diptych.components.example_gen.profile import records as profile_records
from diptych.schemas.errors import DiptychError
from diptych.schemas.input_spec import SOURCE

from .profiles import follow_profile
from .scratch import check_message, folder_of_input

TOKENS = (b"label", b"image", b"vector", b"\x1f\x8b", b"\x89PNG\r\n\x1a\n")
_SEPARATOR = b"<record>"


def check(data):
    """Refusals: ``DiptychError``; an example that cannot be used has a reason instead.

    Records are separated by ``<record>``, and are not read from a file, which takes TensorFlow most
    of the time; input without a separator is the file.
    """
    name = "birds.tfrecord"
    records = data.split(_SEPARATOR)
    with folder_of_input() as folder, contextlib.ExitStack() as stack:
        (folder / name).write_bytes(data)
        if len(records) > 1:
            for module in (infer_spec, profile_records, tfrecords):
                stack.enter_context(
                    mock.patch.object(module, "read_records", lambda path: [(1, records)])
                )
        try:
            num_sources = _ingest(folder, name)
        except DiptychError as error:
            check_message(str(error))
        else:
            assert len(records) == 1 or num_sources == len(records)


def _ingest(folder, name):
    config, split, inputs = follow_profile(folder / name)
    sources = []
    for batch in tfrecords.read_tfrecords(folder, name, config, inputs, split):
        sources += batch.features.column(SOURCE).flatten().to_pylist()
        for source, reason in batch.rejected:
            sources.append(source.encode())
            check_message(reason)
    assert len(set(sources)) == len(sources), sources
    return len(sources)
