"""`python -m kizu`"""

from kizu.cli.main import run

run()
