"""Version 4: the tables of the warehouse, as DuckDB has them at its version 4.

Surrogate keys come from one sequence, so that a key names one row of one table. Natural keys are unique
within their parent. Ids and names compare byte by byte (``COLLATE "C"``); texts that are searched have
Unicode's upper and lower case whatever the server's locale (``und-x-icu``), and queries order them byte by
byte. There are no foreign keys: the loader is the only writer, finds every parent's key itself and refuses a
row without one; the server's checks of each row would cost it much of its speed.
"""

from importlib import resources

from alembic import op

revision = "4"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    folder = resources.files("p2d.warehouse.postgresql.migrations.versions")
    op.get_bind().exec_driver_sql((folder / "v4_tables.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: restore the copy that was made before instead."""
    raise NotImplementedError
