"""Names of months and weekdays in the languages that reports are written in."""

from typing import Final

from p2d.deid.scrub.folding import shadow

_LISTS: Final = (
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "Jan Feb Mär Apr Mai Jun Jul Aug Sep Okt Nov Dez",
    "January February March April May June July August September October November December",
    "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "janv févr mars avr mai juin juil août sept oct nov déc",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "ene feb mar abr may jun jul ago sep oct nov dic",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "gen feb mar apr mag giu lug ago set ott nov dic",
    "januari februari maart april mei juni juli augustus september oktober november december",
    "jan feb mrt apr mei jun jul aug sep okt nov dec",
    "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "styczeń luty marzec kwiecień maj czerwiec lipiec sierpień wrzesień październik listopad grudzień",
    "Ocak Şubat Mart Nisan May\u0131s Haziran Temmuz Ağustos Eylül Ekim Kas\u0131m Aral\u0131k",
    "Oca Şub Mar Nis May Haz Tem Ağu Eyl Eki Kas Ara",
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
)
_LANGUAGES: Final = tuple(tuple(names.split()) for names in _LISTS)
_MORE: Final = {"jänner": 1, "feber": 2, "maerz": 3, "mrz": 3, "sept": 9}
ROMAN: Final = {
    name: number
    for number, name in enumerate(
        [
            *("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"),
        ],
        1,
    )
}


def _key(name: str) -> str:
    return shadow(name).casefold()


MONTHS: Final = {_key(name): number for names in _LANGUAGES for number, name in enumerate(names, 1)} | {
    _key(name): number for name, number in _MORE.items()
}
"""Number of each month's name, by its name without accents in lower case."""

MONTH: Final = "|".join(
    sorted(
        {form for names in (*_LANGUAGES, tuple(_MORE)) for name in names for form in (name, shadow(name))},
        key=lambda name: (-len(name), name),
    )
)
"""A regular expression (for IGNORECASE) for the name of a month."""

WEEKDAY: Final = "|".join(
    [
        *("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonnabend"),
        *("Sonntag", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        *("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche", "lunes", "martes"),
        *("miércoles", "jueves", "viernes", "sábado", "domingo", "Mon", "Tue", "Wed", "Thu", "Fri"),
        *("Sat", "Sun", "Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"),
    ]
)


def month_number(name: str) -> int | None:
    """Return the number of the month *name*, a Roman number included, or None."""
    return MONTHS.get(_key(name)) or ROMAN.get(name.upper())


def month_name(month: int, like: str) -> str:
    """Return the name of *month* in the language, length and case of *like*."""
    if like.upper() in ROMAN and _key(like) not in MONTHS:
        return list(ROMAN)[month - 1]
    key = _key(like)
    for names in _LANGUAGES:
        keys = [_key(name) for name in names]
        if key in keys:
            name = names[month - 1]
            if like.isascii() and not names[keys.index(key)].isascii():
                name = shadow(name)
            return name.upper() if like.isupper() else name
    return _LANGUAGES[0][month - 1].upper() if like.isupper() else _LANGUAGES[0][month - 1]
