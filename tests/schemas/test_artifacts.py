"""Artifact types: every orchestrator finds the class of a type by its name."""

from tfx.types.artifact import Artifact
from tfx.utils.import_utils import import_class_by_path

from diptych.schemas import artifacts


def test_the_name_of_a_type_is_the_path_of_its_class():
    types = [
        each
        for each in vars(artifacts).values()
        if isinstance(each, type) and issubclass(each, Artifact) and each is not Artifact
    ]
    assert len(types) > 5
    for each in types:
        # On Kubeflow, TFX imports a type that it does not know by its name.
        assert import_class_by_path(each.TYPE_NAME) is each
