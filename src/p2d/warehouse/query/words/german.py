"""The phrases of German."""

from datetime import date
from typing import Final

from p2d.warehouse.query.as_json import number_json
from p2d.warehouse.query.nodes import Frame
from p2d.warehouse.query.words.phrases import Noun, Phrases

_HE: Final = ("demselben", "diesen", "ein", "der erste", "der letzte", "der", "den", "dieses", "jeden")
_SHE: Final = ("derselben", "diese", "eine", "die erste", "die letzte", "die", "die", "dieser", "jede")
_IT: Final = ("demselben", "dieses", "ein", "das erste", "das letzte", "das", "das", "dieses", "jedes")


def _noun(words: tuple[str, ...], one: str, many: str, *, dative: str = "", genitive: str = "") -> Noun:
    same, this, a, first, last, the, which, of_this, each = words
    accusative = "Patienten" if one == "Patient" else one
    return Noun(
        same=f"in ein und {same} {accusative}",
        this=f"{this} {accusative}",
        many=many,
        within_many=f"in {{count}} {dative or many}",
        one=f"{a} {one}, für {which} alles davon gilt:",
        first=f"{first} {one} nach Datum, für {which} alles davon gilt:",
        last=f"{last} {one} nach Datum, für {which} alles davon gilt:",
        nth=f"{the} {one} Nummer {{pick}} nach Datum unter denen, für die alles davon gilt:",
        each=f"{each} {accusative}",
        behind=f"{of_this} {genitive or one}",
    )


def _number(value: float) -> str:
    return repr(number_json(value)).replace(".", ",")


def _day(day: date) -> str:
    return f"{day.day:02}.{day.month:02}.{day.year:04}"


_GROUP: Final = "Gruppe gemeinsam erfasster Werte"
_GROUPS: Final = "Gruppen gemeinsam erfasster Werte"

