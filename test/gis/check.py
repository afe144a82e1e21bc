"""What the tests of GIS tools share: one line "ok" or "not ok" a check, and the database as the owner sees it."""
import os
import traceback

import psycopg2

READER = {"host": os.environ["PGHOST"], "port": os.environ["PGPORT"], "dbname": os.environ["PGDATABASE"], "user": "map_reader"}
OUTPUT = os.environ["CSP_GIS_OUTPUT"]
STYLES = os.environ["CSP_GIS_STYLES"]


def query(sql, *values):
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall()


def check(description, passed, got=None):
    print(("ok" if passed else "not ok") + " - " + description, flush=True)
    if not passed:
        print("#   got: %r" % (got,), flush=True)


def equal(description, got, expected):
    check(description, got == expected, (got, expected))


def run(*tests):
    """Each test by itself: one that throws is a failure, and the others run."""
    for test in tests:
        try:
            test()
        except Exception:
            check(test.__name__.replace("_", " "), False)
            print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
