"""Download the images of a request into a new folder: nothing half-written under its final name."""

import json
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from p2d.flows.research.gateway_client import GatewayClient, SessionKey
from p2d.model.errors import Incomplete, InvalidRequest, ProtocolViolation
from p2d.model.request import Request

LEDGER = "ledger.json"


@dataclass(frozen=True, slots=True)
class Downloaded:
    """The ledger's sums of one download, in images."""

    released: int
    withheld: int
    missing: int

    def require_complete(self) -> None:
        """Raise Incomplete when images that the archive lists did not arrive."""
        if self.missing:
            raise Incomplete("images", f"{self.missing} did not arrive", "run the command again")


def download(
    client: GatewayClient, session: SessionKey, request: Request, folder: Path, *, keep_zip: bool = False
) -> Downloaded:
    """Write the images of *request* below *folder*, which must be absent or empty.

    Raises:
        InvalidRequest: the folder holds files already.
        ProtocolViolation: the download ended early or is no whole ZIP; the folder is left as it was.

    """
    if folder.exists() and any(folder.iterdir()):
        raise InvalidRequest("--to", f"folder {folder} is not empty", "name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".p2d-", dir=folder.parent))
    try:
        packed = work / "images.zip"
        with client.images(session, request) as blocks, packed.open("wb") as target:
            for block in blocks:
                target.write(block)
        result = _unpack(packed, work / "images", keep_zip=keep_zip)
        if folder.exists():
            folder.rmdir()
        (work / "images").replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return result


def _unpack(packed: Path, folder: Path, *, keep_zip: bool) -> Downloaded:
    folder.mkdir(mode=0o700)
    try:
        with zipfile.ZipFile(packed) as archive:
            sums = json.loads(archive.read(LEDGER))["totals"]
            for name in archive.namelist() if not keep_zip else ():
                _extract(archive, name, folder)
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise ProtocolViolation("gateway", "the download ended before it was whole", "try again") from None
    if keep_zip:
        packed.replace(folder / packed.name)
    return Downloaded(int(sums["released"]), int(sums["withheld"]), int(sums["missing"]))


def _extract(archive: zipfile.ZipFile, name: str, folder: Path) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ProtocolViolation("gateway", "the download names a file outside its folder")
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with archive.open(name) as source, target.open("xb") as sink:
        shutil.copyfileobj(source, sink)
