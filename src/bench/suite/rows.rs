//! The targets.

use super::{Bench, FloorComparison, RoundFigures, Row, per_cpu_second};
use crate::bench::Writes;
use crate::bench::error::BenchError;
use crate::bench::plan::{Audience, IdleConnections, PublishPace};
use crate::bench::report::{LoadReport, grouped};
use crate::telemetry::today;
use crate::types::Encryption;

/// Measures one target, which may have several figures.
type Measure = fn(&Bench<'_>) -> Result<Vec<Row>, BenchError>;

/// All targets in their order.
pub(super) const TARGETS: &[(&str, Measure)] = &[
    ("T1", one_in_flight),
    ("T2", many_in_flight),
    ("T3", groups),
    ("T4", feedback_paced),
    ("T5", feedback_at_full_speed),
    ("T6", memory),
    ("T7", handshakes),
    ("T8", query),
    ("T9", joins),
    ("T10", growth),
    ("T11", start),
    ("T12", tls),
];

const MILLION: f64 = 1e6;
const KIB: f64 = 1024.0;
/// Subscribers of the fan-out that runs during a feedback.
const MANY_CLIENTS: usize = 9_500;

fn one_in_flight(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for clients in [1_000, 10_000] {
        let plan = Bench::plan(clients, Audience::All, PublishPace::InFlight(1));
        let found = bench.with_floor(&plan, Writes::Direct, per_cpu_second)?;
        let what = format!("fan-out, W=1, {clients} clients, deliveries per CPU second");
        let command = format!("fanout --clients {clients} --in-flight 1 --floor");
        rows.push(Row::of_floor(&what, 0.9, &found, &command));
    }
    Ok(rows)
}

fn many_in_flight(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for (clients, in_flight, limit) in
        [(1_000, 32, 5.0), (1_000, 64, 9.0), (1_000, 256, 20.0), (10_000, 16, 3.0)]
    {
        let plan = Bench::plan(clients, Audience::All, PublishPace::InFlight(in_flight));
        let found = bench.with_floor(&plan, Writes::Joined, per_cpu_second)?;
        let millions = found.ours.spread_text(|figure| format!("{:.2} million", figure / MILLION));
        let ratio = found.ratio.spread_text(|ratio| format!("{ratio:.2}"));
        rows.push(Row::new(
            format!("fan-out, W={in_flight}, {clients} clients, deliveries per CPU second"),
            format!("{limit} million"),
            format!("{millions}; {ratio} of the joined floor"),
            RowOutcome {
                ratio_to_limit: found.ours.median() / MILLION / limit,
                is_clean: found.ratio.is_clean,
            },
            &format!("fanout --clients {clients} --in-flight {in_flight} --floor"),
        ));
    }
    Ok(rows)
}

fn groups(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let plan = Bench::plan(10_000, Audience::Groups(100), PublishPace::InFlight(64));
    let found = bench.with_floor(&plan, Writes::Direct, per_cpu_second)?;
    let what = "100 groups of 100, round robin, W=64, deliveries per CPU second";
    let command = "groups --clients 10000 --groups 100 --in-flight 64 --floor";
    Ok(vec![Row::of_floor(what, 0.9, &found, command)])
}

fn feedback_paced(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let p99 = |report: &LoadReport| report.latency_us.p99;
    let alone = Bench::plan(100, Audience::One, PublishPace::PerSecond(5_000.0));
    let found = bench.with_floor(&alone, Writes::Direct, p99)?;
    let shown = |rounds: &RoundFigures| rounds.spread_text(|micros| format!("{micros:.0} µs"));
    let mut row = Row::new(
        "feedback to one UUID, 5,000 a second, p99".to_owned(),
        "1.8 times the floor".to_owned(),
        format!(
            "{}; floor {}; {} times",
            shown(&found.ours),
            shown(&found.floor),
            found.ratio.spread_text(|ratio| format!("{ratio:.2}"))
        ),
        RowOutcome { ratio_to_limit: 1.8 / found.ratio.median(), is_clean: found.ratio.is_clean },
        "feedback --clients 100 --rate 5000 --floor",
    );
    row.is_clean = found.ratio.is_clean;
    let mut plan = Bench::plan(MANY_CLIENTS, Audience::One, PublishPace::PerSecond(500.0));
    plan.fanout_rate = Some(10.0);
    let mut is_clean = true;
    let rounds = bench.rounds(|| {
        let report = bench.ours(&plan, Encryption::Plain)?;
        is_clean &= report.is_clean();
        Ok(report.latency_us.p99 / 1000.0)
    })?;
    let during = Row::new(
        format!("feedback during 10 fan-outs per second to {MANY_CLIENTS} clients, p99"),
        "40 ms".to_owned(),
        rounds.spread_text(|millis| format!("{millis:.1} ms")),
        RowOutcome { ratio_to_limit: 40.0 / rounds.median(), is_clean },
        &format!("feedback --clients {MANY_CLIENTS} --rate 500 --fanout-rate 10"),
    );
    Ok(vec![row, during])
}

fn feedback_at_full_speed(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let plan = Bench::plan(100, Audience::One, PublishPace::InFlight(256));
    let found = bench.with_floor(&plan, Writes::Joined, per_cpu_second)?;
    let shown = |rounds: &RoundFigures| {
        rounds.spread_text(|figure| format!("{:.2} million", figure / MILLION))
    };
    Ok(vec![Row::new(
        "feedback to one UUID, W=256, messages per CPU second".to_owned(),
        "1 million".to_owned(),
        format!("{}; joined floor {}", shown(&found.ours), shown(&found.floor)),
        RowOutcome {
            ratio_to_limit: found.ours.median() / MILLION,
            is_clean: found.ratio.is_clean,
        },
        "feedback --clients 100 --in-flight 256 --floor",
    )])
}

fn memory(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for (clients, workers, encryption, limit) in [
        (10_000, bench.workers(), Encryption::Plain, 1.5),
        (60_000, 4, Encryption::Plain, 1.5),
        (10_000, bench.workers(), Encryption::Tls, 16.0),
        (60_000, 4, Encryption::Tls, 16.0),
    ] {
        let server = bench.tagcast(workers, encryption);
        let connections = IdleConnections { clients, tags: 1, at_once: 64 };
        let rounds = bench.rounds(|| {
            let bytes = bench.idle(connections, &server)?.bytes_per_connection;
            Ok(bytes.map_or(f64::NAN, |bytes| bytes as f64))
        })?;
        let (inside, flag) =
            if encryption == Encryption::Tls { (" inside TLS 1.3", " --tls") } else { ("", "") };
        rows.push(Row::new(
            format!("{clients} idle connections with a tag{inside}, {workers} workers, each"),
            format!("{limit} KiB"),
            rounds.spread_text(|bytes| format!("{:.2} KiB", bytes / KIB)),
            RowOutcome { ratio_to_limit: limit * KIB / rounds.median(), is_clean: true },
            &format!("idle --clients {clients} --workers {workers}{flag}"),
        ));
    }
    Ok(rows)
}

fn handshakes(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for (clients, encryption, limit) in
        [(10_000, Encryption::Plain, 40_000.0), (5_000, Encryption::Tls, 3_000.0)]
    {
        let server = bench.tagcast(bench.workers(), encryption);
        let connections = IdleConnections { clients, tags: 0, at_once: 64 };
        let rounds = bench.rounds(|| {
            Ok(bench.idle(connections, &server)?.handshakes_per_cpu_second.unwrap_or(f64::NAN))
        })?;
        let (inside, flag) =
            if encryption == Encryption::Tls { (" inside TLS 1.3", " --tls") } else { ("", "") };
        rows.push(Row::new(
            format!("handshakes{inside} with their joins, per CPU second"),
            grouped(limit),
            rounds.spread_text(grouped),
            RowOutcome { ratio_to_limit: rounds.median() / limit, is_clean: true },
            &format!("connect --clients {clients} --tags 0{flag}"),
        ));
    }
    Ok(rows)
}

fn query(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let found = bench.index(|report| report.query_us)?;
    let matching = bench.index(|report| report.matching as f64)?.median();
    let micros = found.spread_text(|micros| format!("{micros:.1} µs"));
    Ok(vec![Row::new(
        "a query of three tags over 1,000,000 clients".to_owned(),
        "50 µs".to_owned(),
        format!("{micros}, {matching} matching"),
        RowOutcome { ratio_to_limit: 50.0 / found.median(), is_clean: true },
        "index",
    )])
}

fn joins(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let of = |what: &str, found: &RoundFigures| {
        Row::new(
            format!("{what} with 1,000,000 clients of five tags"),
            "2 µs".to_owned(),
            found.spread_text(|micros| format!("{micros:.2} µs")),
            RowOutcome { ratio_to_limit: 2.0 / found.median(), is_clean: true },
            "index",
        )
    };
    let bytes = bench.index(|report| report.bytes_per_client as f64)?;
    let memory = Row::new(
        "memory of a client with five tags in the index".to_owned(),
        "300 bytes".to_owned(),
        bytes.spread_text(|bytes| format!("{bytes} bytes")),
        RowOutcome { ratio_to_limit: 300.0 / bytes.median(), is_clean: true },
        "index",
    );
    let joining = bench.index(|report| report.join_us)?;
    let leaving = bench.index(|report| report.leave_us)?;
    Ok(vec![of("joining", &joining), of("leaving", &leaving), memory])
}

fn growth(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let at = |clients| {
        let plan = Bench::plan(clients, Audience::All, PublishPace::InFlight(1));
        bench.with_floor(&plan, Writes::Direct, per_cpu_second)
    };
    let (few, many) = (at(1_000)?, at(19_000)?);
    let ours = many.ours.median() / few.ours.median();
    let floor = many.floor.median() / few.floor.median();
    Ok(vec![Row::new(
        "from 1,000 to 19,000 clients, W=1, what is left of the deliveries".to_owned(),
        "no less than of the floor's".to_owned(),
        format!("{ours:.2}; floor {floor:.2}"),
        RowOutcome {
            ratio_to_limit: ours / floor,
            is_clean: few.ratio.is_clean && many.ratio.is_clean,
        },
        "fanout --clients 19000 --in-flight 1 --floor",
    )])
}

fn start(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let rounds = bench.rounds(|| Ok(bench.start()?.as_secs_f64() * 1000.0))?;
    Ok(vec![Row::new(
        "from the start to the first client that is let in".to_owned(),
        "100 ms".to_owned(),
        rounds.spread_text(|millis| format!("{millis:.0} ms")),
        RowOutcome { ratio_to_limit: 100.0 / rounds.median(), is_clean: true },
        "targets --only T11",
    )])
}

fn tls(bench: &Bench<'_>) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for (in_flight, limit) in [(1, 0.6), (64, 0.4)] {
        let plan = Bench::plan(1_000, Audience::All, PublishPace::InFlight(in_flight));
        let mut is_clean = true;
        let mut inside = Vec::new();
        let ratio = bench.rounds(|| {
            let before = per_cpu_second(&bench.ours(&plan, Encryption::Plain)?);
            let sealed = bench.ours(&plan, Encryption::Tls)?;
            is_clean &= sealed.is_clean();
            let after = per_cpu_second(&bench.ours(&plan, Encryption::Plain)?);
            inside.push(per_cpu_second(&sealed));
            Ok(per_cpu_second(&sealed) / f64::midpoint(before, after))
        })?;
        let inside = RoundFigures { figures: inside, is_clean };
        rows.push(Row::new(
            format!("fan-out inside TLS 1.3, W={in_flight}, 1000 clients, relative to plain"),
            format!("{limit}"),
            format!(
                "{}; {} per CPU second",
                ratio.spread_text(|ratio| format!("{ratio:.2}")),
                inside.spread_text(grouped)
            ),
            RowOutcome { ratio_to_limit: ratio.median() / limit, is_clean },
            &format!("fanout --clients 1000 --in-flight {in_flight} --tls"),
        ));
    }
    Ok(rows)
}

