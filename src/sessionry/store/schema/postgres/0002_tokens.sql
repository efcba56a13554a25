-- Who may ask a server, as whom, and for what. Only the hash of what they show is kept.
create table sessionry_token (
    key bigint generated always as identity primary key,
    id text not null unique,
    hash text not null unique, -- SHA-256, hexadecimal
    name text not null,
    tenant text not null,
    owner text, -- null: the whole tenant
    scopes text not null, -- a JSON list
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint
);
create index sessionry_token_tenant on sessionry_token (tenant, key);
