"""What ``diptych init`` proposes for a file, as ExampleGen gets it."""

import pydantic

from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.profile import profile_data
from diptych.schemas.config.data import DataConfig
from diptych.schemas.config.split import SplitConfig

from .scratch import check_message

_DATA = pydantic.TypeAdapter(DataConfig)


def follow_profile(path):
    """Return the proposed sections ``data`` and ``split``, and the input spec."""
    profile = profile_data(path)
    for note in profile.notes:
        check_message(note)
    config = _DATA.validate_python(dict(profile.data))
    split = SplitConfig.model_validate(profile.settings.get("split", {}))
    return config, split, infer_input_spec(config, split)
