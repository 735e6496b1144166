//! Members of an application that concern the HTTP API: `permissions`, `authMethods`, `maxRecipients`.

use super::check::{ApplicationEntry, CheckedFile};
use super::tree::YamlNode;
use super::violation::FindingSubject;
use crate::auth::{ApiPermission, ApiPermissions, ApiRights, AuthMethods};
use crate::config::diagnostic::visible;

const METHODS: [&str; 2] = ["bearer", "signed"];

impl CheckedFile {
    /// Returns the rights in the HTTP API. A wrong member is an error, and grants nothing.
    pub(super) fn api_rights(&mut self, entry: ApplicationEntry<'_>) -> ApiRights {
        let permissions = self.permissions(entry);
        let methods = self.words(entry, "authMethods", &METHODS);
        let has = |words: &[String], word: &str| words.iter().any(|it| it == word);
        let methods = methods
            .map(|it| AuthMethods { bearer: has(&it, "bearer"), signed: has(&it, "signed") });
        ApiRights {
            permissions,
            methods: methods.unwrap_or_default(),
            max_recipients: self.recipients(entry),
        }
    }

    /// Returns the permissions of an application or a secret; all if they are not restricted.
    pub(super) fn permissions(&mut self, entry: ApplicationEntry<'_>) -> ApiPermissions {
        let words = self.words(entry, "permissions", ApiPermission::names());
        let permissions = words.map(|words| {
            let each = words.iter().filter_map(|word| ApiPermission::named(word));
            each.fold(ApiPermissions::NONE, ApiPermissions::with)
        });
        permissions.unwrap_or_default()
    }

    /// Returns a list of known words; `None` if the member is absent.
    fn words(
        &mut self,
        entry: ApplicationEntry<'_>,
        name: &'static str,
        known: &[&str],
    ) -> Option<Vec<String>> {
        let node = entry.node.get(name)?;
        let member = entry.member(name);
        let about = FindingSubject::at(node.line, &member);
        let right = format!("write a list, such as `[{}]`", known.join(", "));
        let items = node.items().filter(|items| !items.is_empty() && node.construct.is_none());
        let Some(items) = items else {
            self.error(about, "is not a list of words", right);
            return Some(Vec::new());
        };
        Some(items.iter().filter_map(|item| self.word(item, about, known)).collect())
    }

    fn word(
        &mut self,
        item: &YamlNode,
        about: FindingSubject<'_>,
        known: &[&str],
    ) -> Option<String> {
        let word = item.scalar().filter(|word| known.contains(word) && item.construct.is_none());
        if word.is_none() {
            let shown = item.scalar().map_or_else(|| "a list".to_owned(), visible);
            let what = format!("holds `{shown}`, which is not known");
            self.error(about, what, format!("the words are {}", known.join(", ")));
        }
        word.map(str::to_owned)
    }

    fn recipients(&mut self, entry: ApplicationEntry<'_>) -> Option<u64> {
        let node = entry.node.get("maxRecipients")?;
        let count = node.scalar().and_then(|text| text.parse::<u64>().ok());
        if count.is_none() || node.construct.is_some() {
            let member = entry.member("maxRecipients");
            let right = "write a whole number, or leave it out";
            self.error(FindingSubject::at(node.line, &member), "is not a count", right);
            return Some(0);
        }
        count
    }
}
