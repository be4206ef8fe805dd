-- The ledger of runs: hospital zone, pseudonyms only. Written for SQLite; what PostgreSQL spells otherwise is
-- replaced when it is applied (p2d.jobs.migration). A file is applied once and never edited afterwards.
CREATE TABLE IF NOT EXISTS run (
    run_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    request TEXT NOT NULL,
    "user" TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'running', 'completed', 'incomplete', 'stopped')),
    stopping INTEGER NOT NULL DEFAULT 0,
    patients_total INTEGER NOT NULL DEFAULT 0,
    patients_done INTEGER NOT NULL DEFAULT 0,
    patients_parked INTEGER NOT NULL DEFAULT 0,
    expected INTEGER NOT NULL DEFAULT 0,
    received INTEGER NOT NULL DEFAULT 0,
    released INTEGER NOT NULL DEFAULT 0,
    started_at REAL NOT NULL,
    updated_at REAL NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS patient (
    run_id TEXT NOT NULL REFERENCES run,
    patient TEXT NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'extracted', 'done', 'absent', 'unresolved', 'parked')),
    batch_id TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    expected INTEGER NOT NULL DEFAULT 0,
    received INTEGER NOT NULL DEFAULT 0,
    released INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, patient),
    CHECK ((state = 'extracted') <= (batch_id IS NOT NULL)),
    CHECK ((state IN ('unresolved', 'parked')) <= (reason IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS patient_state ON patient (run_id, state, position);
CREATE INDEX IF NOT EXISTS patient_batch ON patient (run_id, batch_id) WHERE batch_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS line (
    run_id TEXT NOT NULL,
    patient TEXT NOT NULL,
    study TEXT NOT NULL,
    series TEXT NOT NULL,
    expected INTEGER NOT NULL CHECK (expected >= 0),
    received INTEGER NOT NULL CHECK (received >= 0),
    released INTEGER NOT NULL CHECK (released >= 0),
    duplicate INTEGER NOT NULL CHECK (duplicate >= 0),
    refused INTEGER NOT NULL CHECK (refused >= 0),
    PRIMARY KEY (run_id, patient, study, series),
    FOREIGN KEY (run_id, patient) REFERENCES patient
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS withheld (
    run_id TEXT NOT NULL,
    patient TEXT NOT NULL,
    study TEXT NOT NULL,
    series TEXT NOT NULL,
    reason TEXT NOT NULL,
    images INTEGER NOT NULL CHECK (images >= 0),
    PRIMARY KEY (run_id, patient, study, series, reason),
    FOREIGN KEY (run_id, patient, study, series) REFERENCES line ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- A note of a patient leaves with its lines; a note of the run (patient NULL) stays.
CREATE TABLE IF NOT EXISTS note (
    id SERIAL_KEY,
    run_id TEXT NOT NULL REFERENCES run,
    patient TEXT,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS note_run ON note (run_id, patient);

-- Numbers by name: a patient's until its batch has a receipt, then the run's own under the patient ''.
CREATE TABLE IF NOT EXISTS counter (
    run_id TEXT NOT NULL REFERENCES run,
    patient TEXT NOT NULL,
    name TEXT NOT NULL,
    times INTEGER NOT NULL CHECK (times >= 0),
    PRIMARY KEY (run_id, patient, name)
) STRICT, WITHOUT ROWID;

-- What was in force while the run worked, by name: JSON.
CREATE TABLE IF NOT EXISTS described (
    run_id TEXT NOT NULL REFERENCES run,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;
