//! Tests of opening, publishing and renewal of grants.

use super::*;
use crate::auth::Application;
use crate::auth::{ApplicationSecret, MessageSchema};
use crate::types::Secret;

fn application(key: &str, (open, publish): (bool, bool), tenant: Option<&str>) -> Application {
    Application {
        key: key.to_owned(),
        secrets: vec![ApplicationSecret::own(Secret::new(format!("{key}'s")))],
        authorize_open: open,
        client_publish: publish,
        tenant: tenant.map(str::to_owned),
        schema: None,
        ..Application::placeholder()
    }
}

fn applications(anonymous: Option<usize>) -> Applications {
    let list = vec![
        application("open", (true, false), None),
        application("closed", (false, false), Some("b")),
        application("chat", (true, true), Some("c")),
    ];
    Applications { list, anonymous }
}

fn access(anonymous: Option<usize>, open: AuthorizeOpen) -> Permissions {
    Permissions::new(Some(&applications(anonymous)), open)
}

fn shown<'a>(key: &'a str, secret: Option<&'a str>) -> Credentials<'a> {
    Credentials { key: key.into(), secret: secret.map(Into::into) }
}

fn grant(tenant: &str, right: Right) -> (Tenant, Right) {
    (Tenant(tenant.into()), right)
}

fn open(access: &Permissions, shown: Option<&Credentials<'_>>) -> Result<(Tenant, Right), Denied> {
    access.open(shown).map(|grant| (grant.tenant, grant.right))
}

/// Returns the tenant in which a message is published.
fn space(
    access: &Permissions,
    (tenant, right): (&Tenant, Right),
    shown: Option<&Credentials<'_>>,
) -> Result<Tenant, Denied> {
    access
        .send(GrantRef { tenant, right, basis: AuthBasis::NOTHING }, shown)
        .map(|permit| permit.tenant)
}

#[test]
fn without_applications_everything_is_allowed() {
    let access = Permissions::new(None, AuthorizeOpen::Application);
    let granted = access.open(None).unwrap();
    assert_eq!(granted, Grant::everything());
    assert_eq!(
        space(&access, (&granted.tenant, granted.right), Some(&shown("x", None))),
        Ok(Tenant::shared())
    );
}

#[test]
fn an_opening_needs_a_key_and_for_some_applications_the_secret() {
    let access = access(None, AuthorizeOpen::Application);
    let open = |key, secret| open(&access, Some(&shown(key, secret)));
    assert_eq!(access.open(None), Err(Denied::Open));
    assert_eq!(open("open", None), Ok(grant("", Right::Listen)));
    assert_eq!(open("open", Some("wrong")), Ok(grant("", Right::Listen)));
    assert_eq!(open("open", Some("open's")), Ok(grant("", Right::Publish)));
    assert_eq!(open("closed", None), Err(Denied::Open));
    assert_eq!(open("closed", Some("open's")), Err(Denied::Open));
    assert_eq!(open("closed", Some("closed's")), Ok(grant("b", Right::Publish)));
    assert_eq!(open("unknown", Some("open's")), Err(Denied::Open));
    assert_eq!(open("", Some("")), Err(Denied::Open));
    assert_eq!(open("chat", None), Ok(grant("c", Right::Publish)));
}

#[test]
fn clients_without_credentials_use_the_anonymous_application() {
    let anonymous = access(Some(2), AuthorizeOpen::Application);
    assert_eq!(open(&anonymous, None), Ok(grant("c", Right::Publish)));
    let locked = access(Some(1), AuthorizeOpen::Application);
    assert_eq!(open(&locked, None), Err(Denied::Open));
}

#[test]
fn with_open_access_a_key_alone_does_not_join_its_tenant() {
    let all = access(None, AuthorizeOpen::All);
    assert_eq!(open(&all, None), Ok(grant("", Right::Listen)));
    assert_eq!(open(&all, Some(&shown("closed", None))), Ok(grant("", Right::Listen)));
    let proven = open(&all, Some(&shown("closed", Some("closed's"))));
    assert_eq!(proven, Ok(grant("b", Right::Publish)));
}

#[test]
fn a_message_is_published_in_the_space_of_what_proves_it() {
    let access = access(None, AuthorizeOpen::Application);
    let (shared, c) = (Tenant::shared(), Tenant("c".into()));
    let (listener, publisher) = ((&shared, Right::Listen), (&c, Right::Publish));
    let proof = shown("closed", Some("closed's"));
    assert_eq!(space(&access, listener, Some(&proof)), Ok(Tenant("b".into())));
    assert_eq!(space(&access, publisher, None), Ok(Tenant("c".into())));
    assert_eq!(space(&access, listener, None), Err(Denied::Send));
    for wrong in [shown("closed", None), shown("closed", Some("x")), shown("x", Some("x"))] {
        assert_eq!(space(&access, publisher, Some(&wrong)), Err(Denied::Send));
    }
}

