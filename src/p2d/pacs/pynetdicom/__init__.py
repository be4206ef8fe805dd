"""Connector over DIMSE with pynetdicom; no other product code imports that library.

Importing this package makes pynetdicom silent: its log lines and tracebacks may quote identifiers
(PS3.7 identifiers are logged by default), so that none of them is written anywhere.
"""

import logging

from pynetdicom import _config

_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.ENFORCE_UID_CONFORMANCE = True
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
