-- What waits behind a head: only there a head can be missing. The first two columns are there to be chosen for.
create index sessionry_run_behind on sessionry_run (ready, status, session) where status = 'pending' and ready = 0;