/// Renews a grant with the rules `changed`. `shown` are the credentials of the original grant.
fn renewed(
    shown: Option<&Credentials<'_>>,
    change: impl FnOnce(&mut Applications),
) -> Result<Right, Denied> {
    let former = access(Some(2), AuthorizeOpen::Application);
    let grant = former.open(shown).unwrap();
    let mut changed = applications(Some(2));
    change(&mut changed);
    let access = Permissions::new(Some(&changed), AuthorizeOpen::Application);
    access.replacing(former).renew(&grant.tenant, grant.basis, None).map(|grant| grant.right)
}

#[test]
fn a_grant_lasts_as_long_as_what_it_rests_on() {
    let key = shown("open", None);
    let proof = shown("closed", Some("closed's"));
    let nothing = |_: &mut Applications| {};
    assert_eq!(renewed(Some(&key), nothing), Ok(Right::Listen));
    assert_eq!(renewed(Some(&proof), nothing), Ok(Right::Publish));
    assert_eq!(renewed(None, nothing), Ok(Right::Publish));
    let without_first = |it: &mut Applications| {
        it.list.remove(0);
        it.anonymous = Some(1);
    };
    assert_eq!(renewed(Some(&key), without_first), Err(Denied::Open));
    assert_eq!(renewed(Some(&proof), without_first), Ok(Right::Publish), "it has moved up");
    assert_eq!(renewed(None, without_first), Ok(Right::Publish));
    let new_secrets = |it: &mut Applications| {
        let new = || vec![ApplicationSecret::own(Secret::new("new".to_owned()))];
        it.list.iter_mut().for_each(|one| one.secrets = new());
    };
    assert_eq!(renewed(Some(&proof), new_secrets), Err(Denied::Open));
    assert_eq!(renewed(Some(&key), new_secrets), Ok(Right::Listen), "it showed none");
    let moved = |it: &mut Applications| {
        it.list.iter_mut().for_each(|one| one.tenant = Some("elsewhere".to_owned()));
    };
    assert_eq!(renewed(Some(&key), moved), Err(Denied::Open));
    let nobody = |it: &mut Applications| it.anonymous = None;
    assert_eq!(renewed(None, nobody), Err(Denied::Open));
    let mute = |it: &mut Applications| it.list[2].client_publish = false;
    assert_eq!(renewed(None, mute), Ok(Right::Listen));
    let locked = |it: &mut Applications| it.list[0].authorize_open = false;
    assert_eq!(renewed(Some(&key), locked), Err(Denied::Open));
}

#[test]
fn clients_admitted_under_open_access_count_as_anonymous() {
    let open_to_all = Permissions::everything();
    let grant = open_to_all.open(None).unwrap();
    let renew = |access: Permissions| {
        access.replacing(Permissions::everything()).renew(&grant.tenant, grant.basis, None)
    };
    assert!(renew(access(None, AuthorizeOpen::Application)).is_err());
    assert_eq!(renew(access(Some(0), AuthorizeOpen::Application)).unwrap().right, Right::Listen);
    assert_eq!(renew(access(None, AuthorizeOpen::All)).unwrap().right, Right::Listen);
    assert_eq!(renew(Permissions::everything()).unwrap().right, Right::Publish);
}

/// The space in which a grant publishes, and whether a schema is asked.
fn permitted(access: &Permissions, grant: &Grant) -> Option<(String, bool)> {
    let publisher = GrantRef { tenant: &grant.tenant, right: grant.right, basis: grant.basis };
    let permit = access.send(publisher, None).ok()?;
    Some((permit.tenant.0.to_string(), permit.check.is_some()))
}

