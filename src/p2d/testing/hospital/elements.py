"""Put elements into a data set quickly: dictionary look-ups kept, values not checked again one by one."""

from functools import cache

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag


def put(ds: Dataset, **values: object) -> Dataset:
    """Set elements of *ds* by DICOM keyword and return it.

    The hospital's values are valid by construction and a test reads them back with warnings as errors, so
    the check that pydicom makes at each assignment, half of the time of a rendering, is left out.
    """
    for keyword, value in values.items():
        tag, vr = _meaning(keyword)
        ds.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))
    return ds


@cache
def _meaning(keyword: str) -> tuple[BaseTag, str]:
    number = tag_for_keyword(keyword)
    if number is None:
        raise KeyError(keyword)
    return Tag(number), dictionary_VR(number)
