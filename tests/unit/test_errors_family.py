"""The family of an error is one of the short tree's, whoever derives from it."""

from p2d.model.errors import Unavailable, family_of
from p2d.pacs.governor.port import NotNow, Why


def test_an_error_of_a_stage_belongs_to_the_family_it_derives_from() -> None:
    assert family_of(NotNow("main", Why.STOPPED, "is stopped")) == "Unavailable"
    assert family_of(Unavailable("pacs", "is away")) == "Unavailable"
    assert family_of(ValueError()) == "ValueError"
