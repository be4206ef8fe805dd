import gzip
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, sampled_from, text

from p2d.deid.leak.check import LeakCheck
from p2d.model.header import Element, Value
from p2d.model.identified import KnownValues

UID = "1.2.276.0.7230010.3.1.4.1787205428.166.1117461927.10"
DERIVED = "2.25.123456781950031712345678901234567890"
KNOWN = KnownValues(
    names=frozenset(
        {"Müßigbrodt-Lehmkühler^Änne^Maria^Dr.", "Kopf^Ute", "山田^太郎=やまだ^たろう", "Łącki^Żaneta"}
    ),
    ids=frozenset({"87654321", "1234567", "Q71"}),
    accessions=frozenset({"ACC20191234"}),
    birth_dates=frozenset({"19500317"}),
    dates=frozenset({"20190304", "20190520"}),
    contacts=frozenset(
        {"+49 341 97-12345", "anne@mail.example", "Lerchenfelder Weg 17, 04109 Leipzig", "Am Tal 5a"}
    ),
    places=frozenset({"Klinikum St. Irmgard", "Universitätsklinikum Quedlinburg"}),
)
OWN = ("P87654321XY7", "REMOVED")
FORMS = (
    "Müßigbrodt", "MUESSIGBRODT", "muessigbrodt", "Mussigbrodt", "Lehmkuehler", "LEHMKÜHLER",
    "Müßigbrodt-Lehmkühler", "Lehmku\u0308hler", "\uff2d\uff35\uff33\uff33igbrodt", "Änne", "Aenne",
    "ÄNNE", "Maria", "Lehmküh-\nler", "LehmkühlerMaria", "mlehmkuehler", "lehmkuehlerm",
    "L e h m k u e h l e r", "M_LEHMKUEHLER", "Ute", "Kopf, Ute", "山田太郎", "太郎", "ヤマダ", "ﾔﾏﾀﾞ",
    "Łącki",
    "LACKI", "Żaneta", "zaneta", "87654321", "id87654321x", "87 65 43 21", "8765-4321", "1234567", "Q71",
    "acc20191234", "17.03.1950", "17.3.50", "1950-03-17", "3/17/1950", "17. März 1950", "17 MAR 1950",
    "Mar 17, 1950", "17mars1950", "19500317", "17031950", "170350", "1950年3月17日", "17-03-1950",
    "04.03.2019", "2019-05-20", "20190304", "4. März 2019", "0341 9712345", "+49(341)97 12345",
    "ANNE@MAIL.EXAMPLE", "Lerchenfelder", "Quedlinburg", "am tal 5a", "Klinikum St.Irmgard", UID,
    f"see {UID}.", f"9{UID}", f"{UID}.1",
)  # fmt: skip
KEPT = (
    "CT Kopf nativ", "MR Knie links", "Thorax a.p. im Liegen", "T1_mprage_sag_p2_iso",
    "Universitätsklinikum", "Klinikum", "Am Tal", "im Weg", "23.07.2021", "20210723",
    "1.2.840.10008.5.1.4.1.1.2", DERIVED, *OWN, "Q710", "Q7", "Anna", "Mariannengraben", "50", "1950",
    "Butler", "Utensil", "März 1950", "Dr. med.", "Sternum",
)  # fmt: skip
TEXT_VRS = ("SH", "LO", "ST", "LT", "UC", "UT", "UR", "CS", "AE", "PN", "IS", "DS", "TM", "AS", "UN")
SHIFT = -30


def leak_check(known: KnownValues = KNOWN) -> LeakCheck:
    return LeakCheck(known, {UID: DERIVED}, OWN, shift_days=SHIFT)


def element(vr: str, *values: Value) -> Element:
    return Element("00400275[0].00091001", vr, values)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_value_is_found_among_other_words(form: str) -> None:
    check = leak_check()

    assert check.in_elements([element("LO", "MR Knie"), element("LT", f"Befund: {form}; Verlauf")])
    assert check.in_name(f"studies/{form}/image.dcm")


