//! Prometheus reads the metrics, and its own program tests the alerts.

use std::process::Command;

use crate::harness::{Folder, Raw, eventually};
use crate::metrics::started;
use crate::proxies::{Program, free_port};

pub fn the_alerts_pass_their_tests() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let run = Command::new("promtool").args(arguments).current_dir("dashboards").output();
        let run = run.unwrap();
        let text = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
        assert!(run.status.success(), "{arguments:?}: {text}");
    }
}

/// A237.
pub fn prometheus_reads_the_metrics() {
    let server = started();
    let folder = Folder::new();
    let port = free_port();
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: tagcast, \
         static_configs: [{{targets: ['127.0.0.1:{}']}}]}}]\n",
        server.api_port("http")
    );
    let config = folder.write("prometheus.yml", &config).display().to_string();
    let config = format!("--config.file={config}");
    let data = format!("--storage.tsdb.path={}", folder.path("data").display());
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let _prometheus = Program::run(folder, "prometheus", &[&config, &data, &listen], port);
    let query = |query: &str| {
        let target = format!("/api/v1/query?query={query}");
        let head = format!("GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        let mut client = Raw::connect(port);
        client.send(head);
        let answer = client.read_answer();
        // It answers 503 until it is ready.
        match answer.status() {
            200 => answer.json()["data"]["result"][0]["value"][1].clone(),
            _ => serde_json::Value::Null,
        }
    };
    eventually("a scrape", || (query("up") == "1").then_some(()));
    assert_eq!(query("tagcast_server_state{state=\"serving\"}"), "1");
    assert_eq!(query("sum(tagcast_connections_opened_total)"), "0");
    assert_eq!(query("histogram_quantile(0.5,tagcast_publication_recipients_bucket)"), "NaN");
    assert_eq!(query("count(tagcast_process_cpu_seconds_total)"), "4");
}
