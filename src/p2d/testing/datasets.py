"""Small data sets for tests: one CT image by keywords, and a fixed holding of three patients."""

from functools import cache, partial
from typing import Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from p2d.testing.holdings import KEYWORDS, HeldInstance, ListedHoldings

CT_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.4"
_ROOT: Final = "1.2.826.0.1.3680043.8.498.77"

_DEFAULTS: Final[dict[str, object]] = {
    "SpecificCharacterSet": "ISO_IR 192",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "SOPClassUID": CT_IMAGE_STORAGE,
    "SOPInstanceUID": f"{_ROOT}.1.1.1.1",
    "StudyDate": "20200102",
    "StudyTime": "101500",
    "AccessionNumber": "ACC-1",
    "Modality": "CT",
    "Manufacturer": "Example",
    "StudyDescription": "CT head",
    "SeriesDescription": "Axial 5 mm",
    "PatientName": "Example^Anna",
    "PatientID": "P-1",
    "PatientBirthDate": "19700301",
    "PatientSex": "F",
    "BodyPartExamined": "HEAD",
    "ProtocolName": "Head native",
    "StudyInstanceUID": f"{_ROOT}.1.1",
    "SeriesInstanceUID": f"{_ROOT}.1.1.1",
    "StudyID": "1",
    "SeriesNumber": 1,
    "InstanceNumber": 1,
    "AdmissionID": "CASE-1",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": 8,
    "Columns": 8,
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "PixelData": bytes(range(128)),
}


def ct(**keywords: object) -> Dataset:
    """Return a whole CT image of 8 by 8 pixels with its file meta information; *keywords* replace or add.

    A keyword set to None is left out. The result is encoded as explicit VR little endian.

    Raises:
        TypeError: a keyword that PS3.6 does not define.

    """
    for keyword in keywords:
        if tag_for_keyword(keyword) is None:
            raise TypeError(f"{keyword} is not a DICOM keyword")
    dataset = Dataset()
    for keyword, value in {**_DEFAULTS, **keywords}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def held_ct(**keywords: str) -> HeldInstance:
    """Return a CT image as held by a test archive; *keywords* as for ``ct``, in text."""
    dataset = ct(**keywords)
    attributes = {keyword: str(dataset.get(keyword)) for keyword in KEYWORDS if keyword in dataset}
    return HeldInstance(attributes, partial(ct, **keywords))


_PATIENTS: Final = (
    # PatientID, PatientName, birth date; per study: date, accession number, modality and size of its series
    (
        ("P-1", "Müller^Anna", "19700301"),
        (("20200102", "ACC-11", (("CT", 12), ("CT", 1))), ("20210305", "ACC-12", (("MR", 9),))),
    ),
    (("P-2", "Example^Bert", "19551231"), (("20190701", "ACC-21", (("CT", 8), ("MR", 10))),)),
    (("P-3", "Example^Clara", "19881111"), (("20220101", "ACC-31", (("CT", 5), ("CT", 5), ("MR", 10))),)),
)


@cache
def three_patients() -> ListedHoldings:
    """Return 3 patients with 4 studies, 8 series and 60 instances, always the same."""
    listed: list[HeldInstance] = []
    for p, ((patient, name, born), studies) in enumerate(_PATIENTS, 1):
        for s, (day, accession, series) in enumerate(studies, 1):
            for n, (modality, count) in enumerate(series, 1):
                listed += [
                    held_ct(
                        PatientID=patient,
                        PatientName=name,
                        PatientBirthDate=born,
                        StudyDate=day,
                        AccessionNumber=accession,
                        AdmissionID=f"CASE-{p}{s}",
                        StudyInstanceUID=f"{_ROOT}.{p}.{s}",
                        SeriesInstanceUID=f"{_ROOT}.{p}.{s}.{n}",
                        SOPInstanceUID=f"{_ROOT}.{p}.{s}.{n}.{i}",
                        SOPClassUID=CT_IMAGE_STORAGE if modality == "CT" else MR_IMAGE_STORAGE,
                        Modality=modality,
                        SeriesNumber=str(n),
                        SeriesDescription=f"Series {n}",
                        InstanceNumber=str(count + 1 - i),
                    )
                    for i in range(1, count + 1)
                ]
    return ListedHoldings(tuple(listed))
