"""Clinical data of every format as the warehouse's batches; what may not enter is set aside."""

from p2d.warehouse.intake.intake import Intake, SetAside, by_reason

__all__ = ["Intake", "SetAside", "by_reason"]
