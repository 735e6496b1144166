//! Requests the readiness of a server, as load balancers do.

use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::api::open_in_time;
use super::api_url::ApiUrl;
use super::connection::PATIENCE;
use super::error::{ClientError, printable};

/// Path of the readiness of a server.
const READINESS: &str = "/readyz";
/// Bytes of the longest answer that is read.
const ANSWER_BYTES_MAX: usize = 4096;

/// What a server says about its readiness.
#[derive(Debug)]
pub(crate) struct ServerHealth {
    /// Whether it takes traffic.
    pub(crate) is_ready: bool,
    /// `ok`, or the reason.
    pub(crate) word: String,
}

/// Asks a server whether it takes traffic.
///
/// # Errors
///
/// If no server answers in time, or if its certificate is not trusted.
pub(crate) fn server_health(url: &ApiUrl, ca: Option<&Path>) -> Result<ServerHealth, ClientError> {
    let broken = |why: String| ClientError::from_io(url, std::io::Error::other(why));
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ClientError::from_io(url, error))?;
    let exchange = async {
        let mut sender = open_in_time(url, ca).await?;
        let request =
            Request::get(READINESS).header("Host", url.host()).body(Full::<Bytes>::default());
        let request = request.map_err(|error| broken(error.to_string()))?;
        let answer =
            sender.send_request(request).await.map_err(|error| broken(error.to_string()))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| broken(error.to_string()))?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        let word = printable(text.lines().next().unwrap_or_default());
        match status.as_u16() {
            200 | 503 => Ok(ServerHealth { is_ready: status == 200, word }),
            _ => Err(broken(format!("HTTP {status}: no Tagcast server"))),
        }
    };
    runtime.block_on(async {
        let within = timeout(PATIENCE, exchange).await;
        within.unwrap_or_else(|_| Err(ClientError::Silent(url.to_string())))
    })
}
