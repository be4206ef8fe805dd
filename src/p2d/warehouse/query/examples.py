"""Queries to start from; all of them parse, and the documentation shows them."""

from typing import Final

PAPER: Final[dict[str, object]] = {
    "version": 2,
    "where": {
        "all": [
            {"attribute": "LVEF", "less": 45},
            {"document": "discharge_letter", "regex": r"NYHA[- ]*(Klasse )?(III|IV)\b"},
            {"attribute": "Modality", "equals": "CT"},
            {"attribute": "StudyDescription", "contains": "thorax"},
        ]
    },
    "columns": [
        {"attribute": "birth_year"},
        {"attribute": "sex"},
        {"attribute": "LVEF", "reduce": "min"},
        {"attribute": "StudyDescription", "reduce": "first"},
        {"attribute": "StudyDate", "reduce": "first"},
    ],
    "level": "patient",
}
"""The paper's own: heart failure with reduced ejection fraction, NYHA III or IV, and a CT of the thorax."""
