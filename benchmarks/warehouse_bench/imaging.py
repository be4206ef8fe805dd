"""The imaging side of a chunk: studies with their reports, series, images of some patients, headers."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from warehouse_bench import terms
from warehouse_bench.clinical import FIRST_DAY, LAST_DAY, Clinical
from warehouse_bench.drawing import Bools, Floats, Ints, Weighted, chance, children, days, picked, rows
from warehouse_bench.names import Random, pseudonyms, uids
from warehouse_bench.words import Prose, phrases, woven

_STUDIES: Final = 5.9  # a patient, on average; some have none
_SHAPE: Final = 0.9
_IN_CASE: Final = 0.6
_REPORT_WORDS: Final = 55.0
_ORPHANS: Final = 0.03  # reports whose study is not known, of all
_KINDS: Final = terms.MODALITIES
_THORAX: Final = 0
_HEADERS: Final = (
    ("00180050", "SliceThickness", "DS"),
    ("00180060", "KVP", "DS"),
    ("00180087", "MagneticFieldStrength", "DS"),
    ("00180010", "ContrastBolusAgent", "LO"),
    ("00081090", "ManufacturerModelName", "LO"),
)


@dataclass(frozen=True, slots=True)
class Studies:
    """The studies of a chunk; ``case`` is -1 outside stays, ``accession`` whose number it is."""

    names: pa.Array
    patient: Ints
    case: Ints
    day: Ints
    kind: Ints
    part: Ints
    has_accession: Bools
    accession: Ints
    accessions: pa.Array

    def __len__(self) -> int:
        return len(self.patient)


@dataclass(frozen=True, slots=True)
class Series:
    """The series of a chunk; ``kind`` may differ from the study's (the CT of a PET/CT)."""

    names: pa.Array
    study: Ints
    kind: Ints
    thickness: Ints
    phase: Ints
    description: Ints
    maker: Ints
    images: Ints

    def __len__(self) -> int:
        return len(self.study)


