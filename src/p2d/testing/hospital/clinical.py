"""What is known besides images: diagnoses, procedures, laboratory, echocardiography, letters and reports."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from p2d.testing.hospital import letters
from p2d.testing.hospital.dice import Dice
from p2d.testing.hospital.nouns import Case, Document, Fact, Patient, Study
from p2d.testing.hospital.tables import Row, phrases, rows


@dataclass
class Record:
    """The clinical record of one patient while it is written."""

    patient: Patient
    index: int
    dice: Dice
    canary: bool
    must_match: bool
    """Whether the patient must satisfy the paper's example cohort."""
    _groups: dict[str, int] = field(default_factory=dict)

    def add(self, case: Case | None, kind: str, day: date, text: str = "", accession: str = "") -> Document:
        """Append a document to the patient and return it."""
        number = len(self.patient.documents) + 1
        if self.canary:
            key = f"ZQD{self.dice.integer(1000, 9999)}{self.index:04d}{number:05d}"
        else:
            key = f"D{self.index:04d}{number:05d}"
        document = Document(self.patient, case, key, kind, day, accession, text)
        self.patient.documents.append(document)
        return document

    def state(
        self, document: Document, attribute: str, *, number: float | None = None, code: str = "", **more: str
    ) -> None:
        """Append a fact in a group of its own to *document*; *more* is ``text`` and ``unit``."""
        group = self._groups[document.document_id] = self._groups.get(document.document_id, 0) + 1
        fact = Fact(document, str(group), attribute, document.date, number, code, **more)
        self.patient.facts.append(fact)


def fill_record(record: Record) -> None:
    """Append documents and facts to a patient whose cases and studies exist."""
    for position, case in enumerate(record.patient.cases):
        _add_codes(record, case)
        _add_laboratory(record, case)
        is_index_case = position == 0
        likelihood = (1 if is_index_case else 0.5) if record.patient.is_failing else 0.12
        if record.dice.chance(likelihood):
            _add_echo(record, case)
        if case.type == "inpatient":
            _add_letter(record, case, is_index_case=is_index_case)
    for study in record.patient.studies:
        _add_reports(record, study)


def _within(case: Case, dice: Dice) -> date:
    return dice.day(case.start, case.end)


def _add_codes(record: Record, case: Case) -> None:
    dice = record.dice
    document = record.add(case, "coding", case.end)
    known = rows("diagnoses")
    usual = [row for row in known if row["group"] == "any"]
    chosen: list[Row] = dice.shuffled(usual)[: dice.integer(1, 4)]
    if record.patient.is_failing:
        chosen.insert(0, dice.one([row for row in known if row["group"] == "heart"]))
    for row in chosen:
        record.state(document, "ICD10", code=row["code"], text=row["text"])
    done = {study.modality for study in record.patient.studies if study.case is case}
    for row in rows("procedures"):
        if row["modality"] in done:
            record.state(document, "OPS", code=row["code"], text=row["text"])


def _add_laboratory(record: Record, case: Case) -> None:
    dice = record.dice
    for _ in range(dice.integer(1, 3)):
        document = record.add(case, "laboratory", _within(case, dice))
        for row in rows("laboratory"):
            if dice.chance(0.25):
                continue
            prefix = "failing_" if record.patient.is_failing else ""
            low, high = float(row[f"{prefix}low"]), float(row[f"{prefix}high"])
            value = dice.number(low, high, int(row["decimals"]))
            record.state(document, row["attribute"], number=value, unit=row["unit"])


def _add_echo(record: Record, case: Case) -> None:
    dice = record.dice
    low, high = (15, 44) if record.must_match else (30, 60) if record.patient.is_failing else (50, 72)
    fraction = dice.integer(low, high)
    day = _within(case, dice)
    document = record.add(case, "echocardiography", day, letters.echo(record.patient, day, fraction))
    record.state(document, "LVEF", number=float(fraction), unit="%")


def _add_letter(record: Record, case: Case, *, is_index_case: bool) -> None:
    dice = record.dice
    said: Sequence[str] = ()
    if record.must_match and is_index_case:
        said = phrases("severe_nyha")
    elif record.patient.is_failing:
        said = dice.one((phrases("severe_nyha"), phrases("mild_nyha"), phrases("negated_nyha")))
    elif dice.chance(0.15):
        said = phrases("negated_nyha")
    text = letters.discharge(record.patient, case, dice.one(said) if said else "", dice)
    record.add(case, "discharge_letter", case.end, text)


def _add_reports(record: Record, study: Study) -> None:
    """Write no, one or two reports for *study*; without an accession number they are bound to nothing."""
    count = record.dice.weighted((0, 1, 2), (0.15, 0.72, 0.13))
    for number in range(count):
        day = study.date + timedelta(days=number)
        text = letters.report(study, day, record.dice, is_addendum=number > 0)
        record.add(study.case, "radiology_report", day, text, study.accession_number)
