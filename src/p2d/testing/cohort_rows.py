"""Small random warehouses to try queries on: few patients, few values, so that things coincide."""

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta

from p2d.testing.warehouse_rows import Row, accession_psn, case_psn, patient_psn, uid

TEXTS = (
    "Thorax nativ",
    "CT THORAX",
    "Schädel",
    "schädel und Thorax",
    "NYHA III",
    "NYHA II",
    "kein Befund",
    "",
)
CODES = ("I50.1", "I50.9", "E11.9")
DAYS = tuple(date(2020, 1, 1) + timedelta(days=10 * n) for n in range(6))


def random_rows(seed: int) -> dict[str, list[Row]]:
    """Return the rows of all tables of a warehouse that *seed* decides; natural keys are unique."""
    dice = random.Random(seed)
    rows: dict[str, list[Row]] = defaultdict(list)
    numbers = iter(range(1, 100_000))
    for number in range(1, 6):
        psn = patient_psn(number)
        if number > 1 or seed % 2:  # one patient may be known by images only
            rows["patient"].append(
                {"patient": psn, "sex": dice.choice("MF"), "birth_year": dice.choice([1950, 1960, None])}
            )
            _clinical(dice, rows, psn, numbers)
        for _ in range(dice.randint(0, 3)):
            _study(dice, rows, psn, numbers)
    return dict(rows)


def _clinical(dice: random.Random, rows: dict[str, list[Row]], psn: str, numbers: Iterator[int]) -> None:
    cases: list[str | None] = [None]
    for _ in range(dice.randint(0, 2)):
        start = dice.choice(DAYS)
        cases.append(case_psn(next(numbers)))
        end = dice.choice([start + timedelta(days=15), None])
        rows["case"].append({"patient": psn, "case": cases[-1], "start": start, "end": end})
    documents: list[str | None] = [None]
    for _ in range(dice.randint(0, 3)):
        documents.append(uid(next(numbers)))
        rows["document"].append(
            {
                "patient": psn,
                "case": dice.choice(cases),
                "document": documents[-1],
                "kind": dice.choice(["letter", "report"]),
                "date": dice.choice(DAYS),
                "accession": dice.choice([None, accession_psn(1), accession_psn(2)]),
                "text": dice.choice([*TEXTS, None]),
            }
        )
    for _ in range(dice.randint(0, 5)):
        is_number = dice.random() < 0.5
        rows["fact"].append(
            {
                "patient": psn,
                "case": dice.choice(cases),
                "document": dice.choice(documents),
                "group": uid(next(numbers)),
                "attribute": "LVEF" if is_number else "ICD10",
                "date": dice.choice([*DAYS[:3], None]),
                "number": float(dice.choice([30, 45, 60])) if is_number else None,
                "code": None if is_number else dice.choice(CODES),
                "text": None if is_number else dice.choice([*TEXTS, None]),
                "unit": dice.choice(["%", None]) if is_number else None,
            }
        )


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
    if dice.random() < 0.4:
        number = dice.choice([100.0, 120.0])
        rows["header"].append(
            {**owner, "path": "00180060", "keyword": "KVP", "vr": "DS", "item": 0, "number": number}
        )
    if dice.random() < 0.4:
        text = dice.choice(TEXTS)
        rows["header"].append(
            {
                **owner,
                "path": "00180010",
                "keyword": "ContrastBolusAgent",
                "vr": "LO",
                "item": 0,
                "text": text,
            }
        )
