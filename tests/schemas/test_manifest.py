import json
import math

import pytest
from synthetic_versions import make_version

from diptych.schemas.errors import ModelError
from diptych.schemas.manifest import ModelManifest


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": math.nan},
        {"threshold": 1e39},  # infinite as float32
        {"embedding_size": 0},
        {"embedding_size": -1},
        {"inputs": {"kind": "vector"}},
        {"inputs": {"kind": "vector", "columns": [{"name": "a", "width": 0}]}},
        {"inputs": {"kind": "vector", "columns": [{"name": "a", "width": 2**31}]}},
        {"inputs": {"kind": "image", "size": [2**20, 2**20], "channels": 3}},
        {"configuration": {"data": None}},
        {"configuration": {"data": []}},
        {"configuration": {"data": {"max_bytes": "1 MB"}}},
        {"configuration": {"data": {"max_pixels": -1}}},
        {"configuration": {"data": {"encoding": "klingon"}}},
        {"configuration": {"data": {"delimiter": ",,"}}},
        {"configuration": {"data": {"label": ["species"]}}},
    ],
)
def test_a_manifest_with_a_value_that_no_model_has_raises(tmp_path, change):
    folder = make_version(tmp_path, 1)
    path = folder / "assets.extra" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=r"is damaged or was written .*: 1 invalid values"):
        ModelManifest.read(folder)


def test_keys_of_the_data_that_are_unknown_or_null_are_kept(tmp_path):
    folder = make_version(tmp_path, 1)
    path = folder / "assets.extra" / "manifest.json"
    data = {"path": "/x", "label": "a", "id": None, "max_bytes": None, "later": [1]}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"configuration": {"data": data}}))
    assert ModelManifest.read(folder).configuration == {"data": data}