@pytest.mark.parametrize("vr", TEXT_VRS)
def test_a_name_is_found_whatever_the_vr(vr: str) -> None:
    assert leak_check().in_elements([element(vr, "x", "Lehmkühler")])


@pytest.mark.parametrize("vr", ["IS", "DS", "UL", "SL", "UV", "SV", "FL", "FD"])
@pytest.mark.parametrize("number", [87654321, 87654321.0, 1234567, 19500317])
def test_a_number_that_is_an_identifier_or_birth_date_is_found(vr: str, number: float) -> None:
    assert leak_check().in_elements([element(vr, 1, number)])


@pytest.mark.parametrize("vr", ["DA", "DT"])
def test_the_birth_date_is_found_in_dates(vr: str) -> None:
    assert leak_check().in_elements([element(vr, "19500317" + "1200" * (vr == "DT"))])


def test_a_date_that_p2d_moved_onto_the_birth_date_is_no_leak_as_a_date() -> None:
    newborn = LeakCheck(
        KnownValues(birth_dates=frozenset({"20190301"}), dates=frozenset({"20190304"})), {}, (), shift_days=-3
    )

    assert not newborn.in_elements([element("DA", "20190301")])
    assert not newborn.in_bytes(b"DA\x08\x0020190301")
    assert newborn.in_elements([element("LO", "20190301")])


def test_true_dates_are_no_leak_where_a_project_keeps_them() -> None:
    check = LeakCheck(KNOWN, {}, (), shift_days=0)

    assert not check.in_elements([element("LO", "Kontrolle vom 04.03.2019")])


def test_a_moved_date_that_is_the_day_of_another_examination_is_no_leak() -> None:
    check = LeakCheck(KNOWN, {}, (), shift_days=77)

    assert not check.in_elements([element("LO", "Kontrolle vom 20.05.2019")])
    assert check.in_elements([element("LO", "Kontrolle vom 04.03.2019")])


@pytest.mark.parametrize("uid", [UID, "1.2.3.4", "1.2.840.10008.1.99999"])
def test_a_uid_that_is_neither_derived_nor_registered_is_a_leak(uid: str) -> None:
    assert leak_check().in_elements([element("UI", DERIVED, uid)])


@pytest.mark.parametrize("kept", KEPT)
def test_other_words_and_what_p2d_wrote_are_no_leak(kept: str) -> None:
    check = leak_check()

    assert not check.in_elements([element("LO", kept)])
    assert not check.in_bytes(b"\x08\x00\x30\x10LO\x20\x00" + kept.encode() + b" ")


def test_what_p2d_derives_later_is_its_own_too() -> None:
    check = leak_check()

    check.learn({"1.2.3.4.5": "2.25.99999999"}, {"A87654321"})

    assert not check.in_elements([element("UI", "2.25.99999999"), element("SH", "A87654321")])


@pytest.mark.parametrize(
    "encoding",
    [
        "utf-8",
        "latin-1",
        "iso8859-2",
        "iso8859-9",
        "iso8859-15",
        "utf-16-le",
        "utf-16-be",
        "utf-32-le",
        "cp850",
    ],
)
def test_a_name_is_found_in_bytes_of_every_latin_encoding(encoding: str) -> None:
    assert leak_check().in_bytes(
        b"\x09\x00\x10\x10\x04\x00\x00\x00" + "xx Lehmkühler yy".encode(encoding) + b"\x00"
    )


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("Łącki^Żaneta", "iso8859-2"),
        ("Кузнецова^Ольга", "iso8859-5"),
        ("Кузнецова^Ольга", "koi8-r"),
        ("Παπαδόπουλος^Νίκος", "iso8859-7"),
        ("Şahin^Gülşen", "iso8859-9"),
        ("Œuvrard^Zoé", "iso8859-15"),
        ("山田^太郎", "shift_jis"),
        ("山田^太郎", "iso2022_jp"),
        ("山田^太郎", "euc_jp"),
        ("山田^太郎", "utf-16-be"),
        ("김희중", "euc_kr"),
        ("김희중", "utf-8"),
        ("王^小東", "gb18030"),
        ("กานดา^สมชาย", "tis-620"),
    ],
)
def test_a_name_is_found_in_bytes_of_its_own_character_set(name: str, encoding: str) -> None:
    check = leak_check(KnownValues(names=frozenset({name})))

    assert check.in_bytes(b"\x09\x00\x10\x10" + name.encode(encoding) + b"\x00\x00")
    assert check.in_bytes(b"\x09\x00\x10\x10xx" + name.upper().encode(encoding) + b"yy\x00")


