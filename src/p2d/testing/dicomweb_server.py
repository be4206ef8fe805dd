"""A small DICOMweb archive for tests: QIDO-RS and WADO-RS over HTTP, with faults to switch on."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.filewriter import dcmwrite

from p2d.model.level import Level
from p2d.pacs.query import KEYS
from p2d.testing.archive_index import ArchiveIndex
from p2d.testing.holdings import HeldInstance, Holdings

_WORDS: Final = {"studies": "STUDY", "series": "SERIES", "instances": "IMAGE"}
_LEVELS: Final = {"STUDY": Level.STUDY, "SERIES": Level.SERIES, "IMAGE": Level.INSTANCE}
_ABOVE: Final = {"STUDY": ("STUDY",), "SERIES": ("STUDY", "SERIES"), "IMAGE": ("STUDY", "SERIES", "IMAGE")}
_BOUNDARY: Final = "p2d-test-boundary"
_NUMBERS: Final = frozenset({"IS", "US"})


@dataclass(slots=True)
class WebFaults:
    """How the archive misbehaves; all off by default, changed at any time."""

    most_rows: int | None = None
    """Put at most this many rows on a page, whatever limit was asked for."""
    says_so: bool = False
    """Say by a Warning that a page was cut short."""
    ignores_offset: bool = False
    """Begin every page with the first row."""
    shifts_pages: bool = False
    """Begin later pages one row too early, as if a row had been written before them meanwhile."""
    ignores_patient: bool = False
    """Answer studies of every patient."""
    status: int | None = None
    """Answer every request with this status."""
    redirects_to: str = ""
    """Send every request elsewhere."""
    has_metadata: bool = True
    """Offer headers alone."""
    keeps_text_elsewhere: bool = False
    """Give StudyDescription in metadata as a reference only."""
    chooses_syntax: bool = False
    """Refuse transfer-syntax=*."""
    counts: bool = True
    """Answer series with NumberOfSeriesRelatedInstances."""
    cut_after: int | None = None
    """End a multipart body after this many bytes, as if it were whole."""
    sends_also: tuple[HeldInstance, ...] = field(default=(), repr=False)
    """Send these as well, though nobody asked for them."""
    skips_in_series: frozenset[str] = field(default=frozenset(), repr=False)
    """SOP Instance UIDs left out unless asked for alone."""
    hangs: bool = False
    """Send the head of an answer and its first part, then nothing."""


class DicomWebServer:
    """Serves *holdings* below ``url`` on a loopback port while its ``with`` block lasts.

    *authorization* is the value of the Authorization field it demands. ``requests`` keeps what was asked for.
    """

    def __init__(self, holdings: Holdings, *, authorization: str = "") -> None:
        self.faults = WebFaults()
        self.requests: list[str] = []
        self.authorization = authorization
        self.index = ArchiveIndex(holdings.instances())
        self.closing = threading.Event()
        self.tls: Any = None
        """An ``ssl.SSLContext`` to serve with, set before the ``with`` block."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.archive = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}/dicom-web"

    def __enter__(self) -> Self:
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    archive: DicomWebServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients break connections on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log nothing: addresses hold identifiers."""

    def do_GET(self) -> None:
        """Answer one search or retrieve."""
        archive, faults = self.server.archive, self.server.archive.faults
        archive.requests.append(self.path)
        if archive.authorization and self.headers.get("Authorization") != archive.authorization:
            self._send(HTTPStatus.UNAUTHORIZED)
        elif faults.redirects_to:
            self._send(HTTPStatus.FOUND, headers={"Location": faults.redirects_to})
        elif faults.status is not None:
            self._send(faults.status)
        else:
            self._answer()

    def _answer(self) -> None:
        address = urlsplit(self.path)
        _, root, *steps = address.path.split("/")
        stated = [*steps[1::2], "", "", ""]
        keys = dict(zip(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), stated, strict=False))
        if root != "dicom-web":
            self._send(HTTPStatus.NOT_FOUND)
        elif steps[-1] == "metadata":
            self._metadata(keys)
        elif len(steps) % 2:
            self._search(_WORDS[steps[-1]], keys, parse_qs(address.query))
        else:
            self._objects(keys)

    def _search(self, level: str, keys: dict[str, str], asked: dict[str, list[str]]) -> None:
        faults, index = self.server.archive.faults, self.server.archive.index
        limit, offset = int(asked.pop("limit", ["1000"])[0]), int(asked.pop("offset", ["0"])[0])
        asked.pop("includefield", None)
        stated = {keyword_for_tag(int(path, 16)): values[0] for path, values in asked.items()}
        if faults.ignores_patient:
            stated.pop("PatientID", None)
        found = index.entities(level, {**keys, **stated})
        offset = 0 if faults.ignores_offset else offset
        offset -= faults.shifts_pages and offset > 1
        page = found[offset : offset + min(limit, faults.most_rows or limit)]
        headers = {}
        if faults.says_so and offset + len(page) < len(found):
            headers["Warning"] = (
                '299 p2d: "The number of results exceeded the maximum supported by the server. '
                'Additional results can be requested."'
            )
        rows = [self._row(level, one) for one in page]
        self._send(HTTPStatus.OK, json.dumps(rows).encode(), "application/dicom+json", headers)

    def _row(self, level: str, one: HeldInstance) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for each in _ABOVE[level]:
            for path in KEYS[_LEVELS[each]]:
                keyword = keyword_for_tag(int(path, 16))
                if keyword == "NumberOfSeriesRelatedInstances" and not self.server.archive.faults.counts:
                    continue
                row[path] = _attribute(
                    dictionary_VR(int(path, 16)), self.server.archive.index.value(one, keyword)
                )
        return row

    def _metadata(self, keys: dict[str, str]) -> None:
        faults = self.server.archive.faults
        if not faults.has_metadata:
            self._send(HTTPStatus.NOT_ACCEPTABLE)
            return
        rows = []
        for one in self._chosen(keys):
            row = one.render().to_json_dict(1024, lambda _: "http://127.0.0.1/bulk")
            row["7FE00010"] = {"vr": "OW", "BulkDataURI": "http://127.0.0.1/bulk"}
            if faults.keeps_text_elsewhere:
                row["00081030"] = {"vr": "LO", "BulkDataURI": "http://127.0.0.1/bulk"}
            rows.append(row)
        self._send(
            HTTPStatus.OK if rows else HTTPStatus.NOT_FOUND,
            json.dumps(rows).encode(),
            "application/dicom+json",
        )

    def _chosen(self, keys: dict[str, str]) -> list[HeldInstance]:
        faults = self.server.archive.faults
        found = self.server.archive.index.instances(keys)
        if not keys["SOPInstanceUID"]:
            found = [one for one in found if one["SOPInstanceUID"] not in faults.skips_in_series]
        return [*found, *faults.sends_also] if found else []

    def _objects(self, keys: dict[str, str]) -> None:
        faults = self.server.archive.faults
        if faults.chooses_syntax and "transfer-syntax=*" in self.headers.get("Accept", ""):
            self._send(HTTPStatus.NOT_ACCEPTABLE)
            return
        chosen = self._chosen(keys)
        if not chosen:
            self._send(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header(
            "Content-Type", f'multipart/related; type="application/dicom"; boundary="{_BOUNDARY}"'
        )
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        for piece in _multipart(chosen):
            left = len(piece) if faults.cut_after is None else max(faults.cut_after - sent, 0)
            sent += len(piece)
            if left:
                self._chunk(piece[:left])
            if faults.hangs:
                self.wfile.flush()
                self.server.archive.closing.wait(60)
                return
        self._chunk(b"")

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")

    def _send(
        self,
        status: int,
        body: bytes = b"",
        media_type: str = "text/plain",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _multipart(chosen: list[HeldInstance]) -> Iterator[bytes]:
    """Yield each object as a part (RFC 2046 5.1.1), the last with the closing delimiter."""
    for number, one in enumerate(chosen, 1):
        target = BytesIO()
        dcmwrite(target, one.render(), enforce_file_format=True)
        head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        end = f"\r\n--{_BOUNDARY}--\r\n".encode() if number == len(chosen) else b"\r\n"
        yield head + target.getvalue() + end


def _attribute(vr: str, text: str) -> dict[str, Any]:
    """Return an attribute in the DICOM JSON model (PS3.18 F.2)."""
    if not text:
        return {"vr": vr}
    if vr == "PN":
        return {"vr": vr, "Value": [{"Alphabetic": text}]}
    values: list[Any] = text.split("\\")
    return {"vr": vr, "Value": [int(one) for one in values] if vr in _NUMBERS else values}
