-- What waits behind a head: only there a head can be missing.
create index sessionry_run_behind on sessionry_run (session) where status = 'pending' and ready = 0;