/// A figure and its ratio to the limit: 1 or more is good.
#[derive(Clone, Copy)]
struct RowOutcome {
    ratio_to_limit: f64,
    is_clean: bool,
}

impl Row {
    fn new(
        what: String,
        limit: String,
        figure: String,
        outcome: RowOutcome,
        command: &str,
    ) -> Self {
        let (target, command) = (String::new(), format!("tagcast bench {command}"));
        let RowOutcome { ratio_to_limit, is_clean } = outcome;
        Self { target, what, limit, figure, ratio_to_limit, command, date: today(), is_clean }
    }

    /// Creates the outcome of a target that is a fraction of the floor's figure.
    fn of_floor(what: &str, limit: f64, found: &FloorComparison, command: &str) -> Self {
        let thousands = |rounds: &RoundFigures| grouped(rounds.median() / 1000.0);
        let ratio = found.ratio.spread_text(|ratio| format!("{ratio:.2}"));
        Self::new(
            what.to_owned(),
            format!("{limit} of the floor"),
            format!("{ratio}; {}k to {}k", thousands(&found.ours), thousands(&found.floor)),
            RowOutcome {
                ratio_to_limit: found.ratio.median() / limit,
                is_clean: found.ratio.is_clean,
            },
            command,
        )
    }

    pub(super) fn named(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }
}
