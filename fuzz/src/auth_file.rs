//! `auth.yml`: the parser returns applications that admit only clients with the right credentials,
//! or findings that name a position and an error and contain no secret.

use tagcast::auth::{Applications, AuthorizeOpen, Permissions};
use tagcast::config::{
    ConfigSources, Diagnostic, Diagnostics, NewApplication, add_application, load,
};
use tagcast::types::{Credentials, Secret, Tenant};

use super::findings::{Written, is_well_formed};
use super::scratch::Scratch;

/// Parses the bytes as the file.
pub fn run(data: &[u8]) {
    let scratch = Scratch::new("auth");
    let files = [Written::new(scratch.write("auth.yml", data), data)];
    let source = ConfigSources { folder: scratch.folder().to_owned(), ..ConfigSources::default() };
    let text = String::from_utf8_lossy(data);
    let well_formed = |finding: &Diagnostic| {
        is_well_formed(finding, &files);
        let shown = finding.to_string();
        for secret in secrets(&text) {
            assert!(!shown.contains(secret), "{shown}");
        }
    };
    match load(&source) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(well_formed);
            let applications = loaded.config.applications.expect("the file is there");
            are_right(&applications);
            one_more(&source, &applications);
        }
        Err(Diagnostics(findings)) => {
            assert!(!findings.is_empty() && findings.len() < 100);
            findings.iter().for_each(well_formed);
        }
    }
}

/// Returns texts that occur only once, as the value of a `secret` or `value`.
fn secrets(text: &str) -> Vec<&str> {
    if text.contains(['"', '\'', '|', '>', '?', '#', '&', '*']) {
        return Vec::new();
    }
    let values = text.lines().filter_map(|line| {
        let line = line.trim_start_matches([' ', '-']);
        let member = line.strip_prefix("secret: ").or_else(|| line.strip_prefix("value: "))?;
        (member.len() > 5 && member.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            .then_some(member)
    });
    values.filter(|secret| text.matches(secret).count() == 1).collect()
}

fn are_right(applications: &Applications) {
    let Applications { list, anonymous } = applications;
    assert!(!list.is_empty() && anonymous.is_none_or(|at| at < list.len()));
    let access = Permissions::new(Some(applications), AuthorizeOpen::Application);
    for (at, one) in list.iter().enumerate() {
        assert!(!one.key.is_empty() && one.key.len() <= 255);
        assert!((1..=8).contains(&one.secrets.len()));
        assert!(list.iter().skip(at + 1).all(|other| other.key != one.key));
        let show = |secret: String| Credentials {
            key: one.key.as_str().into(),
            secret: Some(secret.into()),
        };
        for (place, secret) in one.secrets.iter().enumerate() {
            let text = secret.secret.expose();
            assert!(!text.is_empty() && !secret.id.is_empty());
            let earlier = one.secrets.iter().take(place);
            assert!(earlier.clone().all(|it| it.id != secret.id && it.secret != secret.secret));
            let right = show(text.to_owned());
            let grant = access.open(Some(&right)).expect("key and secret open");
            assert_eq!(
                grant.tenant,
                one.tenant.as_deref().map_or_else(Tenant::shared, |name| Tenant(name.into()))
            );
            let here = grant.by_ref();
            let permit = access.send(here, Some(&right)).expect("and publish");
            assert_eq!(permit.tenant, grant.tenant);
            let wrong = show(format!("{text}x"));
            let is_another = one.secrets.iter().any(|it| it.secret.expose() == format!("{text}x"));
            if !is_another {
                assert!(access.send(here, Some(&wrong)).is_err());
                assert_eq!(access.open(Some(&wrong)).is_ok(), one.authorize_open);
            }
        }
    }
    let unknown = Credentials { key: "\u{1}nobody".into(), secret: None };
    assert!(access.open(Some(&unknown)).is_err());
}

/// Checks that `app add` adds one application and keeps the others, or fails and keeps the file.
fn one_more(source: &ConfigSources, before: &Applications) {
    let file = source.folder.join("auth.yml");
    let text = std::fs::read(&file).expect("the file");
    let new = NewApplication {
        key: "one.more".to_owned(),
        secret: Secret::new("its secret, which is long enough".to_owned()),
        authorize_open: true,
        client_publish: false,
        tenant: None,
    };
    match add_application(&file, &new) {
        Ok(()) => {
            let after = load(source).expect("a file that is still right").config.applications;
            let after = after.expect("applications").list;
            assert_eq!(after.len(), before.list.len() + 1);
            assert!(before.list.iter().all(|one| after.contains(one)));
        }
        Err(why) => {
            assert!(!why.to_string().is_empty());
            assert_eq!(std::fs::read(&file).expect("the file"), text);
        }
    }
}
