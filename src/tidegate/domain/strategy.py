"""The three ways to update parameters, and a fourth way for them to arrive."""

from enum import StrEnum


class Strategy(StrEnum):
    """What happens to the parameters (rules S2a to S2c)."""

    FULL = "full"  # every group is trained from scratch
    INCREMENTAL = "incremental"  # the trainable groups move on from the parent, the rest stays
    HYBRID = "hybrid"  # the key groups from scratch, the others on from the parent
    IMPORT = "import"  # they come from a file
