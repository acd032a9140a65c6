-- The newest deletion of each of these owners. One that exists again has a row in tidemill.jobs or tidemill.dags.
select owner, max(version) from tidemill.definitions where owner = any(%(owners)s) and deleted group by owner
