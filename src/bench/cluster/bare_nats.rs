//! The baseline: two bare clients of the NATS server of the run, the same sizes and rates, nothing else.

use std::time::Duration;

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use crate::bench::clock::{RunClock, nanos};
use crate::bench::error::{At, BenchError};
use crate::bench::latency::{Latencies, Percentiles};

const SUBJECT: &str = "bench.bare";
/// Time without a message after which it counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages between two looks at what has arrived, so that no queue of the library is full and drops some.
const WINDOW: usize = 64;

/// Messages through the NATS server at full speed.
#[derive(Clone, Copy, Debug)]
pub(super) struct BareThroughput {
    pub(super) bytes_per_second: f64,
    pub(super) lost: u64,
}

/// Measures how long a message takes from one client to the other.
pub(super) fn latency(
    port: u16,
    payload: usize,
    rate: f64,
    duration: Duration,
) -> Result<Percentiles, BenchError> {
    on_runtime(async move {
        let (publisher, mut subscriber) = pair(port).await?;
        let mut latencies = Latencies::new();
        let clock = RunClock::start();
        let (message, every) =
            (Bytes::from(vec![b'x'; payload]), Duration::from_secs_f64(1.0 / rate));
        let mut due = Duration::ZERO;
        while due < duration {
            sleep(due.saturating_sub(Duration::from_nanos(clock.nanos()))).await;
            let sent = clock.nanos();
            publish(&publisher, &message).await?;
            receive(&mut subscriber).await?;
            latencies.record(clock.nanos() - sent);
            due += every;
        }
        Ok(latencies.percentiles())
    })
}

/// Sends messages of this size for a time, some of them at once.
pub(super) fn throughput(
    port: u16,
    payload: usize,
    duration: Duration,
) -> Result<BareThroughput, BenchError> {
    on_runtime(async move {
        let (publisher, mut subscriber) = pair(port).await?;
        let message = Bytes::from(vec![b'x'; payload]);
        let clock = RunClock::start();
        let (mut sent, mut received) = (0_u64, 0_u64);
        while clock.nanos() < nanos(duration) {
            for _ in 0..WINDOW {
                publish(&publisher, &message).await?;
                sent += 1;
            }
            while sent - received > WINDOW as u64 {
                receive(&mut subscriber).await?;
                received += 1;
            }
        }
        while received < sent && receive(&mut subscriber).await.is_ok() {
            received += 1;
        }
        let seconds = clock.nanos() as f64 / 1e9;
        let bytes_per_second = received as f64 * payload as f64 / seconds;
        Ok(BareThroughput { bytes_per_second, lost: sent - received })
    })
}

fn on_runtime<T>(run: impl Future<Output = Result<T, BenchError>>) -> Result<T, BenchError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.at("starting a runtime for bare clients of NATS")?.block_on(Box::pin(run))
}

async fn pair(port: u16) -> Result<(Client, Subscriber), BenchError> {
    let url = format!("nats://127.0.0.1:{port}");
    let failed = |error: &dyn std::fmt::Display| BenchError::Refused(error.to_string());
    let publisher = Box::pin(async_nats::connect(url.as_str())).await.map_err(|it| failed(&it))?;
    let receiver = Box::pin(async_nats::connect(url.as_str())).await.map_err(|it| failed(&it))?;
    let mut subscriber = receiver.subscribe(SUBJECT).await.map_err(|it| failed(&it))?;
    // The server reads one connection in order: with this message back, it knows the subscription. A flush only says
    // that the subscription was written.
    publish(&receiver, &Bytes::new()).await?;
    receive(&mut subscriber).await?;
    Ok((publisher, subscriber))
}

async fn publish(client: &Client, message: &Bytes) -> Result<(), BenchError> {
    let published = client.publish(SUBJECT, message.clone()).await;
    published.map_err(|error| BenchError::Refused(error.to_string()))
}

async fn receive(subscriber: &mut Subscriber) -> Result<(), BenchError> {
    let late = BenchError::Silent(PATIENCE.as_secs(), "a message of NATS");
    match timeout(PATIENCE, subscriber.next()).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(BenchError::Closed("without a word".to_owned())),
        Err(_) => Err(late),
    }
}
