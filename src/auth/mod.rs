//! Access control, and client identities that cannot be forged.

mod access;
mod api_rights;
mod application;
mod application_limits;
mod application_secret;
mod auth_basis;
mod member_key;
mod operator;
pub mod php_session;
mod presence_settings;
mod resume_settings;
mod resume_token;
mod schema;
mod token;
pub mod uuid;

pub(crate) use access::SecretDigest;
pub use access::{
    AuthorizeOpen, Denied, Grant, GrantRef, Permissions, Permit, RefreshedConnection, Right,
    ShownToken, VerifiedToken,
};
pub use api_rights::{ApiPermission, ApiPermissions, ApiRights, AuthMethods};
pub use application::{Application, Applications};
pub use application_limits::{ApplicationLimits, DefaultLimits, PublisherLimits};
pub use application_secret::{ApplicationSecret, OWN_SECRET};
pub use auth_basis::AuthBasis;
pub use member_key::MemberKey;
pub use operator::{OPERATOR_TOKEN_PREFIX, Operator, OperatorRole, Operators, TokenDigest};
pub use presence_settings::{PresenceRight, PresenceSettings};
pub use resume_settings::ResumeSettings;
pub use resume_token::{ResumeClaims, ResumeFault, ResumeKey, ResumeScope};
pub use schema::{MessageCheck, MessageSchema};
pub use token::{
    InvalidSigningKey, REVOKED_TOKEN, TOKEN_EXPIRED, TagSource, TokenAlgorithm, TokenCapabilities,
    TokenClaims, TokenError, TokenFault, TokenKey, TokenKeyMaterial, TokenLimits, TokenSettings,
    sign_token, token_parts,
};
