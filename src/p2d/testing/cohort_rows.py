"""Small random warehouses to try queries on: few patients, few values, so that things coincide."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Final

from p2d.testing.warehouse_rows import Row, accession_psn, case_psn, patient_psn, uid

TEXTS: Final = (
    "Thorax nativ",
    "CT THORAX",
    "Schädel",
    "schädel und Thorax",
    "NYHA III",
    "NYHA II, LVEF: 45 %",
    "kein Pneumothorax. LVEF 30,5 %",
    "Pneumothorax rechts, kein Erguss",
    "Rundherd 12 mm; LVEF - 60; Rundherd 4mm",
    "kein Befund",
    "CT/Thorax:\nT-Score: -2,5",
    "Kein Erguss. Erguss rechts. I50.1",
    "",
)
CODES: Final = ("I50.1", "I50.9", "I21", "E11.9", "5-351.02", "5-38")
DAYS: Final = tuple(date(2019, 12, 25) + timedelta(days=12 * n) for n in range(7))
PATIENTS: Final = tuple(patient_psn(number) for number in range(1, 9))
BRANCHES: Final[Mapping[str, frozenset[str]]] = {
    "Labor": frozenset({"TROPONIN", "TROPONIN_LIMIT"}),
    "Befunde": frozenset({"LVEF", "ICD10"}),
    "Kontrast": frozenset({"KVP", "ContrastBolusAgent"}),
}
"""Catalogue branches over the attributes of these warehouses: clinical ones and one of headers."""


def random_rows(seed: int) -> dict[str, list[Row]]:
    """Return the rows of all tables of a warehouse that *seed* decides; natural keys are unique."""
    dice = random.Random(seed)
    rows: dict[str, list[Row]] = defaultdict(list)
    numbers = iter(range(1, 100_000))
    for number, psn in enumerate(PATIENTS):
        if number or seed % 2:  # one patient may be known by images only
            born = dice.choice([1950, 1960, 1980, None])
            rows["patient"].append({"patient": psn, "sex": dice.choice("MF"), "birth_year": born})
            _clinical(dice, rows, psn, numbers)
        for _ in range(dice.randint(0, 3)):
            _study(dice, rows, psn, numbers)
    return dict(rows)


def _clinical(dice: random.Random, rows: dict[str, list[Row]], psn: str, numbers: Iterator[int]) -> None:
    cases: list[str | None] = [None]
    for _ in range(dice.randint(0, 3)):
        start = dice.choice([*DAYS[:-1], None])
        cases.append(case_psn(next(numbers)))
        end = dice.choice([start + timedelta(days=15), None]) if start else None
        rows["case"].append({"patient": psn, "case": cases[-1], "start": start, "end": end})
    documents: list[str | None] = [None]
    for _ in range(dice.randint(0, 4)):
        documents.append(uid(next(numbers)))
        rows["document"].append(
            {
                "patient": psn,
                "case": dice.choice(cases),
                "document": documents[-1],
                "kind": dice.choice(["letter", "report"]),
                "date": dice.choice([*DAYS, None]),
                "accession": dice.choice([None, accession_psn(1), accession_psn(2)]),
                "text": dice.choice([*TEXTS, None]),
            }
        )
    for _ in range(dice.randint(0, 4)):
        _group(
            dice,
            rows,
            {"patient": psn, "case": dice.choice(cases), "document": dice.choice(documents)},
            numbers,
        )


def _group(dice: random.Random, rows: dict[str, list[Row]], place: Row, numbers: Iterator[int]) -> None:
    """Add one to three facts recorded together, or one by itself; some lie on another day or in no case."""
    is_lone = dice.random() < 0.25
    group = None if is_lone else uid(next(numbers))
    day = dice.choice([*DAYS, None])
    form = dice.choice(["LVEF", "TROPONIN", "ICD10"])
    facts: list[Row] = [_fact(dice, form)]
    if not is_lone and form == "TROPONIN":
        facts.append({"attribute": "TROPONIN_LIMIT", "number": dice.choice([14.0, 52.0]), "unit": "ng/l"})
    if not is_lone and dice.random() < 0.3:
        facts.append(_fact(dice, dice.choice(["LVEF", "ICD10"])))
    for fact in facts:
        own = {} if dice.random() < 0.8 else {"case": None, "date": dice.choice(DAYS)}
        row = {**place, "group": group, "date": day, **own, **fact}
        if not any(_fact_key(row) == _fact_key(other) for other in rows["fact"]):
            rows["fact"].append(row)


def _fact(dice: random.Random, attribute: str) -> Row:
    if attribute == "LVEF":
        number = dice.choice([30.0, 45.0, 60.0, None])
        text = None if number else dice.choice(TEXTS)
        return {"attribute": attribute, "number": number, "text": text, "unit": dice.choice(["%", None])}
    if attribute == "TROPONIN":
        number, unit = dice.choice([(5.0, "ng/l"), (14.0, "ng/l"), (52.0, "ng/l"), (0.05, "µg/l")])
        return {"attribute": attribute, "number": number, "unit": unit}
    text = dice.choice([*TEXTS, None])
    return {"attribute": attribute, "code": dice.choice([*CODES, None]), "text": text}


def _fact_key(row: Row) -> tuple[object, ...]:
    columns = ("patient", "document", "group", "attribute", "date", "code", "number", "text")
    return tuple(row.get(column) for column in columns)


def _study(dice: random.Random, rows: dict[str, list[Row]], psn: str, numbers: Iterator[int]) -> None:
    study: Row = {"patient": psn, "study": uid(next(numbers))}
    known = [row["case"] for row in rows["case"] if row["patient"] == psn]
    rows["study"].append(
        {
            **study,
            "archive": "main",
            "accession": dice.choice([None, accession_psn(1), accession_psn(2)]),
            "case": dice.choice([*known, None, case_psn(9)]),
            "StudyDate": dice.choice([*DAYS, None]),
            "StudyDescription": dice.choice([*TEXTS, None]),
            "ModalitiesInStudy": dice.choice(["CT", "CT\\SR", "MR", None]),
        }
    )
    _header(dice, rows, study)
    for _ in range(dice.randint(0, 3)):
        series: Row = {**study, "series": uid(next(numbers))}
        rows["series"].append(
            {
                **series,
                "Modality": dice.choice(["CT", "MR"]),
                "SeriesDescription": dice.choice([*TEXTS, None]),
                "SeriesDate": dice.choice([*DAYS, None]),
                "SeriesNumber": dice.choice([1, 2, None]),
            }
        )
        _header(dice, rows, series)
        for _ in range(dice.randint(0, 2)):
            scope = dice.choice(["basic", "extended"])
            instance: Row = {**series, "instance": uid(next(numbers))}
            rows["instance"].append({**instance, "scope": scope, "Rows": dice.choice([256, 512])})
            if scope == "extended":
                _header(dice, rows, instance)


def _header(dice: random.Random, rows: dict[str, list[Row]], owner: Row) -> None:
    """Add a few elements; one of them may hold two values."""
    if dice.random() < 0.4:
        for item in range(dice.choice([1, 1, 2])):
            number = dice.choice([100.0, 120.0])
            element = {"path": "00180060", "keyword": "KVP", "vr": "DS", "item": item, "number": number}
            rows["header"].append({**owner, **element})
    if dice.random() < 0.4:
        element = {"path": "00180010", "keyword": "ContrastBolusAgent", "vr": "LO", "item": 0}
        rows["header"].append({**owner, **element, "text": dice.choice(TEXTS)})
    if dice.random() < 0.3:
        element = {"path": "00080022", "keyword": "AcquisitionDate", "vr": "DA", "item": 0}
        rows["header"].append({**owner, **element, "date": dice.choice(DAYS)})
