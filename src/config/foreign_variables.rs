//! Environment variables that begin with our prefix but come from others. Kubernetes and Docker add
//! them to every container if a service or a linked container has a name that begins with
//! `tagcast`.

use super::schema::VARIABLE_PREFIX;

/// Protocols of Kubernetes services. Docker has the first two.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
/// Suffixes that Kubernetes or Docker add for each port.
const PORT_DETAILS: [&str; 5] = ["ADDR", "PORT", "PROTO", "PORT_START", "PORT_END"];

/// Returns true if a variable has the name and value of a variable from Kubernetes or Docker.
pub(super) fn is_of_a_container(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { return false };
    is_of_a_service(rest) || is_of_a_port(rest, value) || is_of_a_link(rest, value)
}

/// Matches `TAGCAST_SERVICE_HOST`, `TAGCAST_SERVICE_PORT`, `TAGCAST_SERVICE_PORT_HTTP`.
fn is_of_a_service(rest: &str) -> bool {
    is_end_of(rest, "SERVICE_HOST")
        || is_end_of(rest, "SERVICE_PORT")
        || rest.starts_with("SERVICE_PORT_")
        || rest.contains("_SERVICE_PORT_")
}

/// Matches `TAGCAST_PORT=tcp://…`, `TAGCAST_PORT_8094_TCP=tcp://…`, `TAGCAST_PORT_8094_TCP_ADDR`.
fn is_of_a_port(rest: &str, value: &str) -> bool {
    let scheme = value.split_once("://").map(|(scheme, _)| scheme.to_ascii_uppercase());
    if is_end_of(rest, "PORT") && scheme.is_some_and(|it| PROTOCOLS.contains(&it.as_str())) {
        return true;
    }
    let rest = rest.strip_prefix("PORT_").or_else(|| rest.split_once("_PORT_").map(|(_, it)| it));
    let Some((port, rest)) = rest.and_then(|rest| rest.split_once('_')) else { return false };
    let (protocol, detail) = match rest.split_once('_') {
        Some((protocol, detail)) => (protocol, Some(detail)),
        None => (rest, None),
    };
    !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && PROTOCOLS.contains(&protocol)
        && detail.is_none_or(|detail| PORT_DETAILS.contains(&detail))
}

/// Matches `TAGCAST_NAME=/web/tagcast` and the variables `TAGCAST_ENV_…` of the linked container.
fn is_of_a_link(rest: &str, value: &str) -> bool {
    (is_end_of(rest, "NAME") && value.starts_with('/'))
        || rest.starts_with("ENV_")
        || rest.contains("_ENV_")
}

/// Returns true if a name is this word or ends with an underscore and this word.
fn is_end_of(name: &str, word: &str) -> bool {
    name.strip_suffix(word).is_some_and(|before| before.is_empty() || before.ends_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_and_docker_make_is_known_and_slips_are_not() {
        for (name, value) in [
            ("TAGCAST_PORT", "tcp://10.3.104.46:8094"),
            ("TAGCAST_PORT", "udp://10.3.104.46:8094"),
            ("TAGCAST_SERVICE_HOST", "10.3.104.46"),
            ("TAGCAST_SERVICE_PORT", "8094"),
            ("TAGCAST_SERVICE_PORT_HTTP_WEB", "8094"),
            ("TAGCAST_PORT_8094_TCP", "tcp://10.3.104.46:8094"),
            ("TAGCAST_PORT_8094_TCP_PROTO", "tcp"),
            ("TAGCAST_PORT_8094_TCP_PORT", "8094"),
            ("TAGCAST_PORT_8094_TCP_ADDR", "10.3.104.46"),
            ("TAGCAST_PORT_53_UDP_ADDR", "10.3.104.46"),
            ("TAGCAST_PORT_9_SCTP_ADDR", "10.3.104.46"),
            ("TAGCAST_PORT_8000_TCP_PORT_START", "8000"),
            ("TAGCAST_REDIS_SERVICE_HOST", "10.3.104.47"),
            ("TAGCAST_REDIS_SERVICE_PORT_MAIN", "6379"),
            ("TAGCAST_REDIS_PORT", "tcp://10.3.104.47:6379"),
            ("TAGCAST_REDIS_PORT_6379_TCP_ADDR", "10.3.104.47"),
            ("TAGCAST_NAME", "/web/tagcast"),
            ("TAGCAST_1_NAME", "/web/tagcast_1"),
            ("TAGCAST_ENV_PATH", "/bin"),
            ("TAGCAST_1_ENV_PATH", "/bin"),
        ] {
            assert!(is_of_a_container(name, value), "{name}");
        }
        for (name, value) in [
            ("TAGCAST_PORT", "8094"),
            ("TAGCAST_PORT", "ws://0.0.0.0:8094"),
            ("TAGCAST_NAME", "tagcast"),
            ("TAGCAST_ADRES", "tcp://0.0.0.0:1"),
            ("TAGCAST_PORT_HTTP_TCP", "1"),
            ("TAGCAST_PORT_80_ICMP", "1"),
            ("TAGCAST_PORT_80_TCP_NONSENSE", "1"),
            ("TAGCAST_SERVICE", "1"),
            ("TAGCAST_MYSERVICE_HOSTS", "1"),
            ("OTHER_SERVICE_HOST", "1"),
        ] {
            assert!(!is_of_a_container(name, value), "{name}");
        }
    }
}
