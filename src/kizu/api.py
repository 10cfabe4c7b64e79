"""For notebooks and programs: fit, inspect, look.

inspector = kizu.fit(paths)
found = inspector.inspect("new.png")
found.label, found.score, found.map
"""

from kizu.tasks.fit import Picture, fit

__all__ = ["Picture", "fit"]
