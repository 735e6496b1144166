//! The table of all keys. A new key needs one entry here and one line in `resolve.rs`.

/// A key of `websock.ini`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// Section of the key. Empty for `[websocketserver]` or no section.
    pub section: &'static str,
    /// Name of the key. Case and underscores are ignored.
    pub name: &'static str,
    /// Default value as it would be written.
    pub default: &'static str,
    /// Type or unit of the value.
    pub unit: &'static str,
    /// True if a reload changes it.
    pub reloadable: bool,
}

const fn key(
    section: &'static str,
    name: &'static str,
    default: &'static str,
    unit: &'static str,
) -> ConfigKey {
    ConfigKey { section, name, default, unit, reloadable: false }
}

impl ConfigKey {
    const fn reloadable(self) -> Self {
        Self { reloadable: true, ..self }
    }
}

/// All keys in the order of the documentation.
pub const KEYS: &[ConfigKey] = &[
    key("", "address", "ws://127.0.0.1:8094", "list of addresses"),
    key("", "socketMode", "0660", "file mode"),
    key("", "workers", "auto", "processes"),
    key("", "logfile", "none", "path"),
    key("", "console", "on", "switch"),
    key("", "logLevel", "info", "word").reloadable(),
    key("", "logFormat", "text", "word"),
    key("", "logMaxSize", "64M", "size"),
    key("", "logFiles", "5", "count"),
    key("", "authFile", "auth.yml", "path").reloadable(),
    key("", "authorizeOpen", "application", "word").reloadable(),
    key("", "refuse", "http", "word").reloadable(),
    key("", "allowedOrigins", "none", "list of origins").reloadable(),
    key("", "allowedIP", "none", "list of addresses").reloadable(),
    key("", "trustedProxies", "none", "list of addresses").reloadable(),
    key("", "maxClients", "0", "count").reloadable(),
    key("", "maxPerIP", "0", "count").reloadable(),
    key("", "exprScanMax", "50000", "count").reloadable(),
    key("", "limitPublications", "none", "rate").reloadable(),
    key("", "limitBytes", "none", "rate").reloadable(),
    key("", "limitRequests", "none", "rate").reloadable(),
    key("", "limitRequestsPerIP", "none", "rate").reloadable(),
    key("", "fairShareWork", "20000", "count").reloadable(),
    key("", "tls", "on", "word"),
    key("", "certFile", "none", "path").reloadable(),
    key("", "pkFile", "none", "path").reloadable(),
    key("", "tlsHandshakeTimeout", "3s", "duration").reloadable(),
    key("", "handshakeTimeout", "10s", "duration").reloadable(),
    key("", "maxHead", "16K", "size").reloadable(),
    key("", "maxMessage", "5M", "size").reloadable(),
    key("", "messageTimeout", "30s", "duration").reloadable(),
    key("", "outboxLimit", "6M", "size").reloadable(),
    key("", "awayMemory", "64M", "size").reloadable(),
    key("", "historyMemory", "256M", "size").reloadable(),
    key("", "maxTopics", "100", "count").reloadable(),
    key("", "maxMemory", "auto", "size").reloadable(),
    key("", "pingInterval", "20s", "duration").reloadable(),
    key("", "drainTime", "5s", "duration").reloadable(),
    key("", "uuidKey", "none", "key"),
    key("", "uuidKeyFile", "state/uuid.key", "path"),
    key("", "stateDir", "state", "path"),
    key("", "defaultDialect", "phpws", "word").reloadable(),
    key("", "unknownPath", "phpws", "word").reloadable(),
    key("", "page", "on", "switch").reloadable(),
    key("", "ssePath", "/sse", "path of a URL").reloadable(),
    key("", "sseQueryToken", "off", "switch").reloadable(),
    key("", "sseHeartbeat", "15s", "duration").reloadable(),
    key("", "api", "on", "switch"),
    key("", "apiAddress", "none", "list of addresses"),
    key("", "apiSocketMode", "0660", "file mode"),
    key("", "apiMaxBody", "5184K", "size").reloadable(),
    key("", "apiTimeout", "5s", "duration").reloadable(),
    key("", "apiIdleTimeout", "60s", "duration").reloadable(),
    key("", "apiMaxConnections", "1024", "count").reloadable(),
    key("", "signatureWindow", "300s", "duration").reloadable(),
    key("", "signatureClockSkew", "60s", "duration").reloadable(),
    key("", "idempotencyWindow", "5m", "duration").reloadable(),
    key("", "idempotencyMax", "200000", "count").reloadable(),
    key("", "otlpEndpoint", "none", "URL").reloadable(),
    key("", "operatorFile", "none", "path"),
    key("", "metricsAuth", "off", "switch").reloadable(),
    key("", "consolePage", "off", "switch").reloadable(),
    key("", "legacy", "off", "switch").reloadable(),
    key("", "legacyForm", "draft", "word").reloadable(),
    key("", "rawClients", "off", "switch").reloadable(),
    key("phpws", "uuid", "signed", "word"),
    key("phpws", "readyGap", "20ms", "duration").reloadable(),
    key("phpws", "frameGap", "5ms", "duration").reloadable(),
    key("phpws", "maxChunks", "1000", "count").reloadable(),
    key("phpws", "phpKeepalive", "0", "duration").reloadable(),
    key("phpws", "rawMessages", "json", "word").reloadable(),
    key("phpws", "aliases", "first", "word").reloadable(),
    key("phpws", "broadcastTags", "ignore", "word").reloadable(),
    key("phpws", "abruptClose", "off", "switch").reloadable(),
    key("phpws", "exactTarget", "off", "switch").reloadable(),
    key("phpws", "requireOrigin", "off", "switch").reloadable(),
    key("phpws", "httpErrors", "http", "word").reloadable(),
    key("phpws", "ackOrder", "before", "word").reloadable(),
    key("phpws", "phpReencode", "off", "switch").reloadable(),
    key("phpws", "closeOnJsonError", "off", "switch").reloadable(),
    key("phpws", "broadcastToOldScripts", "off", "switch").reloadable(),
    key("phpws", "broadcastWithoutOpcode", "off", "switch").reloadable(),
    key("phpws", "uuidReachesPhp", "on", "switch").reloadable(),
    key("phpws", "looseCompare", "off", "switch").reloadable(),
    key("phpws", "chunkOverflow", "close", "word").reloadable(),
    key("phpws", "fragments", "whole", "word").reloadable(),
    key("phpws", "acceptUnmasked", "off", "switch").reloadable(),
    key("phpws", "lenientFrames", "off", "switch").reloadable(),
    key("phpws", "dropSlow", "off", "switch").reloadable(),
    key("phpws", "legacyTypos", "off", "switch").reloadable(),
    key("gomoob", "messages", "any", "word").reloadable(),
    key("gomoob", "tagMatch", "strict", "word").reloadable(),
    key("gomoob", "closeCode", "policy", "word").reloadable(),
    key("gomoob", "phpReencode", "off", "switch").reloadable(),
    key("gomoob", "openTags", "on", "switch").reloadable(),
    key("echo", "applications", "Foo, Bar", "list of names").reloadable(),
    key("echo", "barSilent", "off", "switch").reloadable(),
    key("echo", "protocols", "negotiated", "word").reloadable(),
    key("echo", "handshake", "rfc", "word").reloadable(),
    key("jsauth", "require", "off", "switch").reloadable(),
    key("jsauth", "ssp", "none", "path").reloadable(),
    key("jsauth", "cookieName", "PHPSESSID", "name").reloadable(),
    key("jsauth", "key", "none", "name").reloadable(),
    key("jsauth", "truth", "php", "word").reloadable(),
    key("bloatless", "applications", "none", "list of words").reloadable(),
    key("bloatless", "checkOrigin", "off", "switch").reloadable(),
    key("bloatless", "allowedOrigins", "none", "list of hosts").reloadable(),
    key("bloatless", "maxRequestsPerMinute", "0", "count").reloadable(),
    key("bloatless", "status", "v3", "word").reloadable(),
    key("bloatless", "closeText", "given", "word").reloadable(),
    key("bloatless", "answers", "http", "word").reloadable(),
    key("bloatless", "pushSocket", "none", "path"),
    key("bloatless", "pushSocketMode", "0660", "file mode"),
    key("cluster", "nats", "none", "list of URLs").reloadable(),
    key("cluster", "name", "none", "name"),
    key("cluster", "hostName", "none", "word").reloadable(),
    key("cluster", "credsFile", "none", "path").reloadable(),
    key("cluster", "nkeyFile", "none", "path").reloadable(),
    key("cluster", "userFile", "none", "path").reloadable(),
    key("cluster", "tokenFile", "none", "path").reloadable(),
    key("cluster", "caFile", "none", "path").reloadable(),
    key("cluster", "certFile", "none", "path").reloadable(),
    key("cluster", "pkFile", "none", "path").reloadable(),
    key("cluster", "replayBytes", "64M", "size"),
    key("cluster", "replayTime", "60s", "duration"),
    key("cluster", "queryTimeout", "300ms", "duration").reloadable(),
    key("cluster", "maxClients", "0", "count").reloadable(),
    key("cluster", "maxPerIP", "0", "count").reloadable(),
    key("cluster", "onGap", "report", "word").reloadable(),
    key("cluster", "required", "off", "switch").reloadable(),
];

