"""The same data as one plain table of entity, attribute and value, and the questions asked of that.

Every value is a row: attribute, patient, case, document (a study is one), group (a series or image is one),
day of measurement, number, text. Reports and studies find each other by the accession numbers they carry.
"""
# ruff: noqa: S608 - constants of this benchmark, and pseudonyms it generated

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from warehouse_bench.questions import DIAMETER, NYHA
from warehouse_bench.spelling import Spelling, affirmed

COLUMNS: Final = ("attr", "pid", "cid", "did", "gid", "day", "num", "txt")
TABLE: Final = (
    "CREATE TABLE eav (attr VARCHAR NOT NULL, pid BIGINT NOT NULL, cid BIGINT, did BIGINT, gid BIGINT, "
    '"day" DATE, num DOUBLE PRECISION, txt VARCHAR)'
)
_STUDY: Final = {
    "StudyDescription": "txt",
    "StudyTime": "txt",
    "ModalitiesInStudy": "txt",
    "NumberOfStudyRelatedSeries": "num",
    "NumberOfStudyRelatedInstances": "num",
}
_SERIES: Final = {
    "Modality": "txt",
    "SeriesDescription": "txt",
    "BodyPartExamined": "txt",
    "ProtocolName": "txt",
    "Manufacturer": "txt",
    "SeriesNumber": "num",
    "NumberOfSeriesRelatedInstances": "num",
}
_INSTANCE: Final = {"InstanceNumber": "num", "Rows": "num", "Columns": "num", "SOPClassUID": "txt"}


def filling(warehouse: str) -> Iterator[str]:
    """Yield DuckDB statements that fill ``eav`` from the tables of *warehouse*, attribute by attribute."""
    w = f"{warehouse}."
    yield _insert("'sex', patient_key, NULL, NULL, NULL, NULL, NULL, sex", f"{w}patient", "sex")
    yield _insert(
        "'birth_year', patient_key, NULL, NULL, NULL, NULL, birth_year, NULL", f"{w}patient", "birth_year"
    )
    for name in ("start", "end"):
        cells = f"'case_{name}', patient_key, case_key, NULL, NULL, \"{name}\", NULL, NULL"
        yield _insert(cells, f"{w}clinical_case", name)
    shared = "patient_key, case_key, document_key, NULL"
    yield _insert(f'kind, {shared}, "date", NULL, "text"', f"{w}document", "kind", order="kind")
    yield _insert(f"'negated', {shared}, \"date\", NULL, negated", f"{w}document", "negated")
    yield _insert(f"'report_accession', {shared}, \"date\", NULL, accession", f"{w}document", "accession")
    yield _insert(
        'attribute, patient_key, case_key, document_key, group_key, "date", "number", coalesce(code, "text")',
        f"{w}fact",
        "attribute",
        order="attribute",
    )
    shared = 'patient_key, case_key, study_key, NULL, "StudyDate"'
    yield _insert(f"'StudyDate', {shared}, NULL, NULL", f"{w}study", "StudyDate")
    yield _insert(f"'study_accession', {shared}, NULL, accession", f"{w}study", "accession")
    for name, column in _STUDY.items():
        yield _insert(f"'{name}', {shared}, {_value(name, column)}", f"{w}study", name)
    series = (
        f'(SELECT s.*, t.case_key, coalesce("SeriesDate", "StudyDate") AS day FROM {w}series s '
        f"JOIN {w}study t USING (study_key))"
    )
    for name, column in _SERIES.items():
        cells = f"'{name}', patient_key, case_key, study_key, series_key, day, {_value(name, column)}"
        yield _insert(cells, series, name)
    instance = (
        f'(SELECT i.*, t.case_key, "StudyDate" AS day FROM {w}instance i JOIN {w}study t USING (study_key))'
    )
    for name, column in _INSTANCE.items():
        cells = f"'{name}', patient_key, case_key, study_key, instance_key, day, {_value(name, column)}"
        yield _insert(cells, instance, name)
    header = (
        f'(SELECT h.*, t.case_key, "StudyDate" AS day FROM {w}header h JOIN {w}study t USING (study_key))'
    )
    cells = 'keyword, patient_key, case_key, study_key, series_key, day, "number", "text"'
    yield _insert(cells, header, "keyword", order="keyword")


