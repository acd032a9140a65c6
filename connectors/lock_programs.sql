-- Until the end of the transaction; false: somebody is storing a program.
select pg_try_advisory_xact_lock(%(key)s)
