update tidemill.jobs set ends_at = %(ends_at)s;
update tidemill.dags set ends_at = %(ends_at)s
