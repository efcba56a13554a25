-- Times are microseconds since 1970 UTC; JSON is text; keys are internal, ids are what people see.
-- Ids are compared byte by byte (collate "C"), so that a search by prefix means the same in every locale.

create table sessionry_session (
    key bigint generated always as identity primary key,
    id text collate "C" not null unique,
    tenant text not null,
    owner text,
    agent_id text not null,
    status text not null,
    parent bigint references sessionry_session (key) on delete set null,
    parent_id text,
    title text,
    title_folded text,
    cwd text,
    metadata text not null,
    context text not null,
    tags text not null,
    slots bigint not null check (slots >= 1),
    queue_limit bigint not null check (queue_limit >= 0),
    fence bigint not null default 0,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint,
    version bigint not null
);
create index sessionry_session_updated on sessionry_session (tenant, updated_at, key);
create index sessionry_session_created on sessionry_session (tenant, created_at, key);
create index sessionry_session_status on sessionry_session (tenant, status, updated_at, key);
create index sessionry_session_parent on sessionry_session (parent) where parent is not null;

create table sessionry_tag (
    tag text not null,
    session bigint not null references sessionry_session (key) on delete cascade,
    primary key (tag, session)
);
create index sessionry_tag_session on sessionry_tag (session);

create table sessionry_run (
    key bigint generated always as identity primary key,
    id text collate "C" not null unique,
    session bigint not null references sessionry_session (key) on delete cascade,
    first_seq bigint not null,
    last_seq bigint, -- null until the run has ended
    status text not null,
    agent_id text not null,
    priority bigint not null,
    ready bigint not null default 0,
    slot bigint,
    attempt bigint not null,
    fence bigint not null,
    delivery bigint not null default 0,
    worker text,
    input text not null,
    output text not null,
    error text,
    metadata text not null,
    options text not null,
    agent text,
    cancel text,
    usage text not null,
    cost text,
    turn_count bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    started_at bigint,
    ended_at bigint,
    deadline_at bigint,
    pruned bigint not null default 0,
    check ((status in ('running', 'waiting')) = (slot is not null))
);
-- One live run for each slot of a session: the database holds what the queue promises.
create unique index sessionry_run_slot on sessionry_run (session, slot) where slot is not null;
create index sessionry_run_session on sessionry_run (session, key);
create index sessionry_run_queue on sessionry_run (session, priority, key) where status = 'pending';
create index sessionry_run_ready on sessionry_run (priority, key) where ready = 1;
create index sessionry_run_worker on sessionry_run (worker) where worker is not null;
create index sessionry_run_deadline on sessionry_run (deadline_at) where deadline_at is not null;
create index sessionry_run_status on sessionry_run (status, key);
create index sessionry_run_unpruned on sessionry_run (ended_at) where pruned = 0 and ended_at is not null;

create table sessionry_event (
    position bigint primary key,
    session bigint not null,
    seq bigint not null,
    run bigint,
    fence bigint not null,
    type text not null,
    at bigint not null,
    id bytea not null,
    actor text,
    correlation text,
    causation text,
    schema bigint not null,
    data text not null
);
create unique index sessionry_event_seq on sessionry_event (session, seq);

create table sessionry_approval (
    key bigint generated always as identity primary key,
    id text collate "C" not null unique,
    session bigint not null references sessionry_session (key) on delete cascade,
    run bigint not null references sessionry_run (key) on delete cascade,
    question text not null,
    status text not null,
    tool_name text not null,
    tool_input text not null,
    tool_call_id text,
    reason text,
    requested_at bigint not null,
    expires_at bigint,
    decided_at bigint,
    decided_by text,
    note text,
    unique (run, question)
);
create index sessionry_approval_pending on sessionry_approval (status, key);
create index sessionry_approval_session on sessionry_approval (session, key);

create table sessionry_worker (
    id text collate "C" primary key,
    host text not null,
    pid bigint not null,
    process_start double precision not null,
    boot_id text not null,
    started_at bigint not null,
    expires_at bigint not null,
    slots bigint not null,
    agents text not null,
    draining bigint not null default 0
);

