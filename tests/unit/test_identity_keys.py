import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.identity.keys import (
    Keys,
    create_key_file,
    is_own_form,
    is_well_known_uid,
    normal_identifier,
    read_key_file,
)
from p2d.identity.port import Domain
from p2d.model.errors import InvalidRequest, Misconfigured
from p2d.model.ids import has_valid_check, is_derived_uid
from p2d.testing.identity import TEST_KEY

KEYS = Keys(TEST_KEY, 1)
TABLE_DOMAINS = [Domain.PATIENT, Domain.CASE, Domain.ACCESSION]
PINNED = ["2.25.271871030938689762423996161110721770780", "PSEJP7BZWCHD8N16D7", "A9SYCVW8G68ATS8U", "-154"]
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def test_a_key_file_is_for_its_owner_only_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"

    create_key_file(path)

    assert path.stat().st_mode & 0o777 == 0o400
    assert read_key_file(path).version == 1
    assert read_key_file(path).fingerprint == read_key_file(path).fingerprint


def test_two_key_files_differ(tmp_path: Path) -> None:
    paths = [tmp_path / "a.key", tmp_path / "b.key"]

    for path in paths:
        create_key_file(path)

    assert len({read_key_file(path).fingerprint for path in paths}) == 2


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    create_key_file(path)
    before = path.read_bytes()

    with pytest.raises(Misconfigured, match="never overwritten"):
        create_key_file(path)

    assert path.read_bytes() == before


def test_a_key_file_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be written"):
        create_key_file(tmp_path / "absent" / "identity.key")


