//! Behaviour over real sockets. There is one module per subject, and one binary for all, so that the harness
//! is compiled and linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::result_large_err,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and looks at the server with a real clock"
)]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test file uses its own part of the harness"
)]

mod admin;
mod answers;
mod api_addresses;
mod api_ask;
mod api_batch;
mod api_commands;
mod api_connection;
mod api_connections;
mod api_disconnect;
mod api_errors;
mod api_explain;
mod api_expressions;
mod api_hostile;
mod api_http;
mod api_ids;
mod api_ids_crash;
mod api_names;
mod api_openapi;
mod api_permissions;
mod api_process;
mod api_publish;
mod api_rate_limits;
mod api_replays;
mod api_retag;
mod api_retag_matching;
mod api_secrets;
mod api_secrets_shown;
mod api_signed;
mod api_signed_headers;
mod api_stats;
mod api_tags;
mod api_tenants;
mod api_tokens;
mod api_truth_table;
mod api_written;
mod application_connections;
mod applications;
mod auth_file;
mod authorisation;
mod backend;
mod bench;
mod bench_cluster;
mod bench_compare;
mod bench_reconnect;
mod bench_v1;
mod bloatless_chat;
mod bloatless_handshake;
mod bloatless_limits;
mod bloatless_push;
mod bloatless_status;
mod broadcast_resource;
mod broker_crash;
mod broker_series;
mod cases;
mod chat_example;
mod client_headers;
mod client_tls;
mod client_wire;
mod cluster;
mod cluster_operators;
mod configuration;
mod configuration_table;
mod conformance;
mod corpora;
mod counters;
mod decoded_values;
mod dialects;
mod doctor;
mod drain;
mod echo_family;
mod echo_resource;
mod examples;
mod exit_codes;
mod expressions;
mod fair_share;
mod forwarded;
mod generated_files;
mod gomoob_frames;
mod gomoob_legacy;
mod gomoob_messages;
mod gomoob_opening;
mod gomoob_requests;
mod guides;
mod harness;
mod header_bytes;
mod health;
mod heartbeat;
mod hixie;
mod hostile_credentials;
mod hostile_early;
mod hostile_files;
mod hostile_frames;
mod hostile_heads;
mod hostile_legacy;
mod hostile_waits;
mod http_faults;
mod http_resources;
mod jsauth;
mod large_messages;
mod lifecycle;
mod limits;
mod limits_page;
mod link_garbage;
mod link_rules;
mod log_events;
mod log_format;
mod log_rotation;
mod machine;
mod machine_checks;
mod metrics;
mod notify;
mod old_scripts;
mod open_tags;
mod operator_changes;
mod operator_events;
mod operator_tail;
mod operators;
mod order;
mod origins;
mod other_protocols;
mod page_http;
mod phpws_alias;
mod phpws_frames;
mod phpws_opcodes;
mod phpws_opening;
mod phpws_routing;
mod phpws_switches;
mod phpws_switches_opening;
mod phpws_tags;
mod plain_requests;
mod protocol_examples;
mod proxy_protocol;
mod publication_counts;
mod publication_limits;
mod publish_place;
mod publish_subscribe;
mod raw_clients;
mod refusal_log;
mod reload;
mod replies_after_effects;
mod resources;
mod rolling;
mod rust_client;
mod rust_presence;
mod schemas;
mod scrapes;
mod secrets;
mod secrets_in_memory;
mod signals;
mod slow_and_silent;
mod socket_activation;
mod sse;
mod sse_recovery;
mod subscribe;
mod supervisor_crash;
mod tenants;
mod tls;
mod tls_abuse;
mod tls_reload;
mod tls_resumption;
mod token_commands;
mod token_openings;
mod token_refresh;
mod token_revocation;
mod token_rights;
mod token_tags;
mod top;
mod traces;
mod two_servers;
mod unix_listeners;
mod v1_asks;
mod v1_closing;
mod v1_history;
mod v1_history_faults;
mod v1_mailbox;
mod v1_opening;
mod v1_presence;
mod v1_presence_faults;
mod v1_publish;
mod v1_repeat;
mod v1_resume;
mod v1_tags;
mod v1_topics;
mod weak_files;
mod webhook_authorize;
mod worker_crash;
