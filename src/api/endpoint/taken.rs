//! What the answer to a publication waits for, and what it says.

use std::fmt::Write;
use std::rc::Rc;

use hyper::StatusCode;
use tokio::time::Instant;

use super::EndpointContext;
use super::over_hosts::{HostCounts, ReachElsewhere, ReachedEverywhere};
use super::written::WrittenEverywhere;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::idempotency::{ClaimedId, id_reused};
use crate::api::json_object::JsonObject;
use crate::api::publisher::{NotTaken, PublicationReceipt, Reached, ReachedHosts};
use crate::api::response::ApiAnswer;
use crate::api::tracked::{ReportProgress, ReportedReceipt};
use crate::replay::IdOutcome;
use crate::types::limits::{WRITE_REPORT_GRACE, WRITE_REPORTS_MAX};
use crate::types::{IdUse, Number, PublicationId, WriteCounts};

/// Bytes that the counts of an answer have at most, unless they are very large.
const COUNTS_BYTES_USUAL: usize = 48;

/// How many recipients a publication may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecipientLimits {
    /// With more it is delivered to none.
    max: Option<u64>,
    /// Values that the prefixes of its expression may scan.
    scan_max: u64,
    /// It is delivered to none in any case.
    pub(super) is_dry: bool,
    /// With fewer it is refused: if its path names a client, that one has to be there.
    pub(super) min: u64,
}

impl RecipientLimits {
    /// A publication can only lower what its application may reach.
    ///
    /// # Errors
    ///
    /// What is wrong with its members.
    pub(super) fn read(
        body: &JsonObject<'_>,
        context: EndpointContext<'_>,
    ) -> Result<Self, ApiError> {
        let max = context.application.rights.max_recipients;
        let scan_max = context.config.expression_scan;
        let (own, is_dry) = (body.count("max_recipients")?, body.flag("dry_run")?);
        Ok(Self {
            max: own.into_iter().chain(max).min(),
            scan_max,
            is_dry: is_dry.unwrap_or(false),
            min: 0,
        })
    }

    /// The same for the client of a path.
    pub(super) fn for_one(self) -> Self {
        Self { min: 1, ..self }
    }

    /// What the broker has to keep to.
    pub(super) fn clients_max(self) -> Option<u64> {
        if self.is_dry { Some(0) } else { self.max }
    }

    /// Checks what a publication or command has reached.
    ///
    /// # Errors
    ///
    /// If these were too many or too few clients, or could not be searched.
    pub(super) fn check(self, reached: Reached) -> Result<Reached, ApiError> {
        self.check_found(reached)?;
        self.check_most(reached)
    }

    /// Checks that a client was found that has to be there.
    fn check_found(self, reached: Reached) -> Result<(), ApiError> {
        let is_missing = reached.clients < self.min && !reached.is_away;
        if is_missing { Err(no_such_client()) } else { Ok(()) }
    }

    fn check_most(self, reached: Reached) -> Result<Reached, ApiError> {
        if reached.scan_values > 0 {
            return Err(too_expensive(reached.scan_values, self.scan_max));
        }
        let Some(max) = self.max.filter(|max| reached.clients > *max) else { return Ok(reached) };
        let matched = reached.clients;
        let message = format!("{matched} clients match, the limit is {max}; nothing was done");
        let error = ApiError::new(ErrorCode::TooManyRecipients, message);
        Err(error.with_number("matched", matched).with_number("max_recipients", max))
    }
}

/// A publication that was taken over.
#[derive(Debug)]
pub(in crate::api) struct TakenPublication<'a> {
    receipt: TakenReceipt<'a>,
    limits: RecipientLimits,
    id: Option<Box<TakenId>>,
    /// Counts the clients of other hosts.
    elsewhere: Option<Box<ReachElsewhere<'a>>>,
}

/// The id of a publication.
#[derive(Debug)]
pub(super) struct TakenId {
    /// The member of its answer.
    pub(super) member: String,
    pub(super) id: PublicationId,
    /// The answer is to say how many sockets have taken it.
    pub(super) counts_sockets: bool,
}

/// What is waited for.
#[derive(Debug)]
pub(super) enum TakenReceipt<'a> {
    /// Nothing.
    None,
    /// The broker.
    Counted(PublicationReceipt),
    /// The broker, and then all sockets until this time. The id stays taken until then.
    Reported { reported: ReportedReceipt, until: Instant, claimed: Option<ClaimedId<'a>> },
    /// Nothing: the same publication was made before.
    Used(IdUse),
}

/// What is known about a publication when it is answered.
#[derive(Debug)]
pub(super) struct PublicationAnswer {
    /// The status: 202 if it is not known whom it reached.
    pub(super) status: StatusCode,
    /// The members of the answer.
    pub(super) members: String,
    /// Whether the publication was made before.
    is_repeated: bool,
}

impl<'a> TakenPublication<'a> {
    pub(super) fn new(receipt: TakenReceipt<'a>, limits: RecipientLimits) -> Self {
        Self { receipt, limits, id: None, elsewhere: None }
    }