/// Prefix of our environment variables.
pub(super) const VARIABLE_PREFIX: &str = "TAGCAST_";

/// Variables with our prefix that do not set a key.
pub(super) const RESERVED_VARIABLES: &[&str] = &[
    "TAGCAST_APP_KEY",
    "TAGCAST_APP_KEY_FILE",
    "TAGCAST_APP_SECRET",
    "TAGCAST_APP_SECRET_FILE",
    "TAGCAST_SECRET",
    "TAGCAST_TRACEABLE",
    "TAGCAST_REQUIRE_TOOLS",
    "TAGCAST_BIN",
    "TAGCAST_AUTOBAHN",
];

impl ConfigKey {
    /// Returns the variable that sets the key: `maxMessage` is `TAGCAST_MAX_MESSAGE`.
    #[must_use]
    pub fn variable(&self) -> String {
        let mut variable = String::from(VARIABLE_PREFIX);
        if !self.section.is_empty() {
            variable.push_str(&self.section.to_ascii_uppercase());
            variable.push('_');
        }
        let mut was_capital = true;
        for letter in self.name.chars() {
            // Consecutive capitals form one word: `maxPerIP` is `MAX_PER_IP`.
            if letter.is_ascii_uppercase() && !was_capital {
                variable.push('_');
            }
            was_capital = letter.is_ascii_uppercase();
            variable.push(letter.to_ascii_uppercase());
        }
        variable
    }