class ImagingSide:
    """Draws the imaging side; holds what all chunks share."""

    def __init__(self, prose: Prose) -> None:
        self._prose = prose
        self._kind = Weighted([kind.share for kind in _KINDS])
        self._parts = [Weighted(kind.parts) for kind in _KINDS]
        self._thickness = Weighted(terms.THICKNESS_SHARES)
        self._pneumothorax = Weighted(terms.PNEUMOTHORAX_SHARES)
        self._descriptions = pa.array(
            [*terms.CT_DESCRIPTIONS, *terms.MR_DESCRIPTIONS, *terms.OTHER_DESCRIPTIONS], pa.string()
        )

    def draw(self, random: Random, clinical: Clinical) -> dict[str, pa.Table]:
        """Return the tables study, series, instance and header, and the reports as ``document``."""
        patients = clinical.people.names
        studies = self._studies(random, clinical)
        series = self._series(random, studies)
        of_study = patients.take(pa.array(studies.patient))
        keys: dict[str, Any] = {
            "patient": of_study.take(pa.array(series.study)),
            "study": studies.names.take(pa.array(series.study)),
            "series": series.names,
        }
        return {
            "document": self._reports(random, clinical, studies),
            "study": _study_rows(random, clinical, studies, series),
            "series": self._series_rows(random, studies, series, keys),
            "instance": _instances(random, clinical, studies, series, keys),
            "header": _header(random, series, keys),
        }

    def _studies(self, random: Random, clinical: Clinical) -> Studies:
        people, stays = clinical.people, clinical.stays
        share = _SHAPE / (_SHAPE + _STUDIES)
        patient, _ = children(random.negative_binomial(_SHAPE, share, len(people)).astype(np.int64))
        count = len(patient)
        own = stays.first[patient] + (random.random(count) * stays.count[patient]).astype(np.int64)
        is_inside = chance(random, count, _IN_CASE)
        inside = stays.start[own] + (random.random(count) * (stays.end[own] - stays.start[own] + 1)).astype(
            np.int64
        )
        born = np.maximum(FIRST_DAY, ((people.birth_year[patient] - 1969) * 365.25).astype(np.int64))
        outside = born + (random.random(count) * (LAST_DAY - born)).astype(np.int64)
        kind = self._kind.draw(random, count)
        part = np.zeros(count, np.int64)
        for number, draw in enumerate(self._parts):
            chosen = kind == number
            part[chosen] = draw.draw(random, int(chosen.sum()))
        follows = np.concatenate([[False], patient[1:] == patient[:-1]])
        shares = follows & chance(random, count, 0.03)
        owner = np.maximum.accumulate(np.where(shares, 0, np.arange(count)))
        return Studies(
            uids(random, count),
            patient,
            np.where(is_inside, own, -1),
            np.where(is_inside, inside, outside),
            kind,
            part,
            chance(random, count, 0.97),
            owner,
            pseudonyms(random, "A", count, 14),
        )

    def _series(self, random: Random, studies: Studies) -> Series:
        least = np.array([kind.least_series for kind in _KINDS])
        more = np.array([kind.more_series for kind in _KINDS])
        counts = least[studies.kind] + random.poisson(more[studies.kind])
        study, place = children(counts.astype(np.int64))
        count = len(study)
        kind = studies.kind[study]
        kind = np.where((kind == terms.PT) & (place % 2 == 1), terms.CT, kind)
        part = studies.part[study]
        thickness = self._thickness.draw(random, count)
        phase = random.integers(0, len(terms.PHASES), count)
        kernel = random.integers(0, len(terms.KERNELS), count)
        of_ct = ((part * len(terms.PHASES) + phase) * len(terms.THICKNESS) + thickness) * len(terms.KERNELS)
        variants = len(terms.SEQUENCES) * len(terms.PLANES)
        of_mr = len(terms.CT_DESCRIPTIONS) + part * variants + random.integers(0, variants, count)
        others = len(terms.CT_DESCRIPTIONS) + len(terms.MR_DESCRIPTIONS)
        of_other = others + part * 6 + random.integers(0, 6, count)
        makers = random.choice(
            10, len(studies), p=(0.2, 0.22, 0.18, 0.16, 0.06, 0.05, 0.05, 0.04, 0.02, 0.02)
        )
        mean = np.array([kind.images for kind in _KINDS])[kind]
        images = 1 + np.where(mean > 1, random.gamma(1.2, (mean - 0.9) / 1.2), 0).astype(np.int64)
        return Series(
            uids(random, count),
            study,
            kind,
            thickness,
            phase,
            np.where(kind == terms.CT, of_ct + kernel, np.where(kind == terms.MR, of_mr, of_other)),
            makers[study],
            images,
        )

    def _series_rows(
        self, random: Random, studies: Studies, series: Series, keys: dict[str, Any]
    ) -> pa.Table:
        count = len(series)
        _, place = children(np.bincount(series.study, minlength=len(studies)))
        part = studies.part[series.study]
        return rows(
            "series",
            count,
            Modality=picked([kind.name for kind in _KINDS], series.kind),
            SeriesNumber=place + 1,
            SeriesDescription=self._descriptions.take(pa.array(series.description)),
            SeriesDate=days(studies.day[series.study], where=chance(random, count, 0.96)),
            BodyPartExamined=picked(terms.BODY_PARTS, part, where=chance(random, count, 0.85)),
            ProtocolName=picked(
                terms.STUDY_DESCRIPTIONS[::3], random.integers(0, len(terms.STUDY_DESCRIPTIONS[::3]), count)
            ),
            Manufacturer=picked(terms.MANUFACTURERS, series.maker),
            NumberOfSeriesRelatedInstances=series.images.astype(np.int32),
            **keys,
        )

    def _reports(self, random: Random, clinical: Clinical, studies: Studies) -> pa.Table:
        """Return reports: of most accession numbers one, of a few two, and some whose study is not known."""
        share = np.array([kind.report for kind in _KINDS])[studies.kind]
        owns = studies.accession == np.arange(len(studies))
        of_study = np.flatnonzero(owns & studies.has_accession & chance(random, len(studies), share))
        again = of_study[chance(random, len(of_study), 0.02)]
        lost = of_study[chance(random, len(of_study), _ORPHANS)]
        study = np.concatenate([of_study, again, lost])
        count, known = len(study), len(of_study) + len(again)
        accessions = pa.concat_arrays(
            [
                studies.accessions.take(pa.array(study[:known])),
                pseudonyms(random, "A", len(lost), 14),
            ]
        )
        case = studies.case[study]
        return rows(
            "document",
            count,
            patient=clinical.people.names.take(pa.array(studies.patient[study])),
            case=picked(clinical.stays.names, case, where=(case >= 0) & chance(random, count, 0.97)),
            document=uids(random, count),
            kind="radiology_report",
            date=days(studies.day[study] + random.integers(0, 2, count)),
            accession=accessions,
            text=self._report_texts(random, studies.kind[study], studies.part[study]),
        )

    def _report_texts(self, random: Random, kind: Ints, part: Ints) -> pa.Array:
        count = len(kind)
        is_thorax = (part == _THORAX) & np.isin(kind, (0, 2, 3))
        is_sectional = np.isin(kind, (terms.CT, terms.MR, terms.PT))
        air = is_thorax & chance(random, count, 0.55)
        lesion = chance(random, count, np.where(is_sectional, 0.12, 0.02))
        clot = is_thorax & (kind == terms.CT) & chance(random, count, 0.2)
        size = (1 + random.gamma(1.8, 11, count)).astype(np.int64)
        before = np.maximum(1, (size * random.uniform(0.5, 1.1, count)).astype(np.int64))
        lengths = np.maximum(6, random.lognormal(np.log(_REPORT_WORDS / 2), 0.5, count)).astype(np.int64)
        return woven(
            self._prose.write(random, lengths),
            phrases(terms.PNEUMOTHORAX, self._pneumothorax.draw(random, count), air),
            phrases(terms.LESIONS, random.integers(0, 3, count), lesion, size, before),
            self._prose.write(random, lengths),
            phrases(terms.EMBOLISM, random.integers(0, 3, count), clot),
        )


