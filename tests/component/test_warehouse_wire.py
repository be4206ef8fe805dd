"""Batches as bytes: whole, bounded, and named by their content."""

import io
import random
import zipfile
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2d.model.errors import InvalidRequest
from p2d.testing.warehouse_rows import batch, patient_psn, small_study, uid
from p2d.warehouse.batch import SCHEMAS, Batch
from p2d.warehouse.wire import Limits, decode, digest, encode


def repacked(content: bytes, **members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, members.pop(name, source.read(name)))
        for name, added in members.items():
            archive.writestr(name, added)
    return target.getvalue()


def test_a_batch_comes_back_as_it_was() -> None:
    sent = batch(small_study(images=5))

    found = decode(encode(sent))

    assert (found.batch_id, found.source, found.run_id) == (sent.batch_id, sent.source, sent.run_id)
    assert {name: table.to_pylist() for name, table in found.tables.items()} == {
        name: table.to_pylist() for name, table in sent.tables.items()
    }


def natural_key(row: dict[str, object]) -> str:
    number = row["number"]
    assert number is None or isinstance(number, float)
    return repr((row["patient"], row["date"], None if number is None else number + 0.0, row["text"]))


texts = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
facts = st.fixed_dictionaries(
    {
        "patient": st.sampled_from([patient_psn(1), patient_psn(2)]),
        "attribute": st.just("LVEF"),
        "date": st.one_of(st.none(), st.dates(date(1900, 1, 1))),
        "number": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
        "text": texts,
        "unit": texts,
    }
)


@settings(max_examples=40)
@given(rows=st.lists(facts, max_size=6), order=st.randoms(use_true_random=False))
def test_the_digest_depends_on_rows_not_on_their_order_or_chunks(
    rows: list[dict[str, object]], order: random.Random
) -> None:
    unique = list({natural_key(row): row for row in rows}.values())
    one = batch({"fact": unique})
    shuffled = sorted(unique, key=lambda _: order.random())
    parts = [pa.Table.from_pylist([row], schema=SCHEMAS["fact"]) for row in shuffled]
    table = pa.concat_tables(parts) if parts else SCHEMAS["fact"].empty_table()

    assert digest(Batch("other", one.source, "other", {"fact": table})) == digest(one)


@pytest.mark.parametrize(
    ("column", "value"),
    [("text", ""), ("text", "a"), ("number", 0.0), ("date", date(1970, 1, 1)), ("unit", "0")],
)
def test_the_digest_tells_nothing_from_something(column: str, value: object) -> None:
    row = {"patient": patient_psn(1), "attribute": "LVEF"}

    assert digest(batch({"fact": [row]})) != digest(batch({"fact": [{**row, column: value}]}))


def test_the_digest_tells_where_one_text_ends() -> None:
    row = {"patient": patient_psn(1), "attribute": "LVEF"}
    one = batch({"fact": [{**row, "text": "ab", "unit": "a"}, {**row, "text": "c", "unit": "b"}]})
    other = batch({"fact": [{**row, "text": "a", "unit": "a"}, {**row, "text": "bc", "unit": "b"}]})

    assert digest(one) != digest(other)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", b"\0" * 100])
def test_what_is_no_batch_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not a readable batch"):
        decode(content)


@given(cut=st.integers(0, 400), flip=st.integers(1, 255))
@settings(max_examples=40)
def test_damaged_bytes_never_pass(cut: int, flip: int) -> None:
    content = bytearray(encode(batch(small_study())))
    place = cut * len(content) // 401
    content[place] ^= flip

    try:
        found = decode(bytes(content))
    except InvalidRequest:
        return
    assert digest(found) == digest(batch(small_study()))


def test_changed_rows_do_not_have_the_claimed_digest() -> None:
    other = io.BytesIO()
    pq.write_table(batch(small_study(images=9)).tables["instance"], other)

    with pytest.raises(InvalidRequest, match="digest"):
        decode(repacked(encode(batch(small_study())), **{"instance.parquet": other.getvalue()}))


def test_a_table_with_other_columns_is_refused() -> None:
    other = io.BytesIO()
    pq.write_table(pa.table({"patient": ["x"], "name": ["y"]}), other)

    with pytest.raises(InvalidRequest, match="columns"):
        decode(repacked(encode(batch(small_study())), **{"study.parquet": other.getvalue()}))


def test_an_unknown_member_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        decode(repacked(encode(batch(small_study())), **{"../../etc/passwd": b"x"}))


@pytest.mark.parametrize("limits", [Limits(wire_bytes=100), Limits(rows=3), Limits(memory_bytes=200)])
def test_limits_hold(limits: Limits) -> None:
    with pytest.raises(InvalidRequest, match=r"larger|rows|large"):
        decode(encode(batch(small_study(images=50))), limits)


def test_a_table_that_swells_is_refused() -> None:
    swollen = io.BytesIO()
    one = batch(
        {"study": [{"patient": patient_psn(1), "study": uid(1), "StudyDescription": "x" * 1_000_000}]}
    )
    pq.write_table(pa.concat_tables([one.tables["study"]] * 100), swollen, compression="zstd")

    with pytest.raises(InvalidRequest, match="unpacked"):
        decode(repacked(encode(batch(small_study())), **{"study.parquet": swollen.getvalue()}))