def _value(name: str, column: str) -> str:
    return f'"{name}", NULL' if column == "num" else f'NULL, "{name}"'


def _insert(cells: str, table: str, present: str, order: str = "") -> str:
    tail = f" ORDER BY {order}" if order else ""
    return f'INSERT INTO eav SELECT {cells} FROM {table} WHERE "{present}" IS NOT NULL{tail}'


def _at(attribute: str, condition: str = "", select: str = "pid") -> str:
    return f"SELECT {select} FROM eav WHERE attr = '{attribute}'{' AND ' + condition if condition else ''}"


def _modality(name: str, select: str = "pid") -> str:
    return _at("Modality", f"txt = '{name}'", select)


def _coded(attribute: str, prefix: str, select: str = "pid") -> str:
    return _at(attribute, f"txt LIKE '{prefix}%'", select)


def eav(spelling: Spelling, patients: Sequence[str]) -> Mapping[str, str]:
    """Return the SQL of every question by name, as sets of ``pid``; *patients* are the pseudonyms listed."""
    d = spelling
    nyha = _at("discharge_letter", d.matches("txt", NYHA))
    ct, mr = _modality("CT"), _modality("MR")
    ct_did, ct_gid = _modality("CT", "did"), _modality("CT", "gid")
    dated_ct, dated_mr = _modality("CT", "pid, day"), _modality("MR", "pid, day")
    thorax_did = _at("StudyDescription", d.holds("txt", "thorax"), "did")
    ct_thorax = f"{ct} AND did IN ({thorax_did})"
    listed = ", ".join(f"'{name}'" for name in patients)
    thin, thick = (_at("SliceThickness", f"num {bound}", "did") for bound in ("<= 1", ">= 5"))
    return {
        **{
            name: f"{_at('LVEF', f'num < {bound}')} INTERSECT {nyha} INTERSECT {ct_thorax}"
            for name, bound in (("paper", 45), ("paper_changed", 40))
        },
        "lvef_trend": (
            "SELECT pid FROM (SELECT pid, num, row_number() OVER (PARTITION BY pid ORDER BY day, num) AS a, "
            "row_number() OVER (PARTITION BY pid ORDER BY day DESC, num DESC) AS z FROM eav "
            "WHERE attr = 'LVEF' AND num IS NOT NULL) AS x GROUP BY pid "
            "HAVING min(CASE WHEN a = 1 THEN num END) < 45 AND min(CASE WHEN z = 1 THEN num END) >= 50"
        ),
        "ct_after_troponin": (
            "SELECT v.pid FROM (SELECT a.pid, a.day FROM eav a JOIN eav b ON b.gid = a.gid AND a.num > b.num "
            "WHERE a.attr = 'TROPONIN' AND b.attr = 'TROPONIN_LIMIT') AS v "
            f"JOIN ({dated_ct}) AS c ON c.pid = v.pid AND {d.days('c.day', 'v.day')} BETWEEN 0 AND 30"
        ),
        "mr_never": f"{_at('case_start')} UNION {_at('birth_year')} EXCEPT {mr}",
        "three_ct_a_year": (
            "SELECT pid FROM (SELECT pid, day, lag(day, 2) OVER (PARTITION BY pid ORDER BY day) AS earlier "
            f"FROM ({_at('StudyDate', f'did IN ({ct_did})', 'pid, day')}) AS y) AS x "
            f"WHERE {d.days('day', 'earlier')} <= 365"
        ),
        "thin_slices": (
            f"{ct_thorax} AND gid IN ({_at('SliceThickness', 'num <= 1', 'gid')}) "
            f"AND gid IN ({_at('ContrastBolusAgent', '', 'gid')})"
        ),
        "dx_and_ct_one_case": (f"{_modality('DX')} AND cid IN ({ct_thorax.replace('pid', 'cid', 1)})"),
        "pneumothorax": (
            "SELECT t.pid FROM eav t LEFT JOIN eav n ON n.did = t.did AND n.attr = 'negated' "
            f"WHERE t.attr = 'radiology_report' AND {affirmed(d, 't.txt', 'n.txt', 'pneumothorax')}"
        ),
        "diameter": _at("radiology_report", d.captures("txt", DIAMETER, 30)),
        "icd_without_ops": f"{_coded('ICD10', 'I')} EXCEPT {_coded('OPS', '5-')}",
        "young_at_first_ct": (
            f"SELECT p.pid FROM (SELECT pid, min(day) AS day FROM ({dated_ct}) AS y GROUP BY pid) AS x "
            f"JOIN eav p ON p.pid = x.pid AND p.attr = 'birth_year' WHERE {d.year('x.day')} - p.num < 18"
        ),
        "study_without_report": (
            f"{_at('StudyDate')} AND did NOT IN (SELECT s.did FROM eav s JOIN eav r ON r.pid = s.pid "
            "AND r.txt = s.txt WHERE s.attr = 'study_accession' AND r.attr = 'report_accession')"
        ),
        "report_without_study": (
            f"{_at('radiology_report')} AND did NOT IN (SELECT r.did FROM eav r JOIN eav s ON s.pid = r.pid "
            "AND s.txt = r.txt WHERE s.attr = 'study_accession' AND r.attr = 'report_accession')"
        ),
        "maker_by_year": (
            f"SELECT m.txt, {d.year('t.day')} AS y, count(*) FROM eav m JOIN eav t ON t.did = m.did "
            f"WHERE m.attr = 'Manufacturer' AND t.attr = 'StudyDate' AND m.gid IN ({ct_gid}) "
            "GROUP BY 1, 2 ORDER BY 1, 2"
        ),
        "thickness": (
            f"SELECT num, count(*) FROM eav WHERE attr = 'SliceThickness' AND gid IN ({ct_gid}) "
            "GROUP BY 1 ORDER BY 1"
        ),
        "two_series_one_study": f"{_at('StudyDate')} AND did IN ({thin}) AND did IN ({thick})",
        "three_of_five": _three_of(
            [
                _coded("ICD10", "I21"),
                _coded("ICD10", "E11"),
                _coded("OPS", "5-"),
                _at("LVEF", "num < 45"),
                mr,
            ]
        ),
        "cohort_minus_cohort": (
            f"{_at('LVEF', 'num < 45')} INTERSECT {_coded('ICD10', 'I50')} EXCEPT {mr} AND did IN "
            f"({_at('StudyDescription', d.holds('txt', 'herz'), 'did')})"
        ),
        "listed": f"SELECT patient_key FROM patient WHERE patient IN ({listed}) INTERSECT {ct}",
        "second_study": (
            "SELECT pid FROM (SELECT pid, day, row_number() OVER w AS n, lag(day) OVER w AS earlier FROM eav "
            "WHERE attr = 'StudyDate' WINDOW w AS (PARTITION BY pid ORDER BY day)) AS x "
            f"WHERE n = 2 AND {d.days('day', 'earlier')} <= 14"
        ),
        "phrase": _at("radiology_report", d.holds("txt", "verdacht auf lungenembolie")),
        "mr_during_stroke": (
            "SELECT a.pid FROM eav a JOIN eav z ON z.cid = a.cid AND z.attr = 'case_end' "
            f"JOIN ({dated_mr}) AS m ON m.pid = a.pid "
            "AND m.day >= a.day AND m.day <= z.day "
            f"WHERE a.attr = 'case_start' AND a.cid IN ({_coded('ICD10', 'I63', 'cid')})"
        ),
    }


def _three_of(sets: Sequence[str]) -> str:
    united = " UNION ALL ".join(keys.replace("SELECT pid", "SELECT DISTINCT pid", 1) for keys in sets)
    return f"SELECT pid FROM ({united}) AS x GROUP BY pid HAVING count(*) >= 3"
