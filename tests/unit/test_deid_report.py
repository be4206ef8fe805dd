"""The report: counts and words, never a value; sums that hold; a page that loads and runs nothing."""

import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.deid.profile.profile import BASIC, PRESETS, RESEARCH, Profile
from p2d.deid.report.document import Document, ReviewSums, RunFacts, Sums, described, document
from p2d.deid.report.page import page
from p2d.deid.report.tally import OTHER, DeidTally, Outcome, private_step
from p2d.deid.standard.codes import MEANINGS
from p2d.model.released import Reason

FACTS = RunFacts("R20261125-000000-00000000", "images", "rita", 1_700_000_000.0, 1_700_000_060.0)
SIEMENS = "SIEMENS MR HEADER"

TAGS = st.builds("{:04X}{:04X}".format, st.integers(2, 0xFFFF), st.integers(0, 0xFFFF))
STEPS = TAGS | st.builds(private_step, st.just("0019100C"), st.sampled_from([SIEMENS, "Doe^Jane"]))
PATHS = st.lists(STEPS, min_size=1, max_size=4).map(".".join)


@st.composite
def tallies(draw: st.DrawFn) -> DeidTally:
    tally = DeidTally()
    for path, outcome, times in draw(
        st.lists(st.tuples(PATHS, st.sampled_from(Outcome), st.integers(1, 99)), max_size=8)
    ):
        tally.count(path, outcome, times)
    for reason in draw(st.lists(st.sampled_from(Reason), max_size=3)):
        tally.withheld(reason)
    for boxes in draw(st.lists(st.integers(0, 4), max_size=3)):
        tally.masked(boxes, 3)
        tally.released()
        tally.recognisable()
    return tally


def filled() -> DeidTally:
    tally = DeidTally()
    tally.count("00100010", Outcome.REPLACED, 7)
    tally.count("00101010", Outcome.KEPT, 7)
    tally.count("00081030", Outcome.CLEANED, 2)
    tally.count("00080020", Outcome.SHIFTED, 7)
    tally.count(f"0029xxxx[{SIEMENS}]", Outcome.REMOVED, 3)
    for _ in range(7):
        tally.released()
    tally.withheld(Reason.LEAK)
    tally.masked(2, 3)
    return tally


def report(profile: Profile = RESEARCH, *, true_dates: bool = False, **sums: int) -> Document:
    counted = Sums(**{"received": 8, "released": 7, "withheld": {str(Reason.LEAK): 1}, **sums})  # type: ignore[arg-type]  # numbers
    return document(FACTS, [described(profile, true_dates=true_dates)], filled(), counted)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@given(tallies())
def test_counts_go_through_json_and_counters_unchanged(tally: DeidTally) -> None:
    assert DeidTally.from_json(json.loads(json.dumps(tally.as_json()))) == tally
    assert DeidTally.of_counters(tally.as_counters()) == tally


@given(tallies(), tallies())
def test_merging_adds_and_the_order_does_not_matter(one: DeidTally, other: DeidTally) -> None:
    left, right = DeidTally(), DeidTally()
    for tally in (one, other):
        left.merge(tally)
    for tally in (other, one):
        right.merge(tally)

    assert left == right
    assert left.objects == one.objects + other.objects


def test_counters_of_another_version_are_left_out() -> None:
    assert DeidTally.of_counters({"attribute burnt 00100010": 1, "withheld NOBODY": 2, "x": 3}) == DeidTally()


