-- Named queues: a run is for the workers that serve the queue of its name.
alter table sessionry_run add column queue text not null default 'default';
alter table sessionry_worker add column queues text not null default '["default"]'; -- a JSON list
create index sessionry_run_head on sessionry_run (queue, priority desc, key) where ready = 1;