create table sessionry_idempotency (
    tenant text not null,
    owner text not null, -- '' for those of the whole tenant
    key text not null,
    digest text not null,
    result text not null,
    created_at bigint not null,
    primary key (tenant, owner, key)
);

create table sessionry_setting (
    name text primary key,
    value text not null
);

-- Positions -----------------------------------------------------------------------------------------------------------
--
-- A position is the number of its transaction and, in the last 16 bits, a number within it. So all positions below the
-- oldest transaction that is still in flight are settled: nothing will ever appear among them, and a reader of all
-- sessions that stays below misses nothing. (Numbers from a sequence cannot promise that: they are drawn in one order and
-- committed in another.) Within a session, positions rise with `seq`: a transaction whose number is lower than that of the
-- session's newest event may not append to it, and has to begin again to get a new one.
--
-- The base makes the positions of a new store begin near 0, and lets those of a store that was restored into another
-- cluster, where transactions count from the beginning again, go on rising.

insert into sessionry_setting (name, value)
values ('position_base', (-(pg_current_xact_id()::text::bigint << 16))::text);

-- The first position of a transaction.
create function sessionry_position(transaction xid8) returns bigint
language sql stable as $$
    select (transaction::text::bigint << 16) + (select value::bigint from sessionry_setting where name = 'position_base')
$$;

-- Where a reader of all sessions has to stop.
create function sessionry_settled() returns bigint
language sql stable as $$
    select sessionry_position(pg_snapshot_xmin(pg_current_snapshot()))
$$;

-- The next position of this transaction.
create function sessionry_next_position() returns bigint
language plpgsql volatile set enable_seqscan = off as $$
declare
    first constant bigint := sessionry_position(pg_current_xact_id());
    newest constant bigint := (select max(e.position) from sessionry_event e where e.position between first and first + 65535);
begin
    if newest = first + 65535 then
        raise exception 'more than 65,536 events in one transaction' using errcode = 'program_limit_exceeded';
    end if;
    return coalesce(newest + 1, first);
end
$$;

-- Called when a store is opened: true when the positions had to be moved up, since the store was restored elsewhere.
create function sessionry_rebase() returns boolean
language plpgsql volatile as $$
declare
    newest constant bigint := (select coalesce(max(e.position), 0) from sessionry_event e);
    next xid8;
begin
    if pg_is_in_recovery() then
        return false; -- a standby, which is only read
    end if;
    next := pg_current_xact_id();
    if newest < sessionry_position(next) then
        return false;
    end if;
    update sessionry_setting
    set value = (((newest >> 16) + 1 - next::text::bigint) << 16)::text
    where name = 'position_base';
    return true;
end
$$;

-- Appends -------------------------------------------------------------------------------------------------------------

-- One event of an operation, which holds the lock of the session.
create function sessionry_insert(
    session bigint, seq bigint, run bigint, fence bigint, type text, at bigint, id bytea,
    actor text, correlation text, causation text, schema bigint, data text
) returns void
language plpgsql volatile set enable_seqscan = off as $$
declare
    position constant bigint := sessionry_next_position();
begin
    if position < (
        select e.position from sessionry_event e where e.session = sessionry_insert.session order by e.seq desc limit 1
    ) then
        raise exception 'a later transaction has appended to this session' using errcode = 'serialization_failure';
    end if;
    insert into sessionry_event
        (position, session, seq, run, fence, type, at, id, actor, correlation, causation, schema, data)
    values (position, session, seq, run, fence, type, at, id, actor, correlation, causation, schema, data);
end
$$;

