"""The questions as a careful hand writes them in SQL on the warehouse's own tables.

Each is a set of ``patient_key``; the facets are their cells. Only what ``Spelling`` holds differs by engine.
"""
# ruff: noqa: S608 - constants of this benchmark, and pseudonyms it generated

from collections.abc import Mapping, Sequence

from warehouse_bench.questions import DIAMETER, NYHA
from warehouse_bench.spelling import Spelling, affirmed

_LVEF = "SELECT patient_key FROM fact WHERE attribute = 'LVEF' AND \"number\" < {bound}"
_CODED = "SELECT patient_key FROM fact WHERE attribute = '{attribute}' AND code LIKE '{prefix}%'"
_SERIES = "FROM series s JOIN study t ON t.study_key = s.study_key WHERE s.\"Modality\" = '{modality}'"
_DATED = 'SELECT s.patient_key, coalesce(s."SeriesDate", t."StudyDate") AS day ' + _SERIES


def wide(spelling: Spelling, patients: Sequence[str]) -> Mapping[str, str]:
    """Return the SQL of every question by name; *patients* are the pseudonyms listed."""
    d = spelling
    thorax = d.holds('t."StudyDescription"', "thorax")
    ct = _SERIES.format(modality="CT")
    ct_thorax = f"SELECT s.patient_key {ct} AND {thorax}"
    thickness = "SELECT study_key FROM header WHERE keyword = 'SliceThickness' AND \"number\" {bound}"
    letter = d.behind_word("nyha", d.matches("text", NYHA))
    nyha = f"SELECT patient_key FROM document WHERE kind = 'discharge_letter' AND {letter}"
    reports = "SELECT patient_key FROM document WHERE kind = 'radiology_report'"
    listed = ", ".join(f"'{name}'" for name in patients)
    i50 = _CODED.format(attribute="ICD10", prefix="I50")
    air = d.behind_word("pneumothorax", affirmed(d, "text", "negated", "pneumothorax"))
    clot = d.behind_word("lungenembolie", d.holds("text", "verdacht auf lungenembolie"))
    size = d.behind_word("durchmesser", d.captures("text", DIAMETER, 30))
    study_year = d.year('t."StudyDate"')
    heart = d.holds('t."StudyDescription"', "herz")
    mr = "SELECT patient_key FROM series WHERE \"Modality\" = 'MR'"
    return {
        **{
            name: f"{_LVEF.format(bound=bound)} INTERSECT {nyha} INTERSECT {ct_thorax}"
            for name, bound in (("paper", 45), ("paper_changed", 40))
        },
        "lvef_trend": (
            'SELECT patient_key FROM (SELECT patient_key, "number" AS v, '
            'row_number() OVER (PARTITION BY patient_key ORDER BY "date", "number") AS a, '
            'row_number() OVER (PARTITION BY patient_key ORDER BY "date" DESC, "number" DESC) AS z '
            "FROM fact WHERE attribute = 'LVEF' AND \"number\" IS NOT NULL) AS x GROUP BY patient_key "
            "HAVING min(CASE WHEN a = 1 THEN v END) < 45 AND min(CASE WHEN z = 1 THEN v END) >= 50"
        ),
        "ct_after_troponin": (
            'SELECT v.patient_key FROM (SELECT a.patient_key, a."date" AS day FROM fact a JOIN fact b '
            'ON b.group_key = a.group_key AND a."number" > b."number" '
            "WHERE a.attribute = 'TROPONIN' AND b.attribute = 'TROPONIN_LIMIT') AS v "
            f"JOIN ({_DATED.format(modality='CT')}) AS c ON c.patient_key = v.patient_key "
            f"AND {d.days('c.day', 'v.day')} BETWEEN 0 AND 30"
        ),
        "mr_never": f"SELECT patient_key FROM patient EXCEPT {mr}",
        "three_ct_a_year": (
            "SELECT patient_key FROM (SELECT patient_key, day, "
            "lag(day, 2) OVER (PARTITION BY patient_key ORDER BY day) AS earlier FROM ("
            f'SELECT DISTINCT t.patient_key, t.study_key, t."StudyDate" AS day {ct}) AS y) AS x '
            f"WHERE {d.days('day', 'earlier')} <= 365"
        ),
        "thin_slices": (
            f"SELECT s.patient_key {ct} AND {thorax} AND s.series_key IN "
            "(SELECT series_key FROM header WHERE keyword = 'SliceThickness' AND \"number\" <= 1) "
            "AND s.series_key IN (SELECT series_key FROM header WHERE keyword = 'ContrastBolusAgent')"
        ),
        "dx_and_ct_one_case": (
            f"SELECT patient_key FROM clinical_case WHERE case_key IN (SELECT t.case_key "
            f"{_SERIES.format(modality='DX')}) AND case_key IN (SELECT t.case_key {ct} AND {thorax})"
        ),
        "pneumothorax": f"{reports} AND {air}",
        "diameter": f"{reports} AND {size}",
        "icd_without_ops": (
            f"{_CODED.format(attribute='ICD10', prefix='I')} EXCEPT "
            f"{_CODED.format(attribute='OPS', prefix='5-')}"
        ),
        "young_at_first_ct": (
            f"SELECT p.patient_key FROM (SELECT patient_key, min(day) AS day FROM "
            f"({_DATED.format(modality='CT')}) AS y GROUP BY patient_key) AS x "
            f"JOIN patient p ON p.patient_key = x.patient_key WHERE {d.year('x.day')} - p.birth_year < 18"
        ),
        "study_without_report": (
            "SELECT patient_key FROM study WHERE study_key NOT IN (SELECT l.study_key FROM study_document l "
            "JOIN document d ON d.document_key = l.document_key WHERE d.kind = 'radiology_report')"
        ),
        "report_without_study": (
            f"{reports} AND document_key NOT IN (SELECT document_key FROM study_document)"
        ),
        "maker_by_year": (
            f'SELECT s."Manufacturer", {study_year} AS y, count(*) {ct} '
            'AND s."Manufacturer" IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2'
        ),
        "thickness": (
            'SELECT h."number", count(*) FROM header h JOIN series s ON s.series_key = h.series_key '
            "WHERE h.keyword = 'SliceThickness' AND s.\"Modality\" = 'CT' GROUP BY 1 ORDER BY 1"
        ),
        "two_series_one_study": (
            "SELECT patient_key FROM study WHERE study_key IN "
            f"({thickness.format(bound='<= 1')}) AND study_key IN ({thickness.format(bound='>= 5')})"
        ),
        "three_of_five": _three_of(
            [
                _CODED.format(attribute="ICD10", prefix="I21"),
                _CODED.format(attribute="ICD10", prefix="E11"),
                _CODED.format(attribute="OPS", prefix="5-"),
                _LVEF.format(bound=45),
                mr,
            ]
        ),
        "cohort_minus_cohort": (
            f"{_LVEF.format(bound=45)} INTERSECT {i50} EXCEPT SELECT s.patient_key "
            f"{_SERIES.format(modality='MR')} AND {heart}"
        ),
        "listed": (
            f"SELECT patient_key FROM patient WHERE patient IN ({listed}) INTERSECT SELECT s.patient_key {ct}"
        ),
        "second_study": _second(d, 'SELECT patient_key, "StudyDate" AS day FROM study'),
        "phrase": f"{reports} AND {clot}",
        "mr_during_stroke": (
            f"SELECT c.patient_key FROM clinical_case c JOIN ({_DATED.format(modality='MR')}) AS m "
            'ON m.patient_key = c.patient_key AND m.day >= c."start" '
            'AND (c."end" IS NULL OR m.day <= c."end") '
            "WHERE c.case_key IN (SELECT case_key FROM fact WHERE attribute = 'ICD10' AND code LIKE 'I63%')"
        ),
    }


def patients_of(keys: str) -> str:
    """Return SQL for the pseudonyms, in order, of the patients whose keys are *keys*."""
    return f"SELECT patient FROM patient WHERE patient_key IN ({keys}) ORDER BY patient"


def _three_of(sets: Sequence[str]) -> str:
    each = [keys.replace("SELECT patient_key", "SELECT DISTINCT patient_key", 1) for keys in sets]
    united = " UNION ALL ".join(each)
    return f"SELECT patient_key FROM ({united}) AS x GROUP BY patient_key HAVING count(*) >= 3"


def _second(d: Spelling, studies: str) -> str:
    return (
        "SELECT patient_key FROM (SELECT patient_key, day, row_number() OVER w AS n, "
        f"lag(day) OVER w AS earlier FROM ({studies}) AS y "
        "WINDOW w AS (PARTITION BY patient_key ORDER BY day)) "
        f"AS x WHERE n = 2 AND {d.days('day', 'earlier')} <= 14"
    )
