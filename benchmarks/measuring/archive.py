"""An Orthanc that holds a synthetic hospital."""

import io
from concurrent.futures import ThreadPoolExecutor

import httpx

from p2d.testing.hospital import Hospital, Instance
from p2d.testing.servers import RunningArchive


def fill(archive: RunningArchive, hospital: Hospital) -> None:
    """Store the hospital through Orthanc's REST interface, which takes a tenth of the time of C-STORE."""
    url, login = f"http://{archive.host}:{archive.http_port}", (archive.user, archive.password)
    with (
        httpx.Client(base_url=url, auth=login, timeout=60, trust_env=False) as client,
        ThreadPoolExecutor(2) as pool,
    ):

        def put(image: Instance) -> None:
            file = io.BytesIO()
            image.render().save_as(file, enforce_file_format=True)
            client.post("/instances", content=file.getvalue()).raise_for_status()

        for _ in pool.map(put, hospital.images()):
            pass
