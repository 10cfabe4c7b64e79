"""A metric that the data cannot answer."""

from kizu.core.errors import KizuError


class Undefined(KizuError):  # noqa: N818 - the data lacks something; nobody made an error
    """The metric has no value on this data; `message` says why in a table's few words ("no good images")."""
