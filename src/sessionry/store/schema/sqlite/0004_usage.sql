-- What runs used, as numbers that can be added up: tokens, and money in billionths of a dollar, so that sums are exact.
create view sessionry_used as
select
    r.key as run,
    r.session as session,
    r.agent_id as agent_id,
    case when json_valid(r.agent) then json_extract(r.agent, '$.model') end as model,
    r.started_at as at,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.input_tokens'), 0) else 0 end as input_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.output_tokens'), 0) else 0 end as output_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.cache_read_tokens'), 0) else 0 end as cache_read_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.cache_write_tokens'), 0) else 0 end as cache_write_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.reasoning_tokens'), 0) else 0 end as reasoning_tokens,
    cast(round(cast(r.cost as real) * 1000000000) as integer) as billionths
from sessionry_run r
where r.started_at is not null;
create index sessionry_run_started on sessionry_run (started_at) where started_at is not null;
