"""A synthetic hospital as the rows that a warehouse would hold of it, without archive, identity or gateway.

Pseudonyms count up in the order of the hospital; dates are not shifted. The first image of every series has
an extended header: acquisition parameters by modality, a value of several parts, and an element in a
sequence.
"""

from collections.abc import Iterator

from p2d.testing.hospital.house import Hospital
from p2d.testing.hospital.nouns import Patient, Series, Study
from p2d.testing.warehouse_rows import Row, accession_psn, batch, case_psn, patient_psn, uid
from p2d.warehouse.batch import Batch

_PARAMETERS = {
    "CT": {("00180050", "SliceThickness"): (1.0, 5.0), ("00180060", "KVP"): (100.0, 120.0)},
    "MR": {("00180087", "MagneticFieldStrength"): (1.5, 3.0), ("00180081", "EchoTime"): (90.0, 12.5)},
}


def pseudonymised(hospital: Hospital, *, extended: bool = True) -> list[Batch]:
    """Return *hospital* as batches in the order of loading: clinical, basic, and extended if asked for."""
    rows = _Rows(hospital)
    clinical, imaging = ("patient", "case", "document", "fact"), ("study", "series", "instance")
    found = [
        batch({name: rows.tables[name] for name in clinical}, "clinical", "clinical", "c"),
        batch({name: rows.tables[name] for name in imaging}, "basic", "basic", "b"),
    ]
    if extended:
        whole = {name: rows.tables[name] for name in ("study", "series", "header")}
        whole["instance"] = [{**row, "scope": "extended"} for row in rows.first]
        found.append(batch(whole, "extended", "extended", "e"))
    return found


class _Rows:
    """The rows of all tables; a true identifier is numbered when it first comes up."""

    def __init__(self, hospital: Hospital) -> None:
        self.tables: dict[str, list[Row]] = {
            name: []
            for name in ("patient", "case", "document", "fact", "study", "series", "instance", "header")
        }
        self.first: list[Row] = []
        self._numbers: dict[tuple[str, str], int] = {}
        for patient in hospital.patients:
            self._patient(patient)

    def _number(self, kind: str, true: str) -> int:
        return self._numbers.setdefault((kind, true), len(self._numbers) + 1)

    def _case(self, true: str) -> str | None:
        return case_psn(self._number("case", true)) if true else None

    def _accession(self, true: str) -> str | None:
        return accession_psn(self._number("accession", true)) if true else None

    def _uid(self, true: str) -> str:
        return uid(self._number("uid", true))

    def _patient(self, patient: Patient) -> None:
        psn = patient_psn(self._number("patient", patient.patient_id))
        self.tables["patient"].append(
            {"patient": psn, "sex": patient.sex, "birth_year": max(patient.birth_date.year, 1940)}
        )
        self.tables["case"] += [
            {"patient": psn, "case": self._case(c.case_id), "start": c.start, "end": c.end, "type": c.type}
            for c in patient.cases
        ]
        for document in patient.documents:
            self.tables["document"].append(
                {
                    "patient": psn,
                    "case": self._case(document.case.case_id) if document.case else None,
                    "document": self._uid(document.document_id),
                    "kind": document.kind,
                    "date": document.date,
                    "accession": self._accession(document.accession_number),
                    "text": document.text or None,
                }
            )
        self.tables["fact"] += list(self._facts(psn, patient))
        for study in patient.studies:
            self._study(psn, study)

    def _facts(self, psn: str, patient: Patient) -> Iterator[Row]:
        for fact in patient.facts:
            case = fact.document.case
            yield {
                "patient": psn,
                "case": self._case(case.case_id) if case else None,
                "document": self._uid(fact.document.document_id),
                "group": self._uid(f"{fact.document.document_id}/{fact.group_id}"),
                "attribute": fact.attribute,
                "date": fact.date,
                "number": fact.number,
                "code": fact.code or None,
                "text": fact.text or None,
                "unit": fact.unit or None,
            }

    def _study(self, psn: str, study: Study) -> None:
        keys: Row = {"patient": psn, "study": self._uid(study.study_instance_uid)}
        self.tables["study"].append(
            {
                **keys,
                "archive": "main",
                "accession": self._accession(study.accession_number),
                "case": self._case(study.admission_id),
                "StudyDate": study.date,
                "StudyTime": study.time,
                "StudyDescription": study.description,
                "ModalitiesInStudy": "\\".join(sorted(study.modalities)),
                "NumberOfStudyRelatedSeries": len(study.series),
                "NumberOfStudyRelatedInstances": sum(len(one.instances) for one in study.series),
            }
        )
        for series in study.series:
            self._series({**keys, "series": self._uid(series.series_instance_uid)}, series)

    def _series(self, keys: Row, series: Series) -> None:
        self.tables["series"].append(
            {
                **keys,
                "Modality": series.modality,
                "SeriesNumber": series.number,
                "SeriesDescription": series.description,
                "SeriesDate": series.study.date,
                "BodyPartExamined": series.body_part,
                "ProtocolName": series.protocol,
                "Manufacturer": series.device["manufacturer"],
                "NumberOfSeriesRelatedInstances": len(series.instances),
            }
        )
        rows = [
            {
                **keys,
                "instance": self._uid(one.sop_instance_uid),
                "InstanceNumber": one.number,
                "SOPClassUID": one.sop_class_uid,
                "Rows": one.rows,
                "Columns": one.columns,
                "NumberOfFrames": one.frames,
                "scope": "basic",
            }
            for one in series.ordered()
        ]
        self.tables["instance"] += rows
        self.first.append(rows[0])
        self.tables["header"] += list(_header({**keys, "instance": rows[0]["instance"]}, series))


def _header(keys: Row, series: Series) -> Iterator[Row]:
    for (path, keyword), values in _PARAMETERS.get(series.modality, {}).items():
        number = values[series.number % len(values)]
        yield {**keys, "path": path, "keyword": keyword, "vr": "DS", "item": 0, "number": number}
    for item, text in enumerate(("ORIGINAL", "PRIMARY", "AXIAL")):
        yield {**keys, "path": "00080008", "keyword": "ImageType", "vr": "CS", "item": item, "text": text}
    code = {**keys, "path": "00082218[0].00080104", "keyword": "CodeMeaning", "vr": "LO", "item": 0}
    yield {**code, "text": series.body_part or "unknown"}
