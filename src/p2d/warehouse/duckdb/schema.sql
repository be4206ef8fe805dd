-- The warehouse's tables. Every id is a pseudonym and every date is shifted. The surrogate keys come from one
-- sequence, so that a key names one row of one table; natural keys are full pseudonyms scoped by their parent
-- and are enforced by the loader (DuckDB's own primary keys cost 77 % in size).
CREATE SEQUENCE surrogate START 1;

CREATE TABLE patient (
  patient_key BIGINT NOT NULL DEFAULT nextval('surrogate'),
  patient VARCHAR NOT NULL,
  sex VARCHAR,
  birth_year INTEGER
);

CREATE TABLE clinical_case (
  case_key BIGINT NOT NULL DEFAULT nextval('surrogate'),
  patient_key BIGINT NOT NULL,
  "case" VARCHAR NOT NULL,
  "start" DATE,
  "end" DATE,
  "type" VARCHAR
);

-- negated: the negated passages of the text, one a line, NULL where there is none (p2d.warehouse.negation).
-- source: the system a document or fact came from, as its sender names it.
-- "text" is not compressed: unpacking took three quarters of every search in texts, for two fifths less of the file.
CREATE TABLE document (
  document_key BIGINT NOT NULL DEFAULT nextval('surrogate'),
  patient_key BIGINT NOT NULL,
  document VARCHAR NOT NULL,
  case_key BIGINT,
  kind VARCHAR,
  "date" DATE,
  accession VARCHAR,
  "text" VARCHAR USING COMPRESSION 'uncompressed',
  negated VARCHAR,
  source VARCHAR
);

-- The lower-cased words of the documents' texts (runs of letters and digits), each once a document; sorted by
-- term as far as it was arranged, so that a word is found without reading the others.
CREATE TABLE term (
  term VARCHAR NOT NULL,
  document_key BIGINT NOT NULL
);

-- group_key: facts of one patient and document with the same group share it; a fact without group has its own.
CREATE TABLE fact (
  fact_key BIGINT NOT NULL DEFAULT nextval('surrogate'),
  patient_key BIGINT NOT NULL,
  document_key BIGINT,
  "group" VARCHAR,
  attribute VARCHAR NOT NULL,
  "date" DATE,
  "number" DOUBLE,
  code VARCHAR,
  "text" VARCHAR,
  case_key BIGINT,
  unit VARCHAR,
  group_key BIGINT NOT NULL,
  "time" VARCHAR,
  source VARCHAR
);

-- case_key and link_method: how the study came to its case (accession | admission | time | none).
CREATE TABLE study (
  study_key BIGINT NOT NULL DEFAULT nextval('surrogate'),
  patient_key BIGINT NOT NULL,
  study VARCHAR NOT NULL,
  accession VARCHAR,
  admission_case VARCHAR,
  "StudyDate" DATE,
  "StudyTime" VARCHAR,
  "StudyDescription" VARCHAR,
  "ModalitiesInStudy" VARCHAR,
  "NumberOfStudyRelatedSeries" INTEGER,
  "NumberOfStudyRelatedInstances" INTEGER,
  flags VARCHAR,
  basic_run VARCHAR,
  extended_run VARCHAR,
  case_key BIGINT,
  link_method VARCHAR NOT NULL DEFAULT 'none'
);

-- Which archives hold a study; a study held by two is one study.
CREATE TABLE study_archive (
  study_key BIGINT NOT NULL,
  archive VARCHAR NOT NULL
);

-- Which archives hold an instance, where several were asked; no part of its key.
CREATE TABLE instance_archive (
  instance_key BIGINT NOT NULL,
  archive VARCHAR NOT NULL
);

-- Studies that an archive does not list any more, and when that was noticed; nothing else of them changes.
CREATE TABLE archive_gone (
  study_key BIGINT NOT NULL,
  archive VARCHAR NOT NULL,
  noticed_at TIMESTAMP NOT NULL
);

-- Studies and reports that carry the same accession pseudonym of the same patient, several each way.
CREATE TABLE study_document (
  study_key BIGINT NOT NULL,
  document_key BIGINT NOT NULL,
  patient_key BIGINT NOT NULL
);

-- extended_scope: none | part | all of the series' instances have an extended header.
CREATE TABLE series (
  series_key BIGINT NOT NULL DEFAULT nextval('surrogate'),
  study_key BIGINT NOT NULL,
  series VARCHAR NOT NULL,
  patient_key BIGINT NOT NULL,
  "Modality" VARCHAR,
  "SeriesNumber" BIGINT,
  "SeriesDescription" VARCHAR,
  "SeriesDate" DATE,
  "BodyPartExamined" VARCHAR,
  "ProtocolName" VARCHAR,
  "Manufacturer" VARCHAR,
  "NumberOfSeriesRelatedInstances" INTEGER,
  flags VARCHAR,
  basic_run VARCHAR,
  extended_run VARCHAR,
  extended_scope VARCHAR NOT NULL DEFAULT 'none'
);

CREATE TABLE instance (
  instance_key BIGINT NOT NULL DEFAULT nextval('surrogate'),
  series_key BIGINT NOT NULL,
  instance VARCHAR NOT NULL,
  study_key BIGINT NOT NULL,
  patient_key BIGINT NOT NULL,
  "InstanceNumber" BIGINT,
  "SOPClassUID" VARCHAR,
  "Rows" INTEGER,
  "Columns" INTEGER,
  "NumberOfFrames" INTEGER,
  flags VARCHAR,
  basic_run VARCHAR,
  extended_run VARCHAR
);

-- The long tail of headers, one row a value; owner_key is the study, series or instance it was read from.
CREATE TABLE header (
  owner_key BIGINT NOT NULL,
  path VARCHAR NOT NULL,
  item INTEGER NOT NULL,
  patient_key BIGINT NOT NULL,
  study_key BIGINT NOT NULL,
  series_key BIGINT,
  instance_key BIGINT,
  keyword VARCHAR,
  vr VARCHAR,
  "number" DOUBLE,
  "date" DATE,
  "text" VARCHAR
);

-- The catalogue: which attributes and kinds of document can be asked for, and what their values are.
CREATE TABLE attribute (
  kind VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  unit VARCHAR NOT NULL,
  has_number BOOLEAN NOT NULL,
  has_text BOOLEAN NOT NULL
);

-- Which patients were extracted at all: "not extracted" is another thing than "does not exist".
CREATE TABLE coverage (
  patient_key BIGINT NOT NULL,
  source VARCHAR NOT NULL,
  run_id VARCHAR,
  "at" TIMESTAMP NOT NULL
);

CREATE TABLE receipt (
  batch_id VARCHAR PRIMARY KEY,
  digest VARCHAR NOT NULL,
  "rows" VARCHAR NOT NULL,
  committed_at TIMESTAMP NOT NULL
);

CREATE TABLE issue (
  batch_id VARCHAR NOT NULL,
  kind VARCHAR NOT NULL,
  "level" VARCHAR NOT NULL,
  patient_key BIGINT NOT NULL,
  "key" VARCHAR NOT NULL,
  detail VARCHAR
);

-- Extended attributes that have become typed columns of the same name on study, series or instance.
CREATE TABLE promotion (
  keyword VARCHAR NOT NULL,
  "level" VARCHAR NOT NULL,
  type VARCHAR NOT NULL,
  "at" TIMESTAMP NOT NULL
);

-- Rows that were not loaded: where they stood in their batch and why, never what they held; patient only
-- where it is a known one, so that erasing the patient finds them.
CREATE TABLE quarantine (
  batch_id VARCHAR NOT NULL,
  "table" VARCHAR NOT NULL,
  "row" BIGINT NOT NULL,
  field VARCHAR NOT NULL,
  problem VARCHAR NOT NULL,
  "at" TIMESTAMP NOT NULL,
  patient VARCHAR
);

-- Saved cohorts: a query, or the list of cohort_member where query is NULL.
CREATE TABLE cohort (
  name VARCHAR NOT NULL,
  owner VARCHAR NOT NULL,
  query VARCHAR,
  created_at TIMESTAMP NOT NULL
);

CREATE TABLE cohort_member (
  name VARCHAR NOT NULL,
  owner VARCHAR NOT NULL,
  patient VARCHAR NOT NULL
);

-- What the catalogue says of an attribute beside its names; kind is fact, header, column or document. A load
-- makes the rows it touches stale, who reads the catalogue brings these up to date first.
CREATE TABLE catalogue_attribute (
  kind VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  "level" VARCHAR NOT NULL,
  facts BIGINT NOT NULL,
  patients BIGINT NOT NULL,
  "first" DATE,
  "last" DATE,
  is_stale BOOLEAN NOT NULL,
  refreshed_at TIMESTAMP
);

-- Distributions of an attribute's numbers, by unit ('' where there is none).
CREATE TABLE catalogue_number (
  kind VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  unit VARCHAR NOT NULL,
  facts BIGINT NOT NULL,
  patients BIGINT NOT NULL,
  minimum DOUBLE NOT NULL,
  quartile1 DOUBLE NOT NULL,
  median DOUBLE NOT NULL,
  quartile3 DOUBLE NOT NULL,
  maximum DOUBLE NOT NULL
);

-- The commonest texts and codes of an attribute.
CREATE TABLE catalogue_value (
  kind VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  value VARCHAR NOT NULL,
  facts BIGINT NOT NULL,
  patients BIGINT NOT NULL
);

-- Where in sequences an element of extended headers stands: tags without item numbers.
CREATE TABLE catalogue_path (
  name VARCHAR NOT NULL,
  path VARCHAR NOT NULL,
  facts BIGINT NOT NULL
);

-- Blank-separated flags of both sides, each once, in order; NULL where there is none.
CREATE MACRO join_flags(a, b) AS
  nullif(array_to_string(list_sort(list_distinct(list_filter(
    string_split(coalesce(a, '') || ' ' || coalesce(b, ''), ' '), lambda flag: flag <> ''))), ' '), '');

CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version VALUES (4);

-- Goes up by one in every commit that changes what a query may answer.
CREATE TABLE data_version (version BIGINT NOT NULL);
INSERT INTO data_version VALUES (1);
