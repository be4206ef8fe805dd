"""The codes, values and descriptions the generated data draw from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from warehouse_bench.drawing import Floats

_WORDS: Final[dict[str, list[str]]] = json.loads(
    (Path(__file__).parent / "words.json").read_text(encoding="utf-8")
)
HEART_FAILURE: Final = ("I50.12", "I50.13", "I50.14")
LABORATORY: Final = (
    ("CREATININE", "mg/dl", 1.0),
    ("HB", "g/dl", 13.2),
    ("CRP", "mg/l", 12.0),
    ("SODIUM", "mmol/l", 140.0),
    ("POTASSIUM", "mmol/l", 4.2),
    ("LEUKOCYTES", "1/nl", 8.1),
    ("THROMBOCYTES", "1/nl", 240.0),
    ("BILIRUBIN", "mg/dl", 0.8),
    ("ALT", "U/l", 28.0),
    ("AST", "U/l", 27.0),
    ("GGT", "U/l", 41.0),
    ("LDH", "U/l", 215.0),
    ("CK", "U/l", 120.0),
    ("TSH", "mU/l", 1.9),
    ("GLUCOSE", "mg/dl", 108.0),
    ("HBA1C", "%", 6.1),
    ("INR", "1", 1.1),
    ("PTT", "s", 31.0),
    ("UREA", "mg/dl", 38.0),
    ("URIC_ACID", "mg/dl", 5.9),
    ("CALCIUM", "mmol/l", 2.3),
    ("MAGNESIUM", "mmol/l", 0.85),
    ("ALBUMIN", "g/dl", 4.1),
    ("LIPASE", "U/l", 34.0),
    ("NT_PROBNP", "ng/l", 420.0),
    ("CHOLESTEROL", "mg/dl", 188.0),
    ("LDL", "mg/dl", 112.0),
    ("HDL", "mg/dl", 49.0),
    ("FERRITIN", "ng/ml", 140.0),
    ("D_DIMER", "mg/l", 0.6),
)
MANUFACTURERS: Final = (
    "SIEMENS",
    "Siemens Healthineers",
    "GE MEDICAL SYSTEMS",
    "Philips Medical Systems",
    "Canon Medical Systems",
    "TOSHIBA",
    "Agfa",
    "FUJIFILM Corporation",
    "Hologic, Inc.",
    "Varian",
)
MODELS: Final = tuple(f"{name} {number}" for name in ("Somatom", "Ingenuity", "Revolution", "Aera", "Prisma")
                      for number in range(1, 13))  # fmt: skip
AGENTS: Final = ("Imeron 350", "Ultravist 370", "Accupaque 300", "Gadovist", "Dotarem", "KM")
PARTS: Final = ("Thorax", "Abdomen", "Schädel", "Hals", "Becken", "LWS", "Knie", "Mamma", "Herz")
BODY_PARTS: Final = ("CHEST", "ABDOMEN", "HEAD", "NECK", "PELVIS", "LSPINE", "KNEE", "BREAST", "HEART")
THICKNESS: Final = (0.6, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
THICKNESS_SHARES: Final = (6.0, 6.0, 14.0, 4.0, 10.0, 12.0, 20.0, 24.0, 4.0)
KERNELS: Final = ("B20f", "B30f", "B60f", "B70s", "Br40", "FC13")
PHASES: Final = ("nativ", "arteriell", "venös", "spät")
SEQUENCES: Final = tuple(_WORDS["sequences"])
PLANES: Final = ("tra", "cor", "sag")


@dataclass(frozen=True, slots=True)
class Modality:
    """A kind of examination: its share of the studies, its series, the images of a series, body parts."""

    name: str
    share: float
    least_series: int
    more_series: float
    images: float
    parts: Sequence[float]
    has_headers: bool
    report: float
    sop_class: str


MODALITIES: Final = (
    Modality("CT", 22, 2, 5.5, 35, (32, 28, 22, 6, 8, 4, 0, 0, 0), True, 0.97, "1.2.840.10008.5.1.4.1.1.2"),
    Modality("MR", 14, 4, 7.0, 28, (2, 10, 34, 4, 8, 20, 14, 4, 4), True, 0.97, "1.2.840.10008.5.1.4.1.1.4"),
    Modality("DX", 30, 1, 0.7, 1, (58, 8, 2, 2, 8, 10, 12, 0, 0), False, 0.94, "1.2.840.10008.5.1.4.1.1.1.1"),
    Modality("CR", 10, 1, 0.7, 1, (50, 8, 2, 2, 10, 12, 16, 0, 0), False, 0.9, "1.2.840.10008.5.1.4.1.1.1"),
    Modality("US", 14, 1, 0.3, 12, (6, 50, 0, 14, 8, 0, 4, 8, 10), False, 0.5, "1.2.840.10008.5.1.4.1.1.6.1"),
    Modality("XA", 5, 1, 3.0, 8, (4, 20, 10, 6, 10, 0, 0, 0, 50), False, 0.8, "1.2.840.10008.5.1.4.1.1.12.1"),
    Modality("MG", 3, 4, 0.3, 1, (0, 0, 0, 0, 0, 0, 0, 1, 0), False, 0.95, "1.2.840.10008.5.1.4.1.1.1.2"),
    Modality("PT", 2, 3, 2.5, 60, (70, 20, 10, 0, 0, 0, 0, 0, 0), True, 0.97, "1.2.840.10008.5.1.4.1.1.128"),
)
CT, MR, PT = 0, 1, 7
_STUDY_WORDS: Final = {
    "CT": "CT",
    "MR": "MRT",
    "DX": "Röntgen",
    "CR": "Rö",
    "US": "Sonographie",
    "XA": "Angio",
    "MG": "Mammographie",
    "PT": "PET/CT",
}
_STUDY_ENDS: Final = ("", " nativ", " mit KM", " + KM", " Kontrolle", " bds.", " Notfall")
STUDY_DESCRIPTIONS: Final = tuple(
    f"{_STUDY_WORDS[modality.name]} {part}{end}"
    for modality, part, end in product(MODALITIES, PARTS, _STUDY_ENDS)
)
CT_DESCRIPTIONS: Final = tuple(
    f"{part} {phase} {thickness:g} {kernel}"
    for part, phase, thickness, kernel in product(PARTS, PHASES, THICKNESS, KERNELS)
)
MR_DESCRIPTIONS: Final = tuple(
    f"{sequence}_{plane} {part}" for part, sequence, plane in product(PARTS, SEQUENCES, PLANES)
)
OTHER_DESCRIPTIONS: Final = tuple(
    f"{part} {view}"
    for part, view in product(PARTS, ("a.p.", "p.a.", "seitl.", "schräg", "liegend", "Serie"))
)
NYHA: Final = (
    "NYHA I.",
    "NYHA II.",
    "NYHA-Stadium II.",
    "NYHA III.",
    "NYHA Klasse III.",
    "NYHA-IV.",
    "NYHA IV.",
)
NYHA_SHARES: Final = (15.0, 25.0, 20.0, 14.0, 12.0, 6.0, 8.0)
EJECTION: Final = ["Die LVEF beträgt {} %.", "LVEF {} %.", "LV-Funktion eingeschränkt, LVEF ca. {} %."]
PNEUMOTHORAX: Final = [
    "Kein Pneumothorax.",
    "Kein Nachweis eines Pneumothorax.",
    "Ein Pneumothorax liegt nicht vor.",
    "Pneumothorax rechts apikal.",
    "Neu aufgetretener Pneumothorax links.",
    "Kein Erguss. Der Pneumothorax ist rückläufig.",
]
PNEUMOTHORAX_SHARES: Final = (55.0, 22.0, 8.0, 6.0, 5.0, 4.0)
LESIONS: Final = [
    "Raumforderung mit einem Durchmesser von {} mm.",
    "Rundherd, Durchmesser {} mm.",
    "Größenprogrediente Läsion, Durchmesser jetzt {} mm, zuvor {} mm.",
]
EMBOLISM: Final = [
    "Verdacht auf Lungenembolie.",
    "Kein Hinweis auf eine Lungenembolie.",
    "Zentrale Lungenembolie beidseits.",
]


def diagnoses() -> tuple[list[str], Floats]:
    """Return ICD-10-GM codes and their weights: common ones, and many rare ones of all chapters."""
    rare = [
        f"{letter}{stem:02d}.{digit}"
        for letter in "ABCDEFGHIJKLMNOPQRSTZ"
        for stem in range(0, 99, 3)
        for digit in range(0, 9, 3)
    ]
    codes = [*_WORDS["diagnoses"], *(code for code in rare if code not in _WORDS["diagnoses"])]
    return codes, _weights(len(codes))


def procedures() -> tuple[list[str], Floats]:
    """Return OPS codes and their weights."""
    codes = [
        f"{chapter}-{group}.{digit}"
        for group in range(200, 900, 7)
        for chapter, step in ((3, 4), (8, 4), (5, 3), (1, 4), (9, 9))
        for digit in range(0, 9, step)
    ]
    return codes, _weights(len(codes))


def _weights(count: int) -> Floats:
    return 1.0 / (np.arange(count, dtype=np.float64) + 8.0)
