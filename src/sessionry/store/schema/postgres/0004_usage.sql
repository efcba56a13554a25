-- What runs used, as numbers that can be added up: tokens, and money in billionths of a dollar, so that sums are exact.
create view sessionry_used as
select
    r.key as run,
    r.session as session,
    r.agent_id as agent_id,
    r.agent::jsonb ->> 'model' as model,
    r.started_at as at,
    coalesce((r.usage::jsonb ->> 'input_tokens')::bigint, 0) as input_tokens,
    coalesce((r.usage::jsonb ->> 'output_tokens')::bigint, 0) as output_tokens,
    coalesce((r.usage::jsonb ->> 'cache_read_tokens')::bigint, 0) as cache_read_tokens,
    coalesce((r.usage::jsonb ->> 'cache_write_tokens')::bigint, 0) as cache_write_tokens,
    coalesce((r.usage::jsonb ->> 'reasoning_tokens')::bigint, 0) as reasoning_tokens,
    round(r.cost::numeric * 1000000000)::bigint as billionths
from sessionry_run r
where r.started_at is not null;
create index sessionry_run_started on sessionry_run (started_at) where started_at is not null;
