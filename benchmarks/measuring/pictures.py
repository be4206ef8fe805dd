"""Images of 512 KiB to de-identified files on disk, and a plain copy of them by Orthanc's REST interface."""

import base64
import hashlib
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from measuring.works import Taken, gateway_of
from p2d.export.directory import write_images
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.locate import locate
from p2d.flows.gateway.patient import prepared_ahead, release_images
from p2d.model.ids import Pseudonym
from p2d.model.level import Choice, Kind, Output
from p2d.model.released import ReleasedInstance, Withheld
from p2d.model.request import Request, Target
from p2d.pacs.port import Pacs
from p2d.testing.hospital import Hospital, Instance, Patient
from p2d.testing.servers import RunningArchive
from p2d.testing.site import Site

MODALITIES: Final = frozenset({"CT", "MR"})
"""Of the synthetic hospital's images those of 512 x 512 pixels, 16 bits; no text is searched in them."""


def pictures_of(patient: Patient) -> list[Instance]:
    """Return the images of *patient* that are copied."""
    return [
        image
        for study in patient.studies
        for series in study.series
        if series.modality in MODALITIES
        for image in series.instances
    ]


@dataclass(frozen=True, slots=True)
class Copies:
    """Ways to bring the images of some patients of *site* to *folder*."""

    site: Site
    folder: Path

    def released(self, pacs: Pacs, patients: Sequence[int]) -> Taken:
        """Retrieve, de-identify and write the images of *patients* as an export does.

        No pixels are searched for text: the few that would have to be are withheld, by every way alike.
        """
        targets = tuple(Target(Kind.PATIENT, Pseudonym(self.site.patients[place])) for place in patients)
        request = Request(targets, choice=Choice.ALL, output=Output.DICOM, modalities=MODALITIES)
        shutil.rmtree(self.folder, ignore_errors=True)
        with gateway_of(self.site) as own:
            gateway = replace(own, pacs=pacs, screen=None)
            began = time.perf_counter()
            exported = write_images(self.folder, _outcomes(gateway, request), Output.DICOM)
            return Taken(exported.written + exported.withheld, time.perf_counter() - began)

    def copied(self, archive: RunningArchive, patients: Sequence[Patient]) -> Taken:
        """Copy the same files from *archive* by HTTP, as they are."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        images = [image for patient in patients for image in pictures_of(patient)]
        login = base64.b64encode(f"{archive.user}:{archive.password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}"}
        copied = 0
        with closing(HTTPConnection(archive.host, archive.http_port, timeout=60)) as connection:
            began = time.perf_counter()
            for number, image in enumerate(images):
                connection.request("GET", f"/instances/{orthanc_id(image)}/file", headers=headers)
                answer = connection.getresponse()
                (self.folder / f"{number}.dcm").write_bytes(answer.read())
                copied += answer.status == HTTPStatus.OK
            return Taken(copied, time.perf_counter() - began)


def _outcomes(gateway: Gateway, request: Request) -> Iterator[ReleasedInstance | Withheld]:
    works, _ = locate(gateway, request.targets, None)
    with closing(prepared_ahead(gateway, works, request)) as patients:
        for prepared in patients:
            yield from release_images(gateway, prepared, lambda _: True)


def orthanc_id(image: Instance) -> str:
    """Return Orthanc's own id of *image*: a SHA-1 over the ids of its levels."""
    study = image.series.study
    parts = (
        study.patient.patient_id,
        study.study_instance_uid,
        image.series.series_instance_uid,
        image.sop_instance_uid,
    )
    digest = hashlib.sha1("|".join(parts).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def places_with_pictures(hospital: Hospital) -> list[int]:
    """Return the places of the patients that have such images."""
    return [place for place, patient in enumerate(hospital.patients) if pictures_of(patient)]