GERMAN: Final = Phrases(
    frames={
        Frame.PATIENT: _noun(_HE, "Patient", "Patienten", genitive="Patienten"),
        Frame.CASE: _noun(_HE, "Fall", "Fälle", dative="Fällen", genitive="Falls"),
        Frame.DOCUMENT: _noun(_IT, "Dokument", "Dokumente", dative="Dokumenten", genitive="Dokuments"),
        Frame.GROUP: _noun(_SHE, _GROUP, _GROUPS),
        Frame.STUDY: _noun(_SHE, "Untersuchung", "Untersuchungen"),
        Frame.SERIES: _noun(_SHE, "Serie", "Serien"),
        Frame.INSTANCE: _noun(_IT, "Bild", "Bilder", dative="Bildern", genitive="Bildes"),
        None: _noun(_HE, "Eintrag", "Einträge", dative="Einträgen", genitive="Eintrags"),
    },
    texts={
        "patients": "Patienten, für die alles davon gilt:",
        "rows": "Eine Zeile für {each} der Patienten, für die alles davon gilt:",
        "shown": "Gezeigt: {columns}.",
        "is": "ist {comparison}",
        "all": "alles davon:",
        "any": "mindestens eines davon:",
        "none_of_patient": "nichts davon, beim Patienten kein einziges Mal:",
        "none_of_this": "nichts davon für {this} selbst (andere {many} dürfen so sein):",
        "everything": "keine Bedingung: immer",
        "nothing": "niemals",
        "some": "{count} von diesen {total}:",
        "at_least": "mindestens {least}",
        "at_most": "höchstens {most}",
        "exactly": "genau {least}",
        "from_to": "{least} bis {most}",
        "or_none": "{within}, oder in keinem davon",
        "within_days": "innerhalb von {days} Tagen",
        "per_year": "in einem Kalenderjahr",
        "per_month": "in einem Kalendermonat",
        "times": "{count} Mal",
        "event": "es geschah: {which}",
        "period": "vom {start} bis {end}",
        "since": "ab {start}",
        "until": "bis {end}",
        "picked": "und für das Gefundene gilt alles davon:",
        "event_dated": "es liegt in der Zeit {period}",
        "event_aged": "das Alter des Patienten nach dem Geburtsjahr ist dann {comparison}",
        "after": "es liegt {distance} nach Folgendem: {which}",
        "before": "es liegt {distance} vor Folgendem: {which}",
        "around": "es liegt {distance} vor oder nach Folgendem: {which}",
        "during": "es liegt im Aufenthalt dieses Falls: {which}",
        "distance_any": "am selben Tag oder irgendwann",
        "distance_most": "höchstens {most} {span}",
        "distance_least": "mindestens {least} {span}",
        "distance_between": "{least} bis {most} {span}",
        "span_days": "Tage",
        "span_months": "Kalendermonate",
        "span_years": "Jahre",
        "list": "der Patient steht auf einer Liste von {count}",
        "cohort": "der Patient gehört zur gespeicherten Kohorte {name}",
        "attribute": "{name}",
        "branch": "ein Wert unter {name} im Katalog",
        "document": "der Text eines Dokuments {name}",
        "every_attribute": "jeder Wert von {name} (und es gibt einen)",
        "every_branch": "jeder Wert unter {name} im Katalog (und es gibt einen)",
        "every_document": "der Text jedes Dokuments {name} (und es gibt eines)",
        "first_attribute": "der erste Wert von {name}",
        "first_branch": "der erste Wert unter {name} im Katalog",
        "first_document": "der Text des ersten Dokuments {name}",
        "last_attribute": "der letzte Wert von {name}",
        "last_branch": "der letzte Wert unter {name} im Katalog",
        "last_document": "der Text des letzten Dokuments {name}",
        "min_attribute": "der kleinste Wert von {name}",
        "min_branch": "der kleinste Wert unter {name} im Katalog",
        "max_attribute": "der größte Wert von {name}",
        "max_branch": "der größte Wert unter {name} im Katalog",
        "mean_attribute": "der Mittelwert von {name}",
        "mean_branch": "der Mittelwert der Werte unter {name} im Katalog",
        "exists_attribute": "es gibt einen Wert von {name}",
        "exists_branch": "es gibt einen Wert unter {name} im Katalog",
        "exists_document": "es gibt ein Dokument {name}",
        "missing_attribute": "es gibt keinen Wert von {name}",
        "missing_branch": "es gibt keinen Wert unter {name} im Katalog",
        "missing_document": "es gibt kein Dokument {name}",
        "equals": "{value}",
        "in": "eines von {value}",
        "under": "ein Code gleich oder unter {value}",
        "less": "kleiner als {value}",
        "at_most_value": "höchstens {value}",
        "greater": "größer als {value}",
        "at_least_value": "mindestens {value}",
        "between": "zwischen {value} und {upper} (beide eingeschlossen)",
        "contains": "enthält jedes Wort von {value}",
        "phrase": "enthält die Wortfolge {value}",
        "regex": "entspricht dem Muster {value}",
        "next_number": "enthält kurz hinter {value} eine Zahl",
        "captured": "{condition}, die {comparison} ist",
        "captured_regex": "{condition}, wobei die Zahl in dessen Gruppe {comparison} ist",
        "ignore_case": "Groß- und Kleinschreibung gleich",
        "affirmed": "außerhalb verneinter Stellen",
        "unit": "nur Werte in {unit}",
        "dated": "Werte {period}",
        "reference": "der Wert von {name}",
        "first_reference": "der erste Wert von {name}",
        "last_reference": "der letzte Wert von {name}",
        "min_reference": "der kleinste Wert von {name}",
        "max_reference": "der größte Wert von {name}",
        "mean_reference": "der Mittelwert von {name}",
        "times_reference": "{factor} mal {value}",
        "plus_reference": "{value} plus {plus}",
        "more": "{count} weitere",
        "column_last": "letzter Wert von {name}",
        "column_first": "erster Wert von {name}",
        "column_last_top": "die letzten {top} Werte von {name}",
        "column_first_top": "die ersten {top} Werte von {name}",
        "column_min_top": "die {top} kleinsten Werte von {name}",
        "column_max_top": "die {top} größten Werte von {name}",
        "column_min": "kleinster Wert von {name}",
        "column_max": "größter Wert von {name}",
        "column_mean": "Mittelwert von {name}",
        "column_count": "Zahl der Werte von {name}",
        "column_any": "irgendein Wert von {name}",
    },
    quotes=("„", "“"),
    number=_number,
    day=_day,
)
