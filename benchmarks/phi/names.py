"""Invented people's names by language, with the Specific Character Set (0008,0005) that can write them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Naming:
    """Names of one language; ``groups`` adds the ideographic and the phonetic group to family and given name.

    ``is_word`` marks family names that are anatomical or everyday words as well.
    """

    language: str
    charsets: tuple[str, ...]
    family: tuple[str, ...]
    given: tuple[str, ...]
    groups: tuple[tuple[str, str], ...] = ()
    is_word: bool = False


_LATIN_1: Final = ("ISO_IR 100", "ISO_IR 192")

NAMINGS: Final = (
    Naming("de", _LATIN_1, ("Müller", "Schäfer", "Grünwäldt", "Weißgerber"), ("Hans", "Jürgen", "Käthe")),
    Naming(
        "de word",
        _LATIN_1,
        ("Kopf", "Herz", "Hand", "Zahn"),
        ("Mariella", "Ottokar", "Friedegund"),
        is_word=True,
    ),
    Naming(
        "tr",
        ("ISO_IR 148", "ISO_IR 192"),
        ("Y\u0131ld\u0131r\u0131m", "Çağlayan", "Öztürk"),
        ("Şükrü", "Gülşen", "İbrahim"),
    ),
    Naming("de noble", _LATIN_1, ("von der Tannburg", "zu Guttenau"), ("Karl-Theodor", "Annelise")),
    Naming("pl", ("ISO_IR 101", "ISO_IR 192"), ("Wiśniewska", "Kołodziejczyk"), ("Małgorzata", "Zbigniew")),
    Naming("de hyphen", _LATIN_1, ("Meier-Lüdenscheid", "Krause-Öhmichen"), ("Hans-Jörg", "Eva-Maria")),
    Naming("fr", _LATIN_1, ("Lefèvre", "D'Aubigné"), ("François", "Hélène")),
    Naming("en", ("", "ISO_IR 100"), ("O'Connorby", "Featherstone"), ("Winifred", "Barnaby")),
    Naming("es", _LATIN_1, ("Núñez Ibáñez", "Garcilópez"), ("José", "Begoña")),
    Naming(
        "ja",
        ("\\ISO 2022 IR 87", "ISO_IR 192"),
        ("Yamadaka", "Suzukawa"),
        ("Tarousuke", "Hanamiko"),
        (("山高^太郎助", "やまだか^たろうすけ"), ("鈴川^花美子", "すずかわ^はなみこ")),
    ),
    Naming(
        "zh",
        ("GB18030", "ISO_IR 192"),
        ("Ouyang", "Zhuge"),
        ("Xiaodong", "Mingliang"),
        (("欧阳^小东", ""), ("诸葛^明亮", "")),
    ),
    Naming(
        "ko",
        ("\\ISO 2022 IR 149", "ISO_IR 192"),
        ("Namgung", "Seonwoo"),
        ("Gildong", "Misukja"),
        (("南宮^吉洞", "남궁^길동"), ("鮮于^美淑", "선우^미숙")),
    ),
    Naming("ru", ("ISO_IR 144", "ISO_IR 192"), ("Кузнецова", "Ломоносов"), ("Людмила", "Святослав")),
    Naming("el", ("ISO_IR 126", "ISO_IR 192"), ("Παπαδόπουλος", "Διονυσίου"), ("Γεώργιος", "Αφροδίτη")),
    Naming("ar", ("ISO_IR 127", "ISO_IR 192"), ("القحطاني", "النباهي"), ("محمود", "فاطمة")),
    Naming("short", ("", "ISO_IR 192"), ("Vogt", "Ruiz"), ("Uwe", "Ana")),
)

PHYSICIANS: Final = (
    ("Brandstetter", "Ulrich"),
    ("Hohenfels", "Renate"),
    ("Kirschbaumer", "Detlef"),
    ("Rosenthaler", "Beate"),
    ("Szymborsky", "Pawel"),
)
STREETS: Final = ("Lindenalleestr. 17", "Am Mühlenbachtal 3", "Rosenwegchen 112b", "Obere Torgassenstr. 9")
CITIES: Final = (("97999", "Musterhausen"), ("04999", "Beispielstedt"), ("20999", "Probenfelde"))
INSTITUTIONS: Final = ("Klinikum Musterhausen", "St. Vinzentius Beispielstedt", "Radiologie am Probenmarkt")