    /// The same, with the clients of other hosts.
    pub(super) fn counted_by(self, elsewhere: Option<ReachElsewhere<'a>>) -> Self {
        Self { elsewhere: elsewhere.map(Box::new), ..self }
    }

    /// The same with an id.
    pub(super) fn with_id(self, id: TakenId) -> Self {
        Self { id: Some(Box::new(id)), ..self }
    }

    /// Whether the answer waits for other hosts.
    pub(super) fn asks_other_hosts(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// Whether clients are waited for, and not only the broker.
    pub(in crate::api) fn waits_for_clients(&self) -> bool {
        matches!(self.receipt, TakenReceipt::Reported { .. })
    }

    /// The answer. The broker is waited for until this time.
    ///
    /// # Errors
    ///
    /// When there were more recipients than there may be, or not the one that there has to be.
    pub(in crate::api) async fn answer(self, until: Instant) -> Result<ApiAnswer, ApiError> {
        let PublicationAnswer { status, members, is_repeated } = self.reached(until).await?;
        let answer = ApiAnswer::with_status(status, format!("{{{members}}}"));
        Ok(if is_repeated { answer.replayed() } else { answer })
    }

    /// What is known by this time.
    ///
    /// # Errors
    ///
    /// The same as of [`Self::answer`].
    pub(super) async fn reached(self, until: Instant) -> Result<PublicationAnswer, ApiError> {
        let Self { receipt, limits, id, elsewhere } = self;
        let (id, elsewhere) = (id.as_deref(), elsewhere.as_deref());
        let answer = |status, mut members: String, is_repeated: bool| {
            if let Some(TakenId { member, .. }) = id {
                let repeated = if is_repeated { "true" } else { "false" };
                members.extend([",", member, ",\"repeated\":", repeated]);
            }
            PublicationAnswer { status, members, is_repeated }
        };
        let accepted = || answer(StatusCode::ACCEPTED, "\"accepted\":true".to_owned(), false);
        let (receipt, report) = match receipt {
            TakenReceipt::None => return Ok(accepted()),
            TakenReceipt::Used(used) => {
                let members = repeated_members(id, used, elsewhere).await;
                return Ok(answer(StatusCode::OK, members, true));
            }
            TakenReceipt::Counted(receipt) => (receipt, None),
            TakenReceipt::Reported { reported, until, claimed } => {
                let ReportedReceipt { number, receipt, progress } = reported;
                let until = until + WRITE_REPORT_GRACE;
                (receipt, Some(AwaitedReport { number, progress, until, claimed }))
            }
        };
        let Some(reached) = receipt.reached(until).await else {
            return if limits.is_dry { Err(not_counted()) } else { Ok(accepted()) };
        };
        match reached.id {
            IdOutcome::Reused => return Err(id_reused()),
            IdOutcome::Repeated => {
                let known = id.zip(elsewhere);
                let used = known.and_then(|(id, elsewhere)| elsewhere.used(&id.id));
                let members = match used {
                    Some(used) => repeated_members(id, used, elsewhere).await,
                    None => counts(reached) + &own_only(elsewhere).await,
                };
                return Ok(answer(StatusCode::OK, members, true));
            }
            IdOutcome::First | IdOutcome::WithoutId => {}
        }
        let everywhere = reached_everywhere(reached, limits, elsewhere).await?;
        let (members, hosts) = (counts(everywhere.reached), HostCounts::members(everywhere.hosts));
        if let (Some(id), Some(elsewhere)) = (id, elsewhere) {
            elsewhere.keep(&id.id, &everywhere);
        }
        let Some(report) = report else {
            let dry = if limits.is_dry { "\"dry_run\":true," } else { "" };
            let members = if dry.is_empty() { members } else { dry.to_owned() + &members };
            return Ok(answer(StatusCode::OK, members + &hosts, false));
        };
        let written = Box::pin(report.written(reached, everywhere, elsewhere));
        let Some(written) = written.await else { return Ok(accepted()) };
        if let (Some(id), Some(elsewhere)) = (id, elsewhere) {
            elsewhere.keep(&id.id, &written.everywhere);
        }
        report.claimed.iter().for_each(|claimed| claimed.keep_counts(written.sums));
        let WrittenEverywhere { everywhere, sums } = written;
        let hosts = HostCounts::members(everywhere.hosts);
        let members = format!("{},{}{hosts}", counts(everywhere.reached), write_counts(sums));
        Ok(answer(StatusCode::OK, members, false))
    }
}

/// The reports that the answer to a publication waits for.
#[derive(Debug)]
struct AwaitedReport<'a> {
    /// The number of the publication in the window.
    number: Number,
    progress: Rc<ReportProgress>,
    until: Instant,
    claimed: Option<ClaimedId<'a>>,
}

