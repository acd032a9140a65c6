-- The run whose id is too long for an S3 key. Parameters: beginning and sha256, which the key tells of its id.
select run_id
from tidemill.runs
where starts_with(run_id, %(beginning)s) and encode(sha256(convert_to(run_id, 'UTF8')), 'hex') = %(sha256)s