-- What all the runs of a process have to append, in one call. Request i is for the i-th run id and appends `counts[i]`
-- events, after `skipped[i]` events of the requests before; `owners` has the request of each event. It is answered with the `seq` of its first event, or not at
-- all: when its lease is over, when `afters[i]` is not the newest `seq` under it, or when somebody else is at work on the
-- session, for whom its neighbours need not wait. Then it is for leases.append, which says what the matter is, or finds
-- that it was written before. A run may have one request in a call. Texts are joined by character 31, which JSON and the
-- names of types do not hold. `ids` has 16 bytes for each event.
create function sessionry_append(
    run_ids text, fences bigint[], afters bigint[], counts bigint[], skipped bigint[],
    owners bigint[], types text, payloads text, ids bytea, version bigint
) returns table (request bigint, session_id text, first_seq bigint)
language plpgsql volatile set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    ids_of_runs constant text[] := string_to_array(run_ids, chr(31));
    kinds constant text[] := string_to_array(types, chr(31));
    texts constant text[] := string_to_array(payloads, chr(31));
    now bigint;
    start bigint;
    requests bigint[];
    keys_of_runs bigint[];
    keys_of_sessions bigint[];
    names_of_sessions text[];
    lane record;
    newest bigint;
    session_before bigint := 0;
    -- by request: the first `seq`, the session and the run, where they are not refused
    firsts bigint[] := array_fill(null::bigint, array[cardinality(fences)]);
    sessions bigint[] := firsts;
    runs bigint[] := firsts;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        return; -- what follows has to see what was committed meanwhile
    end if;
    if cardinality(kinds) > 65536 then
        raise exception 'more than 65,536 events in one transaction' using errcode = 'program_limit_exceeded';
    end if;
    -- Limits make each lookup one look into an index, whatever the planner believes.
    select array_agg(l.n), array_agg(l.run), array_agg(l.session), array_agg(l.id)
    into requests, keys_of_runs, keys_of_sessions, names_of_sessions
    from (
        select q.n, r.key as run, s.key as session, s.id
        from unnest(ids_of_runs) with ordinality as q (id, n)
        cross join lateral (select r.key, r.session from sessionry_run r where r.id = q.id limit 1) as r
        join sessionry_session s on s.key = r.session
        for no key update of s skip locked
    ) as l;
    now := extract(epoch from clock_timestamp()) * 1000000;
    start := sessionry_next_position();
    for lane in
        select l.n, l.run, l.session, e.seq, e.position,
            case when e.run = l.run and e.fence = fences[l.n]
                -- the newest event tells that the lease goes on, if it is of that lease and does not end it
                and e.type not in ('run_completed', 'run_failed', 'run_cancelled', 'run_timeout')
            then e.seq
            else (
                select o.seq from sessionry_event o
                where o.session = l.session and o.fence = (
                    select r.fence from sessionry_run r
                    where r.key = l.run and r.fence = fences[l.n] and r.status in ('running', 'waiting')
                )
                order by o.seq desc limit 1
            ) end as own
        from unnest(requests, keys_of_runs, keys_of_sessions) as l (n, run, session)
        cross join lateral (
            select e.seq, e.run, e.fence, e.type, e.position from sessionry_event e
            where e.session = l.session order by e.seq desc limit 1
        ) as e
        order by l.session
    loop
        continue when lane.own is distinct from afters[lane.n] or lane.position >= start;
        if lane.session <> session_before then
            newest := lane.seq;
            session_before := lane.session;
        end if;
        firsts[lane.n] := newest + 1;
        sessions[lane.n] := lane.session;
        runs[lane.n] := lane.run;
        newest := newest + counts[lane.n];
    end loop;
    insert into sessionry_event (position, session, seq, run, fence, type, at, id, schema, data)
    select start + e.i - 1, sessions[e.owner], firsts[e.owner] + e.i - 1 - skipped[e.owner], runs[e.owner], fences[e.owner],
        e.type, now, substr(ids, (e.i::integer - 1) * 16 + 1, 16), version, e.data
    from unnest(owners, kinds, texts) with ordinality as e (owner, type, data, i)
    where firsts[e.owner] is not null;
    return query
    select l.n, l.id, firsts[l.n] from unnest(requests, names_of_sessions) as l (n, id) where firsts[l.n] is not null;
end
$$;
