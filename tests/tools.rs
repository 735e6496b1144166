//! Tests that need a program, or a right, which a machine may lack. One that cannot run is shown as
//! ignored with what is missing; where `TAGCAST_REQUIRE_TOOLS=1`, a missing program is a failure.
//!
//! The ordinary harness can ignore a test only when it is compiled, so this binary has another one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may stop at the first surprise, and looks at the server with a real clock"
)]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "some modules have ordinary tests too, which run elsewhere with their helpers"
)]

#[path = "it/api_examples.rs"]
mod api_examples;
#[path = "it/api_openapi.rs"]
mod api_openapi;
#[path = "it/api_signed.rs"]
mod api_signed;
#[path = "it/backend/mod.rs"]
mod backend;
#[path = "it/bench.rs"]
mod bench;
#[path = "it/bench_cluster.rs"]
mod bench_cluster;
#[path = "it/bench_compare.rs"]
mod bench_compare;
#[path = "it/bloatless_push.rs"]
mod bloatless_push;
#[path = "it/browser/mod.rs"]
mod browser;
#[path = "it/chat/mod.rs"]
mod chat;
#[path = "it/chat_php.rs"]
mod chat_php;
#[path = "it/chat_python.rs"]
mod chat_python;
#[path = "it/cluster.rs"]
mod cluster;
#[path = "it/cluster_asks.rs"]
mod cluster_asks;
#[path = "it/cluster_directives.rs"]
mod cluster_directives;
#[path = "it/cluster_faults.rs"]
mod cluster_faults;
#[path = "it/cluster_ids.rs"]
mod cluster_ids;
#[path = "it/cluster_limits.rs"]
mod cluster_limits;
#[path = "it/cluster_logins.rs"]
mod cluster_logins;
#[path = "it/cluster_names.rs"]
mod cluster_names;
#[path = "it/cluster_operators.rs"]
mod cluster_operators;
#[path = "it/cluster_partitions.rs"]
mod cluster_partitions;
#[path = "it/cluster_presence.rs"]
mod cluster_presence;
#[path = "it/cluster_queries.rs"]
mod cluster_queries;
#[path = "it/cluster_reports.rs"]
mod cluster_reports;
#[path = "it/cluster_resume.rs"]
mod cluster_resume;
#[path = "it/cluster_revocations.rs"]
mod cluster_revocations;
#[path = "it/cluster_written.rs"]
mod cluster_written;
#[path = "it/conformance.rs"]
mod conformance;
#[path = "it/console.rs"]
mod console;
#[path = "it/cross_origin.rs"]
mod cross_origin;
#[path = "it/debian_package.rs"]
mod debian_package;
#[path = "it/examples.rs"]
mod examples;
#[path = "it/from_a_backend.rs"]
mod from_a_backend;
#[path = "it/groups_example.rs"]
mod groups_example;
#[path = "it/harness/mod.rs"]
mod harness;
#[path = "it/hostile_waits.rs"]
mod hostile_waits;
#[path = "it/js_client.rs"]
mod js_client;
#[path = "it/jsauth.rs"]
mod jsauth;
#[path = "it/machine.rs"]
mod machine;
#[path = "it/metrics.rs"]
mod metrics;
#[path = "it/operators.rs"]
mod operators;
#[path = "it/page.rs"]
mod page;
#[path = "it/php_client.rs"]
mod php_client;
#[path = "it/prometheus.rs"]
mod prometheus;
#[path = "it/proxies.rs"]
mod proxies;
#[path = "it/release_files.rs"]
mod release_files;
#[path = "timing/silent_clients.rs"]
mod silent_clients;
#[path = "it/socket_activation.rs"]
mod socket_activation;
#[path = "it/sse_browser.rs"]
mod sse_browser;
#[path = "it/top.rs"]
mod top;
#[path = "it/v1_history.rs"]
mod v1_history;
#[path = "it/v1_presence.rs"]
mod v1_presence;
#[path = "it/v1_resume.rs"]
mod v1_resume;

use std::process::ExitCode;

use harness::Need::{self, Autobahn, File, Namespaces, Overlay, Program, Tracing};
use libtest_mimic::{Arguments, Trial};