@pytest.mark.parametrize(
    ("path", "counted"),
    [
        ("00100010", "00100010"),
        ("0019100C", "0019xxxx"),
        (f"0019xxxx[{SIEMENS}]", f"0019xxxx[{SIEMENS}]"),
        ("0019xxxx[Doe^Jane]", "0019xxxx"),
        ("00081140.0019xxxx[Doe^Jane].00081155", "00081140.0019xxxx.00081155"),
        ("7E01xxxx[HOLOGIC, Inc.].00081155", "7E01xxxx[HOLOGIC, Inc.].00081155"),
        ("0019xxxx[HOLOGIC, Inc.]", "0019xxxx"),
        ("0028xxxx", OTHER),
        ("0028xxxx[SIEMENS MR HEADER]", OTHER),
        ("Doe^Jane", OTHER),
        ("00100010.Doe", OTHER),
        ("", OTHER),
    ],
)
def test_only_tags_and_creators_of_the_standard_are_counted_by_name(path: str, counted: str) -> None:
    tally = DeidTally()
    tally.count(path, Outcome.KEPT)

    assert [found for found, _ in tally.rows()] == [counted]
    assert "Doe" not in str(tally.as_json())


@given(st.text(max_size=80))
def test_no_text_reaches_the_counts(text: str) -> None:
    tally = DeidTally()
    tally.count(text, Outcome.KEPT)
    tally.count(private_step("00191001", text), Outcome.KEPT)

    for path, _ in tally.rows():
        assert re.fullmatch(r"other|(?:\.?(?:[0-9A-F]{8}|[0-9A-F]{4}xxxx))+", path)


def test_an_object_that_nests_without_end_costs_one_row() -> None:
    tally = DeidTally()
    for depth in range(1, 200):
        tally.count(".".join(["00081140"] * depth), Outcome.KEPT)

    assert len(list(tally.rows())) <= 12


def test_the_document_says_what_left_and_by_which_rules() -> None:
    body = json.loads(report().content)

    assert (body["format"], body["version"]) == ("p2d-deidentification-report", 1)
    assert body["objects"]["withheld"] == {"identifying value left after de-identification": 1}
    assert body["objects"]["adds_up"] is True
    (profile,) = body["profiles"]
    assert (profile["name"], profile["version"]) == (RESEARCH.name, RESEARCH.version)
    assert all(MEANINGS[code["code"]] == code["meaning"] for code in profile["codes"])
    assert body["pixels"] == {
        "screened": 1, "frames_looked_at": 3, "masked": 1, "boxes": 2, "recognisable_heads": 0,
    }  # fmt: skip
    assert body["remaining"]["patient"]["attributes"] == {"PatientAge": 7}
    assert body["remaining"]["texts"]["attributes"] == {"StudyDescription": 2}


@pytest.mark.parametrize("profile", PRESETS.values(), ids=list(PRESETS))
@pytest.mark.parametrize("true_dates", [False, True])
def test_every_profile_has_a_page_with_its_codes_and_what_happens_to_dates(
    profile: Profile, true_dates: bool
) -> None:
    made = page(report(profile, true_dates=true_dates))

    assert all(option.code in made for option in profile.options)
    assert ("true dates" in made) == true_dates
    assert ("removed, emptied or replaced" in made) == (profile is BASIC and not true_dates)


def test_the_page_states_the_digest_of_the_document() -> None:
    made = report()

    assert hashlib.sha256(made.content).hexdigest() in page(made)


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    tags = Tags()
    tags.feed(page(report()))

    names = {name for name, _ in tags.seen}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "a", "form"}
    assert not any(key in {"src", "href"} or key.startswith("on") for _, attrs in tags.seen for key in attrs)
    assert "url(" not in page(report())


def test_texts_are_escaped() -> None:
    facts = RunFacts("<script>", "images", "<b>rita</b>", 0, 1)
    made = page(document(facts, [described(RESEARCH, true_dates=False)], filled(), Sums(0, 0)))

    assert "<script>" not in made
    assert "&lt;b&gt;rita" in made


def test_sums_with_a_gap_say_that_the_page_must_not_be_signed() -> None:
    assert "must not be signed" in page(report(received=9))
    assert "must not be signed" not in page(report())


def test_the_review_is_counted_and_named() -> None:
    review = ReviewSums("H1", approved=4, rejected={"text left": 2}, pending=1, by=("otto",))
    made = document(FACTS, [described(RESEARCH, true_dates=False)], filled(), Sums(7, 4), review)

    assert json.loads(made.content)["review"]["held"] == 7
    assert "decided by otto" in page(made)