#[test]
fn a_grant_means_the_same_until_it_is_renewed_however_the_list_changes() {
    let proof = shown("closed", Some("closed's"));
    let mut with_schema = applications(Some(2));
    with_schema.list[1].schema = Some(MessageSchema::new(r#"{"type":"string"}"#));
    let former = Permissions::new(Some(&with_schema), AuthorizeOpen::Application);
    let grant = former.open(Some(&proof)).unwrap();
    assert_eq!(permitted(&former, &grant), Some(("b".to_owned(), true)));
    // The first one has gone, and the second one has no schema any more.
    let mut list = applications(Some(1));
    list.list.remove(0);
    let mut now = Permissions::new(Some(&list), AuthorizeOpen::Application).replacing(former);
    assert_eq!(permitted(&now, &grant), Some(("b".to_owned(), true)), "as before");
    let renewed = now.renew(&grant.tenant, grant.basis, None).unwrap();
    assert_eq!(permitted(&now, &renewed), Some(("b".to_owned(), false)));
    assert_eq!(now.renew(&grant.tenant, renewed.basis, None), Ok(renewed.clone()), "twice is once");
    now.forget_former();
    assert_eq!(permitted(&now, &renewed), Some(("b".to_owned(), false)));
    let later = access(Some(2), AuthorizeOpen::Application).replacing(now);
    assert_eq!(permitted(&later, &renewed), Some(("b".to_owned(), false)));
    assert!(later.renew(&grant.tenant, renewed.basis, None).is_ok());
}

#[test]
fn nothing_printed_shows_a_secret() {
    let printed = format!("{:?}", access(Some(0), AuthorizeOpen::All));
    assert!(!printed.contains("'s"), "{printed}");
    assert!(!format!("{:?}", shown("k", Some("hidden"))).contains("hidden"));
}

#[test]
fn a_message_has_to_fit_the_schema_of_what_it_is_published_by() {
    let mut list = applications(Some(2)).list;
    list[1].schema = Some(MessageSchema::new(r#"{"type":"string"}"#));
    list[2].schema = Some(MessageSchema::new(r#"{"type":"number"}"#));
    let applications = Applications { list, anonymous: Some(2) };
    let access = Permissions::new(Some(&applications), AuthorizeOpen::Application);
    let of = |shown: Option<&Credentials<'_>>, with: Option<&Credentials<'_>>| {
        let grant = access.open(shown).unwrap();
        let permit = access.send(grant.by_ref(), with).unwrap();
        permit.check.map(|check| check.check(b"5").is_ok())
    };
    let (closed, open) = (shown("closed", Some("closed's")), shown("open", Some("open's")));
    assert_eq!(of(None, None), Some(true), "as the anonymous application");
    assert_eq!(of(Some(&shown("chat", None)), None), Some(true), "by its key");
    assert_eq!(of(Some(&closed), None), Some(false), "by its secret");
    assert_eq!(of(Some(&shown("chat", None)), Some(&closed)), Some(false), "by what is shown");
    assert_eq!(of(Some(&closed), Some(&open)), None, "by one that has none");
}

#[test]
fn digests_accept_the_same_credentials_as_the_secrets() {
    let mut known = applications(None);
    let whole = Permissions::new(Some(&known), AuthorizeOpen::Application);
    for application in &mut known.list {
        for one in &mut application.secrets {
            one.secret = one.secret.to_digest();
        }
    }
    let digests = Permissions::new(Some(&known), AuthorizeOpen::Application);
    for key in ["open", "closed", "chat", "nobody"] {
        for secret in [None, Some(""), Some("open's"), Some("closed's"), Some("chat's")] {
            let shown = shown(key, secret);
            assert_eq!(
                open(&digests, Some(&shown)),
                open(&whole, Some(&shown)),
                "{key} {secret:?}"
            );
        }
    }
    assert!(open(&digests, Some(&shown("closed", Some("closed's")))).is_ok());
}

/// Applications of which `closed` has two more secrets, `second` and `third`.
fn with_more_secrets() -> Applications {
    let mut all = applications(None);
    for text in ["second", "third"] {
        let one = ApplicationSecret::named(text.to_owned(), Secret::new(text.to_owned()));
        all.list[1].secrets.push(one);
    }
    all
}

#[test]
fn each_secret_of_an_application_is_accepted_and_no_other() {
    let access = Permissions::new(Some(&with_more_secrets()), AuthorizeOpen::Application);
    for secret in ["closed's", "second", "third"] {
        let proof = shown("closed", Some(secret));
        assert_eq!(open(&access, Some(&proof)), Ok(grant("b", Right::Publish)), "{secret}");
        let shared = Tenant::shared();
        assert!(space(&access, (&shared, Right::Listen), Some(&proof)).is_ok(), "{secret}");
        assert_eq!(open(&access, Some(&shown("chat", Some(secret)))).unwrap().0.0, "c");
        assert!(open(&access, Some(&shown("unknown", Some(secret)))).is_err());
    }
    for wrong in ["fourth", "", "secon", "second2"] {
        assert_eq!(open(&access, Some(&shown("closed", Some(wrong)))), Err(Denied::Open));
    }
}

#[test]
fn a_grant_ends_with_the_secret_that_was_shown_and_with_no_other() {
    let renewed = |by: &str, kept: &[&str]| {
        let former = Permissions::new(Some(&with_more_secrets()), AuthorizeOpen::Application);
        let granted = former.open(Some(&shown("closed", Some(by)))).unwrap();
        let mut list = with_more_secrets();
        list.list[1].secrets.retain(|one| kept.contains(&one.id.as_str()));
        // Another place of the application, and of the secret.
        list.list.remove(0);
        let now = Permissions::new(Some(&list), AuthorizeOpen::Application).replacing(former);
        now.renew(&granted.tenant, granted.basis, None).map(|grant| grant.basis.is_proven())
    };
    assert_eq!(renewed("second", &["third", "second"]), Ok(true));
    assert_eq!(renewed("third", &["third"]), Ok(true));
    assert_eq!(renewed("second", &["own", "third"]), Err(Denied::Open));
    assert_eq!(renewed("closed's", &["second", "third"]), Err(Denied::Open));
    assert_eq!(renewed("second", &[]), Err(Denied::Open), "none is left");
}
