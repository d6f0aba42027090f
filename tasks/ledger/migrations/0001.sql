-- Version 1: runs, outs, generations, plan rows, attempts, results, budgets.
CREATE TABLE ledger (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE runs (
    run_id TEXT NOT NULL,
    out_id TEXT NOT NULL,
    gateway TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    settings TEXT NOT NULL,
    code_version TEXT NOT NULL,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    boot_id TEXT NOT NULL,
    state TEXT NOT NULL,
    lease_until DOUBLE PRECISION NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    exit_code INTEGER,
    summary TEXT,
    PRIMARY KEY (run_id)
);
CREATE TABLE outs (
    out_id TEXT NOT NULL,
    gateway TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    PRIMARY KEY (out_id)
);
CREATE TABLE generations (
    generation_id {id},
    gateway TEXT NOT NULL,
    request_fingerprint TEXT NOT NULL,
    payload TEXT NOT NULL,
    run_id TEXT,
    skipped TEXT,
    status TEXT NOT NULL,
    next_step TEXT NOT NULL,
    attempt_id TEXT,
    billed TEXT,
    num_attempts INTEGER NOT NULL,
    num_purchases INTEGER NOT NULL,
    num_failures INTEGER NOT NULL,
    cost_musd BIGINT,
    reserved_musd BIGINT
);
CREATE UNIQUE INDEX generations_key ON generations (gateway, request_fingerprint);
CREATE INDEX generations_run ON generations (run_id);
CREATE TABLE plan_rows (
    out_id TEXT NOT NULL,
    row_key TEXT NOT NULL,
    generation_id BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    in_plan BOOLEAN NOT NULL,
    last_plan_hash TEXT,
    digest TEXT NOT NULL,
    prompt_id TEXT NOT NULL,
    sample_idx BIGINT NOT NULL,
    output TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT,
    messages TEXT,
    seed BIGINT,
    n INTEGER NOT NULL,
    size_asked TEXT,
    seconds_asked DOUBLE PRECISION,
    params TEXT NOT NULL,
    meta TEXT NOT NULL,
    follows TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (out_id, row_key),
    FOREIGN KEY(generation_id) REFERENCES generations (generation_id)
);
CREATE INDEX plan_rows_generation ON plan_rows (generation_id, out_id);
CREATE INDEX plan_rows_order ON plan_rows (out_id, in_plan, ordinal, row_key);
CREATE TABLE attempts (
    attempt_id TEXT NOT NULL,
    generation_id BIGINT NOT NULL,
    run_id TEXT NOT NULL,
    purchase_idx INTEGER NOT NULL,
    attempt_idx INTEGER NOT NULL,
    idempotency_key TEXT NOT NULL,
    body_sha256 TEXT,
    wire_sha256 TEXT,
    state TEXT NOT NULL,
    status TEXT NOT NULL,
    price TEXT,
    price_musd BIGINT,
    budget_slot BIGINT NOT NULL,
    billed TEXT,
    reserved_musd BIGINT,
    cost_musd BIGINT,
    cost_source TEXT,
    kind TEXT,
    retry TEXT,
    http_status BIGINT,
    error_type TEXT,
    error_code TEXT,
    error_message TEXT,
    refused_at TEXT,
    request_id TEXT,
    completion_id TEXT,
    gateway_task_id TEXT,
    status_url TEXT,
    video_host TEXT,
    transcript TEXT,
    served_model TEXT,
    system_fingerprint TEXT,
    finish_reason TEXT,
    usage_prompt_tokens BIGINT,
    usage_completion_tokens BIGINT,
    sent_at BIGINT NOT NULL,
    first_event_at BIGINT,
    completed_at BIGINT,
    prefect_flow_run_id TEXT,
    prefect_task_run_id TEXT,
    PRIMARY KEY (attempt_id),
    FOREIGN KEY(generation_id) REFERENCES generations (generation_id),
    FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
CREATE INDEX attempts_generation ON attempts (generation_id, attempt_idx);
CREATE INDEX attempts_run ON attempts (run_id, state);
CREATE TABLE results (
    attempt_id TEXT NOT NULL,
    choice_idx INTEGER NOT NULL,
    status TEXT NOT NULL,
    video_url TEXT,
    file_name TEXT,
    sha256 TEXT,
    size_bytes BIGINT,
    mime_type TEXT,
    text TEXT,
    tool_calls TEXT,
    finish_reason TEXT,
    error_type TEXT,
    error_message TEXT,
    facts TEXT NOT NULL,
    download_s DOUBLE PRECISION,
    PRIMARY KEY (attempt_id, choice_idx),
    FOREIGN KEY(attempt_id) REFERENCES attempts (attempt_id)
);
CREATE TABLE budgets (
    slot BIGINT NOT NULL,
    settled_musd BIGINT NOT NULL,
    open_musd BIGINT NOT NULL,
    held_musd BIGINT NOT NULL,
    PRIMARY KEY (slot)
);
INSERT INTO budgets (slot, settled_musd, open_musd, held_musd) VALUES (-1, 0, 0, 0);
