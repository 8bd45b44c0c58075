from tfx.types import standard_artifacts

from diptych.components.baseline import BlessedBefore


def _model(number):
    model = standard_artifacts.Model()
    model.id = number
    return model


def _blessing(of, blessed=1):
    blessing = standard_artifacts.ModelBlessing()
    blessing.set_int_custom_property("current_model_id", of)
    blessing.set_int_custom_property("blessed", blessed)
    return blessing


def _resolve(candidate, models, blessings):
    given = {"candidate": [candidate], "model": models, "model_blessing": blessings}
    return BlessedBefore().resolve_artifacts(None, given)


def test_the_latest_blessed_one_is_taken_not_the_latest():
    one, two, three = _model(1), _model(2), _model(3)
    blessings = [_blessing(1), _blessing(2, blessed=0)]
    assert _resolve(three, [two, three, one], blessings)["model"] == [one]


def test_a_model_is_not_its_own_baseline():
    one, two = _model(1), _model(2)
    assert _resolve(two, [one, two], [_blessing(1), _blessing(2)])["model"] == [one]


def test_the_first_model_has_none():
    one = _model(1)
    resolved = _resolve(one, [one], [_blessing(1)])
    assert resolved["model"] == []
    assert resolved["candidate"] == [one]