def _study_rows(random: Random, clinical: Clinical, studies: Studies, series: Series) -> pa.Table:
    count = len(studies)
    ends = len(terms.STUDY_DESCRIPTIONS) // (len(_KINDS) * len(terms.PARTS))
    description = (studies.kind * len(terms.PARTS) + studies.part) * ends + random.integers(0, ends, count)
    names = [*(kind.name for kind in _KINDS[: terms.PT]), "CT\\PT"]
    clock = [f"{hour:02d}{minute:02d}00" for hour in range(24) for minute in range(60)]
    return rows(
        "study",
        count,
        archive="main",
        patient=clinical.people.names.take(pa.array(studies.patient)),
        study=studies.names,
        accession=picked(studies.accessions, studies.accession, where=studies.has_accession),
        case=picked(
            clinical.stays.names, studies.case, where=(studies.case >= 0) & chance(random, count, 0.3)
        ),
        StudyDate=days(studies.day),
        StudyTime=picked(clock, random.integers(0, len(clock), count)),
        StudyDescription=picked(terms.STUDY_DESCRIPTIONS, description),
        ModalitiesInStudy=picked(names, studies.kind),
        NumberOfStudyRelatedSeries=np.bincount(series.study, minlength=count).astype(np.int32),
        NumberOfStudyRelatedInstances=np.bincount(series.study, series.images, count).astype(np.int32),
    )


def _instances(
    random: Random, clinical: Clinical, studies: Studies, series: Series, keys: dict[str, Any]
) -> pa.Table:
    is_deep = clinical.people.is_deep[studies.patient[series.study]]
    owner, place = children(np.where(is_deep, series.images, 0))
    at = pa.array(owner)
    edge = np.array([512, 320, 2048, 2048, 768, 1024, 3328, 200], np.int32)[series.kind[owner]]
    return rows(
        "instance",
        len(owner),
        patient=keys["patient"].take(at),
        study=keys["study"].take(at),
        series=keys["series"].take(at),
        instance=uids(random, len(owner)),
        InstanceNumber=place + 1,
        SOPClassUID=picked([kind.sop_class for kind in _KINDS], series.kind[owner]),
        Rows=edge,
        Columns=edge,
        scope="basic",
    )


def _header(random: Random, series: Series, keys: dict[str, Any]) -> pa.Table:
    """Return extended headers of the series of those kinds that have any."""
    has = np.array([kind.has_headers for kind in _KINDS])[series.kind]
    is_ct, is_mr = series.kind == terms.CT, series.kind == terms.MR
    count = len(series)
    contrast = (series.phase > 0) & chance(random, count, 0.85) & (is_ct | (is_mr & (series.phase == 1)))
    agent = picked(terms.AGENTS, random.integers(0, len(terms.AGENTS), count))
    model = picked(terms.MODELS, (series.maker * 6 + random.integers(0, 6, count)) % len(terms.MODELS))
    numbers: dict[str, tuple[Bools, Floats]] = {
        "SliceThickness": (has, np.array(terms.THICKNESS)[series.thickness]),
        "KVP": (is_ct, np.array([80.0, 100.0, 120.0, 140.0])[random.integers(0, 4, count)]),
        "MagneticFieldStrength": (is_mr, np.array([1.5, 3.0])[random.integers(0, 2, count)]),
    }
    texts: dict[str, tuple[Bools, pa.Array]] = {
        "ContrastBolusAgent": (contrast, agent),
        "ManufacturerModelName": (has, model),
    }
    tables, owners = [], []
    for path, keyword, vr in _HEADERS:
        where = numbers[keyword][0] if keyword in numbers else texts[keyword][0]
        at = np.flatnonzero(where)
        cells: dict[str, Any] = {name: values.take(pa.array(at)) for name, values in keys.items()}
        if keyword in numbers:
            cells["number"] = numbers[keyword][1][at]
        else:
            cells["text"] = texts[keyword][1].take(pa.array(at))
        tables.append(rows("header", len(at), path=path, keyword=keyword, vr=vr, item=0, **cells))
        owners.append(at)
    order = np.argsort(np.concatenate(owners), kind="stable")  # as they come: series by series
    return pa.concat_tables(tables).take(pa.array(order))