def test_an_absent_key_file_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="p2d identity init"):
        read_key_file(tmp_path / "identity.key")


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o420, 0o644, 0o410])
def test_a_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "identity.key"
    create_key_file(path)
    path.chmod(mode)

    with pytest.raises(Misconfigured, match="open to others"):
        read_key_file(path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 0},
        {"version": True},
        {"version": "1"},
        {"key": ""},
        {"key": "AAAA"},
        {"key": 7},
        {"key": "?" * 44},
        {"key": "A" * 43 + "="},
    ],
)
def test_a_damaged_or_weak_key_file_is_refused_without_showing_it(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "identity.key"
    create_key_file(path)
    source = json.loads(path.read_text())
    weak = tmp_path / "weak.key"
    weak.write_text(json.dumps(source | change))
    weak.chmod(0o400)

    with pytest.raises(Misconfigured) as caught:
        read_key_file(weak)

    assert source["key"] not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": "p2d-identity-key/1"'])
def test_a_torn_key_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "identity.key"
    path.write_text(content)
    path.chmod(0o400)

    with pytest.raises(Misconfigured, match="torn"):
        read_key_file(path)


def test_keys_show_no_key() -> None:
    assert repr(KEYS) == "Keys(version=1)"
    assert TEST_KEY.hex() not in KEYS.fingerprint


def test_another_version_of_the_same_key_derives_otherwise() -> None:
    other = Keys(TEST_KEY, 2)

    assert other.derive_uid("1.2.3") != KEYS.derive_uid("1.2.3")
    assert other.table_pseudonym(Domain.PATIENT, "1") != KEYS.table_pseudonym(Domain.PATIENT, "1")


def test_derivation_never_changes_between_releases() -> None:
    derived = [
        KEYS.derive_uid("1.2.276.0.7230010.3.1.2.1"),
        KEYS.table_pseudonym(Domain.PATIENT, "4711"),
        KEYS.table_pseudonym(Domain.ACCESSION, "A1"),
        str(KEYS.shift_days("PSN-1", 365)),
    ]

    assert derived == PINNED


@given(st.text("0123456789.", min_size=1, max_size=64))
def test_derived_uids_are_uuids_in_decimal(uid: str) -> None:
    derived = KEYS.derive_uid(uid)

    if not is_well_known_uid(uid):
        number = int(derived.removeprefix("2.25."))
        assert is_derived_uid(derived)
        assert number >> 76 & 0xF == 8
        assert number >> 62 & 0x3 == 2
        assert number < 2**128


@given(st.text(min_size=1, max_size=80).filter(lambda text: text.strip(" \0")))
def test_any_source_key_is_derived_and_never_passed_through(source: str) -> None:
    derived = KEYS.derive_uid(source)

    assert is_well_known_uid(source.strip(" \0")) or (is_derived_uid(derived) and derived != source)


def test_padding_does_not_change_a_derived_uid() -> None:
    assert KEYS.derive_uid("1.2.3\0") == KEYS.derive_uid("1.2.3") == KEYS.derive_uid("1.2.3 ")


@pytest.mark.parametrize("uid", ["", " ", "\0", "x" * 1025])
def test_nothing_is_derived_from_nothing_or_from_too_much(uid: str) -> None:
    with pytest.raises(InvalidRequest):
        KEYS.derive_uid(uid)


@pytest.mark.parametrize(
    "uid", ["1.2.840.10008", "1.2.840.100081.1", "1.2.840.10008.", "1.2.840.10008.1.a", "11.2.840.10008.1"]
)
def test_only_uids_of_dicom_itself_stay(uid: str) -> None:
    assert KEYS.derive_uid(uid) != uid


@given(st.text(min_size=1, max_size=40), st.integers(1, 3650))
def test_shifts_are_stable_whole_days_into_the_past(patient: str, longest: int) -> None:
    shift = KEYS.shift_days(patient, longest)

    assert -longest <= shift <= -1
    assert KEYS.shift_days(patient, longest) == shift


@given(st.sampled_from(TABLE_DOMAINS), st.text(st.characters(codec="utf-8"), min_size=1), st.integers(0, 3))
def test_table_pseudonyms_have_their_form(domain: Domain, original: str, counter: int) -> None:
    psn = KEYS.table_pseudonym(domain, original, counter)

    assert is_own_form(domain, psn)
    assert len(psn) == {Domain.PATIENT: 18, Domain.CASE: 18, Domain.ACCESSION: 16}[domain]
    assert not set("ILOU") & set(psn[1:-1])


@given(st.sampled_from(TABLE_DOMAINS), st.integers(0, 10**9), st.data())
def test_the_check_character_finds_every_single_error(
    domain: Domain, number: int, data: st.DataObject
) -> None:
    psn = KEYS.table_pseudonym(domain, str(number))
    place = data.draw(st.integers(0, len(psn) - 1))
    wrong = data.draw(st.sampled_from(ALPHABET).filter(lambda c: c != psn[place]))

    mistyped = psn[:place] + wrong + psn[place + 1 :]

    assert not has_valid_check(mistyped)


def test_domains_and_counters_give_different_pseudonyms() -> None:
    made = {
        KEYS.table_pseudonym(domain, "1", counter)[1:15] for domain in TABLE_DOMAINS for counter in range(3)
    }

    assert len(made) == 9


@given(st.text(max_size=70))
def test_normal_identifiers_are_safe_to_ask_for(text: str) -> None:
    normal = normal_identifier(text)

    if normal is not None:
        assert 1 <= len(normal) <= 64
        assert normal == normal.strip(" ")
        assert not set("*?\\\n\r\t\0") & set(normal)
        assert normal_identifier(normal) == normal


@given(st.sampled_from(list(Domain)), st.text(st.characters(codec="utf-8")))
def test_sealed_originals_open_only_in_their_place(domain: Domain, original: str) -> None:
    sealed = KEYS.seal(domain, "PSN-1", original)

    assert KEYS.unseal(domain, "PSN-1", sealed) == original
    with pytest.raises(Misconfigured):
        KEYS.unseal(domain, "PSN-2", sealed)
    with pytest.raises(Misconfigured):
        Keys(os.urandom(32), 1).unseal(domain, "PSN-1", sealed)
