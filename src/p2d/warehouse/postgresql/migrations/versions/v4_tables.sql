CREATE SEQUENCE surrogate CACHE 64;

CREATE TABLE patient (
  patient_key BIGINT PRIMARY KEY DEFAULT nextval('surrogate'),
  patient VARCHAR COLLATE "C" NOT NULL UNIQUE,
  sex VARCHAR COLLATE "und-x-icu",
  birth_year INTEGER
);

CREATE TABLE clinical_case (
  case_key BIGINT PRIMARY KEY DEFAULT nextval('surrogate'),
  patient_key BIGINT NOT NULL,
  "case" VARCHAR COLLATE "C" NOT NULL,
  "start" DATE,
  "end" DATE,
  "type" VARCHAR COLLATE "C",
  UNIQUE (patient_key, "case")
);

CREATE TABLE document (
  document_key BIGINT PRIMARY KEY DEFAULT nextval('surrogate'),
  patient_key BIGINT NOT NULL,
  document VARCHAR COLLATE "C" NOT NULL,
  case_key BIGINT,
  kind VARCHAR COLLATE "C",
  "date" DATE,
  accession VARCHAR COLLATE "C",
  "text" VARCHAR COLLATE "und-x-icu",
  negated VARCHAR COLLATE "und-x-icu",
  source VARCHAR COLLATE "C",
  UNIQUE (patient_key, document)
);
CREATE INDEX document_accession ON document (accession) WHERE accession IS NOT NULL;

-- A fact's natural key has texts of any length and empty parts. Its hash keeps the index short; two facts are
-- the same where all parts are, which the loader compares.
CREATE TABLE fact (
  fact_key BIGINT NOT NULL DEFAULT nextval('surrogate'),
  patient_key BIGINT NOT NULL,
  document_key BIGINT,
  "group" VARCHAR COLLATE "C",
  attribute VARCHAR COLLATE "C" NOT NULL,
  "date" DATE,
  "number" DOUBLE PRECISION,
  code VARCHAR COLLATE "und-x-icu",
  "text" VARCHAR COLLATE "und-x-icu",
  case_key BIGINT,
  unit VARCHAR COLLATE "C",
  group_key BIGINT NOT NULL,
  "time" VARCHAR COLLATE "C",
  source VARCHAR COLLATE "C"
);
CREATE UNIQUE INDEX fact_natural ON fact (patient_key, hash_record_extended(
  ROW(document_key, "group", attribute, "date", code, "number", "text", "time"), 0));

CREATE TABLE study (
  study_key BIGINT PRIMARY KEY DEFAULT nextval('surrogate'),
  patient_key BIGINT NOT NULL,
  study VARCHAR COLLATE "C" NOT NULL,
  accession VARCHAR COLLATE "C",
  admission_case VARCHAR COLLATE "C",
  "StudyDate" DATE,
  "StudyTime" VARCHAR COLLATE "und-x-icu",
  "StudyDescription" VARCHAR COLLATE "und-x-icu",
  "ModalitiesInStudy" VARCHAR COLLATE "und-x-icu",
  "NumberOfStudyRelatedSeries" INTEGER,
  "NumberOfStudyRelatedInstances" INTEGER,
  flags VARCHAR COLLATE "C",
  basic_run VARCHAR COLLATE "C",
  extended_run VARCHAR COLLATE "C",
  case_key BIGINT,
  link_method VARCHAR COLLATE "C" NOT NULL DEFAULT 'none',
  UNIQUE (patient_key, study)
);
CREATE INDEX study_uid ON study (study);
CREATE INDEX study_case ON study (case_key) WHERE case_key IS NOT NULL;

CREATE TABLE study_archive (
  study_key BIGINT NOT NULL,
  archive VARCHAR COLLATE "C" NOT NULL,
  UNIQUE (study_key, archive)
);

CREATE TABLE instance_archive (
  instance_key BIGINT NOT NULL,
  archive VARCHAR COLLATE "C" NOT NULL,
  UNIQUE (instance_key, archive)
);

