"""Connector over DICOMweb (PS3.18): QIDO-RS to find, WADO-RS to retrieve.

QIDO-RS puts PatientID and accession numbers into URLs, as the standard has it. Importing this package makes
httpx and httpcore silent: they log every URL.
"""

import logging

for _library in ("httpx", "httpcore"):
    logging.getLogger(_library).setLevel(logging.CRITICAL + 1)
