"""German letters and reports that name the patient and hold dates, built from the sentences of ``data/``."""

from datetime import date, timedelta
from string import Template

from p2d.testing.hospital.dice import Dice
from p2d.testing.hospital.nouns import Case, Patient, Study
from p2d.testing.hospital.tables import phrases


def discharge(patient: Patient, case: Case, nyha: str, dice: Dice) -> str:
    """Return the discharge letter of *case*; *nyha* is the sentence on the NYHA class, or empty."""
    address = "Ihren Patienten Herrn" if patient.sex == "M" else "Ihre Patientin Frau"
    course = dice.shuffled(phrases("course"))[: dice.integer(2, 4)]
    if nyha:
        course.insert(dice.integer(0, len(course)), nyha)
    lines = [
        "Sehr geehrte Kolleginnen und Kollegen,",
        (
            f"wir berichten über {address} {patient.given} {patient.family}, geb. am "
            f"{german(patient.birth_date)}, wohnhaft {patient.street}, Fallnummer {case.case_id}, "
            f"in unserer Behandlung vom {german(case.start)} bis {german(case.end)}."
        ),
        "Verlauf: " + " ".join(course),
        "Procedere: " + " ".join(dice.shuffled(phrases("therapy"))[:2]),
        "Mit freundlichen kollegialen Grüßen",
    ]
    return _filled("\n\n".join(lines), patient, case.start, case.end, dice)


def report(study: Study, day: date, dice: Dice, *, is_addendum: bool) -> str:
    """Return a radiology report on *study* written on *day*."""
    patient = study.patient
    head = "Nachbefund" if is_addendum else "Befund"
    text = (
        f"{head} zu {study.description} vom {german(study.date)}\n"
        f"{salutation(patient)} {patient.family}, {patient.given}, *{german(patient.birth_date)}, "
        f"Pat.-Nr. {patient.patient_id}\n\n"
        f"Befund: {' '.join(dice.shuffled(phrases('findings'))[:3])}\n"
        f"Beurteilung: {dice.one(phrases('impressions'))}"
    )
    return _filled(text, patient, study.date, day, dice)


def echo(patient: Patient, day: date, fraction: int) -> str:
    """Return an echocardiography report of *day* with the left ventricular ejection fraction in per cent."""
    grade = "hochgradig" if fraction < 30 else "mittelgradig" if fraction < 45 else "nicht relevant"
    return (
        f"Transthorakale Echokardiographie vom {day:%Y-%m-%d}\n"
        f"Name: {patient.family.upper()}, {patient.given} (geb. {german(patient.birth_date)})\n"
        f"LVEF {fraction} %, Pumpfunktion {grade} eingeschränkt. Kein Perikarderguss."
    )


def salutation(patient: Patient) -> str:
    """Return Herr or Frau."""
    return "Herr" if patient.sex == "M" else "Frau"


def german(day: date) -> str:
    """Return *day* as DD.MM.YYYY."""
    return f"{day:%d.%m.%Y}"


def _filled(text: str, patient: Patient, start: date, end: date, dice: Dice) -> str:
    return Template(text).safe_substitute(
        start=german(start),
        end=german(end),
        event=german(dice.day(start, end)),
        control=german(end + timedelta(days=dice.integer(30, 200))),
        before=german(start - timedelta(days=dice.integer(20, 400))),
        family=patient.family,
        salutation=salutation(patient),
    )