const CHROMIUM: Need = Program("chromium", "chromium");
const CURL: Need = Program("curl", "curl");
const DPKG: Need = Program("dpkg-deb", "dpkg");
const HAPROXY: Need = Program("haproxy", "haproxy");
const IP: Need = Program("ip", "iproute2");
const NATS: Need = Program("nats-server", "nats-server");
const LATEST_NATS: Need = Need::Installed(cluster::LATEST_NATS, ".ci/install-nats-server");
const NCHAN: Need = File("/usr/lib/nginx/modules/ngx_nchan_module.so", "libnginx-mod-nchan");
const NGINX: Need = Program("nginx", "nginx-light");
const NODE_MODULES: Need = Need::Installed(js_client::INSTALLED, ".ci/install-js-client");
const NODE: Need = Program("node", "nodejs");
const PHP: Need = Program("php", "php-cli");
const PHPUNIT: Need = Program("phpunit", "phpunit");
const PRLIMIT: Need = Program("prlimit", "util-linux");
const PROMETHEUS: Need = Program("prometheus", "prometheus");
const SCRIPT: Need = Program("script", "bsdutils");
const PROMTOOL: Need = Program("promtool", "prometheus");
const PSR7: Need = File("/usr/share/php/Nyholm/Psr7/autoload.php", "php-nyholm-psr7");
const PSR_FACTORY: Need =
    File("/usr/share/php/Psr/Http/Message/factory-autoload.php", "php-psr-http-factory");
const PSR_HTTP: Need = File("/usr/share/php/Psr/Http/Client/autoload.php", "php-psr-http-client");
const PSR_LOG: Need = File("/usr/share/php/Psr/Log/autoload.php", "php-psr-log");
const PYTHON: Need = Program("python3", "python3");
const SCHEMATHESIS: Need = Need::Installed(api_openapi::SCHEMATHESIS, ".ci/install-schemathesis");
const SHLIBDEPS: Need = Program("dpkg-shlibdeps", "dpkg-dev");
const SOCKET_ACTIVATE: Need = Program("systemd-socket-activate", "systemd");
const STRACE: Need = Program("strace", "strace");

