-- Several workers: leases, priorities, holds. Totals move from triggers to a table that the same transaction
-- changes, so that progress and report cost a few rows on either engine.
ALTER TABLE run ADD COLUMN held TEXT CHECK (held IN ('paused', 'cancelled'));
ALTER TABLE run ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
-- Two marks of how many patients were finished when: the pace of the last minutes.
ALTER TABLE run ADD COLUMN pace_at REAL;
ALTER TABLE run ADD COLUMN pace_done INTEGER;
ALTER TABLE run ADD COLUMN pace_before_at REAL;
ALTER TABLE run ADD COLUMN pace_before_done INTEGER;
CREATE INDEX run_priority ON run (state, priority, started_at);

-- What is asked of a patient beyond its pseudonym, as JSON.
ALTER TABLE patient ADD COLUMN target TEXT;
-- When the patient may be worked, in seconds since the epoch; NULL while it is leased or finished.
ALTER TABLE patient ADD COLUMN ready_at REAL;
ALTER TABLE patient ADD COLUMN lease_id INTEGER;
-- Whether the holder of the lease is amid the patient.
ALTER TABLE patient ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
UPDATE patient SET ready_at = 0 WHERE state = 'pending';
CREATE INDEX patient_ready ON patient (run_id, ready_at, position) WHERE ready_at IS NOT NULL;
CREATE INDEX patient_lease ON patient (lease_id) WHERE lease_id IS NOT NULL;

-- A lease under way. Its number only grows: it is the fencing token of its holder's writes.
CREATE TABLE lease (
    lease_id SERIAL_KEY,
    run_id TEXT NOT NULL REFERENCES run,
    worker TEXT NOT NULL,
    expires_at REAL NOT NULL
) STRICT;
CREATE INDEX lease_run ON lease (run_id);

-- Sums over a run's patients, lines and notes, by name.
CREATE TABLE total (
    run_id TEXT NOT NULL REFERENCES run,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;

DROP TRIGGER IF EXISTS patient_added; -- SQLite only
DROP TRIGGER IF EXISTS patient_changed; -- SQLite only
ALTER TABLE run DROP COLUMN patients_done;
ALTER TABLE run DROP COLUMN patients_parked;
ALTER TABLE run DROP COLUMN expected;
ALTER TABLE run DROP COLUMN received;
ALTER TABLE run DROP COLUMN released;
