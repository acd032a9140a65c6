"""A stack of a test's own, whose Postgres can be restored from a backup."""

from __future__ import annotations

import os
import subprocess

import psycopg
from psycopg.conninfo import make_conninfo

from infra import postgres
from infra import stack as local
from infra.stack import StackOptions
from tests.support.stack_client import StackClient
from tidemill.cli import run

STOP_SECONDS = 60.0
NO_CANARY = {"TIDEMILL_CANARY_INTERVAL": "PT0S"}


class RestorableStack:
    """Its Postgres files are backed up and restored."""

    def __init__(self, folder):
        self._data, self._backup = folder / "data", folder / "backup"
        self.start()

    def start(self):
        options = StackOptions(data=self._data, partitions=2, monitor_env=NO_CANARY, until_parent_exits=True)
        local.start_detached(options)
        self.client = StackClient(self._data)

    def stop(self):
        self.client.close()
        local.stop(self._data, STOP_SECONDS)

    def back_up(self):
        """Copies the files while Postgres runs; the WAL up to the end of the copy makes it consistent."""
        superuser = make_conninfo(self.client.connections.postgres_dsn, user=postgres.SUPERUSER)
        with psycopg.connect(superuser, autocommit=True) as database:
            database.execute("select pg_backup_start('test', fast => true)")
            subprocess.run(["cp", "-a", self._files, self._backup], check=True)
            (backup,) = database.execute("select labelfile from pg_backup_stop(wait_for_archive => false)").fetchall()
        subprocess.run(["cp", "-a", "-T", self._files / "pg_wal", self._backup / "pg_wal"], check=True)
        label, owner = self._backup / "backup_label", self._backup.stat()
        label.write_text(backup[0])
        os.chown(label, owner.st_uid, owner.st_gid)
        (self._backup / "postmaster.pid").unlink()

    def restore(self):
        """Restores the data directory, with the connector's slot in it."""
        self.stop()
        subprocess.run(["rm", "-rf", self._files], check=True)
        subprocess.run(["cp", "-a", self._backup, self._files], check=True)
        self.start()

    @property
    def _files(self):
        return (self._data / "postgres").resolve() / "pgdata"

    def tidemill(self, *words):
        return run([*words, "--data", str(self._data)])
