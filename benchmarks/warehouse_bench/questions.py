"""The questions of the benchmark, in the cohort language; ``wide`` and ``eav`` ask the same in SQL.

Every question but the facets has a set of patients for an answer, so that the ways can be compared patient by
patient. A facet's answer is its cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from p2d.warehouse.query.results import Dimension

Json = Mapping[str, object]

NYHA: Final = r"NYHA[- ]*(Klasse )?(III|IV)\b"
DIAMETER: Final = r"Durchmesser[^0-9.]{0,20}([0-9]+(?:[.,][0-9]+)?) ?mm"
CT: Final[Json] = {"attribute": "Modality", "equals": "CT"}
MR: Final[Json] = {"attribute": "Modality", "equals": "MR"}
THORAX: Final[Json] = {"attribute": "StudyDescription", "contains": "thorax"}
FAILING: Final[Json] = {"attribute": "LVEF", "less": 45}
REPORT: Final[Json] = {"document": "radiology_report", "exists": True}
STUDY: Final[Json] = {"attribute": "StudyDate", "exists": True}
CLASS: Final[Json] = {"document": "discharge_letter", "regex": NYHA}


@dataclass(frozen=True, slots=True)
class Question:
    """A question: ``where`` is the cohort; a facet counts its matching series by ``dimensions``."""

    name: str
    title: str
    where: Json
    dimensions: tuple[Dimension, ...] = ()

    @property
    def is_facet(self) -> bool:
        """Whether cells are asked for instead of patients."""
        return bool(self.dimensions)

    @property
    def document(self) -> dict[str, object]:
        """The query as the warehouse takes it."""
        return {"version": 2, "where": self.where, "columns": COLUMNS, "level": "patient"}


COLUMNS: Final[Sequence[Json]] = (
    {"attribute": "birth_year"},
    {"attribute": "sex"},
    {"attribute": "LVEF", "reduce": "min"},
    {"attribute": "StudyDescription", "reduce": "first"},
    {"attribute": "StudyDate", "reduce": "first"},
)
PAPER: Final = Question("paper", "the paper's: LVEF, NYHA, CT thorax", {"all": [FAILING, CLASS, CT, THORAX]})
CHANGED: Final = Question(
    "paper_changed",
    "the paper's with LVEF below 40",
    {"all": [{"attribute": "LVEF", "less": 40}, CLASS, CT, THORAX]},
)


def further(patients: Sequence[str]) -> tuple[Question, ...]:
    """Return the further questions; *patients* are the pseudonyms of the list that one of them names."""
    return (
        Question(
            "lvef_trend",
            "LVEF first below 45, last from 50",
            {
                "all": [
                    {**FAILING, "reduce": "first"},
                    {"attribute": "LVEF", "at_least": 50, "reduce": "last"},
                ]
            },
        ),
        Question(
            "ct_after_troponin",
            "CT within 30 days after a troponin above its limit",
            {
                "event": CT,
                "after": {
                    "event": {"attribute": "TROPONIN", "greater": {"attribute": "TROPONIN_LIMIT"}},
                    "frame": "group",
                },
                "days": 30,
            },
        ),
        Question("mr_never", "MR never", {"none": [MR]}),
        Question(
            "three_ct_a_year",
            "three CT studies within a year",
            {"same": "study", "where": CT, "at_least": 3, "within_days": 365},
        ),
        Question(
            "thin_slices",
            "thin-slice CT thorax with contrast, one series",
            {
                "all": [
                    CT,
                    THORAX,
                    {"attribute": "SliceThickness", "at_most": 1},
                    {"attribute": "ContrastBolusAgent", "exists": True},
                ]
            },
        ),
        Question(
            "dx_and_ct_one_case",
            "DX and CT thorax in one case",
            {
                "same": "case",
                "where": {
                    "all": [
                        {"same": "series", "where": {"attribute": "Modality", "equals": "DX"}},
                        {"same": "series", "where": {"all": [CT, THORAX]}},
                    ]
                },
            },
        ),
        Question(
            "pneumothorax",
            "report names pneumothorax, not negated",
            {"document": "radiology_report", "contains": "Pneumothorax", "affirmed": True},
        ),
        Question(
            "diameter",
            "report with a diameter above 30 mm",
            {"document": "radiology_report", "regex": DIAMETER, "captured": {"greater": 30}},
        ),
        Question(
            "icd_without_ops",
            "ICD chapter I and no OPS 5-",
            {
                "all": [
                    {"attribute": "ICD10", "under": "I00-I99"},
                    {"none": [{"attribute": "OPS", "under": "5"}]},
                ]
            },
        ),
        Question(
            "young_at_first_ct",
            "below 18 at the first CT",
            {"event": CT, "pick": "first", "age": {"less": 18}},
        ),
        Question(
            "study_without_report",
            "a study without report",
            {"same": "study", "where": {"all": [STUDY, {"none": [{"same": "document", "where": REPORT}]}]}},
        ),
        Question(
            "report_without_study",
            "a report without study",
            {"same": "document", "where": {"all": [REPORT, {"none": [{"same": "study", "where": STUDY}]}]}},
        ),
        Question(
            "maker_by_year",
            "facet: CT series by manufacturer and year",
            CT,
            (Dimension("Manufacturer"), Dimension("StudyDate", "year")),
        ),
        Question("thickness", "histogram: slice thickness of CT series", CT, (Dimension("SliceThickness"),)),
        Question(
            "two_series_one_study",
            "thin and thick slices in one study",
            {
                "same": "study",
                "where": {
                    "all": [
                        {"same": "series", "where": {"attribute": "SliceThickness", "at_most": 1}},
                        {"same": "series", "where": {"attribute": "SliceThickness", "at_least": 5}},
                    ]
                },
            },
        ),
        Question(
            "three_of_five",
            "three of five",
            {
                "n_of": [
                    {"attribute": "ICD10", "under": "I21"},
                    {"attribute": "ICD10", "under": "E11"},
                    {"attribute": "OPS", "under": "5"},
                    FAILING,
                    MR,
                ],
                "least": 3,
            },
        ),
        Question(
            "cohort_minus_cohort",
            "heart failure without MR of the heart",
            {
                "all": [
                    {"all": [FAILING, {"attribute": "ICD10", "under": "I50"}]},
                    {"none": [{"all": [MR, {"attribute": "StudyDescription", "contains": "herz"}]}]},
                ]
            },
        ),
        Question(
            "listed", "of a list of pseudonyms, those with CT", {"all": [{"patients": list(patients)}, CT]}
        ),
        Question(
            "second_study",
            "second study within 14 days of the first",
            {
                "event": STUDY,
                "frame": "study",
                "pick": 2,
                "after": {"event": STUDY, "frame": "study", "pick": "first"},
                "days": 14,
            },
        ),
        Question(
            "phrase",
            "report with the phrase Verdacht auf Lungenembolie",
            {"document": "radiology_report", "phrase": "Verdacht auf Lungenembolie"},
        ),
        Question(
            "mr_during_stroke",
            "MR during a stay with cerebral infarction",
            {"event": MR, "during": {"event": {"attribute": "ICD10", "under": "I63"}, "frame": "case"}},
        ),
    )