@pytest.mark.parametrize(
    "wrapped",
    [
        zlib.compress(b"xxxxxxxx Lehmkuehler yy"),
        gzip.compress(b"xxxxxxxx Lehmkuehler yy"),
        zlib.compress(gzip.compress(b"xxxxxxxx Lehmkuehler yy")),
    ],
    ids=["zlib", "gzip", "gzip in zlib"],
)
def test_compressed_streams_inside_bytes_are_opened(wrapped: bytes) -> None:
    assert leak_check().in_bytes(b"\x09\x00\x10\x10OB\x00\x00" + wrapped + b"rest")


def test_a_stream_that_grows_without_end_counts_as_a_leak() -> None:
    bomb = zlib.compress(bytes(1 << 27), 9)

    assert leak_check().in_bytes(b"OB" + bomb)


def test_words_next_to_tags_and_lengths_are_found_in_bytes() -> None:
    value = b"Lehmkuehler "

    assert leak_check().in_bytes(
        struct.pack("<HH2sH", 0x10, 0x10, b"PN", len(value)) + value + b"\x10\x00\x20\x00"
    )
    assert leak_check().in_bytes(struct.pack("<HHI", 0x10, 0x10, len(value)) + value)
    assert leak_check().in_bytes(struct.pack(">HH2sH", 0x10, 0x10, b"PN", 74) + b"Lehmkuehler")
    assert leak_check().in_bytes(b"LO\x0b\x00LEHMKUEHLER" + b"\x70\x00\x06\x00SQ")


@given(integers(0, 2), text("abcdefgh ^,;.-_()0123456789\n", max_size=40), sampled_from(FORMS))
def test_a_form_is_found_in_the_middle_of_anything(kind: int, around: str, form: str) -> None:
    joint = (" ", ", ", "\n")[kind]

    assert leak_check().in_elements([element("LT", f"{around}{joint}{form}{joint}{around}")])


@given(text())
def test_any_known_values_and_any_text_come_to_an_answer(anything: str) -> None:
    known = KnownValues(*(frozenset({anything}) for _ in range(7)))
    check = LeakCheck(known, {anything: anything}, {anything}, shift_days=3)

    assert check.in_elements([element("LO", anything)]) in {True, False}
    assert check.in_name(anything) in {True, False}


@given(binary(max_size=4096))
def test_random_bytes_are_no_leak(anything: bytes) -> None:
    assert not leak_check().in_bytes(anything)


def test_a_name_written_into_native_pixels_is_found_where_they_are_searched() -> None:
    noise = bytes(range(256)) * 20_000

    assert leak_check().in_pixels(memoryview(noise + b"LEHMKUEHLER" + noise))
    assert not leak_check().in_pixels(noise)


def test_class_uids_that_ps3_6_does_not_know_are_no_leak_unless_they_hold_a_value() -> None:
    def in_class(uid: str) -> bool:
        return leak_check().in_elements([Element("00080110[0].0008010C", "UI", (uid,))])

    assert not in_class("1.2.276.0.7230010.3.0.0.1")
    assert in_class(UID)
    assert in_class("1.2.87654321.1")


def item(content: bytes) -> bytes:
    return struct.pack("<II", 0xE000FFFE, len(content)) + content


def test_too_much_beside_the_pixels_counts_as_a_leak() -> None:
    small = item(b"") + item(b"\xff\xd8\xff\xfe\x00\x06Anna\xff\xda\x00\x02\xff\xd9")
    large = item(b"") + b"".join(item(bytes([number]) * (1 << 20)) for number in range(1, 18))

    assert not leak_check().beside_pixels(small)
    assert leak_check().beside_pixels(memoryview(large))
