"""Places outside the data set's plain attributes: private, unknown, file meta, bulk and graphic ones."""

from typing import Final

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from phi.folding import spelt_out
from phi.key import Act
from phi.planting.lettering import letters
from phi.planting.plot import Plot, telling

_SAFE: Final = (
    (0x2001, "Philips Imaging DD 001", 0x03, "FL", 1000.0),
    (0x2005, "Philips MR Imaging DD 001", 0x0E, "FL", 0.0125),
    (0x0019, "SIEMENS MR HEADER", 0x0C, "IS", "1000"),
    (0x7053, "Philips PET Private Group", 0x00, "DS", "0.000461"),
    (0x00E1, "ELSCINT1", 0x21, "DS", "312.4"),
)
_NUMERIC: Final = "0123456789"


def plant_unusual(plot: Plot) -> None:
    """Plant in private and unknown elements and the file meta always, in bulk places by chance."""
    _plant_private(plot)
    _plant_unknown(plot)
    _plant_meta(plot)
    for plant in (_plant_overlay, _plant_curve, _plant_icon, _plant_ends, _plant_signature, _plant_display):
        if plot.rng.random() < 0.4:
            plant(plot)


def _plain(plot: Plot) -> str:
    name = spelt_out(plot.person.alphabetic.replace("^", " "))
    return name if name.isascii() else plot.person.email


def _plant_private(plot: Plot) -> None:
    dataset, person = plot.dataset, plot.person
    block = dataset.private_block(0x0033, "ACME PACS 1.0", create=True)
    name, plain = plot.text(person.alphabetic), _plain(plot)
    block.add_new(0x01, "LO", name)
    block.add_new(0x02, "UN", plain.encode() + b" " * (len(plain) % 2))
    block.add_new(0x03, "UI", str(dataset.SOPInstanceUID))
    inner = Dataset()
    inner.PatientName, inner.PatientID = name, person.patient_id
    block.add_new(0x04, "SQ", Sequence([inner]))
    creator = "0033[ACME PACS 1.0]"
    plot.remove(f"{creator}01", "private", name)
    plot.remove(f"{creator}02", "private", plain)
    plot.expect(f"{creator}03", Act.UID_CHANGED, "private", str(dataset.SOPInstanceUID))
    plot.remove(f"{creator}04", "private", f"{name} {person.patient_id}")
    for group, owner, low, vr, value in plot.rng.sample(_SAFE, 2):
        if plot.dataset.file_meta.TransferSyntaxUID.is_implicit_VR:
            continue
        try:
            safe = dataset.private_block(group, owner, create=True)
        except (KeyError, ValueError):
            continue
        if low in safe:
            continue
        safe.add_new(low, vr, value)
        plot.expect(f"{group:04X}[{owner}]{low:02X}", Act.SAFE_PRIVATE_KEPT, "safe private", str(value))
        safe.add_new(0xF3, "LO", plain[:64])
        plot.remove(f"{group:04X}[{owner}]F3", "private", plain)


def _plant_unknown(plot: Plot) -> None:
    """Plant in an even group under tags that PS3.6 does not know."""
    plain = _plain(plot)
    plot.dataset.add(DataElement(0x0018FFF0, "LO", plain[:64]))
    plot.remove("0018FFF0", "unknown tag", plain)
    padded = plain.encode() + b" " * (len(plain) % 2)
    plot.dataset.add(DataElement(0x0020FFF2, "UN", padded))
    plot.remove("0020FFF2", "unknown tag", plain)


def _plant_meta(plot: Plot) -> None:
    meta, plain = plot.dataset.file_meta, _plain(plot)
    meta.SourceApplicationEntityTitle = "PACSMUSTERHSN"
    meta.SendingApplicationEntityTitle = "CTMUSTERHSN"
    plot.remove("00020016", "file meta", "PACSMUSTERHSN")
    plot.remove("00020017", "file meta", "CTMUSTERHSN")
    if plot.rng.random() < 0.5:
        meta.PrivateInformationCreatorUID = UID(plot.new_uid())
        meta.PrivateInformation = plain.encode() + b" " * (len(plain) % 2)
        plot.remove("00020102", "file meta", plain)
    if plot.rng.random() < 0.5:
        plot.preamble = plain.encode()[:128].ljust(128, b"\0")
        plot.remove("preamble", "preamble", plain)


