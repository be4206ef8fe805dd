"""Lists of UIDs: every instance once, none longer than is safe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.model.header import Element
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Level
from p2d.pacs.lists import LONGEST_LIST, by_patient, by_series, whole
from p2d.pacs.query import UNIQUE

PATIENT = PatientId("P-1")


def header(study: int, series: int, instance: int, **counts: int) -> IdentifiedHeader:
    texts = {"0020000D": f"1.{study}", "0020000E": f"1.{study}.{series}", "00080018": f"1.2.{instance}"}
    texts |= {{"of_study": "00201208", "of_series": "00201209"}[name]: str(n) for name, n in counts.items()}
    return IdentifiedHeader(
        Level.INSTANCE, {path: Element(path, "UI", (text,)) for path, text in texts.items()}
    )


places = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 10**6)),
    max_size=60,
    unique_by=lambda p: p[2],
)


@given(places, st.integers(1, 20), st.booleans())
def test_every_instance_is_asked_for_once_in_lists_of_the_length_given(
    some: list[tuple[int, int, int]], length: int, within_series: bool
) -> None:
    instances = [header(*place) for place in some]

    requests = (by_series if within_series else by_patient)(PATIENT, instances, length)

    lists = [one.keys[UNIQUE[Level.INSTANCE]].split("\\") for one in requests]
    assert sorted(uid for uids in lists for uid in uids) == sorted(one.sop_instance_uid for one in instances)
    assert all(len(uids) == one.count <= length for uids, one in zip(lists, requests, strict=True))
    assert all(one.keys["00100020"] == "P-1" for one in requests)
    for one, uids in zip(requests, lists, strict=True):
        named = {header.sop_instance_uid: header for header in instances}
        if within_series:
            assert {named[uid].series_instance_uid for uid in uids} == {one.keys["0020000E"]}
            assert {named[uid].study_instance_uid for uid in uids} == {one.keys["0020000D"]}


def test_no_list_is_longer_than_a_value_of_explicit_vr() -> None:
    element = Element("00080018", "UI", ("1." + "2" * 62,))
    instances = [IdentifiedHeader(Level.INSTANCE, {"00080018": element})] * 4_000

    requests = by_patient(PATIENT, instances, 4_000)

    assert sum(one.count for one in requests) == 4_000
    assert all(len(one.keys["00080018"]) <= LONGEST_LIST for one in requests)
    assert max(one.count for one in requests) == 1_008


@pytest.mark.parametrize(
    ("level", "keys"),
    [
        (Level.SERIES, [{"0020000D": "1.1", "0020000E": "1.1.1"}]),
        (Level.STUDY, [{"0020000D": "1.2"}]),
    ],
)
def test_what_is_wanted_as_a_whole_is_named_as_a_whole(level: Level, keys: list[dict[str, str]]) -> None:
    instances = [
        header(1, 1, 1, of_series=2, of_study=9), header(1, 1, 2, of_series=2, of_study=9),
        header(1, 2, 3, of_series=7, of_study=9), header(1, 3, 4, of_series=1, of_study=9),
        header(2, 1, 5, of_series=9, of_study=2), header(2, 2, 6, of_series=9, of_study=2),
    ]  # fmt: skip

    requests, rest = whole(PATIENT, instances, level)

    assert [one.keys for one in requests] == [{"00100020": "P-1", **some} for some in keys]
    assert [one.level for one in requests] == [level]
    assert len(rest) == 4
