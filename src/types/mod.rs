//! Shared types and limits of all modules.

mod address;
mod alias;
mod allowed_names;
mod application_figures;
mod bridge_counts;
mod budget;
mod causes;
mod client;
mod client_filter;
mod close;
mod cluster_reach;
mod connection_counts;
mod counts;
mod credentials;
mod description;
mod encryption;
mod expression;
mod histogram;
mod history;
mod hixie_form;
mod host;
mod host_profile;
mod ids;
mod ip_range;
pub mod limits;
mod listing;
mod metrics;
mod origin;
mod presence;
mod pressure;
mod publication;
mod rate_limit;
mod readiness;
mod replay;
mod request_ids;
mod resume;
mod revocation;
mod secret;
mod series;
mod slots;
mod span;
mod tag;
mod tag_change;
mod topics;
mod tracking;
mod wiped;
mod word_choice;
mod work;

pub use address::{
    Address, MatchOptions, NamedClient, Recipients, RecipientsAmong, RecipientsWithout,
};
pub use alias::{Alias, Claim, Exclusivity, GrantNumber};
pub use allowed_names::AllowedNames;
pub use application_figures::{ApplicationFigures, ApplicationTable, ShownApplications};
pub use bridge_counts::{BridgeCounts, ClusterState, NatsFault};
pub use budget::TurnBudget;
pub use causes::causes;
pub use client::{AddressLimit, Client, ClientClass, Ident, IdentError, LimitedApplication};
pub use client_filter::ClientFilter;
pub use close::{CloseCode, CloseReason};
pub use cluster_reach::ClusterReach;
pub use connection_counts::{AddressCount, ConnectionCounts};
pub use counts::{
    ApiCounts, BrokerCounts, CountDetail, CountReport, OutboxFigures, ProcessCounts,
    RateLimitedCounts, WorkerCounts,
};
pub use credentials::{Credentials, OPEN_APPLICATION};
pub use description::{ClientDescription, DescribedToken, TenantStatistics};
pub use encryption::Encryption;
pub use expression::{
    Expression, ExpressionFault, ExpressionSize, TagCondition, TagTerm, TooExpensive, ValueTest,
    is_keyword, is_word_byte,
};
pub use histogram::{DURATION_BOUNDS, Histogram, RECIPIENT_BOUNDS};
pub use history::{HistorySettings, HistoryTerms};
pub use hixie_form::HixieForm;
pub use host::{ClusterMember, HostId, QueryReach};
pub use host_profile::{
    ClusterReport, HostProfile, OtherHost, PingedHost, SettingDifference, SettingDigest,
    SharedSetting, ShownHostState,
};
pub use ids::{
    ClientUuid, ConfigNumber, ConnectionRef, Generation, JoinNumber, Number, Sequence, Slot,
    Tenant, WorkerId, WorkerIncarnation,
};
pub use ip_range::{IpRange, counted_as};
pub use listing::{
    ClientPage, ClientTags, ListFilter, ListPosition, ListedClient, PageSize, ScannedTags,
    TagCount, TagScan,
};
pub use metrics::{
    EndedCounts, ExitCause, ExitCount, MemoryFigures, MetricsSnapshot, ProcessFigures, ProcessRole,
    ReloadResult,
};
pub use origin::{HostPattern, NoOrigin, Origin, OriginPattern, canonical_host};
pub use presence::{
    MemberTerms, PresenceCounts, PresenceNews, PresentMember, WatchListing, WatchMode,
    WatchRefusal, WatchScope, WatchTerms,
};
pub use pressure::{Allowance, Pressure};
pub use publication::{Content, FramedPayload, PayloadForm, Publication};
pub use rate_limit::{ChargedAmount, LimitValue, RateLimit, RateText};
pub use readiness::Readiness;
pub use replay::{
    CountedHosts, IdUse, PublicationId, RecipientBounds, ReplayBasis, ReplayDigest, ReplayRecords,
    SpentNonce, UsedId,
};
pub use request_ids::{AcceptedIds, IdNovelty};
pub use resume::{
    InstanceDigest, MissedRequest, RecoveryReason, ReplayPosition, ResumeGeneration, ResumeStanding,
};
pub use revocation::{RevocationList, RevokedTokens, TokenIdentity, TokenRevocation};
pub use secret::{Secret, from_hexadecimal, push_hexadecimal};
pub use series::{HistogramFamily, LabelValues, LabelledSeries, SeriesFamily, SeriesKind};
pub use slots::SlotSet;
pub use span::span_seconds;
pub use tag::{AsTag, Tag, TagError, TagIter, TagQuery, TagRef, Tags, is_integer_key};
pub use tag_change::{TagChange, TagEdit, TagNames, TagVersion, VersionedTags};
pub use topics::{
    Topics, is_guarded_tag_name, is_guarded_topic, is_topic_name, is_topic_tag_name, topic_tag_name,
};
pub use tracking::{
    AskToken, SpanTimes, TimedWrites, TrackedOutcome, TrackedSubject, Tracking, WriteCounts,
};
pub use wiped::{WipedBytes, scrub_stack};
pub use word_choice::WordChoice;
pub(crate) use word_choice::word_choices;
pub use work::send_work;
