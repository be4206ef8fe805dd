"""Which studies an archive no longer lists: marked, never deleted, and unmarked when they come back."""

from typing import Final

import pyarrow as pa

from p2d.warehouse.load.staging import Staging

PRESENCE_NAME: Final = "presence"
_STUDIES: Final = """
FROM incoming i JOIN patient p ON p.patient = i.patient
JOIN study st ON st.patient_key = p.patient_key AND st.study = i.study
"""
_GONE: Final = f"""
INSERT INTO archive_gone SELECT st.study_key, i.archive, now()::TIMESTAMP {_STUDIES}
WHERE i.state = 'gone' AND NOT EXISTS (
  SELECT 1 FROM archive_gone a WHERE a.study_key = st.study_key AND a.archive = i.archive)
"""  # noqa: S608 - a literal of this module
_PRESENT: Final = f"""
DELETE FROM archive_gone WHERE EXISTS (
  SELECT 1 {_STUDIES} WHERE i.state = 'present'
  AND st.study_key = archive_gone.study_key AND i.archive = archive_gone.archive)
"""  # noqa: S608 - as above


def note_presence(session: Staging, table: pa.Table) -> None:
    """Mark and unmark the studies of *table*; done again it changes nothing, unknown ones are passed over."""
    session.receive("incoming", table)
    session.rows(_GONE)
    session.rows(_PRESENT)
