"""Every section ``data`` of the documentation is valid."""

import pytest
import yaml
from pages import PAGES, blocks_of

from diptych.schemas.config.loading import checked_config

SECTIONS = [
    (page.name, block.text)
    for page in PAGES
    for block in blocks_of(page)
    if block.language == "yaml" and block.text.startswith("data:")
]


def test_the_pages_describe_each_kind_of_table():
    kinds = {yaml.safe_load(text)["data"]["kind"] for _, text in SECTIONS}
    assert kinds == {"images", "pairs", "table"}


@pytest.mark.parametrize(("page", "text"), SECTIONS)
def test_the_section_is_valid(page, text):
    tree = yaml.safe_load(text)
    data = checked_config({"name": "docs", **tree}, page).data.model_dump(mode="json")
    assert {key: data[key] for key in tree["data"]} == tree["data"]
