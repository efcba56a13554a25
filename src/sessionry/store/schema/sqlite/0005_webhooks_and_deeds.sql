-- Addresses that are told of events. The secret signs what they are told, so it is kept as it is.
create table sessionry_webhook (
    key integer primary key autoincrement,
    id text not null unique,
    tenant text not null,
    owner text, -- null: the whole tenant
    url text not null,
    types text not null, -- a JSON list
    description text,
    secret text not null,
    cursor integer not null, -- the position up to which the log was entered into sessionry_notice
    created_at integer not null,
    updated_at integer not null,
    failing_since integer,
    disabled_at integer,
    disabled_because text
);
create index sessionry_webhook_tenant on sessionry_webhook (tenant, key);

-- What they have not taken yet, and what was given up. What was taken is gone.
create table sessionry_notice (
    key integer primary key autoincrement,
    id text not null unique,
    webhook integer not null references sessionry_webhook (key) on delete cascade,
    session integer not null references sessionry_session (key) on delete cascade,
    position integer not null,
    type text not null,
    status text not null,
    tries integer not null default 0,
    due_at integer not null,
    problem text,
    http_status integer,
    created_at integer not null,
    unique (webhook, position, type)
);
create index sessionry_notice_due on sessionry_notice (webhook, status, due_at, key);
create index sessionry_notice_session on sessionry_notice (session);

-- Who does for all processes what only one should do, and until when.
create table sessionry_leader (
    name text primary key,
    holder text not null,
    expires_at integer not null
);

-- Where a command came from, beside who gave it.
alter table sessionry_event add column origin text;

-- What was done to the store beside its sessions, and what of it leaves nothing behind: tokens, webhooks, purges.
create table sessionry_deed (
    key integer primary key autoincrement,
    at integer not null,
    tenant text not null,
    owner text, -- null: the whole tenant
    actor text,
    origin text,
    type text not null,
    subject text not null
);
create index sessionry_deed_tenant on sessionry_deed (tenant, key);
create index sessionry_deed_subject on sessionry_deed (subject, type);

-- The highest position that was pruned or purged, by whose it was.
create table sessionry_gone (
    tenant text not null,
    owner text not null, -- '' for those of the whole tenant
    position integer not null,
    primary key (tenant, owner)
);
