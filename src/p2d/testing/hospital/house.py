"""The synthetic hospital: generated from a seed, the same in every process and Python version."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from p2d.testing.canary import Canary
from p2d.testing.holdings import HeldInstance
from p2d.testing.hospital.clinical import Record, fill_record
from p2d.testing.hospital.csvfiles import write_clinical
from p2d.testing.hospital.dice import Dice
from p2d.testing.hospital.imaging import Plan, fill
from p2d.testing.hospital.needles import canaries_of
from p2d.testing.hospital.nouns import Instance, Patient, Series, Study
from p2d.testing.hospital.objects import render
from p2d.testing.hospital.people import population
from p2d.testing.hospital.timeline import add_cases

_SEVERE_NYHA: Final = re.compile(r"NYHA[- ]?(Klasse )?(III|IV)")
_THORAX: Final = "CT Thorax mit KM"
_HEAD: Final = "CT Kopf nativ"


@dataclass(frozen=True)
class Hospital:
    """Patients with everything that belongs to them; true values, for tests and demonstrations."""

    patients: tuple[Patient, ...] = field(repr=False)
    physicians: tuple[str, ...] = field(repr=False)

    def studies(self) -> Iterable[Study]:
        """Yield every study, patient by patient."""
        return (study for patient in self.patients for study in patient.studies)

    def series(self) -> Iterable[Series]:
        """Yield every series, study by study."""
        return (series for study in self.studies() for series in study.series)

    def images(self) -> Iterable[Instance]:
        """Yield every instance, series by series."""
        return (instance for series in self.series() for instance in series.instances)

    def held(self) -> Iterable[HeldInstance]:
        """Yield what a test archive holds; nothing is rendered before it is asked for."""
        for series in self.series():
            for instance in series.instances:
                yield HeldInstance(instance.attributes(), instance.render)

    def instances(self) -> Iterable[HeldInstance]:
        """Yield what a test archive holds: this makes the hospital ``p2d.testing.holdings.Holdings``."""
        return self.held()

    def canaries(self) -> list[Canary]:
        """Return every identifying value to search for; meaningful if generated with ``canary=True``."""
        return canaries_of(self.patients, self.physicians)

    def cohort(self) -> tuple[Patient, ...]:
        """Return who satisfies the paper's example: LVEF < 45, NYHA III or IV, a CT of the thorax.

        Any mention of NYHA III or IV in a discharge letter counts, negated ones too, as in the paper.
        """
        return tuple(patient for patient in self.patients if _satisfies_example(patient))

    def write_clinical(self, folder: Path) -> None:
        """Write the identified clinical tables ``patient case document fact`` as CSV into *folder*."""
        write_clinical(self.patients, folder)


def generate(
    patients: int = 100, seed: int = 1, max_images: int = 400, *, canary: bool = False, pixels: int = 64
) -> Hospital:
    """Return a hospital of *patients* patients with at most *max_images* instances each.

    Series and instances per patient follow the paper's Table 1 (medians about 10 and 100, long right tail);
    the quantiles are spread evenly over the patients so that few patients show the same shape. *pixels* is
    the edge of most images. ``canary=True`` makes every identifier improbable and at least
    10 characters long.
    """
    people = population(patients, seed, canary=canary)
    ranks = Dice("ranks", seed, patients).shuffled(range(patients))
    for index, patient in enumerate(people.patients):
        dice = Dice("patient", seed, index, patients, canary)
        quantile = (ranks[index] + 0.5) / patients
        series = min(max(1, round(dice.skewed(10, 30, quantile, 0.05))), max_images)
        images = min(max(series, round(dice.skewed(103, 693, quantile, 0.05))), max_images)
        must_match = index in people.cohort
        first = _THORAX if must_match else _HEAD if patient.family == "Kopf" else ""
        add_cases(patient, index, min(12, 1 + series // 8 + dice.integer(0, 1)), dice, canary=canary)
        plan = Plan(index, seed, series, images, first, pixels, canary, people.physicians, render)
        fill(patient, plan, dice)
        fill_record(Record(patient, index, dice, canary, must_match))
    return Hospital(people.patients, people.physicians)


def _satisfies_example(patient: Patient) -> bool:
    is_weak = any(f.attribute == "LVEF" and f.number is not None and f.number < 45 for f in patient.facts)
    is_severe = any(d.kind == "discharge_letter" and _SEVERE_NYHA.search(d.text) for d in patient.documents)
    has_chest_ct = any("CT" in s.modalities and "thorax" in s.description.lower() for s in patient.studies)
    return is_weak and is_severe and has_chest_ct
