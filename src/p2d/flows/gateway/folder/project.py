"""A project's own pseudonyms: derived under its key file, in a key space of their own."""

from dataclasses import dataclass, field
from pathlib import Path

from p2d.deid.references import References, merge_known
from p2d.identity.keys import Keys, KeySpace, create_key_file, normal_identifier, read_key_file
from p2d.identity.port import Domain
from p2d.model.identified import KnownValues, PatientId, PatientKeys
from p2d.model.ids import Pseudonym

DAYS_A_WEEK = 7


def project_keys(path: Path) -> tuple[Keys, bool]:
    """Return the keys in the file *path* and whether it was made just now, because it was absent.

    Raises:
        Misconfigured: not writable, open to others, torn, or a key of another space.

    """
    is_new = not path.exists()
    if is_new:
        create_key_file(path, space=KeySpace.PROJECT)
    return read_key_file(path, KeySpace.PROJECT), is_new


@dataclass(frozen=True, slots=True)
class Project:
    """What derives a project's pseudonyms; ``unit_days`` is 7 where dates move by whole weeks."""

    keys: Keys = field(repr=False)
    max_shift_days: int = 365
    unit_days: int = 1

    def pseudonym(self, patient: str) -> Pseudonym:
        """Return the pseudonym of the patient *patient* (a PatientID, or a study in its place)."""
        return self.keys.table_pseudonym(Domain.PATIENT, normal_identifier(patient) or patient)

    def keys_for(
        self, patient: str, patient_id: str, references: References, known: KnownValues
    ) -> PatientKeys:
        """Return the keys of one patient for all that *references* name; *known* comes from the hospital."""
        pseudonym = self.pseudonym(patient)
        return PatientKeys(
            patient=pseudonym,
            patient_id=PatientId(patient_id),
            shift_days=self.keys.shift_days(pseudonym, self.max_shift_days, self.unit_days),
            uids={uid: self.keys.derive_uid(uid) for uid in references.uids},
            accessions={a: self.keys.table_pseudonym(Domain.ACCESSION, a) for a in references.accessions},
            cases={c: self.keys.table_pseudonym(Domain.CASE, c) for c in references.admissions},
            known=merge_known(references.known, known),
        )

    def trace(self, text: str) -> str:
        """Return a keyed hash of *text* that tells whether it is the same again and nothing else."""
        return self.keys.lookup("folder", text)
