import base64
import gzip
import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis.strategies import binary, sampled_from

from p2d.deid.leak.check import LeakCheck
from p2d.deid.leak.documents import texts_of_document
from p2d.deid.leak.streams import Budget, Unsearchable
from p2d.model.identified import KnownValues

CHECK = LeakCheck(KnownValues(names=frozenset({"Lehmkühler^Änne"}), ids=frozenset({"87654321"})), {}, ())
NAME = "Lehmkühler"
LATIN = NAME.encode("latin-1")
UTF_16 = b"\xfe\xff" + NAME.encode("utf-16-be")


def pdf(*objects: bytes) -> bytes:
    body = b"".join(
        b"%d 0 obj\n%s\nendobj\n" % (number, content) for number, content in enumerate(objects, 1)
    )
    return b"%PDF-1.7\n" + body + b"trailer << /Root 1 0 R >>\n%%EOF\n"


def stream(content: bytes, filters: bytes = b"", more: bytes = b"") -> bytes:
    return b"<< /Length %d %s %s >>\nstream\n%s\nendstream" % (len(content), filters, more, content)


def flate(content: bytes) -> bytes:
    return stream(zlib.compress(content), b"/Filter /FlateDecode")


def zipped(name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def lzw(content: bytes) -> bytes:
    """Return *content* as 9-bit codes between clear and end of data."""
    codes, out = [256], 0
    for position, byte in enumerate(content):
        codes += [256] * (position > 0 and position % 200 == 0) + [byte]
    codes.append(257)
    for code in codes:
        out = out << 9 | code
    bits = 9 * len(codes)
    return (out << (-bits % 8)).to_bytes((bits + 7) // 8, "big")


TO_UNICODE = (
    b"1 begincodespacerange <0000> <ffff> endcodespacerange\n1 beginbfrange <0001> <001a> <0061> endbfrange\n"
)
GLYPHS = "".join(f"{ord(letter) - 96:04x}" for letter in "lehmkuehler").encode()
BY_LIST = (
    b"1 beginbfrange <01> <03> [<004c> <00650068> <006d006b007500650068> ] endbfrange\n"
    b"1 beginbfchar <04> <006c00650072> endbfchar"
)

DOCUMENTS = {
    "text shown": pdf(stream(b"BT (" + LATIN + b") Tj ET")),
    "text shown, Flate": pdf(flate(b"BT /F1 12 Tf (Frau " + LATIN + b") Tj ET")),
    "kerned": pdf(flate(b"BT [(Leh) -20 (mk\\374h) 15.5 (ler)] TJ ET")),
    "letter by letter": pdf(flate(b"".join(b"(%c) Tj " % letter for letter in LATIN))),
    "hex string": pdf(flate(b"BT <" + LATIN.hex().encode() + b"> Tj ET")),
    "octal escapes": pdf(flate(b"BT (" + b"".join(b"\\%03o" % letter for letter in LATIN) + b") Tj ET")),
    "Info, UTF-16": pdf(b"<< /Author (" + UTF_16 + b") >>"),
    "Info, UTF-16 in hex": pdf(b"<< /Author <" + UTF_16.hex().encode() + b"> >>"),
    "Info, UTF-8": pdf(b"<< /Author (\xef\xbb\xbf" + NAME.encode() + b") >>"),
    "Info in an object stream": pdf(flate(b"7 0 << /Author (Dr. \\(" + LATIN + b"\\)) >>")),
    "XMP": pdf(stream(b"<x:xmpmeta><dc:creator>Lehmk&#252;hler</dc:creator></x:xmpmeta>")),
    "ASCII85 and Flate": pdf(
        stream(
            base64.a85encode(zlib.compress(b"(" + LATIN + b") Tj")) + b"~>",
            b"/Filter [/ASCII85Decode /FlateDecode]",
        )
    ),
    "ASCIIHex": pdf(stream((b"(" + LATIN + b") Tj").hex().encode() + b">", b"/Filter /ASCIIHexDecode")),
    "RunLength": pdf(stream(b"\x02(Le\x08hmkuehler\x01) \x80", b"/Filter /RunLengthDecode")),
    "LZW": pdf(stream(lzw(b"(" + LATIN + b") Tj"), b"/Filter /LZWDecode")),
    "glyphs with a character map": pdf(flate(TO_UNICODE), flate(b"BT <" + GLYPHS + b"> Tj ET")),
    "character map of lists": pdf(flate(BY_LIST), flate(b"BT <01020304> Tj ET")),
    "image in a PDF": pdf(stream(b"xx " + LATIN + b" yy", b"", b"/Subtype /Image")),
    "CDA text": f"<?xml version='1.0' encoding='utf-8'?><Clinical><p>{NAME}</p></Clinical>".encode(),
    "CDA, Latin-1": "<?xml version='1.0' encoding='iso-8859-1'?><given>Änne</given>".encode("latin-1"),
    "CDA, UTF-16": f"<?xml version='1.0' encoding='utf-16'?><p>{NAME}</p>".encode("utf-16"),
    "CDA attribute": b'<id root="1.2.3" extension="87654321"/>',
    "CDA, split by markup": b"<p><b>Leh</b>mkuehler</p>",
    "entities": b"<p>Lehmk&uuml;hler</p>",
    "comment": b"<ClinicalDocument><!-- Lehmkuehler --></ClinicalDocument>",
    "base64 in a CDA": b"<text>" + base64.b64encode(pdf(flate(b"(" + LATIN + b") Tj")) * 2) + b"</text>",
    "RTF": rb"{\rtf1\ansi Lehmk\'fchler}",
    "RTF, Unicode": rb"{\rtf1\ansi Lehmk\u252?hler}",
    "name of a ZIP member": zipped("Lehmkuehler.txt", b""),
    "ZIP": zipped("a.txt", NAME.encode()),
    "ZIP, stored": zipped("a.txt", LATIN, zipfile.ZIP_STORED),
    "PDF in a ZIP": zipped("a.pdf", pdf(flate(b"(" + LATIN + b") Tj"))),
    "gzip": gzip.compress(NAME.encode()),
    "plain text": f"Patient: {NAME}".encode(),
}  # fmt: skip


@pytest.mark.parametrize("place", DOCUMENTS)
def test_a_name_is_found_in_a_document(place: str) -> None:
    assert CHECK.in_document(DOCUMENTS[place], "")


@pytest.mark.parametrize("place", ["text shown, Flate", "ZIP", "gzip", "Info, UTF-16"])
def test_a_name_is_found_in_a_document_inside_other_bytes(place: str) -> None:
    assert CHECK.in_bytes(b"\x42\x00\x11\x00OB\x00\x00\x00\x02\x00\x00" + DOCUMENTS[place])


def test_other_documents_hold_no_name() -> None:
    for document in (pdf(flate(b"BT (CT Thorax nativ) Tj ET")), zipped("a.txt", b"Befund"), b"<p>Befund</p>"):
        assert not CHECK.in_document(document, "application/pdf" * (document[:1] == b"%"))


def encrypted_zip() -> bytes:
    header = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, 1, 8, 0, 0, 0, 9, 9, 5, 0)
    return header + b"a.txt" + b"unread---"


@pytest.mark.parametrize(
    "document",
    [
        pdf(flate(b"(x) Tj")) + b"trailer << /Encrypt 9 0 R >>",
        encrypted_zip(),
        pdf(flate(bytes(1 << 27))),
        zipped("a", bytes(1 << 27)),
        gzip.compress(gzip.compress(bytes(1 << 27))),
        pdf(*[flate(bytes(1 << 20))] * 80),
    ],
)
def test_what_cannot_be_searched_counts_as_a_leak(document: bytes) -> None:
    assert CHECK.in_document(document, "")


def test_archives_in_archives_are_opened_to_a_limit() -> None:
    nested = b"<p>Befund</p>"
    for _ in range(20):
        nested = gzip.compress(nested)

    with pytest.raises(Unsearchable):
        list(texts_of_document(nested, ""))


@given(
    begin=sampled_from([b"", b"%PDF-1.4\n", b"PK\x03\x04", b"\x1f\x8b\x08", b"<x>", b"{\\rtf"]), rest=binary()
)
def test_any_bytes_are_read_or_refused(begin: bytes, rest: bytes) -> None:
    middle = b"\n1 0 obj << /Filter [/LZWDecode /RL /A85 /AHx] >> stream\n"
    for content in (begin + rest, begin + middle + rest, begin + b"beginbfrange <00> " + rest):
        try:
            assert list(texts_of_document(content, "", Budget(1 << 20)))
        except Unsearchable:
            continue
