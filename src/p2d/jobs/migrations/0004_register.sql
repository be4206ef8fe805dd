-- What does not fit together, and what never arrived: pseudonyms and attributes, never values.
CREATE TABLE inconsistency (
    id SERIAL_KEY,
    run_id TEXT NOT NULL REFERENCES run,
    patient TEXT NOT NULL,
    kind TEXT NOT NULL,
    study TEXT NOT NULL,
    series TEXT NOT NULL,
    instance TEXT NOT NULL,
    attribute TEXT NOT NULL,
    times INTEGER NOT NULL CHECK (times > 0)
) STRICT;
CREATE INDEX inconsistency_patient ON inconsistency (run_id, patient);
CREATE INDEX inconsistency_kind ON inconsistency (run_id, kind);
