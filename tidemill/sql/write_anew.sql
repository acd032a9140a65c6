select jobs, dags from tidemill.write_anew(%(applied)s)
