-- Locks until the end of the transaction; false if a command is storing a program.
select pg_try_advisory_xact_lock(%(key)s)
