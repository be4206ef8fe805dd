-- Trimmed from the PostgreSQL DDL, primary keys and foreign keys of the OMOP Common Data Model 5.4
-- (OHDSI/CommonDataModel, inst/ddl/5.4/postgresql; Copyright Observational Health Data Sciences and Informatics,
-- Apache License 2.0) and from the field list of the Medical Imaging Extension (OHDSI/ImageWG, inst/csv/new_csv).
-- Changed: only the tables that P2D fills, foreign keys written with the columns, imaging tables as PostgreSQL.

CREATE TABLE vocabulary (
  vocabulary_id varchar(20) NOT NULL PRIMARY KEY, vocabulary_name varchar(255) NOT NULL,
  vocabulary_reference varchar(255), vocabulary_version varchar(255), vocabulary_concept_id integer NOT NULL);
CREATE TABLE domain (
  domain_id varchar(20) NOT NULL PRIMARY KEY, domain_name varchar(255) NOT NULL, domain_concept_id integer NOT NULL);
CREATE TABLE concept_class (
  concept_class_id varchar(20) NOT NULL PRIMARY KEY, concept_class_name varchar(255) NOT NULL,
  concept_class_concept_id integer NOT NULL);
CREATE TABLE concept (
  concept_id integer NOT NULL PRIMARY KEY, concept_name varchar(255) NOT NULL,
  domain_id varchar(20) NOT NULL REFERENCES domain, vocabulary_id varchar(20) NOT NULL REFERENCES vocabulary,
  concept_class_id varchar(20) NOT NULL REFERENCES concept_class, standard_concept varchar(1),
  concept_code varchar(50) NOT NULL, valid_start_date date NOT NULL, valid_end_date date NOT NULL,
  invalid_reason varchar(1));
CREATE TABLE cdm_source (
  cdm_source_name varchar(255) NOT NULL, cdm_source_abbreviation varchar(25) NOT NULL, cdm_holder varchar(255) NOT NULL,
  source_description text, source_documentation_reference varchar(255), cdm_etl_reference varchar(255),
  source_release_date date NOT NULL, cdm_release_date date NOT NULL, cdm_version varchar(10),
  cdm_version_concept_id integer NOT NULL REFERENCES concept, vocabulary_version varchar(20) NOT NULL);
CREATE TABLE person (
  person_id integer NOT NULL PRIMARY KEY, gender_concept_id integer NOT NULL REFERENCES concept,
  year_of_birth integer NOT NULL, month_of_birth integer, day_of_birth integer, birth_datetime timestamp,
  race_concept_id integer NOT NULL REFERENCES concept, ethnicity_concept_id integer NOT NULL REFERENCES concept,
  location_id integer, provider_id integer, care_site_id integer, person_source_value varchar(50),
  gender_source_value varchar(50), gender_source_concept_id integer REFERENCES concept,
  race_source_value varchar(50), race_source_concept_id integer REFERENCES concept,
  ethnicity_source_value varchar(50), ethnicity_source_concept_id integer REFERENCES concept);
CREATE TABLE observation_period (
  observation_period_id integer NOT NULL PRIMARY KEY, person_id integer NOT NULL REFERENCES person,
  observation_period_start_date date NOT NULL, observation_period_end_date date NOT NULL,
  period_type_concept_id integer NOT NULL REFERENCES concept);
CREATE TABLE visit_occurrence (
  visit_occurrence_id integer NOT NULL PRIMARY KEY, person_id integer NOT NULL REFERENCES person,
  visit_concept_id integer NOT NULL REFERENCES concept, visit_start_date date NOT NULL,
  visit_start_datetime timestamp, visit_end_date date NOT NULL, visit_end_datetime timestamp,
  visit_type_concept_id integer NOT NULL REFERENCES concept, provider_id integer, care_site_id integer,
  visit_source_value varchar(50), visit_source_concept_id integer REFERENCES concept,
  admitted_from_concept_id integer REFERENCES concept, admitted_from_source_value varchar(50),
  discharged_to_concept_id integer REFERENCES concept, discharged_to_source_value varchar(50),
  preceding_visit_occurrence_id integer REFERENCES visit_occurrence);
CREATE TABLE condition_occurrence (
  condition_occurrence_id integer NOT NULL PRIMARY KEY, person_id integer NOT NULL REFERENCES person,
  condition_concept_id integer NOT NULL REFERENCES concept, condition_start_date date NOT NULL,
  condition_start_datetime timestamp, condition_end_date date, condition_end_datetime timestamp,
  condition_type_concept_id integer NOT NULL REFERENCES concept,
  condition_status_concept_id integer REFERENCES concept, stop_reason varchar(20), provider_id integer,
  visit_occurrence_id integer REFERENCES visit_occurrence, visit_detail_id integer,
  condition_source_value varchar(50), condition_source_concept_id integer REFERENCES concept,
  condition_status_source_value varchar(50));