CREATE TABLE archive_gone (
  study_key BIGINT NOT NULL,
  archive VARCHAR COLLATE "C" NOT NULL,
  noticed_at TIMESTAMP NOT NULL,
  UNIQUE (study_key, archive)
);

CREATE TABLE study_document (
  study_key BIGINT NOT NULL,
  document_key BIGINT NOT NULL,
  patient_key BIGINT NOT NULL,
  UNIQUE (patient_key, study_key, document_key)
);
CREATE INDEX study_document_study ON study_document (study_key, document_key);
CREATE INDEX study_document_document ON study_document (document_key, study_key);

CREATE TABLE series (
  series_key BIGINT PRIMARY KEY DEFAULT nextval('surrogate'),
  study_key BIGINT NOT NULL,
  series VARCHAR COLLATE "C" NOT NULL,
  patient_key BIGINT NOT NULL,
  "Modality" VARCHAR COLLATE "und-x-icu",
  "SeriesNumber" BIGINT,
  "SeriesDescription" VARCHAR COLLATE "und-x-icu",
  "SeriesDate" DATE,
  "BodyPartExamined" VARCHAR COLLATE "und-x-icu",
  "ProtocolName" VARCHAR COLLATE "und-x-icu",
  "Manufacturer" VARCHAR COLLATE "und-x-icu",
  "NumberOfSeriesRelatedInstances" INTEGER,
  flags VARCHAR COLLATE "C",
  basic_run VARCHAR COLLATE "C",
  extended_run VARCHAR COLLATE "C",
  extended_scope VARCHAR COLLATE "C" NOT NULL DEFAULT 'none',
  UNIQUE (study_key, series)
);

CREATE TABLE instance (
  instance_key BIGINT PRIMARY KEY DEFAULT nextval('surrogate'),
  series_key BIGINT NOT NULL,
  instance VARCHAR COLLATE "C" NOT NULL,
  study_key BIGINT NOT NULL,
  patient_key BIGINT NOT NULL,
  "InstanceNumber" BIGINT,
  "SOPClassUID" VARCHAR COLLATE "und-x-icu",
  "Rows" INTEGER,
  "Columns" INTEGER,
  "NumberOfFrames" INTEGER,
  flags VARCHAR COLLATE "C",
  basic_run VARCHAR COLLATE "C",
  extended_run VARCHAR COLLATE "C",
  UNIQUE (series_key, instance)
);

CREATE TABLE header (
  owner_key BIGINT NOT NULL,
  path VARCHAR COLLATE "C" NOT NULL,
  item INTEGER NOT NULL,
  patient_key BIGINT NOT NULL,
  study_key BIGINT NOT NULL,
  series_key BIGINT,
  instance_key BIGINT,
  keyword VARCHAR COLLATE "C",
  vr VARCHAR COLLATE "C",
  "number" DOUBLE PRECISION,
  "date" DATE,
  "text" VARCHAR COLLATE "und-x-icu",
  UNIQUE (owner_key, path, item)
);

CREATE TABLE attribute (
  kind VARCHAR COLLATE "C" NOT NULL,
  name VARCHAR COLLATE "C" NOT NULL,
  unit VARCHAR COLLATE "C" NOT NULL,
  has_number BOOLEAN NOT NULL,
  has_text BOOLEAN NOT NULL,
  UNIQUE (kind, name, unit)
);

CREATE TABLE coverage (
  patient_key BIGINT NOT NULL,
  source VARCHAR COLLATE "C" NOT NULL,
  run_id VARCHAR COLLATE "C",
  "at" TIMESTAMP NOT NULL,
  UNIQUE (patient_key, source)
);

CREATE TABLE receipt (
  batch_id VARCHAR COLLATE "C" PRIMARY KEY,
  digest VARCHAR COLLATE "C" NOT NULL,
  "rows" VARCHAR COLLATE "C" NOT NULL,
  committed_at TIMESTAMP NOT NULL
);

