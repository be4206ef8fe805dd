"""The page about DIMSE limits says what the code does, and names tests that exist."""

import re
from pathlib import Path

from p2d.dimse.admission import Caps
from p2d.dimse.association import MOST_ROW_BYTES
from p2d.dimse.awaited import Limits
from p2d.dimse.command import LONGEST_COMMAND
from p2d.dimse.delivery import AHEAD_BYTES
from p2d.dimse.pdu import LONGEST_ASSOCIATION_PDU, LONGEST_SHORT_PDU
from p2d.settings.gateway import Archive

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "dimse.md").read_text(encoding="utf-8")


def test_every_test_it_names_exists() -> None:
    written = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert set(re.findall(r"`(test_\w+)`", PAGE)) <= written


def test_the_limits_it_states_are_those_of_the_code() -> None:
    caps, limits, settings = Caps(), Limits(), Archive.model_fields
    prose = " ".join(PAGE.split())

    for stated in (
        f"fewer than {caps.associations} associations",
        f"There may be {caps.waiting} of them, {caps.waiting_per_address} from one address",
        f"TLS included | {caps.handshake_seconds:g} s",
        f"A-ASSOCIATE PDU | {LONGEST_ASSOCIATION_PDU:,} bytes",
        f"other PDUs | {LONGEST_SHORT_PDU} bytes",
        f"command set | {LONGEST_COMMAND:,} bytes",
        f"`pdu_bytes` ({settings['pdu_bytes'].default:,})",
        f"`object_mib` ({settings['object_mib'].default:,} MiB)",
        f"all objects of a retrieve | {limits.retrieve_bytes >> 30} GiB",
        f"answers asked for at a time | {MOST_ROW_BYTES >> 20} MiB",
        f"are refused, of a retrieve | {limits.retrieve_bytes >> 30} GiB",
        f"without its pixel data | {limits.header_bytes >> 20} MiB",
        f"not yet taken | {AHEAD_BYTES >> 20} MiB",
        f"Up to {limits.in_memory_bytes >> 20} MiB are held in memory",
    ):
        assert stated in prose