/// Each test and its requirements.
macro_rules! trials {
    ($($module:ident::$test:ident needs $($need:expr),+;)*) => {
        vec![$(trial(
            concat!(stringify!($module), "::", stringify!($test)),
            &[$($need),+],
            $module::$test,
        )),*]
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Browsers are heavy, and some of these measure.
    arguments.test_threads.get_or_insert(2);
    let hosts = hosts().into_iter().chain(requests_to_hosts()).chain(hosts_of_v1());
    let all = trials().into_iter().chain(operations()).chain(hosts).collect();
    let conclusion = libtest_mimic::run(&arguments, all);
    browser::quit();
    conclusion.exit_code()
}

#[rustfmt::skip]
fn trials() -> Vec<Trial> {
    trials! {
        api_examples::the_first_line_of_the_readme_publishes_with_the_shipped_files needs CURL;
        api_examples::the_lines_for_curl_change_tags needs CURL;
        api_examples::the_lines_for_curl_disconnect needs CURL;
        api_examples::the_lines_for_curl_list needs CURL;
        api_examples::the_lines_for_curl_publish needs CURL;
        api_examples::the_lines_for_a_report_count_the_sockets needs CURL;
        api_examples::the_lines_that_ask_print_the_answer_of_the_page needs CURL;
        api_examples::the_lines_for_node_change_tags needs NODE;
        api_examples::the_lines_for_node_disconnect needs NODE;
        api_examples::the_lines_for_node_list needs NODE;
        api_examples::the_lines_for_node_publish needs NODE;
        api_examples::the_lines_for_php_change_tags needs PHP;
        api_examples::the_lines_for_php_disconnect needs PHP;
        api_examples::the_lines_for_php_list needs PHP;
        api_examples::the_lines_for_php_publish needs PHP;
        api_examples::the_lines_for_python_change_tags needs PYTHON;
        api_examples::the_lines_for_python_disconnect needs PYTHON;
        api_examples::the_lines_for_python_list needs PYTHON;
        api_examples::the_lines_for_python_publish needs PYTHON;
        api_openapi::answers_are_those_of_the_openapi_document needs SCHEMATHESIS;
        bench_cluster::latency_and_costs_of_several_hosts_are_measured_with_baselines needs NATS;
        bench_cluster::faults_between_measured_hosts_lose_nothing needs NATS;
        bench_compare::nats_is_compared needs NATS;
        bench_compare::nchan_is_compared needs NGINX, NCHAN;
        bloatless_push::a_php_script_pushes needs PHP;
        chat_php::two_pages_chat_and_a_restart_of_the_backend_closes_no_connection needs PHP, CHROMIUM;
        chat_python::two_pages_chat_and_a_restart_of_the_backend_closes_no_connection needs PYTHON, CHROMIUM;
        conformance::every_case_of_autobahn_ends_as_expected needs Autobahn;
        console::an_operator_finds_explains_and_closes_connections needs CHROMIUM;
        console::publications_are_shown_while_they_are_made needs CHROMIUM;
        console::events_are_shown_when_they_happen needs CHROMIUM;
        console::every_screen_fits_a_telephone_and_has_nothing_to_report needs CHROMIUM;
        cross_origin::a_page_of_another_origin_changes_and_reads_nothing needs CHROMIUM;
        examples::the_script_reports_to_the_page_that_started_it needs PHP;
        examples::the_script_that_asks_prints_what_the_page_answers needs PHP;
        from_a_backend::the_node_backend_reports_to_the_page needs NODE, CHROMIUM;
        from_a_backend::the_php_backend_reports_to_the_page needs PHP, CHROMIUM;
        from_a_backend::the_python_backend_reports_to_the_page needs PYTHON, CHROMIUM;
        from_a_backend::the_shell_reports_to_the_page needs CURL;
        groups_example::a_page_gets_only_publications_in_its_language needs CHROMIUM;
        hostile_waits::fault_18_system_calls_that_fail_now_and_then_lose_nothing needs STRACE, Tracing;
        js_client::its_tests_pass_and_it_is_small needs NODE, NODE_MODULES, CHROMIUM;
        jsauth::sessions_that_php_has_written_are_read needs PHP;
        machine::without_descriptors_connections_wait_until_there_are_some needs PRLIMIT;
        machine::accepting_resumes_after_failures needs STRACE, Tracing;
        page::what_is_published_to_one_page_appears_in_that_one_only needs CHROMIUM;
        page::what_is_published_to_a_group_appears_in_its_pages_only needs CHROMIUM;
        page::refusals_of_the_server_are_explained_on_the_page needs CHROMIUM;
        page::a_page_shows_a_token_as_a_subprotocol needs CHROMIUM;
        page::the_command_for_a_group_is_one_command_whatever_its_tags_hold needs CHROMIUM;
        page::pages_inside_tls_reach_each_other needs CHROMIUM;
        page::tabs_are_chosen_by_keys_too needs CHROMIUM;
        page::the_javascript_of_the_page_reaches_it_from_another_page needs CHROMIUM;
        page::the_command_on_the_page_works_as_pasted needs CHROMIUM;
        page::the_page_finds_its_server_below_the_path_of_a_proxy needs CHROMIUM;
        page::the_php_of_the_page_reaches_it_with_nothing_but_php needs CHROMIUM, PHP;
        page::a_message_that_looks_like_a_greeting_changes_nothing_on_the_page needs CHROMIUM;
        sse_browser::an_event_source_comes_back_with_its_position_after_its_worker_died needs CHROMIUM;
        sse_browser::an_event_source_with_a_wrong_key_ends needs CHROMIUM;
        php_client::it_publishes_before_and_after_a_restart needs PHP;
        php_client::its_tests_pass_against_a_server needs PHP, PHPUNIT, PSR_HTTP, PSR_FACTORY, PSR_LOG, PSR7;
        php_client::the_lines_of_its_readme_publish needs PHP;
        prometheus::prometheus_reads_the_metrics needs PROMETHEUS;
        prometheus::the_alerts_pass_their_tests needs PROMTOOL;
        top::keys_work_in_a_terminal needs SCRIPT;
        silent_clients::a_client_whose_cable_is_pulled_is_gone_from_the_index needs IP, Namespaces;
    }
}

/// Tests of what an operator installs, and of proxies in front of the server.
#[rustfmt::skip]
fn operations() -> Vec<Trial> {
    trials! {
        debian_package::a_configuration_with_errors_does_not_stop_the_server needs DPKG, SHLIBDEPS, IP, Overlay;
        debian_package::it_is_installed_run_upgraded_removed_and_purged needs DPKG, SHLIBDEPS, IP, Overlay;
        proxies::nginx_carries_out_no_request_inside_another_one needs NGINX;
        proxies::nginx_ends_tls_and_passes_websockets_on needs NGINX;
        proxies::haproxy_ends_tls_and_passes_websockets_on needs HAPROXY;
        proxies::haproxy_passes_tls_through_unread needs HAPROXY;
        proxies::haproxy_passes_tls_through_with_addresses needs HAPROXY;
        release_files::a_release_has_all_files_with_checksums_and_a_bill_of_materials needs DPKG, SHLIBDEPS, PYTHON;
        socket_activation::systemd_starts_the_server_at_the_first_connection needs SOCKET_ACTIVATE;
    }
}

/// Tests of several hosts.
#[rustfmt::skip]
fn hosts() -> Vec<Trial> {
    trials! {
        cluster::a_publication_on_one_host_reaches_clients_on_others needs NATS;
        cluster::a_new_client_is_reached_from_another_host_at_once needs NATS;
        cluster::the_order_of_one_publisher_is_kept_between_hosts needs NATS;
        cluster::a_large_message_crosses_whole needs NATS;
        cluster::tenants_and_clusters_are_apart_and_nothing_of_them_can_be_read needs NATS;
        cluster::what_is_not_of_a_host_is_dropped_and_counted needs NATS;
        cluster::a_host_that_stops_is_gone_at_once_and_loses_nothing needs NATS;
        cluster::the_example_runs needs NATS;
        cluster::the_metrics_show_the_cluster needs NATS;
        cluster::what_all_hosts_have_sent_is_what_they_have_received needs NATS;
        cluster::the_status_shows_the_cluster needs NATS;
        cluster::hosts_share_publications_over_the_latest_nats_server needs LATEST_NATS;
        cluster_ids::a_repeat_on_another_host_gets_the_first_answer_and_is_not_delivered needs NATS;
        cluster_ids::a_feedback_is_repeated_on_no_host needs NATS;
        cluster_ids::a_repeat_waits_for_the_counts_of_the_first_answer needs NATS;
        cluster_ids::a_repeat_after_the_death_of_its_host_is_known_and_partial needs NATS;
        cluster_ids::an_id_that_reaches_both_hosts_at_once_is_delivered_once_to_each_client needs NATS;
        cluster_ids::a_captured_request_is_refused_on_another_host needs NATS;
        cluster_resume::a_client_gets_on_another_host_what_it_has_missed needs NATS;
        cluster_resume::a_client_that_seems_to_be_connected_is_taken_over_from_another_host needs NATS;
        cluster_resume::without_its_former_host_a_client_keeps_its_uuid_and_learns_it needs NATS;
        cluster_resume::brokers_that_die_repeat_nothing_to_clients_that_have_moved needs NATS;
        cluster_revocations::a_token_that_one_host_revokes_is_refused_by_all needs NATS;
        cluster_revocations::a_host_that_joins_later_gets_the_list needs NATS;
        cluster_revocations::a_host_that_hangs_makes_a_revocation_partial_and_gets_it_later needs NATS;
        cluster_operators::the_check_names_each_problem_with_a_fix needs NATS;
        cluster_operators::the_command_shows_each_host_with_its_name_and_clients needs NATS;
        cluster_operators::pings_pass_the_lanes_and_a_host_that_hangs_does_not_answer needs NATS;
        cluster_operators::a_host_that_is_killed_is_shown_as_gone needs NATS;
        cluster_operators::hosts_with_different_settings_show_them_until_they_are_the_same needs NATS;
        cluster_directives::tags_of_a_client_are_changed_on_its_host needs NATS;
        cluster_directives::a_command_for_all_that_match_applies_to_all_hosts needs NATS;
        cluster_directives::commands_are_in_order_with_publications needs NATS;
        cluster_directives::commands_outlive_processes_that_die needs NATS;
        cluster_directives::a_question_reaches_a_client_of_another_host_and_so_does_its_answer needs NATS;
        cluster_directives::without_nats_a_command_is_carried_out_later needs NATS;
        cluster_directives::a_connection_gets_a_new_token_from_any_host needs NATS;
        cluster_faults::killed_bridges_lose_and_repeat_no_publication needs NATS;
        cluster_faults::killed_brokers_lose_and_repeat_no_publication_between_hosts needs NATS;
        cluster_faults::a_restarted_nats_server_loses_no_publication needs NATS;
        cluster_faults::without_nats_hosts_serve_their_own_clients_and_catch_up_later needs NATS;
        cluster_faults::hosts_that_start_before_nats_join_when_it_comes needs NATS;
        cluster_faults::a_suspended_nats_server_delays_no_local_client needs NATS;
        cluster_faults::wrong_credentials_are_reported_and_used_again_when_they_are_right needs NATS;
        cluster_faults::a_user_that_may_not_publish_is_reported needs NATS;
        cluster_faults::a_nats_server_for_small_messages_only_is_refused needs NATS;
        cluster_faults::what_the_replay_buffer_does_not_hold_is_a_gap needs NATS;
        cluster_logins::hosts_log_in_with_certificates needs NATS;
        cluster_logins::hosts_log_in_with_an_nkey needs NATS;
        cluster_logins::hosts_log_in_with_a_token needs NATS;
        cluster_logins::hosts_log_in_with_a_credentials_file needs NATS;
        cluster_names::fault_66_the_first_client_with_an_ident_gets_it_on_every_host needs NATS;
        cluster_names::a_script_that_has_just_connected_is_reached_by_its_ident needs NATS;
        cluster_names::names_outlive_bridges_and_brokers needs NATS;
        cluster_names::an_alias_has_one_client_on_all_hosts needs NATS;
        cluster_names::of_two_aliases_that_crossed_the_earlier_one_is_kept needs NATS;
        cluster_names::a_uuid_goes_before_an_ident needs NATS;
        cluster_partitions::hosts_that_are_cut_off_from_each_other_catch_up needs NATS;
        cluster_partitions::a_host_that_reaches_no_other_one_reports_it_and_catches_up needs NATS;
    }
}

/// Tests of requests to one of several hosts, and of gaps between them.
#[rustfmt::skip]
fn requests_to_hosts() -> Vec<Trial> {
    trials! {
        cluster_queries::counts_and_lists_are_those_of_all_hosts needs NATS;
        cluster_queries::tags_are_those_of_all_hosts needs NATS;
        cluster_queries::a_client_is_described_by_any_host needs NATS;
        cluster_queries::a_publication_counts_its_clients_on_all_hosts needs NATS;
        cluster_queries::a_suspended_host_makes_answers_partial_and_delays_none_for_long needs NATS;
        cluster_queries::a_resource_learns_of_the_clients_of_all_hosts needs NATS;
        cluster_queries::a_query_outlives_processes_that_die needs NATS;
        cluster_queries::without_nats_a_host_answers_at_once_for_itself needs NATS;
        cluster_queries::publications_of_one_connection_stay_in_order_while_hosts_are_asked needs NATS;
        cluster_written::what_sockets_of_all_hosts_have_taken_is_counted needs NATS;
        cluster_written::a_suspended_host_makes_a_report_partial needs NATS;
        cluster_written::a_killed_bridge_makes_a_report_partial needs NATS;
        cluster_limits::all_hosts_together_have_so_many_clients needs NATS;
        cluster_limits::all_hosts_together_have_so_many_clients_of_an_address needs NATS;
        cluster_limits::hosts_share_the_rate_of_an_application needs NATS;
        cluster_limits::a_host_that_is_gone_counts_no_longer needs NATS;
        cluster_reports::a_gap_is_reported_to_clients_of_modern_protocols needs NATS;
        cluster_reports::a_gap_closes_connections_where_that_is_configured needs NATS;
        cluster_reports::lost_names_do_not_count_as_a_gap needs NATS;
        cluster_reports::a_host_that_must_be_joined_is_not_ready_without_nats needs NATS;
    }
}

/// Tests of several hosts with clients of `tagcast.v1`.
#[rustfmt::skip]
fn hosts_of_v1() -> Vec<Trial> {
    trials! {
        cluster_asks::a_client_asks_one_on_another_host_and_gets_its_answer needs NATS;
        cluster_asks::a_question_without_an_answer_of_another_host_ends_with_its_reason needs NATS;
        cluster_asks::a_question_outlives_processes_that_die_and_ends_at_once_with_its_host needs NATS;
        cluster_asks::a_client_that_has_moved_is_asked_through_every_host needs NATS;
        cluster_presence::watchers_see_the_clients_of_all_hosts_come_and_go needs NATS;
        cluster_presence::watchers_know_the_right_clients_after_deaths_of_bridges_and_brokers needs NATS;
        cluster_presence::clients_of_a_host_that_is_killed_leave_after_a_while needs NATS;
        cluster_presence::a_list_without_the_clients_of_a_suspended_host_is_partial needs NATS;
        cluster_presence::without_nats_watchers_see_what_they_knew_and_catch_up_later needs NATS;
        cluster_presence::long_lists_of_other_hosts_are_numbers needs NATS;
    }
}

/// A test, ignored when something that cannot be installed is missing, or need not be.
fn trial(name: &str, needs: &[Need], test: fn()) -> Trial {
    let required = std::env::var("TAGCAST_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
    let Some((need, missing)) = needs.iter().find_map(|need| Some((need, need.missing()?))) else {
        return Trial::test(name, move || {
            test();
            Ok(())
        });
    };
    if required && need.can_be_installed() {
        return Trial::test(name, move || Err(format!("needs {missing}").into()));
    }
    Trial::test(name, || Ok(()))
        .with_kind(format!("skipped: needs {missing}"))
        .with_ignored_flag(true)
}