CREATE TABLE procedure_occurrence (
  procedure_occurrence_id integer NOT NULL PRIMARY KEY, person_id integer NOT NULL REFERENCES person,
  procedure_concept_id integer NOT NULL REFERENCES concept, procedure_date date NOT NULL,
  procedure_datetime timestamp, procedure_end_date date, procedure_end_datetime timestamp,
  procedure_type_concept_id integer NOT NULL REFERENCES concept, modifier_concept_id integer REFERENCES concept,
  quantity integer, provider_id integer, visit_occurrence_id integer REFERENCES visit_occurrence,
  visit_detail_id integer, procedure_source_value varchar(50),
  procedure_source_concept_id integer REFERENCES concept, modifier_source_value varchar(50));
CREATE TABLE measurement (
  measurement_id integer NOT NULL PRIMARY KEY, person_id integer NOT NULL REFERENCES person,
  measurement_concept_id integer NOT NULL REFERENCES concept, measurement_date date NOT NULL,
  measurement_datetime timestamp, measurement_time varchar(10),
  measurement_type_concept_id integer NOT NULL REFERENCES concept,
  operator_concept_id integer REFERENCES concept, value_as_number numeric,
  value_as_concept_id integer REFERENCES concept, unit_concept_id integer REFERENCES concept, range_low numeric,
  range_high numeric, provider_id integer, visit_occurrence_id integer REFERENCES visit_occurrence,
  visit_detail_id integer, measurement_source_value varchar(50),
  measurement_source_concept_id integer REFERENCES concept, unit_source_value varchar(50),
  unit_source_concept_id integer REFERENCES concept, value_source_value varchar(50), measurement_event_id integer,
  meas_event_field_concept_id integer REFERENCES concept);
CREATE TABLE observation (
  observation_id integer NOT NULL PRIMARY KEY, person_id integer NOT NULL REFERENCES person,
  observation_concept_id integer NOT NULL REFERENCES concept, observation_date date NOT NULL,
  observation_datetime timestamp, observation_type_concept_id integer NOT NULL REFERENCES concept,
  value_as_number numeric, value_as_string varchar(60), value_as_concept_id integer REFERENCES concept,
  qualifier_concept_id integer REFERENCES concept, unit_concept_id integer REFERENCES concept,
  provider_id integer, visit_occurrence_id integer REFERENCES visit_occurrence, visit_detail_id integer,
  observation_source_value varchar(50), observation_source_concept_id integer REFERENCES concept,
  unit_source_value varchar(50), qualifier_source_value varchar(50), value_source_value varchar(50),
  observation_event_id integer, obs_event_field_concept_id integer REFERENCES concept);
CREATE TABLE note (
  note_id integer NOT NULL PRIMARY KEY, person_id integer NOT NULL REFERENCES person, note_date date NOT NULL,
  note_datetime timestamp, note_type_concept_id integer NOT NULL REFERENCES concept,
  note_class_concept_id integer NOT NULL REFERENCES concept, note_title varchar(250), note_text text NOT NULL,
  encoding_concept_id integer NOT NULL REFERENCES concept, language_concept_id integer NOT NULL REFERENCES concept,
  provider_id integer, visit_occurrence_id integer REFERENCES visit_occurrence, visit_detail_id integer,
  note_source_value varchar(50), note_event_id integer, note_event_field_concept_id integer REFERENCES concept);
CREATE TABLE fact_relationship (
  domain_concept_id_1 integer NOT NULL REFERENCES concept, fact_id_1 integer NOT NULL,
  domain_concept_id_2 integer NOT NULL REFERENCES concept, fact_id_2 integer NOT NULL,
  relationship_concept_id integer NOT NULL REFERENCES concept);

-- Medical Imaging Extension
CREATE TABLE image_occurrence (
  image_occurrence_id integer NOT NULL PRIMARY KEY, person_id integer NOT NULL REFERENCES person,
  procedure_occurrence_id integer NOT NULL REFERENCES procedure_occurrence,
  visit_occurrence_id integer REFERENCES visit_occurrence, anatomic_site_concept_id integer REFERENCES concept,
  wadors_uri text, local_path text, image_occurrence_date date NOT NULL, image_study_UID varchar(250) NOT NULL,
  image_series_UID varchar(250) NOT NULL, modality_concept_id integer NOT NULL REFERENCES concept);
CREATE TABLE image_feature (
  image_feature_id integer NOT NULL PRIMARY KEY, person_id integer NOT NULL REFERENCES person,
  image_occurrence_id integer NOT NULL REFERENCES image_occurrence,
  image_feature_concept_id integer NOT NULL REFERENCES concept,
  image_feature_type_concept_id integer NOT NULL REFERENCES concept,
  image_feature_event_field_concept_id integer REFERENCES concept, image_feature_event_id integer,
  image_finding_concept_id integer REFERENCES concept, image_finding_id integer,
  anatomic_site_concept_id integer REFERENCES concept, alg_system text, alg_datetime timestamp);
