"""Version 5: promotion. The loader owns no table, so two functions of the owner's change columns for it.

They take only what promotion gives them: a level of images, a DICOM keyword (PS3.6), one of four types; a
column that is dropped has to be one that was promoted.
"""

from alembic import op

revision = "5"
down_revision = "4"
branch_labels = None
depends_on = None

_PROMOTE = """
CREATE FUNCTION promote_column("level" VARCHAR, keyword VARCHAR, kind VARCHAR) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = warehouse, pg_temp AS $$
DECLARE
  made CONSTANT TEXT := CASE kind WHEN 'number' THEN 'DOUBLE PRECISION' WHEN 'date' THEN 'DATE'
    WHEN 'text' THEN 'VARCHAR COLLATE "und-x-icu"' WHEN 'multi' THEN 'VARCHAR COLLATE "und-x-icu"' END;
BEGIN
  IF "level" NOT IN ('study', 'series', 'instance') OR keyword !~ '^[A-Z][A-Za-z0-9]{0,62}$'
      OR made IS NULL THEN
    RAISE EXCEPTION 'no column of a promotion' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  EXECUTE format('ALTER TABLE warehouse.%I ADD COLUMN %I ', "level", keyword) || made;
END $$
"""
_DEMOTE = """
CREATE FUNCTION demote_column("level" VARCHAR, keyword VARCHAR) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = warehouse, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM warehouse.promotion p
      WHERE p.keyword = demote_column.keyword AND p."level" = demote_column."level") THEN
    RAISE EXCEPTION 'no promoted column' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  EXECUTE format('ALTER TABLE warehouse.%I DROP COLUMN %I', "level", keyword);
END $$
"""


def upgrade() -> None:
    """Make the functions, and let nobody call them yet."""
    connection = op.get_bind()
    for statement in (_PROMOTE, _DEMOTE):
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    connection.exec_driver_sql("REVOKE ALL ON FUNCTION promote_column, demote_column FROM PUBLIC")


def downgrade() -> None:
    """Refuse: restore the copy that was made before instead."""
    raise NotImplementedError
