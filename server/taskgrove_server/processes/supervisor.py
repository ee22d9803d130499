"""The supervisor's program: `python -I -S supervisor.py [RUN_DIRECTORY]`, once for each run.

Without an argument it is the fork server's: see forking.

Uses nothing but the standard library. As short as can be, because a script is compiled at each start and an
imported module is not.
"""

import sys
from os import path

# ruff: noqa: PTH100, PTH120
# Not by pathlib, which takes 8 ms to import.
sys.path.append(path.dirname(path.dirname(path.dirname(path.abspath(__file__)))))

if sys.argv[1:]:
    from taskgrove_server.processes import launching

    launching.main(sys.argv[1])
else:
    from taskgrove_server.processes import forking

    forking.serve()
