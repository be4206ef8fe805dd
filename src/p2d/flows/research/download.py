"""Download the images of a request into a folder: a whole ZIP first, then files checked by their digests.

The folder can hold an earlier attempt's files: equal ones are kept, others of the same name refused.
"""

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2d.export.directory import ImageDirectory
from p2d.flows.research.gateway_client import GatewayClient, SessionKey
from p2d.model.errors import Incomplete, ProtocolViolation
from p2d.model.request import Request

LEDGER: Final = "ledger.json"
PACKED: Final = "images.zip"
_BESIDE: Final = ("deidentification.json", "deidentification.html", LEDGER)


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
    """Write the images of *request*, lists, report and ledger to *folder*; with *keep_zip* as one ZIP.

    Raises:
        HeldForReview: the images wait for a release review; nothing came.
        InvalidRequest: the folder holds other files under the same names.
        ProtocolViolation: the download ended early or is no whole ZIP; the folder is left as it was.
        Unavailable: the gateway or the disk failed.

    """
    return received(client.images(session, request), folder, keep_zip=keep_zip)


def received(
    opening: AbstractContextManager[Iterator[bytes]], folder: Path, *, keep_zip: bool = False
) -> Downloaded:
    """Write the ZIP whose blocks *opening* gives to *folder*, as ``download`` does.

    Raises:
        HeldForReview, InvalidRequest, ProtocolViolation, Unavailable: as ``download``.

    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".p2d-", dir=folder) as work:
        packed = Path(work) / PACKED
        with opening as blocks, packed.open("wb") as target:
            for block in blocks:
                target.write(block)
        result, beside = _beside(packed)
        if keep_zip:
            packed.replace(folder / PACKED)
        else:
            with ImageDirectory(folder) as images:
                images.unpack(packed)
                images.finish()
        for name, content in beside.items():
            (Path(work) / name).write_bytes(content)
            (Path(work) / name).replace(folder / name)
    return result


def _beside(packed: Path) -> tuple[Downloaded, dict[str, bytes]]:
    """Return the sums of a download and the files beside its images, the ledger last."""
    try:
        with zipfile.ZipFile(packed) as archive:
            beside = {name: archive.read(name) for name in _BESIDE}
        sums = json.loads(beside[LEDGER])["totals"]
        return Downloaded(int(sums["released"]), int(sums["withheld"]), int(sums["missing"])), beside
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise ProtocolViolation("gateway", "the download ended before it was whole", "try again") from None
