-- Incremental sync: what an archive listed of a study when it was last extracted. Pseudonyms and shifted days only.
CREATE TABLE study_seen (
    study TEXT NOT NULL,
    patient TEXT NOT NULL,
    archive TEXT NOT NULL,
    series INTEGER,
    instances INTEGER,
    modalities TEXT NOT NULL,
    day TEXT,
    depth TEXT NOT NULL,
    run_id TEXT NOT NULL,
    gone_since REAL,
    PRIMARY KEY (study, patient, archive)
) STRICT, WITHOUT ROWID;
CREATE INDEX study_seen_patient ON study_seen (patient);

-- The same of studies that a run is about to extract; they are seen when their patient is done.
CREATE TABLE study_found (
    run_id TEXT NOT NULL REFERENCES run,
    study TEXT NOT NULL,
    patient TEXT NOT NULL,
    archive TEXT NOT NULL,
    series INTEGER,
    instances INTEGER,
    modalities TEXT NOT NULL,
    day TEXT,
    depth TEXT NOT NULL,
    PRIMARY KEY (run_id, study, patient, archive)
) STRICT, WITHOUT ROWID;

-- Work that one process does at a time, on whichever machine; noted is what was done last.
CREATE TABLE claim (
    name TEXT PRIMARY KEY,
    worker TEXT,
    expires_at REAL,
    noted TEXT
) STRICT, WITHOUT ROWID;