    /// Returns the key in a flag: `frameGap` of `[phpws]` is `phpws.frameGap`.
    #[must_use]
    pub fn flag(&self) -> String {
        if self.section.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}.{}", self.section, self.name)
        }
    }
}

/// Normalizes a name for comparison: removes case and underscores, and accepts the spelling
/// `adress` of phpWebSocketServer.
pub(super) fn folded(name: &str) -> String {
    let folded: String = name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect();
    if folded == "adress" { "address".to_owned() } else { folded }
}

/// Finds a key by section and name.
pub(super) fn find(section: &str, name: &str) -> Option<&'static ConfigKey> {
    let folded_name = folded(name);
    KEYS.iter().find(|key| key.section == section && folded(key.name) == folded_name)
}

/// Returns the most similar key of any section for a misspelled name.
pub(super) fn nearest(name: &str) -> Option<&'static ConfigKey> {
    let name = folded(name);
    let distance = |key: &&ConfigKey| edits(&name, &folded(key.name));
    KEYS.iter().min_by_key(distance).filter(|key| distance(key) <= 1 + name.len() / 3)
}

/// Returns the most similar name of a list for a misspelled one.
pub(super) fn nearest_of<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    let name = folded(name);
    let distance = |known: &&&str| edits(&name, &folded(known));
    let nearest = names.iter().min_by_key(distance)?;
    (edits(&name, &folded(nearest)) <= 1 + name.chars().count() / 3).then_some(*nearest)
}

/// Returns the edit distance in letters.
pub(super) fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut before = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (cell, candidate) in row.iter().skip(1).zip(&other) {
            let cost = usize::from(letter != *candidate);
            left = (before + cost).min(*cell + 1).min(left + 1);
            before = *cell;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_has_a_suggestion_and_an_arbitrary_one_has_not() {
        assert_eq!(nearest("maxMesage").map(|key| key.name), Some("maxMessage"));
        assert_eq!(nearest("readygap").map(|key| key.section), Some("phpws"));
        assert_eq!(nearest("zzzzzzzz"), None);
    }

    #[test]
    fn variables_are_spelt_with_underscores() {
        let variable = |section, name| find(section, name).map(ConfigKey::variable);
        assert_eq!(variable("", "max_message").as_deref(), Some("TAGCAST_MAX_MESSAGE"));
        assert_eq!(variable("phpws", "frameGap").as_deref(), Some("TAGCAST_PHPWS_FRAME_GAP"));
        assert_eq!(variable("", "ADRESS").as_deref(), Some("TAGCAST_ADDRESS"));
        assert_eq!(variable("", "maxperip").as_deref(), Some("TAGCAST_MAX_PER_IP"));
    }
}
