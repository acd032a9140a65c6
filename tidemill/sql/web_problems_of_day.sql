-- How many problems the last day has, counted up to a limit.
select count(*) as problems
from (select from tidemill.problems where at > clock_timestamp() - interval '1 day' limit %(most)s) as each
