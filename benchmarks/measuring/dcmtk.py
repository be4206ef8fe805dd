"""The paper's way to ask an archive: DCMTK's command lines, a process and an association for each request."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from measuring.peer import WORDS, Peer, row_of_texts
from p2d.dicom.part10 import open_part10
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.port import Query, RetrieveCounts
from p2d.pacs.query import KEYS, PATIENT_ID, UNIQUE
from p2d.testing.servers import RunningArchive, until_echo

FINDSCU: Final = Path("/usr/bin/findscu")
MOVESCU: Final = Path("/usr/bin/movescu")
STORESCP: Final = Path("/usr/bin/storescp")

Answer = dict[str, str]


@dataclass(slots=True)
class CommandLines:
    """DCMTK's commands against one archive; only the time that the processes take is counted, in seconds.

    ``calling`` is the AE title that *archive* knows, with ``store_port`` as destination of C-MOVE. The
    commands send without Nagle's delay (``TCP_NODELAY=1``), which favours them.
    """

    archive: RunningArchive
    calling: str
    store_port: int
    folder: Path
    seconds: float = 0.0
    processes: int = 0
    _environment: dict[str, str] = field(default_factory=lambda: {**os.environ, "TCP_NODELAY": "1"})

    def images(self, patient_id: str) -> list[Answer]:
        """Return the images of a patient, found study by study and series by series, upper levels joined."""
        found: list[Answer] = []
        for study in self._find(Level.STUDY, {PATIENT_ID: patient_id}):
            above = {PATIENT_ID: patient_id, UNIQUE[Level.STUDY]: study[UNIQUE[Level.STUDY]]}
            for series in self._find(Level.SERIES, above):
                keys = {**above, UNIQUE[Level.SERIES]: series[UNIQUE[Level.SERIES]]}
                found += [{**image, **series, **study} for image in self._find(Level.INSTANCE, keys)]
        return found

    def retrieve(self, patient_id: str, image: Answer) -> list[bytes]:
        """Retrieve one image by C-MOVE inside ``receiving``; return the files that arrived."""
        keys = {
            PATIENT_ID: patient_id,
            **{UNIQUE[level]: image[UNIQUE[level]] for level in (Level.STUDY, Level.SERIES, Level.INSTANCE)},
        }
        self._run(MOVESCU, ["-aem", self.calling], Level.INSTANCE, keys)
        files = list(self._arrived.iterdir())
        contents = [file.read_bytes() for file in files]
        for file in files:
            file.unlink()
        return contents

    @contextmanager
    def receiving(self, *, is_ignoring: bool = False) -> Iterator[None]:
        """Run one storescp as destination of all C-MOVEs; movescu's own port costs a second each.

        One that *is_ignoring* throws away what arrives.
        """
        self._arrived.mkdir(exist_ok=True)
        kept = ["--ignore"] if is_ignoring else ["+B", "-od", str(self._arrived)]
        options = ["-q", "-aet", self.calling, *kept]
        server = subprocess.Popen([str(STORESCP), *options, str(self.store_port)], env=self._environment)
        receiver = replace(self.archive, port=self.store_port, ae_title=self.calling)
        try:
            until_echo(receiver, self.archive.ae_title)
            yield
        finally:
            server.terminate()
            server.wait(10)

    @property
    def _arrived(self) -> Path:
        return self.folder / "moved"

    def _find(self, level: Level, keys: Answer) -> list[Answer]:
        answers = self.folder / "answers.xml"
        answers.unlink(missing_ok=True)
        returned = dict.fromkeys(KEYS[level], "")
        self._run(FINDSCU, ["-Xs", str(answers)], level, {**returned, **keys})
        return _read(answers) if answers.exists() else []

    def _run(self, program: Path, options: list[str], level: Level, keys: Answer) -> None:
        asked = [
            f"-k={tag[:4]},{tag[4:]}={value}" for tag, value in {"00080052": WORDS[level], **keys}.items()
        ]
        matching = [part for key in asked for part in key.split("=", 1)]
        titles = ["-aet", self.calling, "-aec", self.archive.ae_title]
        command = [str(program), "-q", "-S", *titles, *options, *matching]
        began = time.perf_counter()
        subprocess.run(
            [*command, self.archive.host, str(self.archive.port)],
            env=self._environment,
            check=True,
            capture_output=True,
            timeout=120,
        )
        self.seconds += time.perf_counter() - began
        self.processes += 1


class DcmtkArchive(Peer):
    """The command lines as an archive that P2D's pipeline works from; used inside ``lines.receiving()``."""

    def __init__(self, lines: CommandLines) -> None:
        self._lines = lines

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield the images of the query's patient."""
        for answer in self._lines.images(query.patient_id.value):
            yield IdentifiedHeader(Level.INSTANCE, row_of_texts(answer))

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield *instances*, one C-MOVE each."""
        del counts, pixels
        for header in instances:
            image = {path: text_of(header.elements, path) for path in UNIQUE.values()}
            for file in self._lines.retrieve(patient_id.value, image):
                found = open_part10(file)
                yield IdentifiedInstance(
                    header, file[found.offset :], found.transfer_syntax_uid, found.sop_class_uid
                )


def _read(answers: Path) -> list[Answer]:
    """Return the values of findscu's XML (dcm2xml's native format) by tag."""
    return [
        {
            element.get("tag", "").replace(",", "").upper(): (element.text or "").strip("\0 ")
            for element in one.iter("element")
        }
        for one in ET.parse(answers).getroot().iter("data-set")  # noqa: S314 - written by our own findscu
    ]