impl AwaitedReport<'_> {
    /// Waits for the workers of this host, and for other hosts that get the publication. `None` if the broker was lost.
    async fn written(
        &self,
        own: Reached,
        counted: ReachedEverywhere,
        elsewhere: Option<&ReachElsewhere<'_>>,
    ) -> Option<WrittenEverywhere> {
        let Self { number, progress, until, .. } = self;
        let sums = progress.sums(own.clients, *until);
        let elsewhere = elsewhere.filter(|_| own.hosts == ReachedHosts::Others);
        let Some(elsewhere) = elsewhere else {
            return Some(WrittenEverywhere { everywhere: counted, sums: sums.await? });
        };
        let (sums, answer) = tokio::join!(sums, elsewhere.reports(*number, *until));
        Some(WrittenEverywhere::new(own, sums?, counted, answer))
    }
}

/// Returns what was reached, on all hosts of a cluster.
async fn reached_everywhere(
    own: Reached,
    limits: RecipientLimits,
    elsewhere: Option<&ReachElsewhere<'_>>,
) -> Result<ReachedEverywhere, ApiError> {
    let Some(elsewhere) = elsewhere else {
        let (reached, others) = (limits.check(own)?, Vec::new());
        return Ok(ReachedEverywhere { reached, others, hosts: None });
    };
    // If there are too many here, the other hosts did not get it.
    limits.check_most(own)?;
    let everywhere = elsewhere.add_to(own).await;
    limits.check_found(everywhere.reached)?;
    if limits.is_dry {
        limits.check_most(everywhere.reached)?;
    }
    Ok(everywhere)
}

/// The members about hosts of an answer that counts the clients of this one.
async fn own_only(elsewhere: Option<&ReachElsewhere<'_>>) -> String {
    match elsewhere {
        Some(elsewhere) => HostCounts::members(Some(elsewhere.own_only().await)),
        None => String::new(),
    }
}

/// The members of the answer to a publication that was made before: those of the first answer. If another host has given
/// it, that one is asked.
async fn repeated_members(
    id: Option<&TakenId>,
    used: IdUse,
    elsewhere: Option<&ReachElsewhere<'_>>,
) -> String {
    let first = match (used.origin, id, elsewhere) {
        (Some(origin), Some(id), Some(elsewhere)) => elsewhere.first_use(origin, &id.id).await,
        _ => Some(used),
    };
    let counts_sockets = id.is_some_and(|id| id.counts_sockets);
    let shown = first.unwrap_or(used);
    let members =
        used_members(IdUse { written: shown.written.filter(|_| counts_sockets), ..shown });
    let hosts = first.and_then(|first| first.hosts).filter(|_| elsewhere.is_some());
    match hosts {
        Some(hosts) => members + &HostCounts::members(Some(hosts.into())),
        None => members + &own_only(elsewhere).await,
    }
}

/// The members of the answer to an earlier publication.
fn used_members(IdUse { clients, workers, written, .. }: IdUse) -> String {
    let counts = format!("\"matched\":{clients},\"workers\":{workers}");
    match written {
        Some(written) => format!("{counts},{}", write_counts(written)),
        None => counts,
    }
}

/// The error about a client that is not there.
pub(super) fn no_such_client() -> ApiError {
    let message = "no such client is connected in this space";
    ApiError::new(ErrorCode::ConnectionNotFound, message)
}

fn too_expensive(values: u64, limit: u64) -> ApiError {
    let message = format!(
        "the prefixes of the expression would scan {values} values, the limit is {limit}; nothing was done"
    );
    let error = ApiError::new(ErrorCode::ExpressionTooExpensive, message);
    error
        .with_number("values", values)
        .with_number("limit", limit)
        .with_text("setting", "exprScanMax")
}

/// The members about what was reached.
pub(super) fn counts(Reached { clients, workers, is_away, .. }: Reached) -> String {
    let mut members = String::with_capacity(COUNTS_BYTES_USUAL);
    let _written = write!(members, "\"matched\":{clients},\"workers\":{workers}");
    if is_away {
        members.push_str(",\"away\":1");
    }
    members
}

fn write_counts(WriteCounts { written, slow, closed, waiting }: WriteCounts) -> String {
    format!("\"written\":{written},\"slow\":{slow},\"closed\":{closed},\"waiting\":{waiting}")
}

/// A dry run is only its count.
pub(super) fn not_counted() -> ApiError {
    let message = "the broker has not counted the recipients in time; nothing was sent";
    ApiError::new(ErrorCode::BrokerUnavailable, message)
}

/// Why a publication was not taken over.
impl From<NotTaken> for ApiError {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::NoRoom => {
                let message = "the broker does not answer, and no more can be kept for it";
                Self::new(ErrorCode::BrokerUnavailable, message)
            }
            NotTaken::Throttled => {
                let message =
                    "the tenant uses more than its share while others publish (fairShareWork)";
                let error = Self::new(ErrorCode::RateLimited, message);
                error.with_text("name", "fair_share").retry_after(1)
            }
            NotTaken::TooManyReports => {
                let message = format!(
                    "at most {WRITE_REPORTS_MAX} publications with `ack: written` are under way at a time"
                );
                let error = Self::new(ErrorCode::RateLimited, message);
                error.with_text("name", "written").retry_after(1)
            }
        }
    }
}
