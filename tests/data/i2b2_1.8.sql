-- The columns and keys of the i2b2 1.8 star schema and ontology on PostgreSQL that P2D fills, in our own words.
-- Lengths, NOT NULL and primary keys are those that i2b2 documents; its indexes are left out.
CREATE TABLE observation_fact (
  encounter_num int NOT NULL, patient_num int NOT NULL, concept_cd varchar(50) NOT NULL,
  provider_id varchar(50) NOT NULL, start_date timestamp NOT NULL, modifier_cd varchar(100) DEFAULT '@' NOT NULL,
  instance_num int DEFAULT 1 NOT NULL, valtype_cd varchar(50), tval_char varchar(255), nval_num decimal(18,5),
  valueflag_cd varchar(50), quantity_num decimal(18,5), units_cd varchar(50), end_date timestamp,
  location_cd varchar(50), observation_blob text, confidence_num decimal(18,5), update_date timestamp,
  download_date timestamp, import_date timestamp, sourcesystem_cd varchar(50), upload_id int,
  PRIMARY KEY (patient_num, concept_cd, modifier_cd, start_date, encounter_num, instance_num, provider_id));
CREATE TABLE patient_dimension (
  patient_num int PRIMARY KEY, vital_status_cd varchar(50), birth_date timestamp, death_date timestamp,
  sex_cd varchar(50), age_in_years_num int, sourcesystem_cd varchar(50));
CREATE TABLE patient_mapping (
  patient_ide varchar(200) NOT NULL, patient_ide_source varchar(50) NOT NULL, patient_num int NOT NULL,
  patient_ide_status varchar(50), project_id varchar(50) NOT NULL, sourcesystem_cd varchar(50),
  PRIMARY KEY (patient_ide, patient_ide_source, project_id));
CREATE TABLE visit_dimension (
  encounter_num int NOT NULL, patient_num int NOT NULL, active_status_cd varchar(50), start_date timestamp,
  end_date timestamp, inout_cd varchar(50), location_cd varchar(50), location_path varchar(900),
  length_of_stay int, sourcesystem_cd varchar(50), PRIMARY KEY (encounter_num, patient_num));
CREATE TABLE encounter_mapping (
  encounter_ide varchar(200) NOT NULL, encounter_ide_source varchar(50) NOT NULL, project_id varchar(50) NOT NULL,
  encounter_num int NOT NULL, patient_ide varchar(200) NOT NULL, patient_ide_source varchar(50) NOT NULL,
  encounter_ide_status varchar(50), sourcesystem_cd varchar(50),
  PRIMARY KEY (encounter_ide, encounter_ide_source, project_id, patient_ide, patient_ide_source));
CREATE TABLE provider_dimension (
  provider_id varchar(50) NOT NULL, provider_path varchar(700) NOT NULL, name_char varchar(850),
  sourcesystem_cd varchar(50), PRIMARY KEY (provider_path, provider_id));
CREATE TABLE concept_dimension (
  concept_path varchar(700) PRIMARY KEY, concept_cd varchar(50), name_char varchar(2000), sourcesystem_cd varchar(50));
CREATE TABLE modifier_dimension (
  modifier_path varchar(700) PRIMARY KEY, modifier_cd varchar(50), name_char varchar(2000),
  sourcesystem_cd varchar(50));
CREATE TABLE p2d_ontology (
  c_hlevel int NOT NULL, c_fullname varchar(700) NOT NULL, c_name varchar(2000) NOT NULL,
  c_synonym_cd char(1) NOT NULL, c_visualattributes char(3) NOT NULL, c_totalnum int, c_basecode varchar(50),
  c_metadataxml text, c_facttablecolumn varchar(50) NOT NULL, c_tablename varchar(50) NOT NULL,
  c_columnname varchar(50) NOT NULL, c_columndatatype varchar(50) NOT NULL, c_operator varchar(10) NOT NULL,
  c_dimcode varchar(700) NOT NULL, c_comment text, c_tooltip varchar(900), m_applied_path varchar(700) NOT NULL,
  update_date timestamp NOT NULL, download_date timestamp, import_date timestamp, sourcesystem_cd varchar(50),
  valuetype_cd varchar(50), m_exclusion_cd varchar(25), c_path varchar(700), c_symbol varchar(50));
CREATE TABLE table_access (
  c_table_cd varchar(50) NOT NULL, c_table_name varchar(50) NOT NULL, c_protected_access char(1),
  c_hlevel int NOT NULL, c_fullname varchar(700) NOT NULL, c_name varchar(2000) NOT NULL,
  c_synonym_cd char(1) NOT NULL, c_visualattributes char(3) NOT NULL, c_totalnum int, c_basecode varchar(50),
  c_metadataxml text, c_facttablecolumn varchar(50) NOT NULL, c_dimtablename varchar(50) NOT NULL,
  c_columnname varchar(50) NOT NULL, c_columndatatype varchar(50) NOT NULL, c_operator varchar(10) NOT NULL,
  c_dimcode varchar(700) NOT NULL, c_comment text, c_tooltip varchar(900));