def _plant_overlay(plot: Plot) -> None:
    """Draw the name into an overlay plane; label and description name the person as well."""
    dataset, plain = plot.dataset, _plain(plot)
    if not plot.is_image or 0x60003000 in dataset:
        return
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    drawn = letters(plain, 12)
    bits = np.zeros((rows, columns), dtype=np.uint8)
    height, width = min(rows, drawn.shape[0]), min(columns, drawn.shape[1])
    bits[:height, :width] = drawn[:height, :width] > 100
    data = np.packbits(bits.ravel(), bitorder="little").tobytes()
    data += b"\0" * (len(data) % 2)
    values = ((0x10, "US", rows), (0x11, "US", columns), (0x22, "LO", plain[:64]), (0x40, "CS", "G"))
    for low, vr, value in (
        *values,
        (0x50, "SS", [1, 1]),
        (0x100, "US", 1),
        (0x102, "US", 0),
        (0x1500, "LO", plain[:64]),
    ):
        dataset.add(DataElement(0x60000000 + low, vr, value))
    dataset.add(DataElement(0x60003000, "OW", data))
    plot.expect("60003000", Act.BULK_REMOVED, "overlay", data[:64].hex())
    plot.remove("60000022", "overlay", plain)
    plot.remove("60001500", "overlay", plain)


def _plant_curve(plot: Plot) -> None:
    plain = _plain(plot)
    for low, vr, value in (
        (0x05, "US", 1),
        (0x10, "US", 8),
        (0x20, "CS", "ECG"),
        (0x22, "LO", plain[:64]),
        (0x103, "US", 0),
    ):
        plot.dataset.add(DataElement(0x50000000 + low, vr, value))
    plot.dataset.add(DataElement(0x50003000, "OW", plain.encode().ljust(64, b" ")[:64]))
    plot.remove("50000022", "curve", plain)
    plot.remove("50003000", "curve", plain)


def _plant_icon(plot: Plot) -> None:
    icon, drawn = Dataset(), letters(_plain(plot), 14)
    pixels = np.zeros((64, 64), dtype=np.uint8)
    height, width = min(64, drawn.shape[0]), min(64, drawn.shape[1])
    pixels[:height, :width] = drawn[:height, :width]
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
    icon.Rows = icon.Columns = 64
    icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation = 8, 8, 7, 0
    icon.add_new(0x7FE00010, "OW", pixels.tobytes())
    plot.dataset.IconImageSequence = Sequence([icon])
    plot.expect("00880200[0].7FE00010", Act.BULK_REMOVED, "icon", pixels.tobytes()[:64].hex())


def _plant_ends(plot: Plot) -> None:
    plain = _plain(plot)
    plot.dataset.add(DataElement(0xFFFCFFFC, "OB", plain.encode() + b"\0" * (len(plain) % 2)))
    plot.remove("FFFCFFFC", "trailing padding", plain)


def _plant_signature(plot: Plot) -> None:
    signature, mac = Dataset(), Dataset()
    physician = " ".join(plot.person.performing)
    signature.MACIDNumber, signature.DigitalSignatureUID = 1, plot.new_uid()
    signature.DigitalSignatureDateTime = f"{plot.day:%Y%m%d}120000"
    signature.CertificateType = "X509_1993_SIG"
    signature.CertificateOfSigner = f"CN={physician}".encode().ljust(64, b"\0")
    signature.Signature = bytes(range(64))
    mac.MACIDNumber, mac.MACCalculationTransferSyntaxUID = 1, "1.2.840.10008.1.2.1"
    mac.MACAlgorithm, mac.DataElementsSigned = "SHA256", [0x00100010]
    plot.dataset.MACParametersSequence = Sequence([mac])
    plot.dataset.DigitalSignaturesSequence = Sequence([signature])
    plot.remove("FFFAFFFA[0].04000115", "digital signature", physician)
    plot.expect(
        "FFFAFFFA[0].04000100", Act.UID_CHANGED, "digital signature", str(signature.DigitalSignatureUID)
    )


def _plant_display(plot: Plot) -> None:
    """Plant in the text box of a structured display."""
    box, person = Dataset(), plot.person
    text = plot.text(f"{person.family} {person.given} {person.born:%d.%m.%Y}")
    box.UnformattedTextValue = text
    plot.dataset.StructuredDisplayTextBoxSequence = Sequence([box])
    plot.remove("00720424[0].00700006", "structured display", text, telling(text))
