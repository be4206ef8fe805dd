"""The mapping file: every key known, or an error that names the closest one; nothing else ever comes out."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2d.clinical.mapping import IntakeMapping, read_mapping
from p2d.model.errors import Misconfigured

SMALL = """
version = 1
[[table]]
into = "fact"
file = "labor.csv"
columns = { patient = "PATNR", attribute = { constant = "LVEF" }, number = "WERT" }
"""
NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=12)
CELLS = st.one_of(
    NAMES,
    st.builds(lambda name: {"column": name}, NAMES),
    st.builds(lambda name: {"constant": name}, NAMES),
    st.builds(
        lambda name, words: {"column": name, "values": words, "other": "X"},
        NAMES,
        st.dictionaries(NAMES, NAMES, min_size=1, max_size=3),
    ),
)


def columns(needed: tuple[str, ...], optional: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict.fromkeys(needed, CELLS), optional=dict.fromkeys(optional, CELLS))


TABLES = st.one_of(
    st.fixed_dictionaries(
        {"into": st.just("patient"), "file": NAMES, "columns": columns(("patient",), ("sex", "birth"))}
    ),
    st.fixed_dictionaries(
        {
            "into": st.just("case"),
            "file": NAMES,
            "columns": columns(("patient", "case"), ("start", "end", "type")),
        },
        optional={"decimal": st.just(","), "delimiter": st.just(";"), "encoding": st.just("latin-1")},
    ),
    st.fixed_dictionaries(
        {
            "into": st.just("fact"),
            "file": NAMES,
            "columns": columns(
                ("patient", "attribute", "number"), ("case", "document", "group", "date", "unit")
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "into": st.just("fact"),
            "file": NAMES,
            "columns": columns(("patient",), ("date", "group")),
            "value": st.lists(columns(("attribute", "code"), ("number", "unit")), min_size=1, max_size=3),
        }
    ),
)
MAPPINGS = st.fixed_dictionaries(
    {"version": st.just(1), "table": st.lists(TABLES, max_size=3)},
    optional={"words": st.fixed_dictionaries({"attributes": st.dictionaries(NAMES, NAMES, max_size=3)})},
)
EVERY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(folder: Path, text: str, name: str = "mapping.toml") -> IntakeMapping:
    (folder / name).write_text(text, encoding="utf-8")
    return read_mapping(folder / name)


@EVERY
@given(source=MAPPINGS)
def test_what_is_written_by_the_rules_is_read_as_it_was_meant(tmp_path: Path, source: dict[str, Any]) -> None:
    mapping = read(tmp_path, yaml.safe_dump(source, allow_unicode=True), "mapping.yaml")

    assert mapping == IntakeMapping.model_validate(source)
    assert [table.into for table in mapping.table] == [table["into"] for table in source["table"]]


@EVERY
@given(source=MAPPINGS.filter(lambda m: m["table"]), data=st.data())
def test_a_key_that_is_not_known_is_refused_wherever_it_stands(
    tmp_path: Path, source: dict[str, Any], data: st.DataObject
) -> None:
    places = [source, *source["table"], *(t["columns"] for t in source["table"])]
    data.draw(st.sampled_from(places))["colum"] = "x"

    with pytest.raises(Misconfigured, match="colum is no key here"):
        read(tmp_path, yaml.safe_dump(source, allow_unicode=True), "mapping.yml")


@EVERY
@given(text=st.text(max_size=300), name=st.sampled_from(["mapping.toml", "mapping.yaml"]))
def test_any_other_text_is_an_error_of_the_operator(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogatepass"))

    with pytest.raises(Misconfigured):
        read_mapping(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("file =", "fiel =", "the closest is file"),
        ("number =", "nubmer =", "the closest is number"),
        ("constant", "konstant", "the closest is constant"),
        ("version = 1", "version = 2", "version"),
        ('"fact"', '"facts"', "into"),
        ('{ constant = "LVEF" }', '{ constant = "LVEF", column = "X" }', "a column or a constant"),
        ('{ constant = "LVEF" }', '{ column = "X", other = "Y" }', "there are no values"),
        (', number = "WERT"', "", "needs a number, a code or a text"),
        ('"labor.csv"', '"labor.csv"\ndelimiter = ";;"', "delimiter"),
        ('"labor.csv"', '"labor.csv"\nencoding = "latin-17"', "encoding"),
    ],
)
def test_an_error_says_where_and_what(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said) as caught:
        read(tmp_path, SMALL.replace(old, new))

    assert "mapping.toml" in str(caught.value)


def test_several_values_of_a_row_do_not_mix_with_a_single_one(tmp_path: Path) -> None:
    wide = SMALL + '[[table.value]]\nattribute = "A"\nnumber = "N"\n'

    with pytest.raises(Misconfigured, match=r"belong to \[\[table\.value\]\]"):
        read(tmp_path, wide)


@pytest.mark.parametrize("more", ["[[unit]]\nunit='a'\ninto='b'\n" * 2, "[[limit]]\nattribute='A'\n" * 2])
def test_what_would_be_ambiguous_is_refused(tmp_path: Path, more: str) -> None:
    with pytest.raises(Misconfigured, match=r"twice|two limits"):
        read(tmp_path, SMALL + more)


def test_yaml_keys_that_yaml_takes_for_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="TOML or YAML"):
        read(tmp_path, "version: 1\nwords:\n  types:\n    no: outpatient\n", "mapping.yaml")
