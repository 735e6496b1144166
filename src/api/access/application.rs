//! An application as requests to the API see it.

use std::rc::Rc;

use super::api_secret::ApiSecret;
use crate::api::error::{ApiError, ErrorCode};
use crate::auth::{
    ApiPermission, ApiRights, Application, ApplicationLimits, ApplicationSecret, AuthMethods,
    DefaultLimits, MessageCheck, TokenSettings,
};
use crate::types::{OPEN_APPLICATION, Tenant};

/// An application in the form that the API uses, for a request with one of its secrets.
pub(in crate::api) struct ApiApplication {
    /// The name of the application.
    pub(in crate::api) key: Box<str>,
    /// The tenant of its clients.
    pub(in crate::api) tenant: Tenant,
    /// The schema of its messages.
    pub(in crate::api) check: Option<Rc<MessageCheck>>,
    /// Its keys of tokens, if it accepts tokens.
    pub(in crate::api) tokens: Option<Rc<TokenSettings>>,
    /// Its permissions with this secret.
    pub(in crate::api) rights: ApiRights,
    /// How much it may do in a time.
    pub(in crate::api) limits: ApplicationLimits,
    pub(super) secret: ApiSecret,
}

/// Omits the data that recognises its secret.
impl std::fmt::Debug for ApiApplication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiApplication").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl ApiApplication {
    /// Returns the application once per secret.
    pub(super) fn all_of(application: &Application) -> Vec<Self> {
        let tenant = application.tenant.as_deref().map(|name| Tenant(name.into()));
        let tenant = tenant.unwrap_or_else(Tenant::shared);
        let check = application.schema.as_ref().map(|schema| Rc::new(MessageCheck::new(schema)));
        let tokens = application.tokens.clone().map(Rc::new);
        let with = |one: &ApplicationSecret| Self {
            key: application.key.as_str().into(),
            tenant: tenant.clone(),
            check: check.clone(),
            tokens: tokens.clone(),
            rights: ApiRights {
                permissions: application.api.permissions.and(one.permissions),
                methods: AuthMethods {
                    // A signature cannot be checked without the text of the secret.
                    signed: application.api.methods.signed && one.secret.is_text(),
                    ..application.api.methods
                },
                ..application.api
            },
            limits: application.limits,
            secret: ApiSecret::new(one),
        };
        application.secrets.iter().map(with).collect()
    }

    pub(super) fn open(limits: &DefaultLimits) -> Self {
        Self {
            key: OPEN_APPLICATION.into(),
            tenant: Tenant::shared(),
            check: None,
            tokens: None,
            rights: ApiRights::default(),
            limits: ApplicationLimits::default().or(limits),
            secret: ApiSecret::none(),
        }
    }

    /// Checks a permission.
    ///
    /// # Errors
    ///
    /// 403 with the name of the missing permission.
    pub(in crate::api) fn require(&self, permission: ApiPermission) -> Result<(), ApiError> {
        self.require_one(&[permission])
    }

    /// Whether it may do one of these. None of them means that everything is allowed.
    ///
    /// # Errors
    ///
    /// 403 with the name of the last permission.
    pub(in crate::api) fn require_one(
        &self,
        permissions: &[ApiPermission],
    ) -> Result<(), ApiError> {
        let Some(permission) = permissions.last() else { return Ok(()) };
        if permissions.iter().any(|it| self.rights.permissions.has(*it)) {
            return Ok(());
        }
        let name = permission.name();
        let message = format!("the application, or its secret, has no permission `{name}`");
        let error = ApiError::new(ErrorCode::PermissionDenied, message);
        Err(error.with_text("permission", name))
    }
}
