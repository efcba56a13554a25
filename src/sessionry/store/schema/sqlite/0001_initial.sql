-- Times are microseconds since 1970 UTC; JSON is text; keys are internal, ids are what people see.

create table sessionry_session (
    key integer primary key autoincrement,
    id text not null unique,
    tenant text not null,
    owner text,
    agent_id text not null,
    status text not null,
    parent integer references sessionry_session (key) on delete set null,
    parent_id text,
    title text,
    title_folded text,
    cwd text,
    metadata text not null,
    context text not null,
    tags text not null,
    slots integer not null check (slots >= 1),
    queue_limit integer not null check (queue_limit >= 0),
    fence integer not null default 0,
    created_at integer not null,
    updated_at integer not null,
    deleted_at integer,
    version integer not null
);
create index sessionry_session_updated on sessionry_session (tenant, updated_at, key);
create index sessionry_session_created on sessionry_session (tenant, created_at, key);
create index sessionry_session_status on sessionry_session (tenant, status, updated_at, key);
create index sessionry_session_parent on sessionry_session (parent) where parent is not null;

create table sessionry_tag (
    tag text not null,
    session integer not null references sessionry_session (key) on delete cascade,
    primary key (tag, session)
) without rowid;
create index sessionry_tag_session on sessionry_tag (session);

create table sessionry_run (
    key integer primary key autoincrement,
    id text not null unique,
    session integer not null references sessionry_session (key) on delete cascade,
    first_seq integer not null,
    last_seq integer, -- null until the run has ended
    status text not null,
    agent_id text not null,
    priority integer not null,
    ready integer not null default 0,
    slot integer,
    attempt integer not null,
    fence integer not null,
    delivery integer not null default 0,
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
    turn_count integer not null,
    created_at integer not null,
    updated_at integer not null,
    started_at integer,
    ended_at integer,
    deadline_at integer,
    pruned integer not null default 0,
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
    position integer primary key autoincrement,
    session integer not null,
    seq integer not null,
    run integer,
    fence integer not null,
    type text not null,
    at integer not null,
    id blob not null,
    actor text,
    correlation text,
    causation text,
    schema integer not null,
    data text not null
);
create unique index sessionry_event_seq on sessionry_event (session, seq);

create table sessionry_approval (
    key integer primary key autoincrement,
    id text not null unique,
    session integer not null references sessionry_session (key) on delete cascade,
    run integer not null references sessionry_run (key) on delete cascade,
    question text not null,
    status text not null,
    tool_name text not null,
    tool_input text not null,
    tool_call_id text,
    reason text,
    requested_at integer not null,
    expires_at integer,
    decided_at integer,
    decided_by text,
    note text,
    unique (run, question)
);
create index sessionry_approval_pending on sessionry_approval (status, key);
create index sessionry_approval_session on sessionry_approval (session, key);

create table sessionry_worker (
    id text primary key,
    host text not null,
    pid integer not null,
    process_start real not null,
    boot_id text not null,
    started_at integer not null,
    expires_at integer not null,
    slots integer not null,
    agents text not null,
    draining integer not null default 0
);

create table sessionry_idempotency (
    tenant text not null,
    owner text not null, -- '' for those of the whole tenant
    key text not null,
    digest text not null,
    result text not null,
    created_at integer not null,
    primary key (tenant, owner, key)
) without rowid;

create table sessionry_setting (
    name text primary key,
    value text not null
) without rowid;