CREATE TABLE issue (
  batch_id VARCHAR COLLATE "C" NOT NULL,
  kind VARCHAR COLLATE "C" NOT NULL,
  "level" VARCHAR COLLATE "C" NOT NULL,
  patient_key BIGINT NOT NULL,
  "key" VARCHAR COLLATE "C" NOT NULL,
  detail VARCHAR COLLATE "C",
  UNIQUE (patient_key, "level", "key", kind)
);

CREATE TABLE promotion (
  keyword VARCHAR COLLATE "C" NOT NULL UNIQUE,
  "level" VARCHAR COLLATE "C" NOT NULL,
  type VARCHAR COLLATE "C" NOT NULL,
  "at" TIMESTAMP NOT NULL
);

CREATE TABLE quarantine (
  batch_id VARCHAR COLLATE "C" NOT NULL,
  "table" VARCHAR COLLATE "C" NOT NULL,
  "row" BIGINT NOT NULL,
  field VARCHAR COLLATE "C" NOT NULL,
  problem VARCHAR COLLATE "C" NOT NULL,
  "at" TIMESTAMP NOT NULL,
  patient VARCHAR COLLATE "C"
);

CREATE TABLE cohort (
  name VARCHAR COLLATE "C" NOT NULL,
  owner VARCHAR COLLATE "C" NOT NULL,
  query VARCHAR COLLATE "C",
  created_at TIMESTAMP NOT NULL,
  UNIQUE (owner, name)
);

CREATE TABLE cohort_member (
  name VARCHAR COLLATE "C" NOT NULL,
  owner VARCHAR COLLATE "C" NOT NULL,
  patient VARCHAR COLLATE "C" NOT NULL,
  UNIQUE (owner, name, patient)
);

CREATE TABLE catalogue_attribute (
  kind VARCHAR COLLATE "C" NOT NULL,
  name VARCHAR COLLATE "C" NOT NULL,
  "level" VARCHAR COLLATE "C" NOT NULL,
  facts BIGINT NOT NULL,
  patients BIGINT NOT NULL,
  "first" DATE,
  "last" DATE,
  is_stale BOOLEAN NOT NULL,
  refreshed_at TIMESTAMP
);

CREATE TABLE catalogue_number (
  kind VARCHAR COLLATE "C" NOT NULL,
  name VARCHAR COLLATE "C" NOT NULL,
  unit VARCHAR COLLATE "C" NOT NULL,
  facts BIGINT NOT NULL,
  patients BIGINT NOT NULL,
  minimum DOUBLE PRECISION NOT NULL,
  quartile1 DOUBLE PRECISION NOT NULL,
  median DOUBLE PRECISION NOT NULL,
  quartile3 DOUBLE PRECISION NOT NULL,
  maximum DOUBLE PRECISION NOT NULL
);

CREATE TABLE catalogue_value (
  kind VARCHAR COLLATE "C" NOT NULL,
  name VARCHAR COLLATE "C" NOT NULL,
  value VARCHAR COLLATE "C" NOT NULL,
  facts BIGINT NOT NULL,
  patients BIGINT NOT NULL
);

CREATE TABLE catalogue_path (
  name VARCHAR COLLATE "C" NOT NULL,
  path VARCHAR COLLATE "C" NOT NULL,
  facts BIGINT NOT NULL
);

CREATE TABLE data_version (version BIGINT NOT NULL);
INSERT INTO data_version VALUES (1);

-- Blank-separated flags of both sides, each once, in order; NULL where there is none.
CREATE FUNCTION join_flags(a VARCHAR, b VARCHAR) RETURNS VARCHAR LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT string_agg(flag, ' ' ORDER BY flag COLLATE "C") FROM (
    SELECT DISTINCT flag FROM unnest(string_to_array(coalesce(a, '') || ' ' || coalesce(b, ''), ' ')) f(flag)
    WHERE flag <> '') one
$$;
